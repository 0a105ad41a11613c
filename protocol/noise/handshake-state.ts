import { ByteReader, concat } from "../../keys/bytes.ts";
import type { CipherSuite, Kem, RandomBytes } from "../../keys/cipher-suite.ts";
import { assert, PeerError, SshnpError } from "../../keys/errors.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { KEM_CIPHERTEXT_BYTES, KEM_PUBLIC_KEY_BYTES, NOISE_MESSAGE_BYTES } from "../limits.ts";
import type { HandshakePattern, Token } from "./handshake-pattern.ts";
import { exported, type HandshakeResult, handshakeResult } from "./handshake-result.ts";
import { staticSecret } from "./static-secrets.ts";
import { SymmetricState } from "./symmetric-state.ts";

/** DHLEN of X25519. */
const KEY_BYTES = 32;

const NOTHING = new Uint8Array(0);

export interface HandshakeOptions {
  readonly pattern: HandshakePattern;
  readonly suite: CipherSuite;
  /** For patterns with `e1`. */
  readonly kem?: Kem;
  /** What both sides must agree on beforehand; not sent. */
  readonly prologue: Uint8Array;
  readonly staticKey: X25519PrivateKey;
  /** The other side's static key, for patterns in which it is known beforehand, and only for those. */
  readonly remoteStaticKey?: X25519PublicKey;
  /** 32 bytes, for patterns with `psk`. */
  readonly psk?: Uint8Array;
  readonly random: RandomBytes;
  /** What exports are bound to: the protocol's version, such as `sshnp/1`. */
  readonly label: string;
}

type Role = "initiator" | "responder";

/**
 * HandshakeState of Noise rev 34 section 5.3, with psk (section 9) and the HFS draft's `e1` and `ekem1`.
 *
 * The parties take turns with {@link writeMessage} and {@link readMessage}; after the last message {@link split} ends
 * the handshake. Whatever throws ends it too. Calls out of turn or after the end are bugs, and assert.
 */
export class HandshakeState {
  readonly #role: Role;
  readonly #options: HandshakeOptions;
  readonly #symmetric: SymmetricState;
  /** Whether a psk is used, so that `e` also goes into the key (section 9.2). */
  readonly #isPsk: boolean;
  #e: X25519PrivateKey | undefined;
  #re: X25519PublicKey | undefined;
  #rs: X25519PublicKey | undefined;
  #e1: ReturnType<Kem["keyPair"]> | undefined;
  #re1: Uint8Array | undefined;
  /** Index of the next message, or `ended` after a failure and after split. */
  #next: number | "ended" = 0;

  static initiator(options: HandshakeOptions): HandshakeState {
    return new HandshakeState("initiator", options);
  }

  static responder(options: HandshakeOptions): HandshakeState {
    return new HandshakeState("responder", options);
  }

