import { chownSync, closeSync, constants, openSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MKFIFO_MS } from "../../protocol/limits.ts";
import { runSilently } from "./run-silently.ts";

/** Standard input, output and errors of a program: our ends as streams, its own as file descriptors. */
export interface Pipes {
  readonly input: Socket;
  readonly output: Socket;
  readonly errors: Socket;
  /** For the program, to be closed here when it has been started. */
  readonly descriptors: readonly [number, number, number];
}

/**
 * Pipes, where Node would give a program sockets: those cannot be opened again by /dev/stderr and the like, as scripts do. They
 * belong to the account that the program runs as, or it could not open them either. They are FIFOs that have no name any more
 * when this returns. @throws {Error} of the system.
 */
export async function makePipes({ uid, gid }: { readonly uid: number; readonly gid: number }): Promise<Pipes> {
  const folder = await makeFolder();
  const open: number[] = [];
  const opened = (path: string, flags: number): number => {
    const descriptor = openSync(path, flags);
    open.push(descriptor);
    return descriptor;
  };
  try {
    const paths = ["input", "output", "errors"].map((name) => join(folder, name)) as [string, string, string];
    await runSilently("mkfifo", ["-m", "600", ...paths], MKFIFO_MS);
    const isRoot = process.geteuid?.() === 0;
    const pipe = (path: string, theirs: number, ours: number): [theirs: number, ours: number] => {
      if (isRoot) chownSync(path, uid, gid);
      // An end of both kinds at first, so that neither of the others waits for its peer (fifo(7)).
      const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      try {
        return [opened(path, theirs), opened(path, ours | constants.O_NONBLOCK)];
      } finally {
        closeSync(both);
      }
    };
    const { O_RDONLY, O_WRONLY } = constants;
    const input = pipe(paths[0], O_RDONLY, O_WRONLY);
    const output = pipe(paths[1], O_WRONLY, O_RDONLY);
    const errors = pipe(paths[2], O_WRONLY, O_RDONLY);
    return {
      input: new Socket({ fd: input[1], readable: false, writable: true }),
      output: new Socket({ fd: output[1], readable: true, writable: false }),
      errors: new Socket({ fd: errors[1], readable: true, writable: false }),
      descriptors: [input[0], output[0], errors[0]],
    };
  } catch (error) {
    for (const descriptor of open) closeSync(descriptor);
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** TMPDIR may be somebody else's, where a daemon was started by root for another user. */
async function makeFolder(): Promise<string> {
  const inTemporary = await mkdtemp(join(tmpdir(), "sshnp-")).catch(() => undefined);
  return inTemporary ?? (await mkdtemp("/tmp/sshnp-"));
}
