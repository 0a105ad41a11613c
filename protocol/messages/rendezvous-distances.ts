/**
 * How far an end is from the rendezvous that it has measured, for the directory to choose by. Part of a session request; on a link
 * the whole body of `distances`. Nobody vouches for it: an end that lies gets a worse rendezvous.
 *
 * ```
 * distances  u8 count (0..16), each: first 8 bytes of the Ed25519 key of the rendezvous, u16 round trip in ms (65,535: it did not
 *            answer); the keys rise
 * ```
 */
import { ByteReader, ByteWriter, fromHex, hex } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { RENDEZVOUS_DISTANCES } from "../limits.ts";

/** Round trips in ms by {@link distanceKey}; SILENT: it did not answer. */
export type Distances = ReadonlyMap<string, number>;

/** In the place of a round trip. */
export const SILENT = 65_535;

const KEY_BYTES = 8;

/** By what a rendezvous is known here: hex of the first 8 bytes of its Ed25519 key. */
export function distanceKey({ bytes }: { readonly bytes: Uint8Array }): string {
  return hex(bytes.subarray(0, KEY_BYTES));
}

/** `distances` has at most RENDEZVOUS_DISTANCES entries. */
export function writeDistances(writer: ByteWriter, distances: Distances): void {
  writer.u8(distances.size);
  for (const [key, milliseconds] of [...distances].sort(([a], [b]) => (a < b ? -1 : 1))) {
    writer.raw(fromHex(key)).u16(milliseconds);
  }
}

/** @throws {PeerError} E_PROTOCOL. */
export function readDistances(reader: ByteReader): Distances {
  const count = reader.u8();
  if (count > RENDEZVOUS_DISTANCES) throw new PeerError("E_PROTOCOL", "too many distances");
  const distances = new Map<string, number>();
  let before = "";
  for (let i = 0; i < count; i += 1) {
    const key = hex(reader.raw(KEY_BYTES));
    if (key <= before) throw new PeerError("E_PROTOCOL", "distances are out of order");
    before = key;
    distances.set(key, reader.u16());
  }
  return distances;
}

export function encodeDistances(distances: Distances): Uint8Array {
  const writer = new ByteWriter();
  writeDistances(writer, distances);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseDistances(body: Uint8Array): Distances {
  const reader = new ByteReader(body);
  const distances = readDistances(reader);
  reader.end();
  return distances;
}
