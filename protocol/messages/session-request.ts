/**
 * The messages that set up one session, by way of the directory.
 *
 * ```
 * SessionRequest  prologue fields, u16-prefixed msg1 (empty: a look-up), u32 wait seconds, u64 size of the newest
 *                 checkpoint that the client has seen (0 none), distances (rendezvous-distances.ts)
 * Withdraw        sid (16)
 * Notify          u16-prefixed prologue, u16-prefixed msg1, u16-prefixed ticket, the client's member statements,
 *                 u8 count (1..3) of rendezvous statements, u16-prefixed log proof: of the client's name, binding and
 *                 delegation (if there is one), the policy of the device's name, the rendezvous
 * Answer          sid (16), u8 form: 0 msg2, then u16-prefixed msg2;
 *                                    1 code, then u8 refusal code, u8-prefixed label list (comma-separated)
 * ```
 */
import { ByteReader, ByteWriter, concat } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { LOG_PROOF_BYTES, TICKET_ENTRIES } from "../limits.ts";
import { type MemberStatements, readMemberStatements, writeMemberStatements } from "../member-statements.ts";
import { parseRefusalCode, REFUSAL_NUMBERS, type RefusalCode } from "../refusal-codes.ts";
import { type Distances, readDistances, writeDistances } from "./rendezvous-distances.ts";
import { type Prologue, parsePrologue, readPrologue } from "./prologue.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";

export interface SessionRequest {
  readonly prologue: Prologue;
  readonly prologueBytes: Uint8Array;
  /** Empty for a look-up of the device's statements. */
  readonly message1: Uint8Array;
  /** Seconds that the request may be kept for an offline device; 0: not at all. */
  readonly waitSeconds: number;
  /** Size of the newest checkpoint that the client has seen; 0 none. */
  readonly checkpointSize: number;
  /** How far the client is from rendezvous that it has measured. */
  readonly distances: Distances;
}

export interface Notify {
  readonly prologue: Prologue;
  readonly prologueBytes: Uint8Array;
  readonly message1: Uint8Array;
  readonly ticket: Uint8Array;
  readonly client: MemberStatements;
  /** The root-signed statements of the ticket's rendezvous, in the ticket's order. */
  readonly rendezvous: readonly SignedText[];
  /** A log proof, encoded. */
  readonly proof: Uint8Array;
}

export type Answer = { readonly sid: Uint8Array } & (
  | { readonly message2: Uint8Array }
  | { readonly code: RefusalCode /** labels this device speaks */; readonly labels: readonly string[] }
);

export function encodeSessionRequest(request: Omit<SessionRequest, "prologue">): Uint8Array {
  const rest = new ByteWriter().bytes16(request.message1).u32(request.waitSeconds).u64(request.checkpointSize);
  writeDistances(rest, request.distances);
  return concat(request.prologueBytes, rest.done());
}

/** @throws {PeerError} E_VERSION or E_PROTOCOL. */
export function parseSessionRequest(body: Uint8Array): SessionRequest {
  const reader = new ByteReader(body);
  const prologue = readPrologue(reader);
  const prologueBytes = body.slice(0, body.length - reader.remaining);
  const message1 = reader.bytes16().slice();
  const waitSeconds = reader.u32();
  const checkpointSize = reader.u64();
  const distances = readDistances(reader);
  reader.end();
  return { prologue, prologueBytes, message1, waitSeconds, checkpointSize, distances };
}

export function encodeWithdraw(sid: Uint8Array): Uint8Array {
  return sid.slice();
}

/** The session id. @throws {PeerError} E_PROTOCOL. */
export function parseWithdraw(body: Uint8Array): Uint8Array {
  const reader = new ByteReader(body);
  const sid = reader.raw(16).slice();
  reader.end();
  return sid;
}

export function encodeNotify(notify: Omit<Notify, "prologue">): Uint8Array {
  const writer = new ByteWriter().bytes16(notify.prologueBytes).bytes16(notify.message1).bytes16(notify.ticket);
  writeMemberStatements(writer, notify.client);
  writeSignedTexts(writer, notify.rendezvous);
  return writer.bytes16(notify.proof).done();
}

/** @throws {PeerError} E_VERSION or E_PROTOCOL. No signature is verified here. */
export function parseNotify(body: Uint8Array): Notify {
  const reader = new ByteReader(body);
  const prologueBytes = reader.bytes16().slice();
  const prologue = parsePrologue(prologueBytes);
  const message1 = reader.bytes16().slice();
  const ticket = reader.bytes16().slice();
  const client = readMemberStatements(reader);
  const rendezvous = readSignedTexts(reader);
  const proof = readProof(reader);
  reader.end();
  return { prologue, prologueBytes, message1, ticket, client, rendezvous, proof };
}

export function encodeAnswer(answer: Answer): Uint8Array {
  const writer = new ByteWriter().raw(answer.sid);
  if ("message2" in answer) writer.u8(0).bytes16(answer.message2);
  else writer.u8(1).u8(REFUSAL_NUMBERS[answer.code]).text8(answer.labels.join(","));
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseAnswer(body: Uint8Array): Answer {
  const reader = new ByteReader(body);
  const sid = reader.raw(16).slice();
  const form = reader.u8();
  if (form > 1) throw new PeerError("E_PROTOCOL", "an answer has an unknown form");
  const answer =
    form === 0
      ? { sid, message2: reader.bytes16().slice() }
      : { sid, code: parseRefusalCode(reader.u8()), labels: parseLabels(reader.text8()) };
  reader.end();
  return answer;
}

/** u8 count (1..3), then the signed texts. */
export function writeSignedTexts(writer: ByteWriter, texts: readonly SignedText[]): void {
  writer.u8(texts.length);
  for (const text of texts) writeSignedText(writer, text);
}

/** @throws {PeerError} E_PROTOCOL. */
export function readSignedTexts(reader: ByteReader): SignedText[] {
  const count = reader.u8();
  if (count < 1 || count > TICKET_ENTRIES) throw new PeerError("E_PROTOCOL", "wrong number of rendezvous statements");
  return Array.from({ length: count }, () => readSignedText(reader));
}

/** An encoded log proof, not looked into. @throws {PeerError} E_PROTOCOL when it is longer than one may be. */
export function readProof(reader: ByteReader): Uint8Array {
  const proof = reader.bytes16().slice();
  if (proof.length > LOG_PROOF_BYTES) throw new PeerError("E_PROTOCOL", "a log proof is too long");
  return proof;
}

function parseLabels(text: string): string[] {
  if (!/^[a-z0-9/,]{0,255}$/.test(text)) throw new PeerError("E_PROTOCOL", "an answer has malformed labels");
  return text === "" ? [] : text.split(",");
}
