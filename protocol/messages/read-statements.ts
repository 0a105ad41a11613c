/**
 * What stands about a name, for those who may see it: its members, and whoever holds its owner key.
 *
 * ```
 * readStatements  u8-prefixed name, u8 what (0 the newest on every subject, 1 all there ever were), u64 size of the newest
 *                 checkpoint seen (0 none), u16-prefixed owner signature (empty: the sender is a member of the name)
 *                                                             answered by frames statements, the last of them final
 * statements      u8 count (0..16), signed texts, u16-prefixed log proof of their subjects (empty for those of the past)
 * ```
 * The owner signature is an SSHSIG `sshnp-reading@v1` over, u16-prefixed: "LABEL reading", directory fingerprint, name, the
 * sender's X25519 key. What it brings is sealed to that key, so that a replay brings nobody anything.
 */
import { ByteReader, ByteWriter, prefixed16, utf8 } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { isName, type Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { LABEL } from "../label.ts";
import { LOG_PROOF_SUBJECTS, SIGNATURE_BYTES } from "../limits.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";
import { readProof } from "./session-request.ts";

/** SSHSIG namespace of the owner's signature. */
export const READING_NAMESPACE = "sshnp-reading@v1";

export type Reading = "newest" | "history";

export interface ReadStatements {
  readonly name: Name;
  readonly what: Reading;
  /** Size of the newest checkpoint that the sender has seen; 0 none. */
  readonly checkpointSize: number;
  /** Of the owner; empty when the sender is a member. */
  readonly ownerSignature: Uint8Array;
}

/** Some of the statements that were asked for. */
export interface StatementsPage {
  readonly statements: readonly SignedText[];
  /** A log proof that they are the newest of their subjects, encoded; empty for those of the past. */
  readonly proof: Uint8Array;
}

/** What the owner signs to read without being a member. */
export function readingProof(directoryFingerprint: string, name: Name, sender: X25519PublicKey): Uint8Array {
  return prefixed16(utf8(`${LABEL} reading`), utf8(directoryFingerprint), utf8(name), sender.bytes);
}

export function encodeReadStatements({ name, what, checkpointSize, ownerSignature }: ReadStatements): Uint8Array {
  return new ByteWriter().text8(name).u8(READINGS.indexOf(what)).u64(checkpointSize).bytes16(ownerSignature).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseReadStatements(body: Uint8Array): ReadStatements {
  const reader = new ByteReader(body);
  const name = reader.text8();
  const what = READINGS[reader.u8()];
  const checkpointSize = reader.u64();
  const ownerSignature = reader.bytes16().slice();
  reader.end();
  if (!isName(name) || what === undefined || ownerSignature.length > SIGNATURE_BYTES) {
    throw new PeerError("E_PROTOCOL", "a question for statements is malformed");
  }
  return { name, what, checkpointSize, ownerSignature };
}

export function writeStatementsPage(writer: ByteWriter, { statements, proof }: StatementsPage): void {
  writer.u8(statements.length);
  for (const statement of statements) writeSignedText(writer, statement);
  writer.bytes16(proof);
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function readStatementsPage(reader: ByteReader): StatementsPage {
  const count = reader.u8();
  if (count > LOG_PROOF_SUBJECTS) throw new PeerError("E_PROTOCOL", "too many statements at once");
  const statements = Array.from({ length: count }, () => readSignedText(reader));
  return { statements, proof: readProof(reader) };
}

const READINGS: readonly Reading[] = ["newest", "history"];
