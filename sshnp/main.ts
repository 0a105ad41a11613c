#!/usr/bin/env node
/*
 * Start-up is what a person waits for, so every path loads what it needs and no more: a proxy that finds its front process
 * loads a socket, and a session starts ssh before it loads the rest.
 */
import type { Destination, SessionCommand } from "./command-line.ts";
import type { CommandEnd } from "./ssh-process.ts";

const DONE: CommandEnd = { status: 0, error: undefined };

process.exit(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<number> {
  if (words[0] === "proxy" && (await joinFront(words))) return 0;
  const { status, error } = await run(words).catch((thrown: unknown) => ({ status: 255, error: thrown }));
  if (error === undefined) return status;
  const { printError } = await import("../keys/print-error.ts");
  const own = printError("sshnp", error);
  // What scripts expect of ssh: 255 for everything that is not the remote command's.
  return words[0] === "trust" || own === 2 || own === 130 ? own : 255;
}

async function run(words: readonly string[]): Promise<CommandEnd> {
  const [verb, ...rest] = words;
  if (verb === "proxy") return await proxy(rest);
  if (verb !== "trust") return await session(words);
  const { runTrust } = await import("./cli/trust.ts");
  return { status: await runTrust(rest), error: undefined };
}

/** SSHNP_FRONT is `[user@]host:port PATH`: for which host somebody waits at which socket. */
async function joinFront(words: readonly string[]): Promise<boolean> {
  const [, host, path] = /^(\S+) (.*)$/s.exec(process.env["SSHNP_FRONT"] ?? "") ?? [];
  if (path === undefined || host !== words.at(-1)) return false;
  const { relayToFront } = await import("./relay.ts");
  return await relayToFront(path);
}

async function session(words: readonly string[]): Promise<CommandEnd> {
  const { parseSessionCommand } = await import("./command-line.ts");
  const parsed = parseSessionCommand(words);
  if (typeof parsed === "string") return await answer(parsed);
  const command: SessionCommand = {
    ...parsed,
    destination: await withLogin(parsed.destination, parsed.ssh.configuration),
  };
  const surroundings = {
    node: process.execPath,
    main: import.meta.filename,
    keys: await keysFolder(command.destination),
  };
  const { shellCommand, sshArguments } = await import("./ssh-command.ts");
  if (command.print) {
    process.stdout.write(`${shellCommand(["ssh", ...sshArguments(command, surroundings)])}\n`);
    return DONE;
  }
  if (command.needs === "tunnel") return await (await import("./front.ts")).runFront(command, surroundings);
  return await (await import("./ssh-process.ts")).startSsh(sshArguments(command, surroundings)).ended;
}

async function proxy(words: readonly string[]): Promise<CommandEnd> {
  const { parseProxyLine } = await import("./proxy-line.ts");
  const parsed = parseProxyLine(words);
  if (typeof parsed === "string") return await answer("proxy help");
  const destination = await withLogin(parsed, []);
  return await (await import("./proxy.ts")).runProxy(destination, await keysFolder(destination));
}

async function keysFolder(destination: Destination): Promise<string> {
  const { keysFolderPath } = await import("../keys/keys-folder.ts");
  const { parseKeysFolder } = await import("./command-line.ts");
  const path = await import("node:path");
  return parseKeysFolder(path.resolve(keysFolderPath(destination.keys, process.env)));
}

/** A key is pushed for one account, so ssh is asked which one when the command line does not say. */
async function withLogin(destination: Destination, configuration: readonly string[]): Promise<Destination> {
  if (destination.pushKey === undefined || destination.login !== "") return destination;
  const [{ loginOf }, { hostName }] = await Promise.all([import("./public-key.ts"), import("../keys/names.ts")]);
  const login = await loginOf([...configuration, hostName(destination.device)], {
    signal: new AbortController().signal,
  });
  return { ...destination, login };
}

async function answer(question: "help" | "version" | "proxy help"): Promise<CommandEnd> {
  if (question === "version") {
    process.stdout.write(`${(await import("../keys/version.ts")).VERSION}\n`);
    return DONE;
  }
  const { PROXY_HELP, SESSION_HELP } = await import("./usage.ts");
  process.stdout.write(question === "help" ? SESSION_HELP : PROXY_HELP);
  return DONE;
}
