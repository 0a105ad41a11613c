import { randomBytes } from "node:crypto";
import { closeSync, type Dir } from "node:fs";
import { SFTP_HANDLES } from "../../../protocol/limits.ts";

/** What a handle stands for. */
export type Opened =
  | { readonly kind: "file"; readonly fd: number; readonly append: boolean }
  | { readonly kind: "folder"; readonly folder: Dir; readonly fd: number; isBegun: boolean };

/** The open files and folders of one SFTP session. A handle is random, so that none is ever another's by chance. */
export class Handles {
  readonly #opened = new Map<string, Opened>();

  get isFull(): boolean {
    return this.#opened.size >= SFTP_HANDLES;
  }

  add(opened: Opened): string {
    const handle = randomBytes(8).toString("hex");
    this.#opened.set(handle, opened);
    return handle;
  }

  get(handle: string): Opened | undefined {
    return this.#opened.get(handle);
  }

  /** Closes what a handle stands for. @throws {Error} with the `code` of the system, as a full disk's late word is. */
  close(handle: string): boolean {
    const opened = this.#opened.get(handle);
    if (opened === undefined) return false;
    this.#opened.delete(handle);
    if (opened.kind === "folder") opened.folder.closeSync();
    closeSync(opened.fd);
    return true;
  }
}
