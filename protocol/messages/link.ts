/**
 * What a device and the directory say on a link besides Notify and Answer.
 *
 * ```
 * hello 16    u8-prefixed name, u8-prefixed member, epoch (16), u8-prefixed version of sshnpd, u8 count (0..64) of
 *             names to report, each u8-prefixed, u64 size of the newest checkpoint seen (0 none), SHA-256 of the policy
 *             known (32; zeros: none)
 * watching 18 u8 count (0..64), each: u8-prefixed name, u8-prefixed member: the clients that have sessions now, all of them
 * welcome 32  u64 the directory's time (ms), nonce (16), u64 seq of its key list
 * names 34    u8 count (1..8), each: the statements on a name that the hello listed and that is activated, u8 count (1..8)
 *             of them, the newest last; u16-prefixed log proof of these names
 * keyList 35  the root-signed key list
 * refused 36  u8 refusal code, u64 the directory's time (ms), nonce (16); then the link ends, but after E_CLOCK the hello
 *             may be sent once more on it, with this nonce as freshness
 * own 37      the device's member statements, u8 0 or 1, if 1: the policy of its name (left out when the device knows it,
 *             or there is none), u16-prefixed log proof of its name, binding, delegation (if there is one) and policy
 * changed 38  u8-prefixed name, u8-prefixed member: a client that the device watches, whose statements have changed; its
 *             member statements, u16-prefixed log proof of them
 * ```
 * The hello's freshness is time, or the nonce of a refusal. After it, the device seals with the welcome's nonce and the
 * directory with the hello's epoch, on that socket only, with ids that only rise (u128, from 1).
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { isMember, isName, type MemberName, type Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { LINK_NAMES, LINK_NAMES_AT_ONCE, OWNER_CHAIN, SESSIONS_AT_ONCE } from "../limits.ts";
import { type MemberStatements, readMemberStatements, writeMemberStatements } from "../member-statements.ts";
import { parseRefusalCode, REFUSAL_NUMBERS, type RefusalCode } from "../refusal-codes.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";
import { readProof } from "./session-request.ts";

export interface LinkHello {
  readonly name: Name;
  readonly member: MemberName;
  /** 16 random bytes of this connection: the freshness of what the directory sends on it. */
  readonly epoch: Uint8Array;
  /** Version of sshnpd, printable ASCII. */
  readonly version: string;
  /** Names whose owner the device has yet to learn. */
  readonly names: readonly Name[];
  /** Size of the newest checkpoint that the device has seen; 0 none. */
  readonly checkpointSize: number;
  /** SHA-256 of the policy statement that the device has, 32 bytes; zeros: none. */
  readonly policyHash: Uint8Array;
}

/** Somebody that a link is about. */
export interface LinkParty {
  readonly name: Name;
  readonly member: MemberName;
}

export interface LinkNames {
  /** Of each name its statements, the newest last. */
  readonly chains: readonly (readonly SignedText[])[];
  /** A log proof, encoded. */
  readonly proof: Uint8Array;
}

export interface LinkOwn {
  readonly statements: MemberStatements;
  /** Undefined when the hello named it, or the name has none: the proof tells which. */
  readonly policy: SignedText | undefined;
  readonly proof: Uint8Array;
}

export interface LinkChanged {
  readonly client: LinkParty;
  readonly statements: MemberStatements;
  readonly proof: Uint8Array;
}

export interface LinkWelcome {
  /** ms since 1970 UTC. */
  readonly time: number;
  /** 16 bytes: the freshness of what the device sends on this link. */
  readonly nonce: Uint8Array;
  readonly keyListSeq: number;
}

export interface LinkRefused {
  readonly code: RefusalCode;
  readonly time: number;
  /** 16 bytes: freshness for one more hello. */
  readonly nonce: Uint8Array;
}

