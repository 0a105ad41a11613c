/**
 * Enrolment (enrolment.ts beside this folder has what is signed).
 *
 * ```
 * putPassword      signed text: a one-time password                                     answered by frame done
 * enrol            nonce (16), u8-prefixed name, u8-prefixed member, u8 role (0 client, 1 device), Ed25519 (32), the
 *                  password's key (32), its signature (64), the member's own (64), u64 size of the newest checkpoint seen,
 *                  u8 wait (0 or 1); the X25519 key is the sender's
 *                                                              answered by frame binding, or pending and, to wait, binding
 * ownStatements    u8-prefixed name, u8-prefixed member, u64 size of the newest checkpoint seen
 *                                                              answered by frame binding: for the member that sends it
 * readEnrolments   u8-prefixed name, u16-prefixed owner signature as in readStatements
 *                                                              answered by frames enrolments, then done
 * denyEnrolment    u8-prefixed name, u8-prefixed member, X25519 (32), Ed25519 (32), u16-prefixed owner signature
 *                                                                                       answered by frame done
 * enrolments       u8 count (0..16), each: signed text (its one-time password), u8-prefixed member, u8 role, X25519 (32),
 *                  Ed25519 (32), nonce (16), u64 time it came (ms), the password's signature (64), the member's own (64)
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError } from "../../keys/errors.ts";
import { isMember, isName, type MemberName, type Name, type Role } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PublicKey } from "../../keys/x25519.ts";
import type { Applicant, PendingEnrolment } from "../enrolment.ts";
import { ENROLMENTS_AT_ONCE, SIGNATURE_BYTES } from "../limits.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";

/** An enrolment as it is asked for; its X25519 key is the sender's. */
export interface EnrolmentRequest extends Omit<Applicant, "x25519"> {
  readonly nonce: Uint8Array;
  readonly passwordKey: Ed25519PublicKey;
  readonly passwordSignature: Uint8Array;
  readonly ownSignature: Uint8Array;
  /** Size of the newest checkpoint that the sender has seen; 0 none. */
  readonly checkpointSize: number;
  /** Whether the answer is to come when the owner has decided. */
  readonly isWaiting: boolean;
}

/** What a member asks about itself. */
export interface OwnStatementsQuestion {
  readonly name: Name;
  readonly member: MemberName;
  readonly checkpointSize: number;
}

export interface EnrolmentsQuestion {
  readonly name: Name;
  /** Of the owner, over what readStatements wants; empty when the sender is a member. */
  readonly ownerSignature: Uint8Array;
}

export interface EnrolmentDenial extends Omit<Applicant, "role"> {
  readonly ownerSignature: Uint8Array;
}

/** A pending enrolment without its name, which whoever reads it has asked for. */
export type EnrolmentEntry = Omit<PendingEnrolment, "name">;

