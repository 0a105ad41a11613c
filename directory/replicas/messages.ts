/*
 * What directories on one store tell each other. They believe each other as far as they believe the store: whoever writes there
 * can have a device woken for nothing, or not, and grants nothing.
 *
 * ```
 * u8 type, then
 * 1 wake       16 B from, text8 device, text8 client, bytes16 prologue, bytes16 message 1, bytes16 ticket, statements
 * 2 answer     text8 device, bytes16 answer, as on a link
 * 3 unwoken    16 B session id: the device could not be told
 * 4 up         16 B from, u16 count, text8 device each
 * 5 replaced   text8 device, 16 B link
 * 6 said       16 B from, u16 count, text8 subject each: what was stated anew
 * 7 withdraw   16 B session id, 32 B sender
 * 8 gone       16 B session id: the device has no link there
 * 9 taken      16 B from, 16 B session id, 32 B sender: a request waits there now
 * 10 atBroker  as up: is back at the MQTT broker, and stands in the store
 * 11 wakeByBroker  16 B id, and as wake: to one that is at the MQTT broker, from one that is not
 * 12 probeByBroker 16 B from, 16 B id, text8 device: asks it there to say hello
 * 13 byBroker      16 B id of one of these, or of 15: the broker has it, and those whom it concerns were told
 * 14 notByBroker   16 B id: the broker has it not
 * 15 saidByBroker  16 B id, and as said: devices at the broker are to be told
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { isMember, isName } from "../../keys/names.ts";
import { X25519PublicKey } from "../../keys/x25519.ts";
import {
  type Answer,
  encodeAnswer,
  parseAnswer,
  readSignedTexts,
  writeSignedTexts,
} from "../../protocol/messages/session-request.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import type { Party, UnprovedNotify } from "../presence.ts";

export type ReplicaMessage =
  | { readonly type: "wake"; readonly from: Uint8Array; readonly device: Party; readonly notify: UnprovedNotify }
  | { readonly type: "answer"; readonly device: Party; readonly answer: Answer }
  | {
      readonly type: "wakeByBroker";
      readonly id: Uint8Array;
      readonly from: Uint8Array;
      readonly device: Party;
      readonly notify: UnprovedNotify;
    }
  | { readonly type: "probeByBroker"; readonly from: Uint8Array; readonly id: Uint8Array; readonly device: Party }
  | {
      readonly type: "saidByBroker";
      readonly id: Uint8Array;
      readonly from: Uint8Array;
      readonly subjects: readonly string[];
    }
  | { readonly type: "byBroker" | "notByBroker"; readonly id: Uint8Array }
  | { readonly type: "unwoken" | "gone"; readonly sid: Uint8Array }
  | { readonly type: "up" | "atBroker"; readonly from: Uint8Array; readonly devices: readonly Party[] }
  | { readonly type: "replaced"; readonly device: Party; readonly link: Uint8Array }
  | { readonly type: "said"; readonly from: Uint8Array; readonly subjects: readonly string[] }
  | { readonly type: "withdraw"; readonly sid: Uint8Array; readonly sender: X25519PublicKey }
  | {
      readonly type: "taken";
      readonly from: Uint8Array;
      readonly sid: Uint8Array;
      readonly sender: X25519PublicKey;
    };

export function encodeReplicaMessage(message: ReplicaMessage): Uint8Array {
  const writer = new ByteWriter().u8(TYPES.indexOf(message.type) + 1);
  switch (message.type) {
    case "wake":
      writeWake(writer, message);
      break;
    case "wakeByBroker":
      writeWake(writer.raw(message.id), message);
      break;
    case "probeByBroker":
      writer.raw(message.from).raw(message.id).text8(bindingSubject(message.device));
      break;
    case "byBroker":
    case "notByBroker":
      writer.raw(message.id);
      break;
    case "answer":
      writer.text8(bindingSubject(message.device)).bytes16(encodeAnswer(message.answer));
      break;
    case "unwoken":
    case "gone":
      writer.raw(message.sid);
      break;
    case "up":
    case "atBroker":
      writer.raw(message.from).u16(message.devices.length);
      for (const device of message.devices) writer.text8(bindingSubject(device));
      break;
    case "replaced":
      writer.text8(bindingSubject(message.device)).raw(message.link);
      break;
    case "said":
      writeSaid(writer, message);
      break;
    case "saidByBroker":
      writeSaid(writer.raw(message.id), message);
      break;
    case "taken":
      writer.raw(message.from).raw(message.sid).raw(message.sender.bytes);
      break;
    case "withdraw":
      writer.raw(message.sid).raw(message.sender.bytes);
  }
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseReplicaMessage(bytes: Uint8Array): ReplicaMessage {
  const reader = new ByteReader(bytes);
  const message = read(reader);
  reader.end();
  return message;
}

function read(reader: ByteReader): ReplicaMessage {
  const type = TYPES[reader.u8() - 1];
  switch (type) {
    case "wake":
      return { type, ...readWake(reader) };
    case "wakeByBroker":
      return { type, id: reader.raw(16).slice(), ...readWake(reader) };
    case "probeByBroker": {
      const from = reader.raw(16).slice();
      return { type, from, id: reader.raw(16).slice(), device: readParty(reader) };
    }
    case "byBroker":
    case "notByBroker":
      return { type, id: reader.raw(16).slice() };
    case "answer":
      return { type, device: readParty(reader), answer: parseAnswer(reader.bytes16().slice()) };
    case "unwoken":
    case "gone":
      return { type, sid: reader.raw(16).slice() };
    case "up":
    case "atBroker": {
      const from = reader.raw(16).slice();
      return { type, from, devices: Array.from({ length: reader.u16() }, () => readParty(reader)) };
    }
    case "replaced":
      return { type, device: readParty(reader), link: reader.raw(16).slice() };
    case "said":
      return { type, ...readSaid(reader) };
    case "saidByBroker":
      return { type, id: reader.raw(16).slice(), ...readSaid(reader) };
    case "taken": {
      const from = reader.raw(16).slice();
      const sid = reader.raw(16).slice();
      return { type, from, sid, sender: X25519PublicKey.parse(reader.raw(32).slice()) };
    }
    case "withdraw":
      return { type, sid: reader.raw(16).slice(), sender: X25519PublicKey.parse(reader.raw(32).slice()) };
    default:
      throw new PeerError("E_PROTOCOL", "a message of another directory has an unknown type");
  }
}

const TYPES = [
  ...(["wake", "answer", "unwoken", "up", "replaced", "said", "withdraw", "gone", "taken", "atBroker"] as const),
  ...(["wakeByBroker", "probeByBroker", "byBroker", "notByBroker", "saidByBroker"] as const),
] as const;

type Said = Pick<Extract<ReplicaMessage, { type: "said" }>, "from" | "subjects">;

function writeSaid(writer: ByteWriter, { from, subjects }: Said): void {
  writer.raw(from).u16(subjects.length);
  for (const subject of subjects) writer.text8(subject);
}

function readSaid(reader: ByteReader): Said {
  const from = reader.raw(16).slice();
  return { from, subjects: Array.from({ length: reader.u16() }, () => reader.text8()) };
}

type Wake = Pick<Extract<ReplicaMessage, { type: "wake" }>, "from" | "device" | "notify">;

function writeWake(writer: ByteWriter, { from, device, notify }: Wake): void {
  writer.raw(from).text8(bindingSubject(device)).text8(bindingSubject(notify.client));
  writer.bytes16(notify.prologueBytes).bytes16(notify.message1).bytes16(notify.ticket);
  writeSignedTexts(writer, notify.rendezvous);
}

function readWake(reader: ByteReader): Wake {
  const from = reader.raw(16).slice();
  const device = readParty(reader);
  const client = readParty(reader);
  const prologueBytes = reader.bytes16().slice();
  const message1 = reader.bytes16().slice();
  const ticket = reader.bytes16().slice();
  return { from, device, notify: { prologueBytes, message1, ticket, client, rendezvous: readSignedTexts(reader) } };
}

function readParty(reader: ByteReader): Party {
  const [name = "", member = "", ...rest] = reader.text8().split("/");
  if (!isName(name) || !isMember(member) || rest.length > 0) throw new PeerError("E_PROTOCOL", "that is no member");
  return { name, member };
}
