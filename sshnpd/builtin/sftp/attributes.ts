import type { Stats } from "node:fs";
import { type ByteReader, ByteWriter } from "../../../keys/bytes.ts";
import { PeerError } from "../../../keys/errors.ts";
import { SFTP_EXTENDED } from "../../../protocol/limits.ts";

/** What a client sets, or wants of a new file (draft-ietf-secsh-filexfer-02 section 5). */
export interface Attributes {
  readonly size?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** With the type of file that it may say. */
  readonly permissions?: number;
  /** s since 1970. */
  readonly times?: { readonly atime: number; readonly mtime: number };
}

const SIZE = 1;
const OWNER = 2;
const PERMISSIONS = 4;
const TIMES = 8;
const EXTENDED = 0x8000_0000;

/** @throws {PeerError} E_PROTOCOL. */
export function readAttributes(reader: ByteReader): Attributes {
  const flags = reader.u32();
  const has = (flag: number): boolean => Math.floor(flags / flag) % 2 === 1;
  if (flags % EXTENDED > (SIZE | OWNER | PERMISSIONS | TIMES)) throw new PeerError("E_PROTOCOL", "unknown attributes");
  const attributes: Attributes = {
    ...(has(SIZE) && { size: reader.u64() }),
    ...(has(OWNER) && { owner: { uid: reader.u32(), gid: reader.u32() } }),
    ...(has(PERMISSIONS) && { permissions: reader.u32() }),
    ...(has(TIMES) && { times: { atime: reader.u32(), mtime: reader.u32() } }),
  };
  if (!has(EXTENDED)) return attributes;
  const count = reader.u32();
  if (count > SFTP_EXTENDED) throw new PeerError("E_PROTOCOL", "too many attributes");
  for (let i = 0; i < 2 * count; i++) reader.bytes32();
  return attributes;
}

/** What a file is, for a client. Times before 1970 and after 2106 have no place in it. */
export function encodeStats({ size, uid, gid, mode, atimeMs, mtimeMs }: Stats): Uint8Array {
  return new ByteWriter()
    .u32(SIZE | OWNER | PERMISSIONS | TIMES)
    .u64(size)
    .u32(uid)
    .u32(gid)
    .u32(mode)
    .u32(seconds(atimeMs))
    .u32(seconds(mtimeMs))
    .done();
}

function seconds(ms: number): number {
  return Math.min(Math.max(Math.floor(ms / 1000), 0), 0xffff_ffff);
}
