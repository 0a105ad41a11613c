#!/usr/bin/env node
/*
 * Start-up is what a person waits for, so each path loads what it needs and no more: a proxy that finds its front process
 * loads a socket; a session starts ssh, and loads the rest while ssh starts too.
 */
import { endEvenWhileCompiling } from "../keys/exit.ts";
import { SetupError } from "../keys/errors.ts";
import { hasConfiguration } from "./config/paths.ts";
import type { CommandEnd } from "./ssh-process.ts";
import type { TransferProgram } from "./transfer-line.ts";

endEvenWhileCompiling();

async function main(words: readonly string[]): Promise<number> {
  if (words[0] === "proxy" && (await joinFront(words))) return 0;
  const { status, error, json } = await run(words).catch(
    (thrown: unknown): CommandEnd => ({ status: 255, error: thrown }),
  );
  if (error === undefined) return status;
  const { printError, printErrorJson } = await import("../keys/print-error.ts");
  const { withMeant } = await import("./meant.ts");
  const first = words.find((word, at) => !word.startsWith("--profile") && words[at - 1] !== "--profile");
  const isVerb = Object.hasOwn(VERBS, first ?? "");
  const told = withMeant(error, first, verbs());
  // Also of what failed ahead of the verb, such as a configuration that cannot be read.
  const own = json === true || (isVerb && words.includes("--json")) ? printErrorJson(told) : printError("sshnp", told);
  // What scripts expect of ssh: 255 for everything that is not the remote command's.
  return isVerb || own === 2 || own === 130 ? own : 255;
}

/** Whatever is no session: their statuses are those of sysexits.h. */
const VERBS: Readonly<Record<string, () => Promise<(words: readonly string[]) => Promise<CommandEnd>>>> = {
  doctor: async () => (await import("./cli/doctor.ts")).doctor,
  forward: async () => (await import("./cli/forward.ts")).forward,
  ls: async () => (await import("./cli/ls.ts")).ls,
  ping: async () => (await import("./cli/ping.ts")).ping,
  "ssh-config": async () => {
    const { sshConfig } = await import("./cli/ssh-config.ts");
    return (words) => sshConfig(words, import.meta.filename);
  },
  status: async () => (await import("./cli/status.ts")).status,
  trust: async () => (await import("./cli/trust.ts")).trust,
  profile: async () => (await import("./cli/profile.ts")).profile,
  completion: async () => (await import("./cli/completion.ts")).completion,
  help: async () => (await import("./cli/help.ts")).helpOn(verbs(), run),
  version: async () => (await import("./cli/version.ts")).version,
};

/** Verbs that run a program by a session: their statuses are the program's, and 255. */
const TRANSFERS: Readonly<Record<string, TransferProgram>> = { cp: "scp", rsync: "rsync", sftp: "sftp" };

function verbs(): string[] {
  return ["proxy", ...Object.keys(TRANSFERS), ...Object.keys(VERBS)];
}

/** SSHNP_FRONT is `[user@]host:port PATH`: for which host somebody waits at which socket. */
async function joinFront(words: readonly string[]): Promise<boolean> {
  const [, host, path] = /^(\S+) (.*)$/s.exec(process.env["SSHNP_FRONT"] ?? "") ?? [];
  if (path === undefined || host !== words.at(-1)) return false;
  const { relayToFront } = await import("./relay.ts");
  return await relayToFront(path);
}

async function run([first, ...rest]: readonly string[]): Promise<CommandEnd> {
  if (first === "--profile" || first?.startsWith("--profile=") === true) {
    const [, joined] = first.split("=", 2);
    return await run(withProfile(joined ?? rest[0], joined === undefined ? rest.slice(1) : rest));
  }
  const isHelp = Object.hasOwn(VERBS, first ?? "") && rest.at(-1) === "--help";
  const isNeeded = !isHelp && !WITHOUT_SETTINGS.has(first ?? "") && hasConfiguration(process.env);
  if (isNeeded) await (await import("./config/apply.ts")).applyConfiguration(process.env);
  if (first === "proxy") return await (await import("./proxy.ts")).proxy(rest);
  const verb = Object.hasOwn(VERBS, first ?? "") ? VERBS[first ?? ""] : undefined;
  if (verb !== undefined) return await (await verb())(rest);
  const program = Object.hasOwn(TRANSFERS, first ?? "") ? TRANSFERS[first ?? ""] : undefined;
  if (program !== undefined)
    return await (await import("./cli/transfer.ts")).transfer(program, rest, import.meta.filename);
  if (first?.startsWith("-") === true) {
    const { fromNoPorts } = await import("./noports-flags.ts");
    const ours = fromNoPorts([first, ...rest]);
    for (const note of ours?.notes ?? []) process.stderr.write(`sshnp: ${note}\n`);
    if (ours !== undefined) return await run(ours.words);
  }
  const { session } = await import("./run-session.ts");
  return await session(first === undefined ? [] : [first, ...rest], import.meta.filename);
}

/** What helps with a configuration that cannot be read, and what needs none. */
const WITHOUT_SETTINGS: ReadonlySet<string> = new Set([
  "profile",
  "help",
  "version",
  "completion",
  "--help",
  "--version",
  "-V",
]);

/** `--profile NAME`, ahead of everything: what SSHNP_PROFILE says, to child processes as well. */
function withProfile(name: string | undefined, rest: readonly string[]): readonly string[] {
  if (name === undefined || name === "") {
    throw new SetupError("E_USAGE", "--profile lacks its argument.", {
      next: "Those that are there: sshnp profile ls",
    });
  }
  process.env["SSHNP_PROFILE"] = name;
  return rest;
}

// Comes only when nothing can happen any more that main waits for; without this the status would be 0.
process.once("beforeExit", () => {
  process.exitCode = 255;
  process.stderr.write("sshnp: This ended before it was done, which is a fault of sshnp. Try again.\n");
});
void main(process.argv.slice(2)).then((status) => process.exit(status));
