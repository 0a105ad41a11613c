/**
 * SSHSIG: signatures as `ssh-keygen -Y sign` makes them (OpenSSH PROTOCOL.sshsig).
 *
 * ```
 * blob     "SSHSIG" || u32 version (1) || string public key || string namespace || string reserved (empty)
 *          || string hash algorithm || string signature
 * signed   "SSHSIG" || string namespace || string reserved (empty) || string hash algorithm || string H(message)
 * ```
 * The layout of the signature in it, which the type of the key decides, stands in ssh-signature.ts.
 */
import { ByteReader, ByteWriter, base64, concat, equalBytes, fromBase64, utf8, utf8Text } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import type { Ed25519PrivateKey } from "./ed25519.ts";
import { PeerError, SecurityError } from "./errors.ts";
import { ed25519Line, type PublicKeyLine, parsePublicKeyBlob, parsePublicKeyLine, sshString } from "./openssh.ts";
import { ed25519Signature, signatureRefusal as refusal, verifySignature } from "./ssh-signature.ts";

/** A signature as parsed, not yet verified. */
export interface Sshsig {
  readonly publicKey: PublicKeyLine;
  readonly namespace: string;
  readonly hashAlgorithm: HashAlgorithm;
  /** What the key made, with SSH's name of the signature algorithm in front; the type of the key decides its layout. */
  readonly signature: Uint8Array;
}

export type HashAlgorithm = "sha256" | "sha512";

/** The SSHSIG blob (not armored) of `message` under `namespace`, hashed with SHA-512 as ssh-keygen does. */
export function signSshsig(
  suite: CipherSuite,
  privateKey: Ed25519PrivateKey,
  namespace: string,
  message: Uint8Array,
): Uint8Array {
  const publicKey = parsePublicKeyLine(ed25519Line(privateKey.publicKey));
  const raw = suite.sign(privateKey, bytesToSign(suite, namespace, message));
  return assembleSshsig(publicKey, namespace, ed25519Signature(raw));
}

/** What a key signs for {@link assembleSshsig} to make an SSHSIG of `message` of it. */
export function bytesToSign(suite: CipherSuite, namespace: string, message: Uint8Array): Uint8Array {
  return signedBytes(suite, { namespace, hashAlgorithm: HASH }, message);
}

/** The SSHSIG blob around a signature, in SSH's encoding, over {@link bytesToSign}. Nothing is verified here. */
export function assembleSshsig(
  { blob }: Pick<PublicKeyLine, "blob">,
  namespace: string,
  signature: Uint8Array,
): Uint8Array {
  return new ByteWriter()
    .raw(MAGIC)
    .u32(VERSION)
    .bytes32(blob)
    .bytes32(utf8(namespace))
    .bytes32(NOTHING)
    .bytes32(utf8(HASH))
    .bytes32(signature)
    .done();
}

/**
 * Verifies an SSHSIG blob of exactly this namespace and message.
 * @returns the signer's OpenSSH public key line, without comment; whether that signer counts is the caller's question.
 * @throws {SecurityError} E_STATEMENT when it does not parse or does not verify.
 */
export function verifySshsig(suite: CipherSuite, blob: Uint8Array, namespace: string, message: Uint8Array): string {
  const sshsig = parseSshsig(blob);
  if (sshsig.namespace !== namespace) throw refusal("is for another purpose");
  const { publicKey, signature } = sshsig;
  const isGood = orRefusal(() => verifySignature(suite, publicKey, signature, signedBytes(suite, sshsig, message)));
  if (isGood !== true) throw refusal("does not verify");
  return publicKey.line;
}

/** @throws {SecurityError} E_STATEMENT on anything but one whole SSHSIG of version 1. */
export function parseSshsig(blob: Uint8Array): Sshsig {
  if (blob.length > MAX_SSHSIG_BYTES) throw refusal("is too long");
  return orRefusal(() => {
    const reader = new ByteReader(blob);
    if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) throw refusal("is not an SSHSIG");
    if (reader.u32() !== VERSION) throw refusal("is of an unknown version");
    const publicKey = parsePublicKeyBlob(reader.bytes32());
    const namespace = utf8Text(reader.bytes32());
    if (namespace === "") throw refusal("has no namespace");
    if (reader.bytes32().length !== 0) throw refusal("has unknown fields");
    const hashAlgorithm = utf8Text(reader.bytes32());
    if (hashAlgorithm !== "sha256" && hashAlgorithm !== "sha512") throw refusal("uses an unknown hash");
    const signature = reader.bytes32();
    reader.end();
    return { publicKey, namespace, hashAlgorithm, signature };
  });
}

/** The text form that ssh-keygen writes: base64 in lines of 70 characters between BEGIN and END, with a final newline. */
export function armor(blob: Uint8Array): string {
  const lines = base64(blob).match(/.{1,70}/g) ?? [];
  return [BEGIN, ...lines, END, ""].join("\n");
}

/**
 * The blob in an armored text. What it accepts, {@link armor} prints back identically.
 * @throws {PeerError} E_PROTOCOL on any other text.
 */
export function dearmor(text: string): Uint8Array {
  const lines = text.length <= MAX_ARMORED_CHARACTERS ? text.split("\n") : [];
  const blob = fromBase64(lines.slice(1, -2).join(""));
  if (armor(blob) !== text) throw new PeerError("E_PROTOCOL", "not an armored SSH signature");
  return blob;
}

const MAGIC = utf8("SSHSIG");
const VERSION = 1;
/** What ssh-keygen uses, too, unless it is told otherwise. */
const HASH = "sha512";
const NOTHING = new Uint8Array(0);
const BEGIN = "-----BEGIN SSH SIGNATURE-----";
const END = "-----END SSH SIGNATURE-----";

/** An Ed25519 one has 170 bytes and its namespace, one of a FIDO2 token below 400. */
const MAX_SSHSIG_BYTES = 1024;
/** base64 and line ends of the largest blob, with the two border lines. */
const MAX_ARMORED_CHARACTERS = 1536;

/** What the key signs. The hash is of the message alone: SSHSIG's own fields stand outside it. */
function signedBytes(
  suite: CipherSuite,
  { namespace, hashAlgorithm }: Pick<Sshsig, "namespace" | "hashAlgorithm">,
  message: Uint8Array,
): Uint8Array {
  const hash = hashAlgorithm === "sha256" ? suite.sha256(message) : suite.sha512(message);
  return concat(MAGIC, sshString(namespace), sshString(NOTHING), sshString(hashAlgorithm), sshString(hash));
}

/** Whatever does not parse, or cannot be verified for any other reason, is a signature that does not hold. */
function orRefusal<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof SecurityError && cause.code === "E_STATEMENT") throw cause;
    throw refusal(cause instanceof PeerError ? "does not parse" : "cannot be verified", cause);
  }
}
