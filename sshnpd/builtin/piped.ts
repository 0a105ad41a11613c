import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { LoginAccount } from "./login-account.ts";
import { makePipes } from "./pipes.ts";
import { type ProcessEnd, type Running, signalGroup } from "./running.ts";

/** A program behind pipes. */
export interface Piped extends Running {
  readonly errors: Readable;
  /** The other end of its descriptor 3, a socket, where one was asked for. */
  readonly control: Socket | undefined;
}

/**
 * Runs a program behind pipes, in a process group of its own, with nothing else open but, if `hasControl`, a socket.
 * @throws {Error} with the `code` of the system when it cannot be started.
 */
export async function runPiped(
  account: Pick<LoginAccount, "uid" | "gid">,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  { hasControl = false } = {},
): Promise<Piped> {
  const [file = "", ...args] = words;
  const { input, output, errors, descriptors } = await makePipes(account);
  const streams = [input, output, errors];
  for (const stream of streams) stream.on("error", () => {}); // its end tells
  let child: ChildProcess;
  try {
    try {
      const stdio = [...descriptors, ...(hasControl ? (["pipe"] as const) : [])];
      child = spawn(file, args, { cwd: "/", env, detached: true, stdio });
    } finally {
      for (const descriptor of descriptors) closeSync(descriptor);
    }
  } catch (error) {
    for (const stream of streams) stream.destroy();
    throw error;
  }
  // Where it could not be started for want of descriptors, Node leaves no `stdio` at all, and tells it by an event.
  const stdio = child.stdio as ChildProcess["stdio"] | undefined;
  const control = hasControl ? (stdio?.[3] as Socket | null | undefined) : undefined;
  control?.on("error", () => {});
  let hasExited = false;
  const exited = new Promise<ProcessEnd>((resolve) => {
    child.once("exit", (status, signal) => {
      hasExited = true;
      resolve(signal === null ? { status: status ?? 255 } : { signal: signal.slice(3) });
    });
  });
  try {
    await once(child, "spawn");
  } catch (error) {
    for (const stream of streams) stream.destroy();
    control?.destroy();
    throw error;
  }
  const { pid = 0 } = child;
  const signal = (name: NodeJS.Signals): void => {
    // After its exit the number may be somebody else's.
    if (!hasExited) signalGroup(pid, name);
  };
  return {
    pid,
    input,
    output,
    errors,
    control: control ?? undefined,
    exited,
    signal,
    hangUp: () => {
      signal("SIGHUP");
      for (const stream of streams) stream.destroy();
    },
    resize: () => {},
  };
}
