import { hex, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";

/** What a finished handshake leaves to its owner. As text or JSON it shows the handshake hash alone. */
export interface HandshakeResult {
  /** 32-byte ChaCha20-Poly1305 key of what the initiator sends; nonces begin at 0. */
  readonly initiatorToResponder: Uint8Array;
  /** 32-byte key of what the responder sends. */
  readonly responderToInitiator: Uint8Array;
  /** Noise's h, 32 bytes: equal on both sides, unique to this handshake, not secret (Noise rev 34 section 11.2). */
  readonly handshakeHash: Uint8Array;
  /** Export(label): 32 bytes for another use of this handshake's secret, `HMAC(HMAC(ck, LABEL || " export"), label || h)`. */
  export(label: string): Uint8Array;
}

export function handshakeResult(
  suite: CipherSuite,
  secrets: {
    readonly keys: readonly [initiatorToResponder: Uint8Array, responderToInitiator: Uint8Array];
    readonly exporter: Uint8Array;
  },
  handshakeHash: Uint8Array,
): HandshakeResult {
  return new SecretResult(suite, secrets, handshakeHash);
}

/** Export(label) by the key of a handshake's exports, 32 bytes. */
export function exported(
  suite: CipherSuite,
  exporter: Uint8Array,
  label: string,
  handshakeHash: Uint8Array,
): Uint8Array {
  return suite.hmacSha256(exporter, utf8(label), handshakeHash);
}

class SecretResult implements HandshakeResult {
  readonly #suite: CipherSuite;
  readonly #secrets: Parameters<typeof handshakeResult>[1];
  readonly handshakeHash: Uint8Array;

  constructor(suite: CipherSuite, secrets: Parameters<typeof handshakeResult>[1], handshakeHash: Uint8Array) {
    this.#suite = suite;
    this.#secrets = secrets;
    this.handshakeHash = handshakeHash;
  }

  get initiatorToResponder(): Uint8Array {
    return this.#secrets.keys[0];
  }

  get responderToInitiator(): Uint8Array {
    return this.#secrets.keys[1];
  }

  export(label: string): Uint8Array {
    return exported(this.#suite, this.#secrets.exporter, label, this.handshakeHash);
  }

  toJSON(): string {
    return `handshake ${hex(this.handshakeHash)}`;
  }

  toString(): string {
    return this.toJSON();
  }
}
