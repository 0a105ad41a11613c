/**
 * There was nobody to talk to: no network, no such host, nothing that listens there. Asking again costs a directory that
 * is there nothing, since none was reached. `code` is the system's.
 */
export class NobodyThereError extends Error {
  override readonly name = "NobodyThereError";
  readonly code: string;

  constructor(code: string, cause?: unknown) {
    super(`nobody there (${code})`, { cause });
    this.code = code;
  }
}
