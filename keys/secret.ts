import { fromHex, utf8, utf8Text } from "./bytes.ts";
import { SetupError } from "./errors.ts";

/** A passphrase or a one-time secret. It cannot reach a log, an error or JSON: its text is `[secret]`. */
export class Secret {
  readonly #bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  static fromBytes(bytes: Uint8Array): Secret {
    return new Secret(bytes.slice());
  }

  /** The UTF-8 bytes of `text`, as they are. */
  static fromText(text: string): Secret {
    return new Secret(utf8(text));
  }

  /** For key derivation alone. */
  secretBytes(): Uint8Array {
    return this.#bytes;
  }

  /** For key derivation that wants text. @throws {PeerError} E_PROTOCOL when it is not UTF-8. */
  secretText(): string {
    return utf8Text(this.#bytes);
  }

  toJSON(): string {
    return "[secret]";
  }

  toString(): string {
    return "[secret]";
  }
}

/**
 * The 32 bytes of a one-time secret: one line of 64 lower-case hex digits, the line end optional.
 * @throws {SetupError} E_CRAM_WRONG on any other text, without repeating it.
 */
export function parseCramSecret(text: string): Secret {
  if (!/^[0-9a-f]{64}(?:\r?\n)?$/.test(text)) {
    throw new SetupError("E_CRAM_WRONG", "That is not an activation secret.", {
      next: "It is one line of 64 hex digits; check for a cut-off copy.",
    });
  }
  return Secret.fromBytes(fromHex(text.slice(0, 64)));
}
