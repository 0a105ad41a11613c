/**
 * Signed notes and verifier keys as C2SP signed-note (https://c2sp.org/signed-note) has them.
 *
 * ```
 * note           text, ending in a newline; an empty line; signature lines
 * signature      "— " name " " base64(key id (4) || signature) newline
 * key id         first 4 bytes of SHA-256(name || 0x0A || type || public key)
 * verifier key   name "+" key id in hex "+" base64(type || public key)
 * ```
 * Of the types, those of Ed25519 are known: 1 signs the text, 4 is cosignature/v1 (C2SP tlog-cosignature).
 */
import { base64, concat, equalBytes, fromBase64, fromHex, hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError } from "../../keys/errors.ts";
import { NOTE_BYTES, NOTE_SIGNATURES } from "../limits.ts";
import type { Hashing } from "./tree.ts";

export interface NoteSignature {
  readonly name: string;
  /** 4 bytes. With the name it says which key, and nothing about whether it signed. */
  readonly keyId: Uint8Array;
  /** As the key's type wants it. */
  readonly signature: Uint8Array;
}

/** Text with signatures, of which none was verified. */
export interface Note {
  /** What is signed, with its final newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export const KEY_TYPE = { ed25519: 1, cosignature: 4 } as const;
export type KeyType = keyof typeof KEY_TYPE;

/** A key that may sign notes, and under which name. */
export interface VerifierKey {
  readonly name: string;
  readonly type: KeyType;
  readonly publicKey: Ed25519PublicKey;
}

/**
 * Takes a note apart and verifies nothing. At most 4 KiB and 16 signature lines, whoever they are of.
 * @throws {PeerError} E_PROTOCOL.
 */
export function parseNote(note: string): Note {
  demandNoteText(note);
  const border = note.lastIndexOf("\n\n");
  if (border < 0 || !note.endsWith("\n")) throw new PeerError("E_PROTOCOL", "a note has no signatures");
  const lines = note.slice(border + 2, -1).split("\n");
  if (lines.length > NOTE_SIGNATURES) throw new PeerError("E_PROTOCOL", "a note has too many signatures");
  return { text: note.slice(0, border + 1), signatures: lines.map((line) => parseSignatureLine(`${line}\n`)) };
}

/** @throws {RangeError} when what it prints would not parse as the same note. */
export function printNote({ text, signatures }: Note): string {
  const note = `${text}\n${signatures.map((signature) => printSignatureLine(signature)).join("")}`;
  if (!isPrintedNote(note, text, signatures.length)) throw new RangeError("not the text and signatures of a note");
  return note;
}

/** One signature line with its newline. @throws {PeerError} E_PROTOCOL. */
export function parseSignatureLine(line: string): NoteSignature {
  if (line.length > NOTE_BYTES) throw new PeerError("E_PROTOCOL", "a signature line is too long");
  const [, name, text] = /^— (\S+) (\S+)\n$/.exec(line) ?? [];
  if (name === undefined || text === undefined || !isKeyName(name)) {
    throw new PeerError("E_PROTOCOL", "a signature line is malformed");
  }
  const bytes = fromBase64(text);
  if (bytes.length <= 4) throw new PeerError("E_PROTOCOL", "a signature line has no signature");
  return { name, keyId: bytes.slice(0, 4), signature: bytes.slice(4) };
}

/** The line with its newline. */
export function printSignatureLine({ name, keyId, signature }: NoteSignature): string {
  return `— ${name} ${base64(concat(keyId, signature))}\n`;
}

/** Whether a signature claims to be of this key; many keys may have the same id, so it is still to be verified. */
export function claimsKey(suite: Hashing, signature: NoteSignature, key: VerifierKey): boolean {
  return signature.name === key.name && equalBytes(signature.keyId, keyIdOf(suite, key));
}

/** The 4 bytes that stand for a key in signature lines. */
export function keyIdOf(suite: Hashing, { name, type, publicKey }: VerifierKey): Uint8Array {
  return suite.sha256(utf8(name), Uint8Array.of(0x0a, KEY_TYPE[type]), publicKey.bytes).slice(0, 4);
}

/**
 * A verifier key of either type.
 * @throws {PeerError} E_PROTOCOL when it is malformed, of another type, or its key id is wrong; {SecurityError} E_PROTOCOL
 * when it is no acceptable Ed25519 key.
 */
export function parseVerifierKey(suite: Hashing, text: string): VerifierKey {
  if (text.length > NOTE_BYTES) throw new PeerError("E_PROTOCOL", "a verifier key is too long");
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name)) {
    throw new PeerError("E_PROTOCOL", "a verifier key is malformed");
  }
  const bytes = fromBase64(encoded, 33);
  const type = (Object.keys(KEY_TYPE) as KeyType[]).find((known) => KEY_TYPE[known] === bytes[0]);
  if (type === undefined) throw new PeerError("E_PROTOCOL", "a verifier key is of an unknown type");
  const key = { name, type, publicKey: Ed25519PublicKey.parse(bytes.subarray(1)) };
  if (!equalBytes(keyIdOf(suite, key), fromHex(id))) {
    throw new PeerError("E_PROTOCOL", "a verifier key is not the one that its key id says");
  }
  return key;
}

export function printVerifierKey(suite: Hashing, key: VerifierKey): string {
  const bytes = concat(Uint8Array.of(KEY_TYPE[key.type]), key.publicKey.bytes);
  return `${key.name}+${hex(keyIdOf(suite, key))}+${base64(bytes)}`;
}

/** Whether a key may be called so: no Unicode space, no plus, and no control character either. */
export function isKeyName(text: string): boolean {
  return /^[^\s+\p{Cc}\p{Cs}]+$/u.test(text);
}

/** Not too long, no control character but newline, and one form in UTF-8. */
function demandNoteText(note: string): void {
  if (note.length > NOTE_BYTES || utf8(note).length > NOTE_BYTES) {
    throw new PeerError("E_PROTOCOL", "a note is too long");
  }
  if (/[^\n -\u{10ffff}]|\p{Cs}/u.test(note)) throw new PeerError("E_PROTOCOL", "a note has forbidden characters");
}

function isPrintedNote(note: string, text: string, signatures: number): boolean {
  try {
    const parsed = parseNote(note);
    return parsed.text === text && parsed.signatures.length === signatures;
  } catch {
    return false;
  }
}
