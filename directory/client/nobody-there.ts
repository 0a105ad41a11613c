/**
 * There was nobody to talk to: no network, no such host, nothing that listens there. Asking again costs a directory that
 * is there nothing, since none was reached. `code` is the system's, or a proxy's status.
 */
export class NobodyThereError extends Error {
  override readonly name = "NobodyThereError";
  readonly code: string;
  /** A proxy in front says it of a directory that it does not reach; also of one that is there and overloaded. */
  readonly saidBy: "network" | "proxy";

  constructor(code: string, { saidBy = "network", cause }: { saidBy?: "network" | "proxy"; cause?: unknown } = {}) {
    super(`nobody there (${code})`, { cause });
    this.code = code;
    this.saidBy = saidBy;
  }
}
