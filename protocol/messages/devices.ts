/**
 * Which devices of a name somebody may reach, and whether they are there: the directory's word and nobody else's, for presence
 * is signed by no one. A device counts as known when a session with it has proved its keys, never for standing here.
 *
 * ```
 * listDevices  u8-prefixed name                            answered by frames devices, in the order of the members, and done
 * listRendezvous  (empty)                                  answered by frames rendezvous, at most 3, and done
 * devices      u8 count (0..128), each: u8-prefixed member, u8 state (0 never seen, 1 offline, 2 online), u64 ms since 1970:
 *              since when it is online, or when it was last seen (0 for one that never was), u8-prefixed version of sshnpd as
 *              its link hello told (empty unless it is online)
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { isMember, isName, type MemberName, type Name } from "../../keys/names.ts";
import { DEVICES_AT_ONCE } from "../limits.ts";
import { readVersion } from "./link.ts";

/** One device as the directory knows it. Times in ms since 1970 UTC. */
export type DeviceEntry = { readonly member: MemberName } & (
  | { readonly state: "never seen" }
  | { readonly state: "offline"; readonly lastSeen: number }
  | { readonly state: "online"; readonly since: number; readonly version: string }
);

export function encodeListDevices(name: Name): Uint8Array {
  return new ByteWriter().text8(name).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseListDevices(body: Uint8Array): Name {
  const reader = new ByteReader(body);
  const name = reader.text8();
  reader.end();
  if (!isName(name)) throw new PeerError("E_PROTOCOL", "a question for devices is malformed");
  return name;
}

export function writeDevices(writer: ByteWriter, devices: readonly DeviceEntry[]): void {
  writer.u8(devices.length);
  for (const device of devices) {
    writer.text8(device.member).u8(STATES.indexOf(device.state));
    writer.u64(device.state === "online" ? device.since : device.state === "offline" ? device.lastSeen : 0);
    writer.text8(device.state === "online" ? device.version : "");
  }
}

/** @throws {PeerError} E_PROTOCOL. */
export function readDevices(reader: ByteReader): DeviceEntry[] {
  const count = reader.u8();
  if (count > DEVICES_AT_ONCE) throw malformed();
  return Array.from({ length: count }, () => readDevice(reader));
}

function readDevice(reader: ByteReader): DeviceEntry {
  const member = reader.text8();
  const state = STATES[reader.u8()];
  const time = reader.u64();
  if (!isMember(member) || state === undefined) throw malformed();
  if (state === "online") return { member, state, since: time, version: readVersion(reader) };
  if (reader.text8() !== "" || (state === "never seen" && time !== 0)) throw malformed();
  return state === "offline" ? { member, state, lastSeen: time } : { member, state };
}

function malformed(): PeerError {
  return new PeerError("E_PROTOCOL", "the directory's list of devices is malformed");
}

const STATES: readonly DeviceEntry["state"][] = ["never seen", "offline", "online"];
