import { setMaxListeners } from "node:events";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import { BUILTIN_LEFT_MS, BUILTIN_LOGIN_MS } from "../../protocol/limits.ts";
import type { Arrivals } from "./arrivals.ts";
import { authenticate } from "./authentication.ts";
import { serveConnection } from "./connection.ts";
import type { Visitor } from "./environment.ts";
import type { HostKey } from "./host-key.ts";
import { boundReplies } from "./replies.ts";
import type { SftpServer } from "./sftp-words.ts";
import { type Connection, Server } from "./ssh2.ts";
import type { Windows } from "./windows.ts";

interface Options {
  readonly key: HostKey;
  readonly log: Log;
  readonly sftpServer: SftpServer;
  readonly admits: ((key: Uint8Array, now: number) => boolean) | undefined;
  readonly arrivals: Arrivals;
  readonly windows: Windows;
}

/** Serves one SSH connection; `over` resolves when its stream has ended. */
export async function attendConnection(
  transport: Duplex,
  visitor: Visitor,
  options: Options,
  over: Promise<void>,
): Promise<void> {
  const { key, log } = options;
  const ended = new AbortController();
  setMaxListeners(0, ended.signal); // one for each channel
  const work = new Set<Promise<void>>();
  const track = (one: Promise<void>): void => {
    const settled = one.catch((error: unknown) => log.error({ err: error }, "a channel was given up"));
    work.add(settled);
    void settled.finally(() => work.delete(settled));
  };
  const about = { client: `${visitor.client}/${visitor.member}` };
  const breakOff = (why: string): void => {
    log.warn({ ...about, reason: `The SSH client ${why}.` }, "SSH connection broken off");
    transport.destroy();
  };
  const { arrivals, windows, sftpServer } = options;
  const leave = arrivals.enter(visitor.client, () => breakOff("has not logged in and makes room for others"));
  if (leave === undefined) return breakOff("has too many connections that have not logged in");
  let hasLoggedIn = false;
  const late = setTimeout(() => breakOff("has not logged in in time"), BUILTIN_LOGIN_MS);
  const server = new Server(
    { hostKeys: [key.reveal()], ident: "sshnpd", algorithms: ALGORITHMS, keepaliveInterval: NEVER_MS },
    (connection) => {
      connection.on("error", (error) => log.debug({ ...about, reason: error.message }, "SSH connection"));
      void serve(connection);
    },
  );
  const serve = async (connection: Connection): Promise<void> => {
    const entry = await authenticate(connection, { visitor, admits: options.admits, log, breakOff });
    clearTimeout(late);
    hasLoggedIn = true;
    leave();
    log.info({ ...about, login: entry.account.login }, "logged in");
    const context = {
      ...entry,
      visitor,
      transport,
      log,
      sftpServer,
      windows,
      signal: ended.signal,
      breakOff,
      track,
    };
    serveConnection(connection, context);
  };
  boundReplies(transport, () => hasLoggedIn, breakOff);
  server.injectSocket(transport as Socket); // of which it uses what any stream has
  await over;
  clearTimeout(late);
  leave();
  ended.abort();
  await Promise.race([Promise.all(work), new Promise((resolve) => setTimeout(resolve, BUILTIN_LEFT_MS).unref())]);
}

/** ssh2 asks whether the client is there unless it is told to do so very seldom; the channel around it knows. */
const NEVER_MS = 2 ** 31 - 1;

/** No SHA-1, no CBC, no compression, which is there before anybody has logged in. */
const ALGORITHMS = {
  kex: ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384"],
  cipher: ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"],
  hmac: ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256"],
  compress: ["none"],
} satisfies ConstructorParameters<typeof Server>[0]["algorithms"];
