#!/usr/bin/env node
/*
 * Start-up is what a person waits for, so each path loads what it needs and no more: a proxy that finds its front process
 * loads a socket; a session starts ssh, and loads the rest while ssh starts too.
 */
import { endEvenWhileCompiling } from "../keys/exit.ts";
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
  const own = json === true ? printErrorJson(error) : printError("sshnp", error);
  // What scripts expect of ssh: 255 for everything that is not the remote command's.
  return (words[0] ?? "") in VERBS || own === 2 || own === 130 ? own : 255;
}

/** Whatever is no session: their statuses are those of sysexits.h. */
const VERBS: Readonly<Record<string, () => Promise<(words: readonly string[]) => Promise<CommandEnd>>>> = {
  "ssh-config": async () => {
    const { sshConfig } = await import("./cli/ssh-config.ts");
    return (words) => sshConfig(words, import.meta.filename);
  },
  trust: async () => (await import("./cli/trust.ts")).trust,
};

/** Verbs that run a program by a session: their statuses are the program's, and 255. */
const TRANSFERS: Readonly<Record<string, TransferProgram>> = { cp: "scp", rsync: "rsync", sftp: "sftp" };

/** SSHNP_FRONT is `[user@]host:port PATH`: for which host somebody waits at which socket. */
async function joinFront(words: readonly string[]): Promise<boolean> {
  const [, host, path] = /^(\S+) (.*)$/s.exec(process.env["SSHNP_FRONT"] ?? "") ?? [];
  if (path === undefined || host !== words.at(-1)) return false;
  const { relayToFront } = await import("./relay.ts");
  return await relayToFront(path);
}

async function run([first, ...rest]: readonly string[]): Promise<CommandEnd> {
  if (first === "proxy") return await (await import("./proxy.ts")).proxy(rest);
  const verb = VERBS[first ?? ""];
  if (verb !== undefined) return await (await verb())(rest);
  const program = TRANSFERS[first ?? ""];
  if (program !== undefined)
    return await (await import("./cli/transfer.ts")).transfer(program, rest, import.meta.filename);
  const { session } = await import("./run-session.ts");
  return await session(first === undefined ? [] : [first, ...rest], import.meta.filename);
}

process.exit(await main(process.argv.slice(2)));
