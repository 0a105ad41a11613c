import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { SetupError } from "../../keys/errors.ts";
import { parseSessionCommand } from "../../sshnp/command-line.ts";
import { parseProxyLine } from "../../sshnp/proxy-line.ts";
import { describeProxy, describeSession } from "../../sshnp/session-description.ts";

const FINGERPRINT = "SHA256:9gO7nVnPcPZwDbAtAjPyPqYSKUGVDnmcjPZdRPYm6cA";
/** What an option takes that takes not just anything. */
const VALUES: Readonly<Record<string, string>> = {
  "--directory": `http://h:1#${FINGERPRINT}`,
  "--client": "@c",
  "--owner": FINGERPRINT,
};

/** Every long option that any of our commands has. */
const LONG = readdirSync(join(import.meta.dirname, "../../man")).flatMap((page) => {
  const text = readFileSync(join(import.meta.dirname, "../../man", page), "utf8").replaceAll("\\-", "-");
  return text.match(/(?<=fB)--[a-z][a-z-]+/g) ?? [];
});
const LETTERS = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i)).flatMap((letter) => [
  `-${letter}`,
  `-${letter.toUpperCase()}`,
]);

test("the options of a session that are described are those that are parsed", () => {
  const isTaken = (name: string): boolean => {
    // A letter of ssh's is passed on.
    const parsed = tried([name, ...valueOf(name, describeSession())], ["@c", "@d", "gw"], parseSessionCommand);
    if (typeof parsed === "string") return true;
    return parsed !== undefined && !parsed.ssh.before.some((word) => word.startsWith(name));
  };
  // -h is --help, -V is ours alone (command-line.test.ts), and --profile is read ahead of all words (settings.test.ts).
  const described = new Set(
    [...namesOf(describeSession()), "-h"].filter((name) => !["--profile", "-V"].includes(name)),
  );
  expect([...LETTERS, ...new Set(LONG)].filter(isTaken).sort()).toEqual([...described].sort());
});

test("the options of the proxy that are described are those that are parsed", () => {
  const isTaken = (name: string): boolean =>
    tried([name, ...valueOf(name, describeProxy())], ["gw.d.np"], parseProxyLine) !== undefined;
  const described = new Set([...namesOf(describeProxy()), "-h"]);
  expect([...LETTERS, ...new Set(LONG)].filter(isTaken).sort()).toEqual([...described].sort());
});

test("an option that is described to take a word takes one, and no other does", () => {
  for (const [command, parse] of [
    [describeSession(), parseSessionCommand],
    [describeProxy(), parseProxyLine],
  ] as const) {
    for (const { long, short, required } of command.options) {
      if (!required || long === "--profile") continue;
      expect(() => parse([long ?? short ?? ""])).toThrow("lacks its argument");
    }
  }
});

function namesOf(command: Command): string[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, short }) => [long, short].filter((name) => name !== undefined));
}

function valueOf(name: string, command: Command): string[] {
  const option = command.options.find(({ long, short }) => [long, short].includes(name));
  return option?.required === true ? [VALUES[name] ?? "1"] : [];
}

/** Undefined: the words are refused. */
function tried<T>(
  words: readonly string[],
  rest: readonly string[],
  parse: (words: readonly string[]) => T,
): T | undefined {
  try {
    return parse([...words, ...rest]);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return undefined;
  }
}
