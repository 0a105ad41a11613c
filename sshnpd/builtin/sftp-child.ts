/*
 * A process of its own for each SFTP session. Started by a daemon that runs as root, it becomes the account that its
 * arguments name (login, user, group) for good, ahead of reading anything. Requests come on standard input.
 */
import { once } from "node:events";
import { chdir, umask } from "node:process";
import { SshnpError } from "../../keys/errors.ts";
import { becomeAccount } from "./become-account.ts";
import { Operations } from "./sftp/operations.ts";
import { PacketReader } from "./sftp/packets.ts";
import { encodeReply, encodeVersion } from "./sftp/reply.ts";
import { parseInit, parseRequest } from "./sftp/request.ts";

try {
  const [login, uid, gid] = process.argv.slice(2);
  if (login !== undefined) becomeAccount(login, Number(uid), Number(gid));
  await serve(settle());
} catch (error) {
  if (!(error instanceof SshnpError)) throw error;
  process.exit(1); // whoever talks no SFTP learns nothing more
}

async function serve(home: string): Promise<void> {
  const operations = new Operations(home);
  const packets = new PacketReader();
  let hasBegun = false;
  process.stdout.on("error", () => process.exit(1)); // nobody is there any more
  for await (const chunk of process.stdin) {
    for (const body of packets.push(chunk as Uint8Array)) {
      const reply = hasBegun ? answer(body, operations) : begin(body);
      hasBegun = true;
      if (!process.stdout.write(reply)) await once(process.stdout, "drain");
    }
  }
}

function begin(body: Uint8Array): Uint8Array {
  parseInit(body);
  return encodeVersion();
}

function answer(body: Uint8Array, operations: Operations): Uint8Array {
  const request = parseRequest(body);
  return encodeReply(request.id, operations.perform(request));
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
