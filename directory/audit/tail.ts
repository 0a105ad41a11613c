import { type FileHandle, open } from "node:fs/promises";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { utf8 } from "../../keys/bytes.ts";
import { AUDIT_TAIL_BYTES } from "../../protocol/limits.ts";
import type { Hashing } from "../../protocol/log/tree.ts";
import { type AuditHead, auditLineHash, auditLineOf } from "./line.ts";

/** How an audit file ends. */
export interface AuditTail {
  /** Where its last line stands; undefined when it has none. */
  readonly head: AuditHead | undefined;
  /** What comes after that line and is none, as a process leaves it that was killed while it wrote; often nothing. */
  readonly torn: Uint8Array;
  /** Whether the last line lacks its newline, and nothing else. */
  readonly lacksNewline: boolean;
}

/** Looks at the end of an audit file. */
export async function readTail(suite: Hashing, path: string): Promise<AuditTail> {
  const file = await open(path, "r");
  try {
    return tailOf(suite, await lastBytes(file));
  } finally {
    await file.close();
  }
}

async function lastBytes(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  const length = Math.min(size, AUDIT_TAIL_BYTES);
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, size - length);
  return bytes.subarray(0, bytesRead);
}

/** What the end of a file says; it may begin in the middle of a line. */
export function tailOf(suite: Hashing, bytes: Buffer): AuditTail {
  const isWhole = bytes.at(-1) === 0x0a;
  // From the end, line by line, to the last that is one.
  for (let end = bytes.length; end > 0; ) {
    const begin = end < 2 ? 0 : bytes.lastIndexOf(0x0a, end - 2) + 1;
    const isLast = end === bytes.length;
    const text = bytes.subarray(begin, isLast && !isWhole ? end : end - 1).toString("latin1");
    const line = auditLineOf(text);
    if (line !== undefined) {
      const head = { directory: line.directory, n: line.n, hash: auditLineHash(suite, text) };
      return { head, torn: bytes.subarray(end), lacksNewline: isLast && !isWhole };
    }
    end = begin;
  }
  return { head: undefined, torn: bytes, lacksNewline: false };
}

const FILE = "audit-head";
/** One length, so that one write replaces it. */
const LENGTH = 16 + 1 + 16 + 1 + 64 + 1;

/** Where the audit of a data folder stands, for when its file was moved away and nothing was written since. */
export class HeadFile {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** What it says; undefined when there is none, or none that was written here. */
  static async read(folder: PrivateFolder): Promise<AuditHead | undefined> {
    const bytes = await folder.read(FILE, 1024);
    return bytes && parseHead(Buffer.from(bytes).toString("latin1"));
  }

  /** Writes it anew, and keeps it open. @throws {SetupError} E_STORAGE; the system's error. */
  static async open(folder: PrivateFolder, head: AuditHead): Promise<HeadFile> {
    await folder.replace(FILE, utf8(printHead(head)));
    return new HeadFile(await open(folder.pathOf(FILE), "r+"));
  }

  async write(head: AuditHead): Promise<void> {
    await this.#handle.write(utf8(printHead(head)), 0, LENGTH, 0);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Undefined for what {@link printHead} does not print. */
export function parseHead(text: string): AuditHead | undefined {
  const [, directory, n, hash] = /^([0-9a-f]{16}) ([0-9]{16}) ([0-9a-f]{64})\n$/.exec(text) ?? [];
  if (directory === undefined || hash === undefined || !Number.isSafeInteger(Number(n))) return undefined;
  return { directory, n: Number(n), hash };
}

export function printHead({ directory, n, hash }: AuditHead): string {
  return `${directory} ${String(n).padStart(16, "0")} ${hash}\n`;
}
