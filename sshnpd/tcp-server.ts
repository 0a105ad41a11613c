import { connect, type Socket } from "node:net";
import type { Name } from "../keys/names.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { SERVER_CONNECT_MS, SSH_LOGIN_GRACE_MS, SSH_LOGIN_TURNS } from "../protocol/limits.ts";
import { SshWatch } from "../protocol/ssh-watch.ts";
import { CLOCK } from "./clock.ts";
import { FirstFlight } from "./first-flight.ts";
import type { HostKeys } from "./host-keys.ts";
import { Carried, joinStream } from "./join-stream.ts";
import type { Log } from "./log.ts";
import type { LoginLimits } from "./login-limits.ts";
import type { Served, SshServer, SshVisitor } from "./ssh-server.ts";
import { DEFAULT_MAX_STARTUPS, StartupGate } from "./startup-gate.ts";

export interface TcpServerOptions {
  readonly port: number;
  readonly hostKeys: Pick<HostKeys, "current">;
  /** What the server takes of those that have not logged in; asked once, ahead of the first stream. */
  readonly loginLimits?: () => Promise<LoginLimits>;
}

/**
 * The SSH server that listens on 127.0.0.1. All sessions come from one address there and count together against its
 * MaxStartups, so they are let in by a {@link StartupGate}; one that is dropped all the same, ahead of its banner, is
 * connected once more, and the client does not notice.
 */
export class TcpServer implements SshServer {
  readonly mode = "tcp";
  readonly #options: TcpServerOptions;
  /** Those that wait for their turn, and how they are told. */
  readonly #waiting = new Map<ChannelStream, () => void>();
  readonly #connections = new Set<Socket>();
  #gate: Promise<StartupGate<ChannelStream>> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TcpServerOptions) {
    this.#options = options;
  }

  async hostKeys(): Promise<readonly Uint8Array[]> {
    return await this.#options.hostKeys.current();
  }

  serve(stream: ChannelStream, { client }: SshVisitor, log: Log): Served {
    const carried = new Carried();
    void this.#carry(stream, client, { carried, log }).finally(() => carried.end());
    return carried;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    for (const tell of this.#waiting.values()) tell();
    for (const socket of this.#connections) socket.destroy();
    await Promise.resolve();
  }

  async #carry(stream: ChannelStream, client: Name, { carried, log }: Pick<Visit, "carried" | "log">): Promise<void> {
    this.#gate ??= this.#makeGate();
    const gate = await this.#gate;
    const flight = new FirstFlight(stream);
    const isDropped = async (isLast: boolean): Promise<boolean> => {
      try {
        await this.#turn(gate, stream, client);
        return !stream.destroyed && (await this.#visit(stream, flight, { gate, carried, log, isLast }));
      } finally {
        gate.leave(stream);
        this.#admit(gate);
      }
    };
    if (!(await isDropped(false))) return;
    log.info("the SSH server dropped a connection ahead of its banner, so it is tried once more");
    await isDropped(true);
  }

  async #makeGate(): Promise<StartupGate<ChannelStream>> {
    const limits = await this.#options.loginLimits?.();
    return new StartupGate(limits?.maxStartups ?? DEFAULT_MAX_STARTUPS, limits?.graceMs ?? SSH_LOGIN_GRACE_MS);
  }

  /** Resolves when it is its turn, or it is gone. */
  async #turn(gate: StartupGate<ChannelStream>, stream: ChannelStream, client: Name): Promise<void> {
    if (stream.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#waiting.set(stream, resolve);
      stream.once("close", resolve);
      gate.ask(stream, client);
      this.#admit(gate);
    });
    this.#waiting.delete(stream);
  }

  #admit(gate: StartupGate<ChannelStream>): void {
    const now = CLOCK.now();
    for (const stream of gate.admitted(now)) this.#waiting.get(stream)?.();
    clearTimeout(this.#timer);
    const { next } = gate;
    if (next !== undefined) this.#timer = setTimeout(() => this.#admit(gate), Math.max(1, next - now));
  }

  /** Carries the stream to its end; true, at once, when the server has dropped the connection and may be asked again. */
  async #visit(stream: ChannelStream, flight: FirstFlight, { gate, carried, log, isLast }: Visit): Promise<boolean> {
    const server = await this.#connect(stream);
    if (server === undefined) return false;
    // The server's own log says `from 127.0.0.1 port N`: with this line it is known who that is.
    log.info({ port: server.localPort }, "stream at the SSH server");
    const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
    if (!(await flight.sayTo(server))) {
      server.destroy();
      if (!isLast && flight.isWhole && !stream.destroyed) return true;
      stream.refuse("unreachable");
      return false;
    }
    joinStream(stream, server);
    watchLogin(stream, server, flight, () => {
      gate.settle(stream);
      this.#admit(gate);
    });
    await closed;
    carried.count(server);
    return false;
  }

  /** The socket, connected, and the stream accepted; undefined when the server does not answer, or the stream is gone. */
  async #connect(stream: ChannelStream): Promise<Socket | undefined> {
    const server = connect({ host: "127.0.0.1", port: this.#options.port, allowHalfOpen: true, noDelay: true });
    this.#connections.add(server);
    server.once("close", () => this.#connections.delete(server));
    const giveUp = (): void => void server.destroy();
    stream.once("close", giveUp);
    server.setTimeout(SERVER_CONNECT_MS, giveUp);
    server.on("error", () => {}); // a close comes with it
    const isConnected = await new Promise<boolean>((resolve) => {
      server.once("connect", () => resolve(true)).once("close", () => resolve(false));
    });
    server.setTimeout(0);
    stream.off("close", giveUp);
    if (!isConnected || stream.destroyed) {
      server.destroy();
      if (!stream.destroyed) stream.refuse("unreachable");
      return undefined;
    }
    if (!this.#accepted.has(stream)) stream.accept();
    this.#accepted.add(stream);
    return server;
  }

  readonly #accepted = new WeakSet<ChannelStream>();
}

interface Visit {
  readonly gate: StartupGate<ChannelStream>;
  readonly carried: Carried;
  readonly log: Log;
  readonly isLast: boolean;
}

/** Calls `onLogin` when the two have said to each other, or as often, what a login takes. `flight` was said before. */
function watchLogin(stream: ChannelStream, server: Socket, flight: FirstFlight, onLogin: () => void): void {
  const watch = new SshWatch();
  let turns = 0;
  let isServers = false;
  const onClient = (chunk: Uint8Array): void => {
    isServers = false;
    watch.fromClient(chunk);
  };
  const onServer = (chunk: Uint8Array): void => {
    watch.fromServer(chunk);
    if (!isServers) turns += 1;
    isServers = true;
    if (turns < SSH_LOGIN_TURNS && !watch.mayHaveBeenLetIn) return;
    stream.off("data", onClient);
    server.off("data", onServer);
    onLogin();
  };
  for (const chunk of flight.said) watch.fromClient(chunk);
  stream.on("data", onClient);
  server.on("data", onServer);
}