  /** Initialize(). */
  private constructor(role: Role, options: HandshakeOptions) {
    const { pattern, psk, remoteStaticKey, staticKey } = options;
    const tokens = pattern.messages.flat();
    const remoteRole = role === "initiator" ? "responder" : "initiator";
    this.#isPsk = tokens.includes("psk");
    assert(this.#isPsk ? psk?.length === 32 : psk === undefined, "a psk of 32 bytes goes with psk patterns alone");
    assert(tokens.includes("e1") === (options.kem !== undefined), "a KEM goes with hfs patterns alone");
    assert(
      pattern.preMessages[remoteRole].includes("s") === (remoteStaticKey !== undefined),
      "the remote static key is given when the pattern says that it is known",
    );
    this.#role = role;
    this.#options = options;
    this.#rs = remoteStaticKey;
    this.#symmetric = new SymmetricState(options.suite, pattern.protocolName);
    this.#symmetric.mixHash(options.prologue);
    for (const side of ["initiator", "responder"] as const) {
      const key = side === role ? staticKey.publicKey : remoteStaticKey;
      if (pattern.preMessages[side].includes("s")) this.#symmetric.mixHash(known(key).bytes);
    }
  }

  /** The other side's static key as soon as it is known. It has proved itself only with what the pattern's later tokens say. */
  get remoteStaticKey(): X25519PublicKey | undefined {
    return this.#rs;
  }

  /** Noise's h so far, 32 bytes. */
  get handshakeHash(): Uint8Array {
    return this.#symmetric.handshakeHash;
  }

  /**
   * WriteMessage(): the next message, carrying `payload`, NOISE_MESSAGE_BYTES at most in all.
   * @throws {PeerError} E_PROTOCOL when the KEM key that the other side sent is none.
   */
  writeMessage(payload: Uint8Array): Uint8Array {
    return this.#advance("write", (tokens) => {
      const message = concat(...tokens.map((token) => this.#write(token)), this.#symmetric.encryptAndHash(payload));
      assert(message.length <= NOISE_MESSAGE_BYTES, "a handshake message fits Noise's bound");
      return message;
    });
  }

  /** ReadMessage(): the payload of the next message. @throws {PeerError} E_PROTOCOL on whatever is wrong with it. */
  readMessage(message: Uint8Array): Uint8Array {
    return this.#advance("read", (tokens) => {
      if (message.length > NOISE_MESSAGE_BYTES)
        throw new PeerError("E_PROTOCOL", "message is longer than Noise's bound");
      const reader = new ByteReader(message);
      for (const token of tokens) this.#read(token, reader);
      return this.#symmetric.decryptAndHash(reader.rest());
    });
  }

  /** Split(), once all messages are through: the transport keys and the exports. Ends this state and erases its secrets. */
  split(): HandshakeResult {
    this.#demandEnd();
    const { suite, label } = this.#options;
    const secrets = { keys: this.#symmetric.split(), exporter: this.#symmetric.exporter(label) };
    this.#end();
    return handshakeResult(suite, secrets, this.handshakeHash);
  }

  /** One export alone, for handshakes whose transport keys nobody uses: in place of {@link split}, and ends this state as that does. */
  splitToExport(of: string): Uint8Array {
    this.#demandEnd();
    const { suite, label } = this.#options;
    const exporter = this.#symmetric.exporter(label);
    this.#end();
    return exported(suite, exporter, of, this.handshakeHash);
  }

  #demandEnd(): void {
    assert(this.#next === this.#options.pattern.messages.length, "a handshake is split once, after its last message");
  }

  /** Runs the next message's tokens in `direction`; the handshake goes on only when `run` returns. */
  #advance(direction: "write" | "read", run: (tokens: readonly Token[]) => Uint8Array): Uint8Array {
    const index = this.#next;
    assert(index !== "ended", "an ended handshake is not used");
    const tokens = this.#options.pattern.messages[index];
    assert(tokens !== undefined, "there is a message left");
    const writer: Role = index % 2 === 0 ? "initiator" : "responder";
    assert((writer === this.#role) === (direction === "write"), "the parties take turns");
    try {
      const result = run(tokens);
      this.#next = index + 1;
      return result;
    } catch (cause) {
      this.#end();
      if (!(cause instanceof SshnpError)) throw cause;
      throw new PeerError("E_PROTOCOL", "the handshake message does not hold", { cause });
    }
  }

  #write(token: Token): Uint8Array {
    const { kem, random, staticKey, suite } = this.#options;
    switch (token) {
      case "e": {
        this.#e = X25519PrivateKey.generate(suite, random);
        this.#mixEphemeral(this.#e.publicKey);
        return this.#e.publicKey.bytes;
      }
      case "s":
        return this.#symmetric.encryptAndHash(staticKey.publicKey.bytes);
      case "e1": {
        this.#e1 = known(kem).keyPair(random(64));
        return this.#symmetric.encryptAndHash(this.#e1.publicKey);
      }
      case "ekem1": {
        const { ciphertext, sharedSecret } = known(kem).encapsulate(known(this.#re1), random(32));
        const encrypted = this.#symmetric.encryptAndHash(ciphertext);
        this.#symmetric.mixKey(sharedSecret);
        return encrypted;
      }
      case "ee":
      case "es":
      case "se":
      case "ss":
      case "psk":
        this.#mix(token);
        return NOTHING;
    }
  }

  #read(token: Token, reader: ByteReader): void {
    switch (token) {
      case "e":
        this.#re = X25519PublicKey.parse(reader.raw(KEY_BYTES));
        this.#mixEphemeral(this.#re);
        break;
      case "s":
        this.#rs = X25519PublicKey.parse(this.#decrypt(reader, KEY_BYTES));
        break;
      case "e1":
        this.#re1 = this.#decrypt(reader, KEM_PUBLIC_KEY_BYTES);
        break;
      case "ekem1":
        this.#symmetric.mixKey(known(this.#e1).decapsulate(this.#decrypt(reader, KEM_CIPHERTEXT_BYTES)));
        break;
      case "ee":
      case "es":
      case "se":
      case "ss":
      case "psk":
        this.#mix(token);
    }
  }

  /** The tokens that send nothing. In `es` and `se` the first letter is the initiator's key. */
  #mix(token: "ee" | "es" | "se" | "ss" | "psk"): void {
    const { psk, staticKey, suite } = this.#options;
    const isInitiator = this.#role === "initiator";
    switch (token) {
      case "ee":
        return this.#symmetric.mixKey(suite.dh(known(this.#e), known(this.#re)));
      case "es":
        return this.#symmetric.mixKey(
          isInitiator ? suite.dh(known(this.#e), known(this.#rs)) : suite.dh(staticKey, known(this.#re)),
        );
      case "se":
        return this.#symmetric.mixKey(
          isInitiator ? suite.dh(staticKey, known(this.#re)) : suite.dh(known(this.#e), known(this.#rs)),
        );
      case "ss":
        return this.#symmetric.mixKey(staticSecret(suite, staticKey, known(this.#rs)));
      case "psk":
        return this.#symmetric.mixKeyAndHash(known(psk));
    }
  }

  #mixEphemeral(key: X25519PublicKey): void {
    this.#symmetric.mixHash(key.bytes);
    if (this.#isPsk) this.#symmetric.mixKey(key.bytes); // section 9.2
  }

  /** Decrypts the next `length` bytes of plaintext. */
  #decrypt(reader: ByteReader, length: number): Uint8Array {
    return this.#symmetric.decryptAndHash(reader.raw(length + this.#symmetric.overhead));
  }

  #end(): void {
    this.#next = "ended";
    this.#symmetric.erase();
    this.#e = undefined;
    this.#e1 = undefined;
  }
}

/** A value that the order of the tokens promises. */
function known<T>(value: T | undefined): T {
  assert(value !== undefined, "a pattern uses a key after it is there");
  return value;
}
