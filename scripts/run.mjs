// Runs a program to its end, quietly: its output is shown only when it fails.
import { spawn } from "node:child_process";

/** Something that is missing on this machine; the message names it and the next step. */
export class SetUpError extends Error {}

/**
 * @param {string} file
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, detached?: boolean, signal?: AbortSignal }} options detached: not
 *   reached by a Ctrl-C at the terminal, for work that must not be left half done
 * @throws {SetUpError} with the program's output when it fails
 */
export async function run(file, args, options = {}) {
  const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const failure = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? `status ${code}`}`));
  });
  options.signal?.throwIfAborted();
  if (failure !== undefined) throw new SetUpError(`${output}${file} ${args.join(" ")}: ${failure}`);
}
