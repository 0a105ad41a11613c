import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { activationKey } from "../keys/activation-key.ts";
import { hex, utf8, utf8Text } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { Secret } from "../keys/secret.ts";
import { OWN_RENDEZVOUS_END_MS, OWN_RENDEZVOUS_RETRY_MS, OWN_RENDEZVOUS_START_MS } from "../protocol/limits.ts";
import { RENDEZVOUS_ACTIVATION } from "../protocol/messages/activation.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";

interface Options {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  readonly registry: RendezvousRegistry;
  /** Where the rendezvous reaches this directory. */
  readonly address: string;
  readonly listenHost: string;
  /** Where others reach the rendezvous. */
  readonly publicAt: { readonly host: string; readonly port: number };
  readonly log: Logger;
  /** Ends the wait for it, not the rendezvous. */
  readonly signal: AbortSignal;
}

/** A rendezvous that a directory keeps running. Disposing of it ends it. */
export type OwnRendezvous = AsyncDisposable;

/**
 * Starts `sshnp-rendezvous` beside the directory, waits a little for it to be up, and starts it again whenever it ends.
 * One that a killed directory left behind goes on as it is, sessions and all, if it was started the same way; else it is
 * replaced.
 */
export async function startOwnRendezvous(options: Options): Promise<OwnRendezvous> {
  const stop = new AbortController();
  const args = argumentsFor(options);
  const orphan = await findOrphan(options.folder, args);
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(OWN_RENDEZVOUS_START_MS)]);
  const isUp = orphan === undefined ? options.registry.reports.next(OWN_NAME, { signal }) : Promise.resolve();
  const keeping = keep(options, args, orphan, stop.signal);
  keeping.catch((error: unknown) => options.log.error({ err: error }, "own rendezvous failed"));
  await isUp.catch(() => {});
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await keeping.catch(() => {});
    },
  };
}

/** What the directory calls its own rendezvous. */
const OWN_NAME = "own";
const PID_FILE = "rendezvous.pid";
const DATA_FOLDER = "rendezvous";

function argumentsFor({ folder, address, listenHost, publicAt }: Options): string[] {
  const main = fileURLToPath(new URL("../rendezvous/main.js", import.meta.url));
  const at = (host: string): string => `${host.includes(":") ? `[${host}]` : host}:${publicAt.port}`;
  const data = join(folder.path, DATA_FOLDER);
  const own = ["run", "--data", data, "--directory", address, "--listen", at(listenHost), "--drain-seconds", "0"];
  return [main, ...own, ...(publicAt.port === 0 ? [] : ["--public", at(publicAt.host)]), "-c", "-"];
}

async function keep(
  options: Options,
  args: readonly string[],
  orphan: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { folder, log } = options;
  if (orphan !== undefined) {
    log.info({ pid: orphan }, "own rendezvous goes on");
    await whileAlive(orphan, args, signal);
    if (signal.aborted) await end(orphan, args);
  }
  for (
    let retry = OWN_RENDEZVOUS_RETRY_MS;
    !signal.aborted;
    retry = Math.min(2 * retry, 32 * OWN_RENDEZVOUS_RETRY_MS)
  ) {
    const started = performance.now();
    const child = await start(options, args);
    if (child.pid !== undefined) await folder.replace(PID_FILE, utf8(`${child.pid}\n`));
    const exited = once(child, "exit").catch(() => {}); // it may not even have started
    const stopped = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await Promise.race([exited, stopped]);
    if (signal.aborted) {
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), OWN_RENDEZVOUS_END_MS);
      if (child.exitCode === null && child.signalCode === null) await exited;
      clearTimeout(force);
      break;
    }
    log.warn({ status: child.exitCode, signal: child.signalCode }, "own rendezvous ended; it is started again");
    if (performance.now() - started > 60_000) retry = OWN_RENDEZVOUS_RETRY_MS;
    await delay(retry, undefined, { signal }).catch(() => {});
  }
  await folder.remove(PID_FILE);
}

/** A new process, with a new secret on its stdin. */
async function start(options: Options, args: readonly string[]): Promise<ChildProcess> {
  const { suite, random, registry, folder } = options;
  const secret = random(32);
  const { publicKey } = activationKey(suite, Secret.fromBytes(secret), RENDEZVOUS_ACTIVATION);
  await registry.addOwn(OWN_NAME, publicKey, Date.now(), { hasKeys: existsSync(join(folder.path, DATA_FOLDER)) });
  // Its own process group: Ctrl-C is for the directory, which then ends it in order.
  const child = spawn(process.execPath, args, { stdio: ["pipe", "ignore", "inherit"], detached: true });
  child.on("error", () => {});
  child.stdin?.on("error", () => {}).end(`${hex(secret)}\n`);
  return child;
}

/** The process id of a rendezvous that was started with exactly these arguments; one of other arguments is ended. */
async function findOrphan(folder: PrivateFolder, args: readonly string[]): Promise<number | undefined> {
  const bytes = await folder.read(PID_FILE, 32);
  const pid = bytes === undefined ? Number.NaN : Number(utf8Text(bytes));
  if (!Number.isSafeInteger(pid) || pid < 2) return undefined;
  const running = await argumentsOf(pid);
  if (running === undefined || running[0] !== args[0]) return undefined;
  if (running.join("\0") === args.join("\0")) return pid;
  await end(pid, running);
  return undefined;
}

async function end(pid: number, args: readonly string[]): Promise<void> {
  const signal = AbortSignal.timeout(OWN_RENDEZVOUS_END_MS);
  kill(pid, "SIGTERM");
  await whileAlive(pid, args, signal);
  if (signal.aborted) kill(pid, "SIGKILL");
}

/** Waits until that process is gone, or the signal comes. It is no child of ours, so it has to be looked at. */
async function whileAlive(pid: number, args: readonly string[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await argumentsOf(pid))?.join("\0") === args.join("\0")) {
    await delay(100, undefined, { signal }).catch(() => {});
  }
}

/** What a process was started with, after `node` itself; undefined when there is none. */
async function argumentsOf(pid: number): Promise<string[] | undefined> {
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  const [, ...args] = line.split("\0").slice(0, -1);
  return args.length === 0 ? undefined : args;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
