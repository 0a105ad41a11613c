/**
 * Requests of SFTP version 3 (draft-ietf-secsh-filexfer-02 section 6) and of OpenSSH's extensions (PROTOCOL, section 4).
 *
 * ```
 * packet     u8 type || u32 id || fields       1 INIT has a u32 version instead of an id
 * 3 OPEN     string path || u32 flags || attributes
 * 5 READ     string handle || u64 offset || u32 length
 * 6 WRITE    string handle || u64 offset || string data
 * 18 RENAME  string from || string to          20 SYMLINK: string target || string link, as OpenSSH has it
 * 200        string name || fields of that extension
 * ```
 */
import { ByteReader, utf8Text } from "../../../keys/bytes.ts";
import { PeerError } from "../../../keys/errors.ts";
import { type Attributes, readAttributes } from "./attributes.ts";

/** Paths are bytes: Linux knows no encoding of them. */
type Path = Uint8Array;

export type Request = { readonly id: number } & (
  | { readonly type: "open"; readonly path: Path; readonly flags: number; readonly attributes: Attributes }
  | { readonly type: "close" | "fstat" | "readdir" | "fsync" | "fstatvfs"; readonly handle: string }
  | { readonly type: "read"; readonly handle: string; readonly offset: number; readonly length: number }
  | { readonly type: "write"; readonly handle: string; readonly offset: number; readonly data: Uint8Array }
  | { readonly type: PathType; readonly path: Path }
  | { readonly type: "setstat" | "mkdir"; readonly path: Path; readonly attributes: Attributes }
  | { readonly type: "fsetstat"; readonly handle: string; readonly attributes: Attributes }
  | { readonly type: "rename" | "symlink" | "posix-rename" | "hardlink"; readonly from: Path; readonly to: Path }
  | { readonly type: "limits" | "unknown" }
);

type PathType = "lstat" | "stat" | "opendir" | "remove" | "rmdir" | "realpath" | "readlink" | "statvfs" | "expand-path";

/** The version of an INIT packet. @throws {PeerError} E_PROTOCOL. */
export function parseInit(body: Uint8Array): number {
  const reader = new ByteReader(body);
  if (reader.u8() !== INIT) throw new PeerError("E_PROTOCOL", "SFTP begins with something else than its version");
  return reader.u32(); // extensions of the client's may follow
}

/** @throws {PeerError} E_PROTOCOL when it cannot be read; a type that nobody knows is a request as well. */
export function parseRequest(body: Uint8Array): Request {
  const reader = new ByteReader(body);
  const type = reader.u8();
  const id = reader.u32();
  if (type === EXTENDED) return { id, ...readExtended(utf8Text(reader.bytes32()), reader) };
  const read = READERS[type];
  if (read === undefined) return { id, type: "unknown" };
  const request = { id, ...read(reader) };
  reader.end();
  return request;
}

const INIT = 1;
const EXTENDED = 200;

type Fields = WithoutId<Request>;
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;
type Reader = (reader: ByteReader) => Fields;

const path =
  (type: PathType): Reader =>
  (reader) => ({ type, path: reader.bytes32() });
const handle =
  (type: "close" | "fstat" | "readdir" | "fsync" | "fstatvfs"): Reader =>
  (reader) => ({ type, handle: readHandle(reader) });
const pair =
  (type: "rename" | "symlink" | "posix-rename" | "hardlink"): Reader =>
  (reader) => ({ type, from: reader.bytes32(), to: reader.bytes32() });
const change =
  (type: "setstat" | "mkdir"): Reader =>
  (reader) => ({ type, path: reader.bytes32(), attributes: readAttributes(reader) });

const READERS: Readonly<Record<number, Reader>> = {
  3: (reader) => ({
    type: "open",
    path: reader.bytes32(),
    flags: reader.u32(),
    attributes: readAttributes(reader),
  }),
  4: handle("close"),
  5: (reader) => ({ type: "read", handle: readHandle(reader), offset: reader.u64(), length: reader.u32() }),
  6: (reader) => ({ type: "write", handle: readHandle(reader), offset: reader.u64(), data: reader.bytes32() }),
  7: path("lstat"),
  8: handle("fstat"),
  9: change("setstat"),
  10: (reader) => ({ type: "fsetstat", handle: readHandle(reader), attributes: readAttributes(reader) }),
  11: path("opendir"),
  12: handle("readdir"),
  13: path("remove"),
  14: change("mkdir"),
  15: path("rmdir"),
  16: path("realpath"),
  17: path("stat"),
  18: pair("rename"),
  19: path("readlink"),
  20: pair("symlink"),
};

const EXTENSIONS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["posix-rename@openssh.com", pair("posix-rename")],
  ["hardlink@openssh.com", pair("hardlink")],
  ["fsync@openssh.com", handle("fsync")],
  ["statvfs@openssh.com", path("statvfs")],
  ["fstatvfs@openssh.com", handle("fstatvfs")],
  ["expand-path@openssh.com", path("expand-path")],
  ["limits@openssh.com", () => ({ type: "limits" })],
]);

function readExtended(name: string, reader: ByteReader): Fields {
  const read = EXTENSIONS.get(name);
  if (read === undefined) return { type: "unknown" };
  const fields = read(reader);
  reader.end();
  return fields;
}

/** Ours are ASCII; what is not is one that we never gave. */
function readHandle(reader: ByteReader): string {
  return Buffer.from(reader.bytes32()).toString("latin1");
}
