/**
 * What a witness says of a checkpoint: "at this time it is the newest of this log that I have seen, and consistent with all
 * before". C2SP tlog-cosignature (https://c2sp.org/tlog-cosignature), cosignature/v1, Ed25519:
 *
 * ```
 * signature of a note's signature line    u64 seconds since 1970 UTC || Ed25519 signature (64) over
 *                                         "cosignature/v1" newline "time " seconds newline, the checkpoint's text
 * ```
 * The witness's name is not signed, so a witness is its key, whatever it is called.
 */
import { ByteReader, ByteWriter, concat, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Ed25519PrivateKey, Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError } from "../../keys/errors.ts";
import type { SignedCheckpoint } from "./checkpoint.ts";
import * as note from "./note.ts";
import type { Hashing } from "./tree.ts";

export interface Witness {
  readonly name: string;
  readonly publicKey: Ed25519PublicKey;
}

const COSIGNATURE_BYTES = 8 + 64;

/**
 * A witness from its verifier key, `name+key id+base64`.
 * @throws {PeerError} E_PROTOCOL when it is none of a witness; {SecurityError} E_PROTOCOL when its Ed25519 key is not acceptable.
 */
export function parseWitness(suite: Hashing, verifierKey: string): Witness {
  const { name, type, publicKey } = note.parseVerifierKey(suite, verifierKey);
  if (type !== "cosignature") throw new PeerError("E_PROTOCOL", "a verifier key is not a witness's");
  return { name, publicKey };
}

export function printWitness(suite: Hashing, witness: Witness): string {
  return note.printVerifierKey(suite, keyOf(witness));
}

/**
 * The witness's signature line, with its newline, for the checkpoint in `checkpointText` (a whole note, whose signatures do
 * not matter here). Whether it may be cosigned is for the witness to know.
 * @throws {PeerError} E_PROTOCOL when it is no note; {RangeError} for a name that no key may have or no number of seconds.
 */
export function cosign(
  suite: Pick<CipherSuite, "sha256" | "sign">,
  privateKey: Ed25519PrivateKey,
  witnessName: string,
  checkpointText: string,
  timeSeconds: number,
): string {
  if (!note.isKeyName(witnessName)) throw new RangeError("not a name for a witness");
  const message = signedMessage(note.parseNote(checkpointText).text, timeSeconds);
  const signature = new ByteWriter().u64(timeSeconds).raw(suite.sign(privateKey, message)).done();
  const keyId = note.keyIdOf(suite, keyOf({ name: witnessName, publicKey: privateKey.publicKey }));
  return note.printSignatureLine({ name: witnessName, keyId, signature });
}

/**
 * The checkpoint with these cosignature lines (with their newlines or without), each in the place of an earlier one of the
 * same name and key id. Nothing is verified.
 * @throws {PeerError} E_PROTOCOL when one is no cosignature, or stands for a key that has signed otherwise, or when the note
 * would be too long or have too many signatures.
 */
export function withCosignatures(text: string, lines: readonly string[]): string {
  const { text: body, signatures } = note.parseNote(text);
  const all = new Map(signatures.map((signature) => [nameAndId(signature), signature]));
  for (const line of lines) {
    const added = note.parseSignatureLine(line.endsWith("\n") ? line : `${line}\n`);
    const replaced = all.get(nameAndId(added)) ?? added;
    if ([added, replaced].some(({ signature }) => signature.length !== COSIGNATURE_BYTES)) {
      throw new PeerError("E_PROTOCOL", "a signature line is not a witness's");
    }
    all.set(nameAndId(added), added);
  }
  const printed = `${body}\n${[...all.values()].map((signature) => note.printSignatureLine(signature)).join("")}`;
  note.parseNote(printed);
  return printed;
}

/**
 * When the witnesses cosigned, in ms, newest first: one time for each of their keys that has, the newest of several. Lines
 * of others, and lines that do not verify, do not count and spoil nothing.
 */
export function witnessTimes(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  signed: SignedCheckpoint,
  witnesses: readonly Witness[],
): number[] {
  return newestFirst(timesByWitness(suite, signed, witnesses).values());
}

/** The same times, each by its witness's key in base64. */
export function timesByWitness(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  signed: SignedCheckpoint,
  witnesses: readonly Witness[],
): Map<string, number> {
  const { text, signatures } = note.parseNote(signed.text);
  const newest = new Map<string, number>();
  for (const witness of witnesses) {
    const key = witness.publicKey.toJSON();
    for (const line of signatures.filter((signature) => note.claimsKey(suite, signature, keyOf(witness)))) {
      const time = verifiedTime(suite, witness, text, line.signature);
      if (time !== undefined && time > (newest.get(key) ?? -1)) newest.set(key, time);
    }
  }
  return newest;
}

export function newestFirst(times: Iterable<number>): number[] {
  return [...times].toSorted((a, b) => b - a);
}

/** In ms; undefined when the witness did not sign this. */
function verifiedTime(
  suite: Pick<CipherSuite, "verify">,
  witness: Witness,
  text: string,
  signature: Uint8Array,
): number | undefined {
  if (signature.length !== COSIGNATURE_BYTES || (signature[0] ?? 0) > 0 || (signature[1] ?? 0) > 0) return undefined;
  const seconds = new ByteReader(signature.subarray(2, 8));
  const time = seconds.u24() * 2 ** 24 + seconds.u24();
  if (!Number.isSafeInteger(1000 * time)) return undefined;
  const isSigned = suite.verify(witness.publicKey, signedMessage(text, time), signature.subarray(8)) === true;
  return isSigned ? 1000 * time : undefined;
}

function signedMessage(text: string, seconds: number): Uint8Array {
  return concat(utf8(`cosignature/v1\ntime ${seconds}\n`), utf8(text));
}

function keyOf({ name, publicKey }: Witness): note.VerifierKey {
  return { name, type: "cosignature", publicKey };
}

function nameAndId({ name, keyId }: note.NoteSignature): string {
  return `${name} ${keyId.join(".")}`;
}
