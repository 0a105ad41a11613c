/*
 * A process of its own for each SFTP session. Started by a daemon that runs as root, it becomes the account that its
 * arguments name (login, user, group) for good, ahead of reading anything. Requests come on standard input.
 */
import { chdir, umask } from "node:process";
import { readSync, writeSync } from "node:fs";
import { SshnpError } from "../../keys/errors.ts";
import { Operations } from "./sftp/operations.ts";
import { PacketReader } from "./sftp/packets.ts";
import { encodeReply, encodeVersion } from "./sftp/reply.ts";
import { parseInit, parseRequest } from "./sftp/request.ts";

try {
  const [login, uid, gid] = process.argv.slice(2);
  if (login !== undefined) becomeUser(login, Number(uid), Number(gid));
  serve(settle());
} catch (error) {
  if (!(error instanceof SshnpError)) throw error;
  process.exitCode = 1; // whoever talks no SFTP learns nothing more
}

function serve(home: string): void {
  const operations = new Operations(home);
  const packets = new PacketReader();
  const buffer = Buffer.allocUnsafe(128 * 1024);
  let hasBegun = false;
  for (;;) {
    const count = readSync(0, buffer);
    if (count === 0) return;
    for (const body of packets.push(buffer.subarray(0, count))) {
      if (hasBegun) {
        const request = parseRequest(body);
        writeAll(encodeReply(request.id, operations.perform(request)));
      } else {
        parseInit(body);
        hasBegun = true;
        writeAll(encodeVersion());
      }
    }
  }
}

/** Where relative paths begin. */
function settle(): string {
  umask(0o022);
  const home = process.env["HOME"] ?? "/";
  try {
    chdir(home);
  } catch {
    chdir("/");
  }
  return home;
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

/** What @types/node leaves out (Node's documentation, process.initgroups). */
type Groups = typeof process & { initgroups(user: string, extraGroup: number): void };

function becomeUser(login: string, uid: number, gid: number): void {
  if (uid !== 0) {
    (process as Groups).initgroups(login, gid);
    process.setgid?.(gid);
    process.setuid?.(uid);
  }
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()];
  const wanted = uid === 0 ? [0, 0, 0, 0] : [uid, uid, gid, gid];
  if (ids.some((id, index) => id !== wanted[index])) throw new Error(`cannot become user ${login}`);
}
