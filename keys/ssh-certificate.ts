/**
 * OpenSSH user certificates of Ed25519 keys, signed by an Ed25519 key.
 *
 * ```
 * string "ssh-ed25519-cert-v01@openssh.com" || string nonce (32 B) || string key (32 B) || u64 serial || u32 type (1: user)
 * string key id || string principals, each a string || u64 valid after || u64 valid before (s since 1970 UTC; the second is excluded)
 * string critical options || string extensions, each: string name || string data, in the order of the names
 * string reserved (empty) || string signature key || string signature over all before it
 * ```
 * Source: OpenSSH PROTOCOL.certkeys.
 */
import { ByteReader, ByteWriter, utf8Text } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { type Ed25519PrivateKey, Ed25519PublicKey } from "./ed25519.ts";
import { PeerError, SecurityError } from "./errors.ts";
import { ed25519FromBlob, ed25519Line, parsePublicKeyLine, sshString } from "./openssh.ts";
import { ed25519Signature } from "./ssh-signature.ts";

export interface UserCertificate {
  /** The key that is certified. */
  readonly key: Ed25519PublicKey;
  /** What sshd writes to its log. */
  readonly keyId: string;
  /** The accounts that it is good for, one at least: a certificate without any is good for all. */
  readonly principals: readonly [string, ...string[]];
  /** Whole seconds since 1970 UTC; the second of the end is the first at which it is good for nothing. */
  readonly validAfter: number;
  readonly validBefore: number;
  /** CIDR blocks from which it may be used; undefined: anywhere. */
  readonly sourceAddress: string | undefined;
}

const TYPE = "ssh-ed25519-cert-v01@openssh.com";
const USER = 1;
/** What `ssh-keygen -s` permits by itself: each has to be asked for by ssh, and to be allowed by sshd, as well. */
const EXTENSIONS = [
  "permit-X11-forwarding",
  "permit-agent-forwarding",
  "permit-port-forwarding",
  "permit-pty",
  "permit-user-rc",
];

/** The blob of a certificate, signed by `authority`. */
export function signUserCertificate(
  suite: Pick<CipherSuite, "sign">,
  random: (length: number) => Uint8Array,
  authority: Ed25519PrivateKey,
  certificate: UserCertificate,
): Uint8Array {
  const { key, keyId, principals, validAfter, validBefore, sourceAddress } = certificate;
  const options = new ByteWriter();
  if (sourceAddress !== undefined) options.raw(sshString("source-address")).bytes32(sshString(sourceAddress));
  const extensions = new ByteWriter();
  for (const name of EXTENSIONS) extensions.raw(sshString(name)).bytes32(NOTHING);
  const names = new ByteWriter();
  for (const principal of principals) names.raw(sshString(principal));
  const signed = new ByteWriter()
    .raw(sshString(TYPE))
    .bytes32(random(32))
    .bytes32(key.bytes)
    .raw(random(8))
    .u32(USER)
    .raw(sshString(keyId))
    .bytes32(names.done())
    .u64(validAfter)
    .u64(validBefore)
    .bytes32(options.done())
    .bytes32(extensions.done())
    .bytes32(NOTHING)
    .bytes32(blobOf(authority.publicKey))
    .done();
  return new ByteWriter()
    .raw(signed)
    .bytes32(ed25519Signature(suite.sign(authority, signed)))
    .done();
}

/** What a certificate says, and by whom; its signature has been verified, its time and principals are the caller's to judge. */
export interface SignedCertificate extends UserCertificate {
  readonly authority: Ed25519PublicKey;
}

/**
 * Reads a certificate as {@link signUserCertificate} writes it. Critical options that are not known here are refused, as sshd
 * does; extensions are read by whoever obeys them.
 * @throws {PeerError} E_PROTOCOL when it does not parse; {SecurityError} E_PROTOCOL when its signature does not hold.
 */
export function parseUserCertificate(suite: Pick<CipherSuite, "verify">, blob: Uint8Array): SignedCertificate {
  const reader = new ByteReader(blob);
  if (utf8Text(reader.bytes32()) !== TYPE) throw malformed("is not one of an Ed25519 key");
  reader.bytes32();
  const key = Ed25519PublicKey.parse(reader.bytes32());
  reader.raw(8);
  if (reader.u32() !== USER) throw malformed("is not for a user");
  const keyId = utf8Text(reader.bytes32());
  const [first, ...others] = readAll(reader.bytes32(), (names) => utf8Text(names.bytes32()));
  if (first === undefined) throw malformed("is for nobody");
  const [validAfter, validBefore] = [reader.u64(), reader.u64()];
  const sourceAddress = readOptions(reader.bytes32());
  readAll(reader.bytes32(), (extensions) => [extensions.bytes32(), extensions.bytes32()]);
  reader.bytes32();
  const authority = ed25519FromBlob(reader.bytes32());
  const signature = reader.bytes32();
  reader.end();
  const signed = blob.subarray(0, blob.length - signature.length - 4);
  if (suite.verify(authority, signed, rawSignature(signature)) !== true) {
    throw new SecurityError("E_PROTOCOL", "a certificate is not signed by the key that it names");
  }
  return { key, keyId, principals: [first, ...others], validAfter, validBefore, sourceAddress, authority };
}

const NOTHING = new Uint8Array(0);

function blobOf(key: Ed25519PublicKey): Uint8Array {
  return parsePublicKeyLine(ed25519Line(key)).blob;
}

function readOptions(bytes: Uint8Array): string | undefined {
  const options = readAll(bytes, (reader) => ({ name: utf8Text(reader.bytes32()), data: reader.bytes32() }));
  const [first] = options;
  if (first === undefined) return undefined;
  if (options.length > 1 || first.name !== "source-address") throw malformed("has an unknown critical option");
  const value = new ByteReader(first.data);
  const address = utf8Text(value.bytes32());
  value.end();
  return address;
}

function readAll<T>(bytes: Uint8Array, read: (reader: ByteReader) => T): T[] {
  const reader = new ByteReader(bytes);
  const all: T[] = [];
  while (reader.remaining > 0) all.push(read(reader));
  return all;
}

function rawSignature(signature: Uint8Array): Uint8Array {
  const reader = new ByteReader(signature);
  if (utf8Text(reader.bytes32()) !== "ssh-ed25519") throw malformed("is signed by another kind of key");
  const raw = reader.bytes32();
  reader.end();
  return raw;
}

function malformed(what: string): PeerError {
  return new PeerError("E_PROTOCOL", `a certificate ${what}`);
}
