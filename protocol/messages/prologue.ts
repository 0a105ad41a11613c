/**
 * What both ends mix into the session handshake before its first message, so that neither can be led to believe
 * in another session, name, key, service or leg than the other one.
 *
 * ```
 * u16-prefixed fields, in this order:
 * LABEL, kind ("new"), sid (16), client name, client member, SHA-256 of the client's binding (32),
 * device name, device member, SHA-256 of the device's binding (32), service, login (may be empty), leg public key (32)
 * ```
 * Kind `again`, which resumes a session, adds u32 try and the first handshake's h (32).
 */
import { ByteReader, ByteWriter, utf8 } from "../../keys/bytes.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError } from "../../keys/errors.ts";
import { isMember, isName, type MemberName, type Name } from "../../keys/names.ts";
import { LABEL, LABEL_BYTES } from "../label.ts";
import { isLogin, parseService } from "../service.ts";

/** One party of a session, as the prologue names it. */
export interface Party {
  readonly name: Name;
  readonly member: MemberName;
  /** SHA-256 of the party's binding, 32 bytes. */
  readonly bindingHash: Uint8Array;
}

export interface Prologue {
  /** 16 random bytes of the client's. */
  readonly sid: Uint8Array;
  readonly client: Party;
  readonly device: Party;
  /** As {@link parseService} reads it. */
  readonly service: string;
  /** The account the client means to log in to; empty when it does not say. */
  readonly login: string;
  readonly legKey: Ed25519PublicKey;
}

const KIND_NEW = utf8("new");

/** The prologue's bytes: all of its fields, prefixed. */
export function encodePrologue(prologue: Prologue): Uint8Array {
  const writer = new ByteWriter().bytes16(LABEL_BYTES).bytes16(KIND_NEW).bytes16(prologue.sid);
  for (const party of [prologue.client, prologue.device]) {
    writer.text16(party.name).text16(party.member).bytes16(party.bindingHash);
  }
  return writer.text16(prologue.service).text16(prologue.login).bytes16(prologue.legKey.bytes).done();
}

/**
 * Reads a prologue off `reader`.
 * @throws {PeerError} E_VERSION when it has another label, E_PROTOCOL when a field is malformed.
 */
export function readPrologue(reader: ByteReader): Prologue {
  if (reader.text16() !== LABEL) throw new PeerError("E_VERSION", "a session request is of another version");
  if (reader.text16() !== "new") throw new PeerError("E_PROTOCOL", "a session request has an unknown kind");
  const sid = reader.exactly16(16).slice();
  const client = readParty(reader);
  const device = readParty(reader);
  const service = reader.text16();
  parseService(service);
  const login = reader.text16();
  if (!isLogin(login)) throw new PeerError("E_PROTOCOL", "a session request has a malformed login");
  const legKey = Ed25519PublicKey.parse(reader.exactly16(32));
  return { sid, client, device, service, login, legKey };
}

/** A prologue that is all of `bytes`. @throws as {@link readPrologue}. */
export function parsePrologue(bytes: Uint8Array): Prologue {
  const reader = new ByteReader(bytes);
  const prologue = readPrologue(reader);
  reader.end();
  return prologue;
}

function readParty(reader: ByteReader): Party {
  const name = reader.text16();
  const member = reader.text16();
  if (!isName(name) || !isMember(member)) {
    throw new PeerError("E_PROTOCOL", "a session request has a malformed name");
  }
  return { name, member, bindingHash: reader.exactly16(32).slice() };
}