export function encodePutPassword(password: SignedText): Uint8Array {
  const writer = new ByteWriter();
  writeSignedText(writer, password);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here, nor by the others of this file. */
export function parsePutPassword(body: Uint8Array): SignedText {
  const reader = new ByteReader(body);
  const password = readSignedText(reader);
  reader.end();
  return password;
}

export function encodeEnrolmentRequest(request: EnrolmentRequest): Uint8Array {
  const { nonce, name, member, role, ed25519, passwordKey, checkpointSize, isWaiting } = request;
  return new ByteWriter()
    .raw(nonce)
    .text8(name)
    .text8(member)
    .u8(ROLES.indexOf(role))
    .raw(ed25519.bytes)
    .raw(passwordKey.bytes)
    .raw(request.passwordSignature)
    .raw(request.ownSignature)
    .u64(checkpointSize)
    .u8(isWaiting ? 1 : 0)
    .done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseEnrolmentRequest(body: Uint8Array): EnrolmentRequest {
  const reader = new ByteReader(body);
  const nonce = reader.raw(16).slice();
  const name = readName(reader);
  const member = readMember(reader);
  const role = readRole(reader);
  const ed25519 = Ed25519PublicKey.parse(reader.raw(32));
  const passwordKey = Ed25519PublicKey.parse(reader.raw(32));
  const passwordSignature = reader.raw(64).slice();
  const ownSignature = reader.raw(64).slice();
  const checkpointSize = reader.u64();
  const wait = reader.u8();
  reader.end();
  if (wait > 1) throw new PeerError("E_PROTOCOL", "an enrolment waits or does not");
  const keys = { ed25519, passwordKey, passwordSignature, ownSignature };
  return { nonce, name, member, role, ...keys, checkpointSize, isWaiting: wait === 1 };
}

export function encodeOwnStatementsQuestion({ name, member, checkpointSize }: OwnStatementsQuestion): Uint8Array {
  return new ByteWriter().text8(name).text8(member).u64(checkpointSize).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseOwnStatementsQuestion(body: Uint8Array): OwnStatementsQuestion {
  const reader = new ByteReader(body);
  const question = { name: readName(reader), member: readMember(reader), checkpointSize: reader.u64() };
  reader.end();
  return question;
}

export function encodeEnrolmentsQuestion({ name, ownerSignature }: EnrolmentsQuestion): Uint8Array {
  return new ByteWriter().text8(name).bytes16(ownerSignature).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseEnrolmentsQuestion(body: Uint8Array): EnrolmentsQuestion {
  const reader = new ByteReader(body);
  const question = { name: readName(reader), ownerSignature: readSignature(reader) };
  reader.end();
  return question;
}

export function encodeEnrolmentDenial(denial: EnrolmentDenial): Uint8Array {
  const { name, member, x25519, ed25519, ownerSignature } = denial;
  return new ByteWriter().text8(name).text8(member).raw(x25519.bytes).raw(ed25519.bytes).bytes16(ownerSignature).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseEnrolmentDenial(body: Uint8Array): EnrolmentDenial {
  const reader = new ByteReader(body);
  const denial = {
    name: readName(reader),
    member: readMember(reader),
    x25519: X25519PublicKey.parse(reader.raw(32)),
    ed25519: Ed25519PublicKey.parse(reader.raw(32)),
    ownerSignature: readSignature(reader),
  };
  reader.end();
  return denial;
}

export function writeEnrolments(writer: ByteWriter, entries: readonly EnrolmentEntry[]): void {
  writer.u8(entries.length);
  for (const entry of entries) {
    writeSignedText(writer, entry.password);
    writer.text8(entry.member).u8(ROLES.indexOf(entry.role)).raw(entry.x25519.bytes).raw(entry.ed25519.bytes);
    writer.raw(entry.nonce).u64(entry.requested).raw(entry.passwordSignature).raw(entry.ownSignature);
  }
}

/** @throws {PeerError} E_PROTOCOL. */
export function readEnrolments(reader: ByteReader): EnrolmentEntry[] {
  const count = reader.u8();
  if (count > ENROLMENTS_AT_ONCE) throw new PeerError("E_PROTOCOL", "too many enrolments at once");
  return Array.from({ length: count }, () => ({
    password: readSignedText(reader),
    member: readMember(reader),
    role: readRole(reader),
    x25519: X25519PublicKey.parse(reader.raw(32)),
    ed25519: Ed25519PublicKey.parse(reader.raw(32)),
    nonce: reader.raw(16).slice(),
    requested: reader.u64(),
    passwordSignature: reader.raw(64).slice(),
    ownSignature: reader.raw(64).slice(),
  }));
}

const ROLES: readonly Role[] = ["client", "device"];

function readName(reader: ByteReader): Name {
  const name = reader.text8();
  if (!isName(name)) throw new PeerError("E_PROTOCOL", "an enrolment has a malformed name");
  return name;
}

function readMember(reader: ByteReader): MemberName {
  const member = reader.text8();
  if (!isMember(member)) throw new PeerError("E_PROTOCOL", "an enrolment has a malformed member");
  return member;
}

function readRole(reader: ByteReader): Role {
  const role = ROLES[reader.u8()];
  if (role === undefined) throw new PeerError("E_PROTOCOL", "a member is a client or a device");
  return role;
}

function readSignature(reader: ByteReader): Uint8Array {
  const signature = reader.bytes16().slice();
  if (signature.length > SIGNATURE_BYTES) throw new PeerError("E_PROTOCOL", "a signature is too long");
  return signature;
}
