/**
 * The frames of the directory's responses: u8 type, then the body.
 *
 * ```
 * welcome 1      u64 the directory's time (ms), nonce (16) for the next message, u64 seq of its key list; always first
 * keepAlive 2    (empty)
 * refused 3      u8 refusal code, u64 detail: ms since 1970 for E_OFFLINE (last seen), ms to wait for E_RATE and E_BUSY, else 0
 * ticket 4       u16-prefixed ticket, u8 count (1..3) of rendezvous statements, u16-prefixed log proof: of the client's
 *                binding, the device's name, binding and delegation (if there is one), the rendezvous
 * waiting 5      u64 last seen (ms since 1970, 0 never)
 * answer 6       u16-prefixed msg2
 * deviceCode 7   u8 refusal code, u8-prefixed label list
 * binding 8      u8 whose (0 the device's, 1 the client's own), member statements, u16-prefixed log proof of them
 * activation 9   nonce (16), u64 time to issue at (ms)
 * done 10        (empty)
 * rendezvous 11  the rendezvous' root-signed statement
 * logged 12      u16-prefixed log proof: of the subjects of the statements sent, in their order
 * statements 13  some of the statements asked for (read-statements.ts)
 * pending 14     u64 time at which the enrolment came (ms), u64 until when it waits for its owner (ms)
 * enrolments 15  some of the pending enrolments asked for (enrolment.ts)
 * devices 16     some of the devices asked for (devices.ts)
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { type MemberStatements, readMemberStatements, writeMemberStatements } from "../member-statements.ts";
import { parseRefusalCode, REFUSAL_NUMBERS, type RefusalCode } from "../refusal-codes.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";
import { type EnrolmentEntry, readEnrolments, writeEnrolments } from "./enrolment.ts";
import { type DeviceEntry, readDevices, writeDevices } from "./devices.ts";
import { readStatementsPage, type StatementsPage, writeStatementsPage } from "./read-statements.ts";
import { readProof, readSignedTexts, writeSignedTexts } from "./session-request.ts";
import { FRAME } from "./types.ts";

export type Frame =
  | { readonly type: "welcome"; readonly time: number; readonly nonce: Uint8Array; readonly keyListSeq: number }
  | { readonly type: "keepAlive" }
  | { readonly type: "refused"; readonly code: RefusalCode; readonly detail: number }
  | {
      readonly type: "ticket";
      readonly ticket: Uint8Array;
      readonly rendezvous: readonly SignedText[];
      readonly proof: Uint8Array;
    }
  | { readonly type: "waiting"; readonly lastSeen: number }
  | { readonly type: "answer"; readonly message2: Uint8Array }
  | { readonly type: "deviceCode"; readonly code: RefusalCode; readonly labels: string }
  | {
      readonly type: "binding";
      /** Whose statements they are: the device's that was asked for, or the asking client's own newer ones. */
      readonly of: "device" | "client";
      readonly statements: MemberStatements;
      /** A log proof, encoded. */
      readonly proof: Uint8Array;
    }
  | { readonly type: "activation"; readonly nonce: Uint8Array; readonly time: number }
  | { readonly type: "done" }
  | { readonly type: "rendezvous"; readonly statement: SignedText }
  | { readonly type: "logged"; readonly proof: Uint8Array }
  | ({ readonly type: "statements" } & StatementsPage)
  | { readonly type: "pending"; readonly requested: number; readonly until: number }
  | { readonly type: "enrolments"; readonly entries: readonly EnrolmentEntry[] }
  | { readonly type: "devices"; readonly devices: readonly DeviceEntry[] };

