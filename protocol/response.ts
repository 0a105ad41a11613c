/**
 * The answer to a POSTed sealed message: a stream of frames under a key of that message's own handshake.
 *
 * ```
 * offset  bytes  field
 * 0       1      form: 0 sealed; 1 the root-signed key list (u16 text, u16 SSHSIG), the only unsealed answer
 * 1       32     r, random: key = HMAC(Export("response"), r); the same request may be answered twice
 * 33      ...    frames: u24 length || ciphertext and tag; AD = the 3 length bytes, nonce = frame number
 *                plaintext = u8 final (0|1), u8 type, body
 * ```
 */
import { ByteReader, ByteWriter, concat } from "../keys/bytes.ts";
import type { Aead, CipherSuite } from "../keys/cipher-suite.ts";
import { PeerError } from "../keys/errors.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { KEY_LIST_BYTES, RESPONSE_FRAME_BYTES, SIGNATURE_BYTES } from "./limits.ts";
import { readSignedText, writeSignedText } from "./signed-text-wire.ts";

export interface ResponseFrame {
  /** Whether this is the last frame; a stream that ends without one was cut off. */
  readonly final: boolean;
  readonly type: number;
  readonly body: Uint8Array;
}

const SEALED = 0;
const KEY_LIST = 1;
const R_BYTES = 32;
const TAG_BYTES = 16;

/** The whole answer to a message whose sealing key is gone. */
export function encodeKeyListResponse(keyList: SignedText): Uint8Array {
  const writer = new ByteWriter().u8(KEY_LIST);
  writeSignedText(writer, keyList);
  return writer.done();
}

/** Seals the frames of one answer. The first bytes to send are {@link opening}. */
export class ResponseSealer {
  /** Form and r: 33 bytes, ahead of all frames. */
  readonly opening: Uint8Array;
  readonly #aead: Aead;
  #counter = 0n;

  /** `r`: 32 random bytes, never used twice for one `responseSecret`. */
  constructor(suite: CipherSuite, responseSecret: Uint8Array, r: Uint8Array) {
    this.opening = concat(Uint8Array.of(SEALED), r);
    this.#aead = suite.aead(suite.hmacSha256(responseSecret, r));
  }

  seal(frame: ResponseFrame): Uint8Array {
    const plaintext = new ByteWriter()
      .u8(frame.final ? 1 : 0)
      .u8(frame.type)
      .raw(frame.body)
      .done();
    const length = new ByteWriter().u24(plaintext.length + TAG_BYTES).done();
    return concat(length, this.#aead.seal(this.#counter++, length, plaintext));
  }
}

/**
 * Reads an answer from chunks of any size. Dead after any failure and after the final frame.
 * Holds at most one frame.
 */
export class ResponseOpener {
  readonly #suite: CipherSuite;
  readonly #responseSecret: Uint8Array;
  #buffer: Uint8Array = new Uint8Array(0);
  #aead: Aead | undefined;
  #form: number | undefined;
  #counter = 0n;
  #state: "open" | "finished" | "dead" = "open";

  constructor(suite: CipherSuite, responseSecret: Uint8Array) {
    this.#suite = suite;
    this.#responseSecret = responseSecret;
  }

  /** Whether the final frame was read. */
  get finished(): boolean {
    return this.#state === "finished";
  }

  /**
   * The frames that `chunk` completes; or the key list, whole, when that is the answer.
   * @throws {PeerError} E_PROTOCOL on anything that is not authentic and well formed.
   */
  push(chunk: Uint8Array): readonly (ResponseFrame | { readonly keyList: SignedText })[] {
    if (this.#state !== "open") throw new PeerError("E_PROTOCOL", "the directory's answer goes on after its end");
    try {
      return this.#push(chunk);
    } catch (error) {
      this.#state = "dead";
      throw error;
    }
  }

  #push(chunk: Uint8Array): readonly (ResponseFrame | { readonly keyList: SignedText })[] {
    this.#buffer = concat(this.#buffer, chunk);
    this.#form ??= this.#buffer[0];
    if (this.#form === undefined) return [];
    if (this.#form === KEY_LIST) return this.#readKeyList();
    if (this.#form !== SEALED) throw new PeerError("E_PROTOCOL", "the directory's answer has an unknown form");
    if (this.#aead === undefined) {
      if (this.#buffer.length < 1 + R_BYTES) return [];
      this.#aead = this.#suite.aead(
        this.#suite.hmacSha256(this.#responseSecret, this.#buffer.subarray(1, 1 + R_BYTES)),
      );
      this.#buffer = this.#buffer.slice(1 + R_BYTES);
    }
    const frames: ResponseFrame[] = [];
    for (let frame = this.#readFrame(this.#aead); frame !== undefined; frame = this.#readFrame(this.#aead)) {
      frames.push(frame);
      if (frame.final) {
        if (this.#buffer.length > 0) throw new PeerError("E_PROTOCOL", "the directory's answer goes on after its end");
        this.#state = "finished";
      }
    }
    return frames;
  }

  #readFrame(aead: Aead): ResponseFrame | undefined {
    if (this.#buffer.length < 3) return undefined;
    const header = this.#buffer.subarray(0, 3);
    const length = new ByteReader(header).u24();
    if (length < TAG_BYTES + 2 || length > RESPONSE_FRAME_BYTES) {
      throw new PeerError("E_PROTOCOL", "a frame of the directory's answer has a wrong length");
    }
    if (this.#buffer.length < 3 + length) return undefined;
    const plaintext = aead.open(this.#counter++, header, this.#buffer.subarray(3, 3 + length));
    if (plaintext === undefined) throw new PeerError("E_PROTOCOL", "a frame of the directory's answer is forged");
    this.#buffer = this.#buffer.slice(3 + length);
    const reader = new ByteReader(plaintext);
    const final = reader.u8();
    if (final > 1) throw new PeerError("E_PROTOCOL", "a frame of the directory's answer is malformed");
    return { final: final === 1, type: reader.u8(), body: reader.rest() };
  }

  #readKeyList(): readonly { readonly keyList: SignedText }[] {
    if (this.#buffer.length > KEY_LIST_BYTES + SIGNATURE_BYTES + 5) {
      throw new PeerError("E_PROTOCOL", "the directory's key list is too long");
    }
    const lengths = new ByteReader(this.#buffer.subarray(1));
    if (lengths.remaining < 2) return [];
    const textLength = lengths.u16();
    if (lengths.remaining < textLength + 2) return [];
    lengths.raw(textLength);
    const signatureLength = lengths.u16();
    if (lengths.remaining < signatureLength) return [];
    const reader = new ByteReader(this.#buffer.subarray(1));
    const keyList = readSignedText(reader);
    reader.end();
    this.#state = "finished";
    return [{ keyList }];
  }
}
