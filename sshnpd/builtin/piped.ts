import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import type { LoginAccount } from "./login-account.ts";
import { makePipes } from "./pipes.ts";
import { type ProcessEnd, type Running, signalGroup } from "./running.ts";

/**
 * Runs a program behind pipes, in a process group of its own.
 * @throws {Error} with the `code` of the system when it cannot be started.
 */
export async function runPiped(
  account: Pick<LoginAccount, "uid" | "gid">,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Running> {
  const [file = "", ...args] = words;
  const { input, output, errors, descriptors } = await makePipes(account);
  const child = spawn(file, args, { cwd: "/", env, detached: true, stdio: [...descriptors] });
  for (const descriptor of descriptors) closeSync(descriptor);
  const exited = new Promise<ProcessEnd>((resolve) => {
    child.once("exit", (status, signal) =>
      resolve(signal === null ? { status: status ?? 255 } : { signal: signal.slice(3) }),
    );
  });
  for (const stream of [input, output, errors]) stream.on("error", () => {}); // its end tells
  try {
    await once(child, "spawn");
  } catch (error) {
    for (const stream of [input, output, errors]) stream.destroy();
    throw error;
  }
  const { pid = 0 } = child;
  let hasExited = false;
  child.once("exit", () => (hasExited = true));
  const signal = (name: NodeJS.Signals): void => {
    // After its exit the number may be somebody else's.
    if (!hasExited) signalGroup(pid, name);
  };
  return {
    pid,
    input,
    output,
    errors,
    exited,
    signal,
    hangUp: () => {
      signal("SIGHUP");
      for (const stream of [input, output, errors]) stream.destroy();
    },
    resize: () => {},
  };
}
