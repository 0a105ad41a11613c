/** A proxy is not there, or does not make a tunnel. The message goes on from "Cannot reach ...: ". */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly next: string;

  /** `cause`: a NobodyThereError where nobody was reached, be it the proxy itself or by it. */
  constructor(fact: string, next: string, cause?: unknown) {
    super(fact, { cause });
    this.next = next;
  }
}
