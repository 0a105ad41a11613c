import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** The path of a program of this machine, of $PATH or where system programs are; undefined when it is not installed. */
export async function findProgram(name: string): Promise<string | undefined> {
  const folders = [...(process.env["PATH"] ?? "").split(":"), ...SYSTEM].filter((folder) => folder.startsWith("/"));
  for (const folder of new Set(folders)) {
    const path = join(folder, name);
    if (await access(path, constants.X_OK).then(isTrue, isFalse)) return path;
  }
  return undefined;
}

/** What programs that this daemon starts get to see of its environment, which has secrets. */
export function bareEnvironment(): Record<string, string> {
  const { PATH = SYSTEM.join(":"), TZ } = process.env;
  return { PATH, ...(TZ === undefined ? {} : { TZ }) };
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  /** Whether it has ended with status 0. */
  readonly isFine: boolean;
}

/** Runs a program of the machine's to its end, which comes within seconds. Never rejects but by `signal`. */
export async function outputOf(file: string, words: readonly string[], signal: AbortSignal): Promise<Output> {
  const options = {
    timeout: PROGRAM_MS,
    killSignal: "SIGKILL",
    maxBuffer: OUTPUT_BYTES,
    env: bareEnvironment(),
    signal,
  } as const;
  try {
    return { ...(await promisify(execFile)(file, words, options)), isFine: true };
  } catch (error) {
    signal.throwIfAborted();
    const { stdout = "", stderr = "", message } = error as Partial<Output> & Error;
    return { stdout, stderr: stderr === "" ? message : stderr, isFine: false };
  }
}

const isTrue = (): boolean => true;
const isFalse = (): boolean => false;
const SYSTEM: readonly string[] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"];
/** To make an RSA key takes longest, and none is made here. */
const PROGRAM_MS = 10_000;
const OUTPUT_BYTES = 256 * 1024;
