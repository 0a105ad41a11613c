import { concat, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { TAG_BYTES } from "../suite/counter-aead.ts";
import { CipherState } from "./cipher-state.ts";

/** HASHLEN of SHA-256. */
const HASH_BYTES = 32;

const NOTHING = new Uint8Array(0);

/** SymmetricState of Noise rev 34 section 5.2, for SHA-256: chaining key `ck`, handshake hash `h` and the cipher between them. */
export class SymmetricState {
  readonly #suite: CipherSuite;
  #ck: Uint8Array;
  #h: Uint8Array;
  #cipher: CipherState | undefined;

  /** InitializeSymmetric(protocol_name). */
  constructor(suite: CipherSuite, protocolName: string) {
    const name = utf8(protocolName);
    this.#suite = suite;
    this.#h = name.length <= HASH_BYTES ? concat(name, new Uint8Array(HASH_BYTES - name.length)) : suite.sha256(name);
    this.#ck = new Uint8Array(this.#h);
  }

  /** GetHandshakeHash(). */
  get handshakeHash(): Uint8Array {
    return new Uint8Array(this.#h);
  }

  /** How many bytes EncryptAndHash adds: the tag, once there is a key. */
  get overhead(): number {
    return this.#cipher === undefined ? 0 : TAG_BYTES;
  }

  mixKey(inputKeyMaterial: Uint8Array): void {
    const [, ck, key] = this.#hkdf(inputKeyMaterial);
    this.#chain(ck, key);
  }

  mixHash(data: Uint8Array): void {
    this.#h = this.#suite.sha256(this.#h, data);
  }

  mixKeyAndHash(inputKeyMaterial: Uint8Array): void {
    const [temporary, ck, hash] = this.#hkdf(inputKeyMaterial);
    const key = this.#suite.hmacSha256(temporary, hash, Uint8Array.of(3));
    this.mixHash(hash);
    this.#chain(ck, key);
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.#cipher?.encryptWithAd(this.#h, plaintext) ?? plaintext;
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** @throws {PeerError} E_PROTOCOL when the ciphertext does not verify. */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.#cipher?.decryptWithAd(this.#h, ciphertext) ?? ciphertext;
    this.mixHash(ciphertext);
    return plaintext;
  }

  /** The two transport keys of Split(), initiator's first. */
  split(): [initiatorToResponder: Uint8Array, responderToInitiator: Uint8Array] {
    const [, first, second] = this.#hkdf(NOTHING);
    return [first, second];
  }

  /** HMAC(ck, label || " export"): the key of this handshake's exports. */
  exporter(label: string): Uint8Array {
    return this.#suite.hmacSha256(this.#ck, utf8(`${label} export`));
  }

  /** Erases the chaining key; there is no going on after it. `h` is not secret and stays. */
  erase(): void {
    this.#ck.fill(0);
  }

  #chain(ck: Uint8Array, key: Uint8Array): void {
    this.#ck.fill(0);
    this.#ck = ck;
    this.#cipher = new CipherState(this.#suite.aead(key));
  }

  /** HKDF(ck, input_key_material, 2) of Noise rev 34 section 4.3, and before it the key that a third output is made with. */
  #hkdf(inputKeyMaterial: Uint8Array): [temporary: Uint8Array, first: Uint8Array, second: Uint8Array] {
    const suite = this.#suite;
    const temporary = suite.hmacSha256(this.#ck, inputKeyMaterial);
    const first = suite.hmacSha256(temporary, Uint8Array.of(1));
    const second = suite.hmacSha256(temporary, first, Uint8Array.of(2));
    return [temporary, first, second];
  }
}
