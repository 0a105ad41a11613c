import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { assert, PeerError, SshnpError, UnavailableError } from "../keys/errors.ts";
import { bindChannel, type ChannelEnd } from "../protocol/channel/bind-channel.ts";
import { Channel } from "../protocol/channel/channel.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { parseService } from "../protocol/service.ts";
import type { Account } from "./accounts.ts";
import type { Clients } from "./clients.ts";
import { CLOCK } from "./clock.ts";
import type { DeviceObserver } from "./device-observer.ts";
import { type Log, logError } from "./log.ts";
import { CHANNEL_LIMITS, type GrantedSession } from "./requests.ts";
import { connectToService } from "./local-service.ts";
import type { SessionAccess } from "./session-access.ts";
import type { SshServer } from "./ssh-server.ts";

export interface SessionServices {
  readonly suite: CipherSuite;
  readonly clients: Clients;
  readonly sshServer: Pick<SshServer, "serve">;
  /** The account that a session for this login may put a key into. */
  readonly accountFor: (login: string) => Promise<Account | undefined>;
  /** ms since 1970 UTC. */
  readonly now: () => number;
  readonly observer?: DeviceObserver | undefined;
  readonly log: Log;
}

/** What went through a session, in bytes. */
export interface SessionCounts {
  received: number;
  sent: number;
}

/**
 * Serves one session on a joined leg, to its end. The client has proved nothing yet, for whoever has stolen the
 * device's key can make a msg1 in anybody's name, and a rendezvous can send anything. So all that happens here before the
 * client's CONFIRM verifies is waiting for it; then, in this order, the client is pinned, its key is written, and
 * each stream it asks for is judged and connected.
 *
 * `onConfirmed` is called at CONFIRM. Aborting `signal` closes the session as going away, aborting `revoked` as revoked.
 * @throws {PeerError} E_PROTOCOL when the path does not begin as a new session's does; {UnavailableError} E_TRUNCATED when
 * it ends before; the signal's reason.
 */
export async function serveSession(
  socket: Duplex,
  session: GrantedSession,
  services: SessionServices,
  {
    signal,
    revoked,
    access,
    onConfirmed,
  }: {
    readonly signal: AbortSignal;
    readonly revoked: AbortSignal;
    readonly access: SessionAccess;
    readonly onConfirmed: () => void;
  },
): Promise<{ readonly end: ChannelEnd; readonly counts: SessionCounts }> {
  if ((await readByte(socket, signal)) !== FIRST_HANDSHAKE) {
    throw new PeerError("E_PROTOCOL", "A path begins with something else than a new session.");
  }
  const { suite, log } = services;
  const counts: SessionCounts = { received: 0, sent: 0 };
  const channel = new Channel({
    role: "device",
    send: suite.aead(session.keys.responderToInitiator),
    receive: suite.aead(session.keys.initiatorToResponder),
    limits: CHANNEL_LIMITS,
  });
  let prepared: Promise<void> | undefined;
  const serving = new Set<Promise<void>>();
  const binding = bindChannel(channel, socket, {
    signal,
    clock: CLOCK,
    onConfirmed: () => {
      onConfirmed();
      prepared = prepare(session, services);
      prepared.catch((error: unknown) => {
        logError(log, error, "session given up");
        binding.close("failed");
      });
    },
    onOpen: (stream) => {
      assert(prepared !== undefined, "no stream is asked for ahead of CONFIRM");
      const work = prepared
        .then(() => serveStream(stream, session, services, { access, counts }))
        .catch((error: unknown) => {
          logError(log, error, "stream given up");
          stream.refuse("failed");
        })
        .finally(() => serving.delete(work));
      serving.add(work);
    },
  });
  const revoke = (): void => binding.close("revoked");
  revoked.addEventListener("abort", revoke, { once: true });
  if (revoked.aborted) revoke();
  socket.resume();
  const end = await binding.closed;
  await Promise.allSettled([prepared, ...serving]);
  return { end, counts };
}

/** The first byte of a path: records of the first handshake follow. */
const FIRST_HANDSHAKE = 0;

async function readByte(socket: Duplex, signal: AbortSignal): Promise<number> {
  for (;;) {
    const bytes: unknown = socket.read(1);
    if (bytes instanceof Uint8Array) return bytes[0] ?? 0;
    if (socket.readableEnded || socket.destroyed) {
      throw new UnavailableError("E_TRUNCATED", "The path ended before the client had proved itself.");
    }
    await Promise.race(["readable", "end", "close"].map((event) => once(socket, event, { signal })));
  }
}

/** What the client has earned with its CONFIRM, ahead of its first stream. */
async function prepare(session: GrantedSession, { clients, accountFor, now, log }: SessionServices): Promise<void> {
  const { claim, pushedKey } = session;
  await clients.pin(claim, now());
  if (pushedKey === undefined) return;
  const { login, key } = pushedKey;
  const account = await accountFor(login);
  if (account === undefined) {
    log.warn({ login }, "pushed key not added: there is no such account, or none that this daemon may write for");
    return;
  }
  try {
    const { acceptPushedKey } = await import("./pushed-keys.ts");
    const added = await acceptPushedKey(account, key, `sshnp:${claim.name}/${claim.member}`);
    log.info({ login: account.login }, added ? "pushed key added" : "pushed key is there already");
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    // The client may have another key that is admitted.
    log.warn(
      { login: account.login, code: error.code, reason: error.message, next: error.next },
      "pushed key not added",
    );
  }
}

async function serveStream(
  stream: ChannelStream,
  { claim, login, certified }: GrantedSession,
  { sshServer, log, observer }: SessionServices,
  { access, counts }: { readonly access: SessionAccess; readonly counts: SessionCounts },
): Promise<void> {
  if (!(await access.admit(stream))) return;
  const service = parseService(stream.service);
  observer?.stream(stream);
  if (service.kind === "ping") return stream.refuse("refused"); // the session itself was the answer
  const visitor = { client: claim.name, member: claim.member, login, certified };
  const served = service.kind === "ssh" ? sshServer.serve(stream, visitor, log) : connectToService(stream, service);
  await served.closed;
  counts.received += served.received;
  counts.sent += served.sent;
}
