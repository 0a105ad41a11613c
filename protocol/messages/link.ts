/**
 * What a device and the directory say on a link besides Notify and Answer.
 *
 * ```
 * hello 16    u8-prefixed name, u8-prefixed member, epoch (16), u8-prefixed version of sshnpd, u8 count (0..64) of
 *             names to report, each u8-prefixed
 * welcome 32  u64 the directory's time (ms), nonce (16), u64 seq of its key list
 * names 34    u8 count (1..64), each: the name statement of a name that the hello listed and that is activated
 * keyList 35  the root-signed key list
 * refused 36  u8 refusal code, u64 the directory's time (ms), nonce (16); then the link ends, but after E_CLOCK the hello
 *             may be sent once more on it, with this nonce as freshness
 * ```
 * The hello's freshness is time, or the nonce of a refusal. After it, the device seals with the welcome's nonce and the
 * directory with the hello's epoch, on that socket only, with ids that only rise (u128, from 1).
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { isMember, isName, type MemberName, type Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { LINK_NAMES } from "../limits.ts";
import { parseRefusalCode, REFUSAL_NUMBERS, type RefusalCode } from "../refusal-codes.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";

export interface LinkHello {
  readonly name: Name;
  readonly member: MemberName;
  /** 16 random bytes of this connection: the freshness of what the directory sends on it. */
  readonly epoch: Uint8Array;
  /** Version of sshnpd, printable ASCII. */
  readonly version: string;
  /** Names whose owner the device has yet to learn. */
  readonly names: readonly Name[];
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
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. */
export function parseLinkHello(body: Uint8Array): LinkHello {
  const reader = new ByteReader(body);
  const name = readName(reader);
  const member = reader.text8();
  if (!isMember(member)) throw new PeerError("E_PROTOCOL", "a link hello has a malformed member");
  const epoch = reader.raw(16).slice();
  const version = reader.text8();
  if (!/^[0-9A-Za-z.+-]{1,64}$/.test(version))
    throw new PeerError("E_PROTOCOL", "a link hello has a malformed version");
  const count = reader.u8();
  if (count > LINK_NAMES) throw new PeerError("E_PROTOCOL", "a link hello has too many names");
  const names = Array.from({ length: count }, () => readName(reader));
  reader.end();
  return { name, member, epoch, version, names };
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

export function encodeLinkNames(statements: readonly SignedText[]): Uint8Array {
  const writer = new ByteWriter().u8(statements.length);
  for (const statement of statements) writeSignedText(writer, statement);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parseLinkNames(body: Uint8Array): SignedText[] {
  const reader = new ByteReader(body);
  const count = reader.u8();
  if (count < 1 || count > LINK_NAMES) throw new PeerError("E_PROTOCOL", "wrong number of name statements");
  const statements = Array.from({ length: count }, () => readSignedText(reader));
  reader.end();
  return statements;
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
