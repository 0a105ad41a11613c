import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import * as v from "valibot";
import { base64, ByteWriter, fromBase64, utf8 } from "../../keys/bytes.ts";
import { assert } from "../../keys/errors.ts";
import { sshString } from "../../keys/openssh.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { readState, writeState } from "../../keys/state-files.ts";

/** The server's own Ed25519 key, by which clients know the device. */
export class HostKey {
  /** In SSH's encoding. */
  readonly blob: Uint8Array;
  readonly #seed: Uint8Array;

  private constructor(seed: Uint8Array) {
    this.#seed = seed;
    this.blob = new ByteWriter().bytes32(utf8(TYPE)).bytes32(publicKeyOf(seed)).done();
  }

  /** The key of this folder; it is made when there is none yet. @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE. */
  static async readOrMake(folder: PrivateFolder): Promise<HostKey> {
    const kept = await readState(folder, FILE, hostKeySchema);
    if (kept !== undefined) return new HostKey(fromBase64(kept.ed25519));
    const seed = randomBytes(SEED_BYTES);
    await writeState(folder, FILE, hostKeySchema, { v: 1, kind: "host-key", ed25519: base64(seed) });
    return new HostKey(seed);
  }

  /** The private key as ssh-keygen would write it, without a passphrase (PROTOCOL.key of OpenSSH): for ssh2 alone. */
  reveal(): string {
    const check = randomBytes(4);
    const pair = Buffer.concat([this.#seed, publicKeyOf(this.#seed)]);
    const secret = Buffer.concat([check, check, this.blob, sshString(pair), sshString("")]);
    const padding = Uint8Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_value, index) => index + 1);
    const count = Uint8Array.of(0, 0, 0, 1);
    const parts = [sshString("none"), sshString("none"), sshString(""), count, sshString(this.blob)];
    const whole = Buffer.concat([utf8("openssh-key-v1\0"), ...parts, sshString(Buffer.concat([secret, padding]))]);
    const lines = base64(whole).match(/.{1,70}/g) ?? [];
    return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
  }

  toJSON(): string {
    return base64(this.blob);
  }
}

const TYPE = "ssh-ed25519";
const FILE = "builtin-host-key.json";
const SEED_BYTES = 32;

const hostKeySchema = v.strictObject({
  v: v.literal(1),
  kind: v.literal("host-key"),
  ed25519: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{43}=$/)),
});

/** PKCS #8 of an Ed25519 key, up to the seed (RFC 8410 section 7). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

function publicKeyOf(seed: Uint8Array): Uint8Array {
  assert(seed.length === SEED_BYTES, "a seed of Ed25519 has 32 bytes");
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
  const { x } = createPublicKey(key).export({ format: "jwk" });
  assert(x !== undefined, "an Ed25519 key has an x");
  return Buffer.from(x, "base64url");
}
