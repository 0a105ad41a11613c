import { type FileHandle, open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { SetupError } from "../../keys/errors.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { AUDIT_FOLLOW_MS, AUDIT_REPLACED_MS } from "../../protocol/limits.ts";
import { LineSplitter, type TextLine } from "./read-lines.ts";

/** Lines that were read together; empty while a file that is followed has nothing new. */
export type Lines = readonly TextLine[];

/**
 * The lines of a file, and with `follow` those that are written to it later, until `signal`: a file that is moved away is read to
 * its end, then the one that comes in its place. @throws {SetupError} E_USAGE when it cannot be read.
 */
export async function* followLines(
  path: string,
  { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Lines, void, void> {
  let file = await openToRead(path);
  let splitter = new LineSplitter();
  try {
    const chunk = Buffer.alloc(64 * 1024);
    let replaced = Infinity;
    while (!signal.aborted) {
      if (follow && replaced === Infinity && (await isReplaced(path, file))) replaced = performance.now();
      // Whoever writes here notices it within a second, and writes to the other one from then on.
      const hasSuccessor = performance.now() - replaced > AUDIT_REPLACED_MS;
      for (;;) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length);
        if (bytesRead === 0) break;
        yield [...splitter.take(chunk.subarray(0, bytesRead))];
        if (signal.aborted) return;
      }
      if (!follow) return yield [...splitter.end()];
      yield hasSuccessor ? [...splitter.end()] : [];
      if (hasSuccessor) {
        const next = await openToRead(path);
        await file.close();
        file = next;
        splitter = new LineSplitter();
        replaced = Infinity;
      } else {
        await delay(AUDIT_FOLLOW_MS, undefined, { signal }).catch(() => {});
      }
    }
  } finally {
    await file.close();
  }
}

async function isReplaced(path: string, file: FileHandle): Promise<boolean> {
  const there = await stat(path).catch(() => undefined);
  return there !== undefined && there.ino !== (await file.stat()).ino;
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    throw new SetupError("E_USAGE", `Cannot read ${shellWord(path)}.`, { next: "Check its path and mode.", cause });
  }
}
