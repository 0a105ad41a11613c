/**
 * OpenSSH public keys: the line of a `.pub` file and the blob in it.
 *
 * ```
 * line         type SP base64(blob) [SP comment]
 * blob         string type, then:
 *   ssh-ed25519                          string key (32 B)
 *   sk-ssh-ed25519@openssh.com           string key (32 B), string application
 *   ecdsa-sha2-nistp256, 384, 521        string curve, string point (0x04 || x || y)
 *   sk-ecdsa-sha2-nistp256@openssh.com   string curve, string point, string application
 *   ssh-rsa                              mpint e, mpint n
 * string       u32 length || bytes (RFC 4251 section 5)
 * ```
 * Sources: RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4, OpenSSH PROTOCOL.u2f.
 */
import { ByteReader, ByteWriter, base64, fromBase64, utf8, utf8Text } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { Ed25519PublicKey } from "./ed25519.ts";
import { assert, PeerError, SetupError } from "./errors.ts";
import { quoted } from "./names.ts";

export type PublicKeyType =
  | "ssh-ed25519"
  | "sk-ssh-ed25519@openssh.com"
  | "ecdsa-sha2-nistp256"
  | "ecdsa-sha2-nistp384"
  | "ecdsa-sha2-nistp521"
  | "sk-ecdsa-sha2-nistp256@openssh.com"
  | "ssh-rsa";

export interface PublicKeyLine {
  readonly type: PublicKeyType;
  /** The key in SSH's own encoding: what fingerprints are made of. */
  readonly blob: Uint8Array;
  /** `type base64`, without comment. One key has one line. */
  readonly line: string;
}

/** `SHA256:` and 43 characters of base64, as `ssh-keygen -l` prints. */
export type Fingerprint = `SHA256:${string}` & { readonly brand: "Fingerprint" };

/**
 * A key from one line of a `.pub` file, with or without comment and final newline. The result is built anew from
 * the parsed fields, so nothing else of the input survives in it. Options, CA markers and certificates are refused.
 * Whether an ECDSA point lies on its curve is left to whoever verifies with it (sshd does).
 * @throws {PeerError} E_PROTOCOL when it does not parse; {SecurityError} E_PROTOCOL on an unsafe Ed25519 key.
 */
export function parsePublicKeyLine(line: string): PublicKeyLine {
  const match = line.length <= MAX_LINE_CHARACTERS ? LINE.exec(line) : null;
  const [, type, encoded] = match ?? [];
  if (type === undefined || encoded === undefined) throw new PeerError("E_PROTOCOL", "not an OpenSSH public key line");
  const key = parsePublicKeyBlob(fromBase64(encoded));
  if (key.type !== type) throw new PeerError("E_PROTOCOL", "a public key line names another type than its key");
  return key;
}

/** The key in a blob that is one whole key and nothing more. Throws as {@link parsePublicKeyLine}. */
export function parsePublicKeyBlob(blob: Uint8Array): PublicKeyLine {
  const reader = new ByteReader(blob);
  const type = utf8Text(reader.bytes32());
  if (!isPublicKeyType(type)) throw new PeerError("E_PROTOCOL", "a public key of an unknown type");
  const fields = FIELDS[type].map((check) => {
    const field = reader.bytes32();
    if (!check(field)) throw new PeerError("E_PROTOCOL", `a field of an ${type} key is not acceptable`);
    return field;
  });
  reader.end();
  return publicKey(type, fields);
}

/** `ssh-ed25519 AAAA...`, without comment. */
export function ed25519Line(key: Ed25519PublicKey): string {
  return publicKey("ssh-ed25519", [key.bytes]).line;
}

/**
 * The key of a line that {@link ed25519Line} could have printed: no comment, no newline.
 * @throws {PeerError} E_PROTOCOL on any other line; {SecurityError} E_PROTOCOL on an unsafe key.
 */
export function ed25519FromLine(line: string): Ed25519PublicKey {
  const key = parsePublicKeyLine(line);
  if (key.type !== "ssh-ed25519" || key.line !== line) throw new PeerError("E_PROTOCOL", "not a bare ssh-ed25519 line");
  return ed25519FromBlob(key.blob);
}

/** The key in the blob of an `ssh-ed25519` key. Throws as {@link ed25519FromLine}. */
export function ed25519FromBlob(blob: Uint8Array): Ed25519PublicKey {
  const reader = new ByteReader(blob);
  if (utf8Text(reader.bytes32()) !== "ssh-ed25519") throw new PeerError("E_PROTOCOL", "not an ssh-ed25519 key");
  const key = reader.bytes32();
  reader.end();
  return Ed25519PublicKey.parse(key);
}

/**
 * The key in the blob of an `sk-ssh-ed25519@openssh.com` key, and the application that it was made for.
 * @throws {PeerError} E_PROTOCOL on any other blob; {SecurityError} E_PROTOCOL on an unsafe key.
 */