/** Type byte and body of a frame. */
export function encodeFrame(frame: Frame): { readonly type: number; readonly body: Uint8Array } {
  const writer = new ByteWriter();
  switch (frame.type) {
    case "welcome":
      writer.u64(frame.time).raw(frame.nonce).u64(frame.keyListSeq);
      break;
    case "refused":
      writer.u8(REFUSAL_NUMBERS[frame.code]).u64(frame.detail);
      break;
    case "ticket":
      writer.bytes16(frame.ticket);
      writeSignedTexts(writer, frame.rendezvous);
      writer.bytes16(frame.proof);
      break;
    case "waiting":
      writer.u64(frame.lastSeen);
      break;
    case "answer":
      writer.bytes16(frame.message2);
      break;
    case "deviceCode":
      writer.u8(REFUSAL_NUMBERS[frame.code]).text8(frame.labels);
      break;
    case "binding":
      writer.u8(WHOSE.indexOf(frame.of));
      writeMemberStatements(writer, frame.statements);
      writer.bytes16(frame.proof);
      break;
    case "activation":
      writer.raw(frame.nonce).u64(frame.time);
      break;
    case "rendezvous":
      writeSignedText(writer, frame.statement);
      break;
    case "logged":
      writer.bytes16(frame.proof);
      break;
    case "statements":
      writeStatementsPage(writer, frame);
      break;
    case "pending":
      writer.u64(frame.requested).u64(frame.until);
      break;
    case "enrolments":
      writeEnrolments(writer, frame.entries);
      break;
    case "devices":
      writeDevices(writer, frame.devices);
      break;
    case "keepAlive":
    case "done":
      break;
  }
  return { type: FRAME[frame.type], body: writer.done() };
}

/** @throws {PeerError} E_PROTOCOL on an unknown type or a malformed body. */
export function parseFrame(type: number, body: Uint8Array): Frame {
  const reader = new ByteReader(body);
  const frame = readFrame(type, reader);
  reader.end();
  return frame;
}

function readFrame(type: number, reader: ByteReader): Frame {
  switch (type) {
    case FRAME.welcome:
      return { type: "welcome", time: reader.u64(), nonce: reader.raw(16).slice(), keyListSeq: reader.u64() };
    case FRAME.keepAlive:
      return { type: "keepAlive" };
    case FRAME.refused:
      return { type: "refused", code: parseRefusalCode(reader.u8()), detail: reader.u64() };
    case FRAME.ticket:
      return {
        type: "ticket",
        ticket: reader.bytes16().slice(),
        rendezvous: readSignedTexts(reader),
        proof: readProof(reader),
      };
    case FRAME.waiting:
      return { type: "waiting", lastSeen: reader.u64() };
    case FRAME.answer:
      return { type: "answer", message2: reader.bytes16().slice() };
    case FRAME.deviceCode:
      return { type: "deviceCode", code: parseRefusalCode(reader.u8()), labels: reader.text8() };
    case FRAME.binding:
      return {
        type: "binding",
        of: readWhose(reader),
        statements: readMemberStatements(reader),
        proof: readProof(reader),
      };
    case FRAME.activation:
      return { type: "activation", nonce: reader.raw(16).slice(), time: reader.u64() };
    case FRAME.done:
      return { type: "done" };
    case FRAME.rendezvous:
      return { type: "rendezvous", statement: readSignedText(reader) };
    case FRAME.logged:
      return { type: "logged", proof: readProof(reader) };
    case FRAME.statements:
      return { type: "statements", ...readStatementsPage(reader) };
    case FRAME.pending:
      return { type: "pending", requested: reader.u64(), until: reader.u64() };
    case FRAME.enrolments:
      return { type: "enrolments", entries: readEnrolments(reader) };
    case FRAME.devices:
      return { type: "devices", devices: readDevices(reader) };
    default:
      throw new PeerError("E_PROTOCOL", "the directory answers with an unknown frame");
  }
}

const WHOSE = ["device", "client"] as const;

function readWhose(reader: ByteReader): "device" | "client" {
  const whose = WHOSE[reader.u8()];
  if (whose === undefined) throw new PeerError("E_PROTOCOL", "statements are a device's or a client's");
  return whose;
}
