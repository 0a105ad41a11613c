import * as fs from "node:fs";
import { ByteWriter } from "../../../keys/bytes.ts";
import { SFTP_HANDLES, SFTP_NAMES, SFTP_PACKET_BYTES } from "../../../protocol/limits.ts";
import { type Attributes, encodeStats } from "./attributes.ts";
import { Handles, type Opened } from "./handles.ts";
import { longName } from "./long-name.ts";
import { type NameEntry, OK, type Reply, type Status } from "./reply.ts";
import type { Request } from "./request.ts";

/**
 * Carries out the requests of one session, with the rights of whoever runs this. Synchronous: its process does nothing
 * else, and so requests take effect in their order.
 */
export class Operations {
  readonly #handles = new Handles();
  readonly #home: string;

  /** `home` is where relative paths begin and `~` leads. */
  constructor(home: string) {
    this.#home = home;
  }

  perform(request: Request): Reply {
    try {
      return this.#perform(request);
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      return status(STATUS_OF.get(String(error.code)) ?? "failure");
    }
  }

  #perform(request: Request): Reply {
    switch (request.type) {
      case "open":
        return this.#open(path(request.path), request.flags, request.attributes);
      case "opendir":
        return this.#openFolder(path(request.path));
      case "close":
        return this.#handles.close(request.handle) ? OK : status("failure");
      case "read":
        return this.#withFile(request.handle, ({ fd }) => read(fd, request.offset, request.length));
      case "write":
        return this.#withFile(request.handle, (file) => write(file, request.offset, request.data));
      case "fstat":
        return this.#withFile(request.handle, ({ fd }) => attributes(fs.fstatSync(fd)));
      case "fsetstat":
        return this.#withFile(request.handle, ({ fd }) => setOpen(fd, request.attributes));
      case "fsync":
        return this.#withFile(request.handle, ({ fd }) => done(fs.fsyncSync(fd)));
      case "fstatvfs":
        return this.#withFile(request.handle, ({ fd }) => fileSystem(Buffer.from(`/proc/self/fd/${fd}`)));
      case "readdir":
        return this.#readFolder(request.handle);
      case "stat":
        return attributes(fs.statSync(path(request.path)));
      case "lstat":
        return attributes(fs.lstatSync(path(request.path)));
      case "setstat":
        return set(path(request.path), request.attributes);
      case "mkdir":
        return done(fs.mkdirSync(path(request.path), (request.attributes.permissions ?? 0o777) & 0o7777));
      case "rmdir":
        return done(fs.rmdirSync(path(request.path)));
      case "remove":
        return done(fs.unlinkSync(path(request.path)));
      case "readlink":
        return name(fs.readlinkSync(path(request.path), { encoding: "buffer" }));
      case "realpath":
        return name(realPath(path(request.path)));
      case "expand-path":
        return name(realPath(expand(path(request.path), this.#home)));
      case "rename":
        return rename(path(request.from), path(request.to));
      case "posix-rename":
        return done(fs.renameSync(path(request.from), path(request.to)));
      case "hardlink":
        return done(fs.linkSync(path(request.from), path(request.to)));
      case "symlink":
        return done(fs.symlinkSync(path(request.from), path(request.to)));
      case "statvfs":
        return fileSystem(path(request.path));
      case "limits":
        return limits();
      case "unknown":
        return status("unsupported");
    }
  }

  #open(file: Buffer, flags: number, { permissions = 0o666 }: Attributes): Reply {
    if (this.#handles.isFull) return status("failure");
    const mode = systemFlags(flags);
    if (mode === undefined) return status("badMessage");
    const fd = fs.openSync(file, mode, permissions & 0o7777);
    return { type: "handle", handle: this.#handles.add({ kind: "file", fd, append: (flags & APPEND) !== 0 }) };
  }

  #openFolder(folder: Buffer): Reply {
    if (this.#handles.isFull) return status("failure");
    const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      // By a path of ASCII: Node's folders have trouble with others. Names come as latin1, one character for each byte.
      const opened = fs.opendirSync(`/proc/self/fd/${fd}`, { encoding: "latin1" as BufferEncoding });
      return { type: "handle", handle: this.#handles.add({ kind: "folder", folder: opened, fd, isBegun: false }) };
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  #readFolder(handle: string): Reply {
    const opened = this.#handles.get(handle);
    if (opened?.kind !== "folder") return status("failure");
    const found: Buffer[] = opened.isBegun ? [] : [Buffer.from("."), Buffer.from("..")];
    opened.isBegun = true;
    while (found.length < SFTP_NAMES) {
      const entry = opened.folder.readSync();
      if (entry === null) break;
      found.push(Buffer.from(entry.name, "latin1"));
    }
    if (found.length === 0) return status("eof");
    const now = Date.now();
    return { type: "names", names: found.flatMap((file) => listed(opened.fd, file, now)) };
  }

  #withFile(handle: string, action: (file: Opened & { kind: "file" }) => Reply): Reply {
    const opened = this.#handles.get(handle);
    return opened?.kind === "file" ? action(opened) : status("failure");
  }
}

/** A packet less its head, as OpenSSH has it. */
const MAX_DATA_BYTES = SFTP_PACKET_BYTES - 1024;

/** Of draft-ietf-secsh-filexfer-02 section 6.3. */
const READ = 1;
const WRITE = 2;
const APPEND = 4;
const CREATE = 8;
const TRUNCATE = 16;
const EXCLUSIVE = 32;

const STATUS_OF: ReadonlyMap<string, Status> = new Map<string, Status>([
  ["ENOENT", "noSuchFile"],
  ["ENOTDIR", "noSuchFile"],
  ["ELOOP", "noSuchFile"],
  ["EBADF", "noSuchFile"],
  ["EPERM", "permissionDenied"],
  ["EACCES", "permissionDenied"],
  ["EROFS", "permissionDenied"],
  ["EINVAL", "badMessage"],
  ["ENAMETOOLONG", "badMessage"],
  ["ERR_INVALID_ARG_VALUE", "badMessage"],
  ["ENOSYS", "unsupported"],
]);

/** An empty path is the folder where it all begins. */
function path(bytes: Uint8Array): Buffer {
  return bytes.length === 0 ? Buffer.from(".") : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function systemFlags(flags: number): number | undefined {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_TRUNC, O_EXCL, O_NOCTTY } = fs.constants;
  const ways: Readonly<Record<number, number>> = { [READ]: O_RDONLY, [WRITE]: O_WRONLY, [READ | WRITE]: O_RDWR };
  const way = ways[flags & (READ | WRITE)];
  if (way === undefined) return undefined;
  const more: readonly (readonly [number, number])[] = [
    [APPEND, O_APPEND],
    [CREATE, O_CREAT],
    [TRUNCATE, O_TRUNC],
    [EXCLUSIVE, O_EXCL],
  ];
  return more.reduce((all, [flag, own]) => ((flags & flag) === 0 ? all : all | own), way | O_NOCTTY);
}

function read(fd: number, offset: number, length: number): Reply {
  const buffer = Buffer.allocUnsafe(Math.min(length, MAX_DATA_BYTES));
  const count = fs.readSync(fd, buffer, 0, buffer.length, offset);
  return count === 0 ? status("eof") : { type: "data", data: buffer.subarray(0, count) };
}

function write(
  { fd, append }: { readonly fd: number; readonly append: boolean },
  offset: number,
  data: Uint8Array,
): Reply {
  for (let at = 0; at < data.length; ) at += fs.writeSync(fd, data, at, data.length - at, append ? null : offset + at);
  return OK;
}

function set(file: Buffer, { size, owner, permissions, times }: Attributes): Reply {
  if (size !== undefined) fs.truncateSync(file, size);
  if (permissions !== undefined) fs.chmodSync(file, permissions & 0o7777);
  if (times !== undefined) fs.utimesSync(file, times.atime, times.mtime);
  if (owner !== undefined) fs.chownSync(file, owner.uid, owner.gid);
  return OK;
}

function setOpen(fd: number, { size, owner, permissions, times }: Attributes): Reply {
  if (size !== undefined) fs.ftruncateSync(fd, size);
  if (permissions !== undefined) fs.fchmodSync(fd, permissions & 0o7777);
  if (times !== undefined) fs.futimesSync(fd, times.atime, times.mtime);
  if (owner !== undefined) fs.fchownSync(fd, owner.uid, owner.gid);
  return OK;
}

/** Version 3 renames to no name that is taken, and without a moment in between a file can be held to that by a link alone. */
function rename(from: Buffer, to: Buffer): Reply {
  if (fs.lstatSync(from).isFile()) {
    try {
      fs.linkSync(from, to);
      return done(fs.unlinkSync(from));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (!NO_LINKS.has(code)) throw error;
    }
  }
  if (fs.lstatSync(to, { throwIfNoEntry: false }) !== undefined) return status("failure");
  return done(fs.renameSync(from, to));
}

/** What file systems without hard links answer, and what forbids them. */
const NO_LINKS: ReadonlySet<string> = new Set(["EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EPERM", "EXDEV", "EMLINK"]);

/** The last part of it need not exist, as with OpenSSH: clients ask so for what they are about to make. */
function realPath(file: Buffer): Buffer {
  try {
    return fs.realpathSync.native(file, { encoding: "buffer" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    const whole = file.length > 1 && file.at(-1) === SLASH ? file.subarray(0, -1) : file;
    const at = whole.lastIndexOf(SLASH);
    const folder = at < 0 ? Buffer.from(".") : at === 0 ? Buffer.from("/") : whole.subarray(0, at);
    const real = fs.realpathSync.native(folder, { encoding: "buffer" });
    const last = whole.subarray(at + 1);
    return Buffer.concat(real.length === 1 ? [real, last] : [real, Buffer.from("/"), last]);
  }
}

const SLASH = 0x2f;

/** `~` and `~/...`: other people's homes are not looked up. */
function expand(file: Buffer, home: string): Buffer {
  if (file[0] !== 0x7e || (file.length > 1 && file[1] !== SLASH)) return file;
  return Buffer.concat([Buffer.from(home), file.subarray(1)]);
}

function listed(folder: number, file: Buffer, now: number): NameEntry[] {
  const stats = fs.lstatSync(Buffer.concat([Buffer.from(`/proc/self/fd/${folder}/`), file]), { throwIfNoEntry: false });
  if (stats === undefined) return []; // it has been removed meanwhile
  return [{ name: file, longName: longName(stats, file, now), attributes: encodeStats(stats) }];
}

function fileSystem(file: Buffer): Reply {
  const { bsize, blocks, bfree, bavail, files, ffree } = fs.statfsSync(file);
  const writer = new ByteWriter();
  const [id, flags, longestName] = [0, 0, 255];
  for (const value of [bsize, bsize, blocks, bfree, bavail, files, ffree, ffree, id, flags, longestName])
    writer.u64(value);
  return { type: "extended", data: writer.done() };
}

function limits(): Reply {
  const writer = new ByteWriter();
  for (const value of [SFTP_PACKET_BYTES, MAX_DATA_BYTES, MAX_DATA_BYTES, SFTP_HANDLES]) writer.u64(value);
  return { type: "extended", data: writer.done() };
}

function attributes(stats: fs.Stats): Reply {
  return { type: "attributes", attributes: encodeStats(stats) };
}

function name(file: Uint8Array): Reply {
  const none = new ByteWriter().u32(0).done();
  return { type: "names", names: [{ name: file, longName: file, attributes: none }] };
}

function status(word: Status): Reply {
  return { type: "status", status: word };
}

function done(_nothing: unknown): Reply {
  return OK;
}
