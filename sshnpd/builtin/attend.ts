import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import { BUILTIN_LEFT_MS, BUILTIN_LOGIN_MS, BUILTIN_REPLY_BYTES } from "../../protocol/limits.ts";
import { authenticate } from "./authentication.ts";
import { serveConnection } from "./connection.ts";
import type { Visitor } from "./environment.ts";
import type { HostKey } from "./host-key.ts";
import type { SftpServer } from "./sftp-words.ts";
import { type Connection, Server } from "./ssh2.ts";

interface Options {
  readonly key: HostKey;
  readonly log: Log;
  readonly mayForward: ((host: string, port: number) => boolean) | undefined;
  readonly mayListen: boolean;
  readonly sftpServer: SftpServer;
  readonly admits: ((key: Uint8Array) => boolean) | undefined;
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
    log.info({ ...about, login: entry.account.login }, "logged in");
    const { mayForward, mayListen, sftpServer } = options;
    const context = {
      ...entry,
      visitor,
      transport,
      log,
      sftpServer,
      mayForward,
      mayListen,
      signal: ended.signal,
      breakOff,
      track,
    };
    serveConnection(connection, context);
  };
  holdReplies(transport);
  server.injectSocket(transport as Socket); // of which it uses what any stream has
  await over;
  clearTimeout(late);
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

/** ssh2 answers each request at once, whether or not anybody reads the answers. */
function holdReplies(transport: Duplex): void {
  transport.on("data", () => {
    if (transport.writableLength <= BUILTIN_REPLY_BYTES || transport.isPaused()) return;
    transport.pause();
    transport.once("drain", () => transport.resume());
  });
}
