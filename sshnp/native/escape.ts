/**
 * Finds `~.` at the beginning of a line, by which a person leaves a session whose other end says nothing any more, as with
 * ssh. What it is fed is passed on; a `~` that may begin it is held until the next byte, and `~~` is one.
 */
export class Escape {
  #state: "line" | "begun" | "held" = "begun";

  /** What goes on to the device, and whether the person leaves. */
  push(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly isLeaving: boolean } {
    const out: number[] = [];
    for (const byte of bytes) {
      if (this.#state === "held") {
        if (byte === DOT) return { bytes: Uint8Array.from(out), isLeaving: true };
        out.push(TILDE);
        this.#state = "line";
        if (byte === TILDE) continue;
      }
      if (this.#state === "begun" && byte === TILDE) {
        this.#state = "held";
        continue;
      }
      out.push(byte);
      this.#state = byte === RETURN || byte === NEWLINE ? "begun" : "line";
    }
    return { bytes: Uint8Array.from(out), isLeaving: false };
  }
}

const TILDE = 0x7e;
const DOT = 0x2e;
const RETURN = 0x0d;
const NEWLINE = 0x0a;