export function skEd25519FromBlob(blob: Uint8Array): { readonly key: Ed25519PublicKey; readonly application: string } {
  if (parsePublicKeyBlob(blob).type !== "sk-ssh-ed25519@openssh.com") {
    throw new PeerError("E_PROTOCOL", "not an sk-ssh-ed25519@openssh.com key");
  }
  const reader = new ByteReader(blob);
  reader.bytes32();
  const key = Ed25519PublicKey.parse(reader.bytes32());
  return { key, application: utf8Text(reader.bytes32()) };
}

/** Fingerprint of a public key blob, exactly as `ssh-keygen -l` prints it. */
export function fingerprint(suite: Pick<CipherSuite, "sha256">, blob: Uint8Array): Fingerprint {
  const text = `SHA256:${base64(suite.sha256(blob)).slice(0, -1)}`;
  assert(isFingerprint(text), "SHA-256 gives 32 bytes");
  return text;
}

/** @throws {SetupError} E_USAGE on anything that {@link fingerprint} cannot print. */
export function parseFingerprint(text: string): Fingerprint {
  if (!isFingerprint(text)) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not a key fingerprint.`, {
      next: "It reads SHA256: and 43 characters, as ssh-keygen -l prints it; check for a cut-off copy.",
    });
  }
  return text;
}

export function isFingerprint(text: string): text is Fingerprint {
  return FINGERPRINT.test(text);
}

/** A `string` of SSH: u32 length, then the bytes; text as UTF-8. */
export function sshString(value: Uint8Array | string): Uint8Array {
  return new ByteWriter().bytes32(typeof value === "string" ? utf8(value) : value).done();
}

/** A 16384-bit RSA key, the largest that OpenSSH takes, has a line of 2,800 characters; the rest is room for a comment. */
const MAX_LINE_CHARACTERS = 8192;
/** NIST SP 800-131A disallows less; OpenSSH's own default minimum is 1024. */
const MIN_RSA_BITS = 2048;
/** OpenSSH's SSHBUF_MAX_BIGNUM. */
const MAX_RSA_BITS = 16384;
/** OpenSSL takes no longer exponent for moduli above 3072 bits. */
const MAX_RSA_EXPONENT_BITS = 64;
/** The names that FIDO2 knows as RP IDs are host names or `ssh:NAME`. */
const MAX_APPLICATION_BYTES = 255;

const LINE = /^([a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?: [^\p{Cc}]*)?\n?$/u;
/** The last character carries 4 bits, so it is one of every fourth. */
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$/;

type FieldCheck = (field: Uint8Array) => boolean;

const FIELDS: Record<PublicKeyType, readonly FieldCheck[]> = {
  "ssh-ed25519": [isEd25519],
  "sk-ssh-ed25519@openssh.com": [isEd25519, isApplication],
  "ecdsa-sha2-nistp256": [isCurve("nistp256"), isPoint(32)],
  "ecdsa-sha2-nistp384": [isCurve("nistp384"), isPoint(48)],
  "ecdsa-sha2-nistp521": [isCurve("nistp521"), isPoint(66)],
  "sk-ecdsa-sha2-nistp256@openssh.com": [isCurve("nistp256"), isPoint(32), isApplication],
  "ssh-rsa": [isRsaExponent, isRsaModulus],
};

function isPublicKeyType(text: string): text is PublicKeyType {
  return Object.hasOwn(FIELDS, text);
}

function publicKey(type: PublicKeyType, fields: readonly Uint8Array[]): PublicKeyLine {
  const writer = new ByteWriter().bytes32(utf8(type));
  for (const field of fields) writer.bytes32(field);
  const blob = writer.done();
  return { type, blob, line: `${type} ${base64(blob)}` };
}

/** Throws rather than says no: a small-order key is an attack, not a slip. */
function isEd25519(field: Uint8Array): boolean {
  return Ed25519PublicKey.parse(field).bytes.length === 32;
}

function isApplication(field: Uint8Array): boolean {
  return field.length <= MAX_APPLICATION_BYTES && /^[!-~]+$/.test(utf8Text(field));
}

function isCurve(name: string): FieldCheck {
  return (field) => utf8Text(field) === name;
}

/** An uncompressed point (SEC 1 section 2.3.3) over a field of `size` bytes. */
function isPoint(size: number): FieldCheck {
  return (field) => field.length === 1 + 2 * size && field[0] === 0x04;
}

function isRsaExponent(field: Uint8Array): boolean {
  const bits = mpintBits(field);
  return bits >= 2 && bits <= MAX_RSA_EXPONENT_BITS && isOdd(field);
}

function isRsaModulus(field: Uint8Array): boolean {
  const bits = mpintBits(field);
  return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS && isOdd(field);
}

function isOdd(field: Uint8Array): boolean {
  return (field.at(-1) ?? 0) % 2 === 1;
}

/** Length in bits of a positive mpint in its shortest form (RFC 4251 section 5); 0 for any other field. */
function mpintBits(field: Uint8Array): number {
  const [first = 0x80, second = 0] = field;
  if (first >= 0x80) return 0;
  if (first === 0) return second >= 0x80 ? 8 * (field.length - 1) : 0;
  return 8 * (field.length - 1) + (32 - Math.clz32(first));
}
