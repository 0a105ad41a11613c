import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { withLength } from "./agent-server.ts";

const TYPE = "sk-ssh-ed25519@openssh.com";
/** What stands ahead of the 32-byte seed in an Ed25519 private key (RFC 8410 section 7). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** What a signature says beside the key's; a token's own unless a test says otherwise. */
export interface Assertion {
  readonly flags?: number;
  readonly counter?: number;
  /** What is signed for. */
  readonly application?: string;
  /** The seed that signs. */
  readonly seed?: Uint8Array;
}

/**
 * A FIDO2 token in software with one ed25519-sk key, behind the agent protocol: what a real token and ssh-agent give
 * together. Made after OpenSSH's PROTOCOL.u2f and RFC 9987 and on node:crypto alone, so that it owes nothing to the product.
 */
export class Authenticator {
  readonly application: string;
  readonly comment: string;
  /** The public key in SSH's encoding. */
  readonly blob: Buffer;
  readonly #seed: Uint8Array;
  #counter = 0;
  /** Waited for ahead of each signature, as a person's hand; false refuses. */
  onTouch: () => boolean | Promise<boolean> = () => true;

  constructor(seed: Uint8Array, { application = "ssh:", comment = "token" } = {}) {
    this.#seed = seed;
    this.application = application;
    this.comment = comment;
    this.blob = Buffer.concat([TYPE, publicKey(seed), application].map(withLength));
  }

  /** The OpenSSH public key line, without comment. */
  get line(): string {
    return `${TYPE} ${this.blob.toString("base64")}`;
  }

  /** As `ssh-add -l` prints it. */
  get fingerprint(): string {
    return `SHA256:${sha256(this.blob).toString("base64").replace("=", "")}`;
  }

  /** How often it has signed. */
  get signatures(): number {
    return this.#counter;
  }

  /** Signs as a token does whose counter rises by one; in SSH's encoding. */
  sign(data: Uint8Array, assertion: Assertion = {}): Buffer {
    this.#counter += 1;
    const { flags = 0x01, counter = this.#counter, application = this.application, seed = this.#seed } = assertion;
    const said = Buffer.alloc(5);
    said.writeUInt8(flags);
    said.writeUInt32BE(counter, 1);
    const raw = sign(null, Buffer.concat([sha256(application), said, sha256(data)]), privateKey(seed));
    return Buffer.concat([withLength(TYPE), withLength(raw), said]);
  }

  /** Handles a request of the agent protocol. */
  readonly answer = async (request: Buffer): Promise<Buffer> => {
    switch (request[0]) {
      case 11: {
        const keys = [this.blob, this.comment].map(withLength);
        return Buffer.concat([Buffer.of(12, 0, 0, 0, 1), ...keys]);
      }
      case 13: {
        const keyLength = request.readUInt32BE(1);
        const key = request.subarray(5, 5 + keyLength);
        const data = request.subarray(9 + keyLength, 9 + keyLength + request.readUInt32BE(5 + keyLength));
        if (!key.equals(this.blob) || !(await this.onTouch())) return Buffer.of(5);
        return Buffer.concat([Buffer.of(14), withLength(this.sign(data))]);
      }
      default:
        return Buffer.of(5);
    }
  };
}

function privateKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
}

function publicKey(seed: Uint8Array): Buffer {
  return createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" }).subarray(-32);
}

function sha256(bytes: string | Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
