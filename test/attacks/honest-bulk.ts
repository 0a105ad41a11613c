import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { writeKeystream } from "../support/keystream.ts";
import { commandFile, startProcess } from "../support/processes.ts";
import type { Target } from "./target.ts";

/** More than all that lies between the two ends can hold. */
const BYTES = 16 * 1024 * 1024;
/** For one transfer beside an attack, on a busy machine. */
const PATIENCE_MS = 60_000;
/** Between two transfers, so that it is not they that load the machine. */
const PAUSE_MS = 5_000;

/**
 * Carries a file to the device and back with OpenSSH, now and then until the signal comes; what has begun is brought to its
 * end. Rejects when a transfer does not end, or with other bytes.
 */
export async function carryBulk(target: Target, signal: AbortSignal): Promise<string> {
  const file = join(target.stack.client.home, "bulk");
  const sent = await writeKeystream(file, BYTES);
  let carried = 0;
  do {
    const arrived = await Promise.all([
      hashThrough(target, '"$@" < "$0"', file, "sha256sum"),
      hashThrough(target, '"$@" | sha256sum', file, `exec cat < '${file}'`),
    ]);
    if (arrived.some((hash) => hash !== sent)) throw new Error(`an honest transfer arrived as ${arrived.join(", ")}`);
    carried++;
    await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
  } while (!signal.aborted);
  return `${carried} honest transfers of ${BYTES / 1024 / 1024} MiB each way beside it`;
}

/** The SHA-256 in hex that `script` prints: sh runs it with `file` as $0, and as $@ the sshnp that runs `command` there. */
async function hashThrough({ stack }: Target, script: string, file: string, command: string): Promise<string> {
  const words = [process.execPath, commandFile("sshnp"), ...stack.words(command)];
  const running = startProcess("sh", ["-c", script, file, ...words], { env: { HOME: stack.client.home } });
  const { code, stdout, stderr } = await running.exit({ timeoutMs: PATIENCE_MS });
  if (code !== 0) throw new Error(`an honest transfer ended with status ${code}: ${stderr}`);
  return stdout.slice(0, 64);
}
