/**
 * The records of a channel, as they stand inside the encryption: u8 type || body, integers big-endian.
 *
 * | type | name | body |
 * |---|---|---|
 * | 1 | CONFIRM | u64 number of the first record expected, 0 in a new session |
 * | 2 | OPEN | u32 stream, u32 window, u16 length, service |
 * | 3 | OPENED | u32 stream, u32 window |
 * | 4 | DATA | u32 stream, 1 to 65,536 bytes |
 * | 5 | WINDOW | u32 stream, u32 credit added |
 * | 6 | END | u32 stream |
 * | 7 | RESET | u32 stream, u8 code |
 * | 8 | ACK | belongs to session resumption, which this version does not have: refused |
 * | 9 | PING | u64 |
 * | 10 | PONG | the same u64 |
 * | 11 | REKEY | as ACK: refused |
 * | 12 | CLOSE | u8 code |
 *
 * A stream's number and the credit of a WINDOW are never 0. A service is 1 to 512 printable ASCII characters, no space.
 * No record may be ignored, and none is padded.
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { assert, PeerError } from "../../keys/errors.ts";
import { CREDIT_BYTES, DATA_BYTES, SERVICE_BYTES } from "../limits.ts";
import {
  type CloseCode,
  closeNumber,
  parseCloseCode,
  parseResetCode,
  type ResetCode,
  resetNumber,
} from "./end-codes.ts";

/** Windows and credit are in bytes. */
export type ChannelRecord =
  | { readonly type: "confirm" /** number of the first record expected */; readonly next: number }
  | { readonly type: "open"; readonly stream: number; readonly window: number; readonly service: string }
  | { readonly type: "opened"; readonly stream: number; readonly window: number }
  | { readonly type: "data"; readonly stream: number; readonly bytes: Uint8Array }
  | { readonly type: "window"; readonly stream: number; readonly credit: number }
  | { readonly type: "end"; readonly stream: number }
  | { readonly type: "reset"; readonly stream: number; readonly code: ResetCode }
  | { readonly type: "ping"; readonly value: bigint }
  | { readonly type: "pong"; readonly value: bigint }
  | { readonly type: "close"; readonly code: CloseCode };

const TYPE = {
  confirm: 1,
  open: 2,
  opened: 3,
  data: 4,
  window: 5,
  end: 6,
  reset: 7,
  ping: 9,
  pong: 10,
  close: 12,
} as const satisfies Record<ChannelRecord["type"], number>;

/** The parts of a record's plaintext, in order; the bytes of a DATA record are a part of their own, not copied. */
export function encodeRecord(record: ChannelRecord): readonly Uint8Array[] {
  const writer = new ByteWriter().u8(TYPE[record.type]);
  switch (record.type) {
    case "confirm":
      return [writer.u64(record.next).done()];
    case "open":
      assert(isServiceText(record.service), "a service is checked before it is asked for");
      return [writer.u32(record.stream).u32(record.window).text16(record.service).done()];
    case "opened":
      return [writer.u32(record.stream).u32(record.window).done()];
    case "data":
      return [writer.u32(record.stream).done(), record.bytes];
    case "window":
      return [writer.u32(record.stream).u32(record.credit).done()];
    case "end":
      return [writer.u32(record.stream).done()];
    case "reset":
      return [writer.u32(record.stream).u8(resetNumber(record.code)).done()];
    case "ping":
    case "pong":
      return [writer.raw(u64(record.value)).done()];
    case "close":
      return [writer.u8(closeNumber(record.code)).done()];
  }
}

/**
 * The record in a plaintext. The bytes of a DATA record are a view of it.
 * @throws {PeerError} E_PROTOCOL unless the plaintext is exactly one record of the table.
 */
export function parseRecord(plaintext: Uint8Array): ChannelRecord {
  const reader = new ByteReader(plaintext);
  const record = readRecord(reader);
  reader.end();
  return record;
}

function readRecord(reader: ByteReader): ChannelRecord {
  switch (reader.u8()) {
    case TYPE.confirm:
      return { type: "confirm", next: reader.u64() };
    case TYPE.open:
      return { type: "open", stream: readStream(reader), window: readWindow(reader), service: readService(reader) };
    case TYPE.opened:
      return { type: "opened", stream: readStream(reader), window: readWindow(reader) };
    case TYPE.data:
      return { type: "data", stream: readStream(reader), bytes: readData(reader) };
    case TYPE.window:
      return { type: "window", stream: readStream(reader), credit: atLeastOne(readWindow(reader)) };
    case TYPE.end:
      return { type: "end", stream: readStream(reader) };
    case TYPE.reset:
      return { type: "reset", stream: readStream(reader), code: parseResetCode(reader.u8()) };
    case TYPE.ping:
      return { type: "ping", value: readU64(reader) };
    case TYPE.pong:
      return { type: "pong", value: readU64(reader) };
    case TYPE.close:
      return { type: "close", code: parseCloseCode(reader.u8()) };
    default:
      throw new PeerError("E_PROTOCOL", "unknown record type");
  }
}

function readStream(reader: ByteReader): number {
  return atLeastOne(reader.u32());
}

function readWindow(reader: ByteReader): number {
  const window = reader.u32();
  if (window > CREDIT_BYTES) throw new PeerError("E_PROTOCOL", "a window is too large");
  return window;
}

function readData(reader: ByteReader): Uint8Array {
  const bytes = reader.rest();
  if (bytes.length === 0 || bytes.length > DATA_BYTES) {
    throw new PeerError("E_PROTOCOL", "a DATA record is empty or too long");
  }
  return bytes;
}

function readService(reader: ByteReader): string {
  const service = reader.text16();
  if (!isServiceText(service)) throw new PeerError("E_PROTOCOL", "a service is too long or not printable ASCII");
  return service;
}

function isServiceText(text: string): boolean {
  return text.length <= SERVICE_BYTES && /^[!-~]+$/.test(text);
}

function atLeastOne(value: number): number {
  if (value === 0) throw new PeerError("E_PROTOCOL", "a stream or a credit is zero");
  return value;
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

function readU64(reader: ByteReader): bigint {
  const bytes = reader.raw(8);
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
}