export function encodeLinkHello(hello: LinkHello): Uint8Array {
  const writer = new ByteWriter().text8(hello.name).text8(hello.member).raw(hello.epoch).text8(hello.version);
  writer.u8(hello.names.length);
  for (const name of hello.names) writer.text8(name);
  return writer.u64(hello.checkpointSize).raw(hello.policyHash).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseLinkHello(body: Uint8Array): LinkHello {
  const reader = new ByteReader(body);
  const name = readName(reader);
  const member = reader.text8();
  if (!isMember(member)) throw new PeerError("E_PROTOCOL", "a link hello has a malformed member");
  const epoch = reader.raw(16).slice();
  const version = readVersion(reader);
  const count = reader.u8();
  if (count > LINK_NAMES) throw new PeerError("E_PROTOCOL", "a link hello has too many names");
  const names = Array.from({ length: count }, () => readName(reader));
  const checkpointSize = reader.u64();
  const policyHash = reader.raw(32).slice();
  reader.end();
  return { name, member, epoch, version, names, checkpointSize, policyHash };
}

/** The version of sshnpd. @throws {PeerError} E_PROTOCOL. */
export function readVersion(reader: ByteReader): string {
  const version = reader.text8();
  if (!/^[0-9A-Za-z.+-]{1,64}$/.test(version)) throw new PeerError("E_PROTOCOL", "a malformed version of sshnpd");
  return version;
}

export function encodeLinkWelcome(welcome: LinkWelcome): Uint8Array {
  return new ByteWriter().u64(welcome.time).raw(welcome.nonce).u64(welcome.keyListSeq).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseLinkWelcome(body: Uint8Array): LinkWelcome {
  const reader = new ByteReader(body);
  const welcome = { time: reader.u64(), nonce: reader.raw(16).slice(), keyListSeq: reader.u64() };
  reader.end();
  return welcome;
}

export function encodeLinkRefused(refused: LinkRefused): Uint8Array {
  return new ByteWriter().u8(REFUSAL_NUMBERS[refused.code]).u64(refused.time).raw(refused.nonce).done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseLinkRefused(body: Uint8Array): LinkRefused {
  const reader = new ByteReader(body);
  const refused = { code: parseRefusalCode(reader.u8()), time: reader.u64(), nonce: reader.raw(16).slice() };
  reader.end();
  return refused;
}

export function encodeLinkNames({ chains, proof }: LinkNames): Uint8Array {
  const writer = new ByteWriter().u8(chains.length);
  for (const chain of chains) {
    writer.u8(chain.length);
    for (const statement of chain) writeSignedText(writer, statement);
  }
  return writer.bytes16(proof).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseLinkNames(body: Uint8Array): LinkNames {
  const reader = new ByteReader(body);
  const chains = readCounted(reader, 1, LINK_NAMES_AT_ONCE, () =>
    readCounted(reader, 1, OWNER_CHAIN, () => readSignedText(reader)),
  );
  const proof = readProof(reader);
  reader.end();
  return { chains, proof };
}

export function encodeLinkOwn({ statements, policy, proof }: LinkOwn): Uint8Array {
  const writer = new ByteWriter();
  writeMemberStatements(writer, statements);
  writer.u8(policy === undefined ? 0 : 1);
  if (policy !== undefined) writeSignedText(writer, policy);
  return writer.bytes16(proof).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseLinkOwn(body: Uint8Array): LinkOwn {
  const reader = new ByteReader(body);
  const statements = readMemberStatements(reader);
  const form = reader.u8();
  if (form > 1) throw new PeerError("E_PROTOCOL", "a policy is there or not");
  const policy = form === 1 ? readSignedText(reader) : undefined;
  const proof = readProof(reader);
  reader.end();
  return { statements, policy, proof };
}

export function encodeLinkChanged({ client, statements, proof }: LinkChanged): Uint8Array {
  const writer = new ByteWriter().text8(client.name).text8(client.member);
  writeMemberStatements(writer, statements);
  return writer.bytes16(proof).done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseLinkChanged(body: Uint8Array): LinkChanged {
  const reader = new ByteReader(body);
  const client = readParty(reader);
  const statements = readMemberStatements(reader);
  const proof = readProof(reader);
  reader.end();
  return { client, statements, proof };
}

export function encodeLinkWatching(clients: readonly LinkParty[]): Uint8Array {
  const writer = new ByteWriter().u8(clients.length);
  for (const { name, member } of clients) writer.text8(name).text8(member);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseLinkWatching(body: Uint8Array): LinkParty[] {
  const reader = new ByteReader(body);
  const clients = readCounted(reader, 0, SESSIONS_AT_ONCE, () => readParty(reader));
  reader.end();
  return clients;
}

/** Body of `keyList`, and of every message that is one signed text. */
export function encodeSignedText(signed: SignedText): Uint8Array {
  const writer = new ByteWriter();
  writeSignedText(writer, signed);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseSignedText(body: Uint8Array): SignedText {
  const reader = new ByteReader(body);
  const signed = readSignedText(reader);
  reader.end();
  return signed;
}

function readName(reader: ByteReader): Name {
  const name = reader.text8();
  if (!isName(name)) throw new PeerError("E_PROTOCOL", "a link hello has a malformed name");
  return name;
}

function readParty(reader: ByteReader): LinkParty {
  const name = readName(reader);
  const member = reader.text8();
  if (!isMember(member)) throw new PeerError("E_PROTOCOL", "a link message has a malformed member");
  return { name, member };
}

function readCounted<T>(reader: ByteReader, least: number, most: number, read: () => T): T[] {
  const count = reader.u8();
  if (count < least || count > most) throw new PeerError("E_PROTOCOL", "a link message has a wrong number of entries");
  return Array.from({ length: count }, read);
}
