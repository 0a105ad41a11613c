import { spawn } from "node:child_process";
import { once } from "node:events";
import { bareEnvironment } from "../programs.ts";

/**
 * Runs a program of the system without input and output to its end, which comes in time. Without pipes: where there are too few
 * descriptors (EMFILE), Node 20 starts nothing and keeps those of the pipes for ever. And with nothing of this process's environment,
 * which an account can read of all that runs as it.
 * @throws {Error} with the `code` of the system when it cannot be started, and when it fails.
 */
export async function runSilently(file: string, words: readonly string[], timeout: number): Promise<void> {
  const child = spawn(file, words, {
    stdio: "ignore",
    cwd: "/",
    env: bareEnvironment(),
    timeout,
    killSignal: "SIGKILL",
  });
  const [status] = (await once(child, "exit")) as [number | null];
  if (status !== 0) throw new Error(`${file} has failed`);
}
