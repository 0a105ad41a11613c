import { dirname } from "node:path";
import { expect } from "vitest";
import { EXIT_STATUS, type ErrorCode } from "../../keys/errors.ts";
import { type CommandName, type Exit, runCommand } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";

/** A command that is to fail. */
export interface Failure {
  readonly command: CommandName;
  readonly words: readonly string[];
  readonly machine: Machine;
  readonly env?: Readonly<Record<string, string>>;
  /** What is told as the file shows it, in the order in which it is replaced. */
  readonly replace?: readonly (readonly [string | RegExp, string])[];
  /** Of the golden file, when a code has several: `E_CODE.this.txt`. */
  readonly variant?: string;
  /** How it has ended, where running it takes more than starting it. */
  readonly exit?: Exit;
}

/** Runs it: nothing goes to stdout, and all that is told with the status is `errors/E_CODE.txt`. */
export async function expectFailure(code: ErrorCode, failure: Failure): Promise<void> {
  const exit = await run(failure);
  expect({ code: exit.code, stdout: exit.stdout }).toEqual({ code: statusOf(code, failure), stdout: "" });
  const blocks = exit.stderr.split(/^(?=\S)/m);
  expect(blocks.at(-1)).toMatch(/^\S+: .+\n(?: +\S.+\n)+ +\[E_\w+\]\n$/); // a fact, next steps, the code
  expect(blocks.at(-1)).not.toMatch(/\S {3}[A-Z]/); // one step a line
  expect(blocks.at(-1)).toContain(`[${code}]`);
  await expectText(code, failure, exit, exit.stderr);
}

/** The same with `--json`: one line on stderr, of version 1. */
export async function expectJsonFailure(code: ErrorCode, failure: Failure): Promise<void> {
  const exit = await run(failure);
  expect({ code: exit.code, stdout: exit.stdout }).toEqual({ code: EXIT_STATUS[code], stdout: "" });
  const last = exit.stderr.trimEnd().split("\n").at(-1) ?? "";
  const { v, error }: { v: unknown; error: Record<string, unknown> } = JSON.parse(last);
  expect({ v, error }).toMatchObject({ v: 1, error: { code, status: EXIT_STATUS[code] } });
  expect(Object.keys(error)).toEqual(["code", "status", "message", "next", "retryable"]);
  await expectText(code, failure, exit, exit.stderr);
}

/** For commands that look at things: what they found is data, and goes to stdout. */
export async function expectFinding(code: ErrorCode, status: number, lines: RegExp, failure: Failure): Promise<void> {
  const exit = await run(failure);
  expect({ code: exit.code, stderr: exit.stderr }).toEqual({ code: status, stderr: "" });
  const found = exit.stdout.split(/^(?=\S)/m).filter((line) => lines.test(line));
  await expectText(code, failure, exit, found.join(""));
}

async function run({ command, words, machine, env, exit }: Failure): Promise<Exit> {
  return exit ?? (await runCommand(command, words, { env: { ...machine.options.env, ...env } }));
}

/** Sessions end with ssh's status, whatever kept them from coming about; but one who types nonsense, or Ctrl-C, is told so. */
function statusOf(code: ErrorCode, { command, words }: Failure): number {
  const isVerb = command !== "sshnp" || OWN_STATUS.has(words[0] ?? "");
  return isVerb || code === "E_USAGE" || code === "E_INTERRUPTED" ? EXIT_STATUS[code] : 255;
}

const OWN_STATUS: ReadonlySet<string> = new Set(["doctor", "forward", "ls", "ping", "ssh-config", "trust"]);

async function expectText(code: ErrorCode, failure: Failure, exit: Exit, told: string): Promise<void> {
  const { command, words, variant, env = {} } = failure;
  const variables = Object.entries(env)
    .filter(([name]) => name !== "NODE_OPTIONS")
    .map(([name, value]) => `${name}=${value}`);
  const text = `$ ${[...variables, command, ...words].join(" ")}\n${told}status ${String(exit.code)}\n`;
  const file = variant === undefined ? code : `${code}.${variant}`;
  await expect(withoutWhatChanges(text, failure)).toMatchFileSnapshot(`errors/${file}.txt`);
}

/** Ports, fingerprints, times, secrets and folders of this run. */
function withoutWhatChanges(text: string, { machine, replace = [] }: Failure): string {
  const folders = text.replaceAll(machine.home, "HOME").replaceAll(dirname(machine.home), "FOLDER");
  return replace
    .reduce((told, [what, by]) => told.replaceAll(what, by), folders)
    .replace(/SHA256:(?!A{43})[A-Za-z0-9+/]{43}/g, "SHA256:...")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT")
    .replace(/ -p \d+ /g, " -p PORT ")
    .replace(/20\d\d-\d\d-\d\d \d\d:\d\d UTC/g, "2026-11-22 10:41 UTC")
    .replace(/20\d\d-\d\d-\d\d/g, "2026-11-22")
    .replace(/\b[0-9a-f]{64}\b/g, "SECRET")
    .replace(/\b(?:[0-9a-z]{4}-){3}[0-9a-z]{4}\b/g, "abcd-efgh-jkmn-pqrs");
}
