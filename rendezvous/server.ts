import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Logger } from "pino";
import { tellAcceptErrors } from "../keys/accept-errors.ts";
import { concat, hex } from "../keys/bytes.ts";
import { assert } from "../keys/errors.ts";
import { listenError } from "../keys/listen-error.ts";
import { Readiness } from "../keys/metrics/readiness.ts";
import { openFilesAtMost } from "../keys/open-files.ts";
import type { KeyList } from "../protocol/key-list.ts";
import { LEG_STATUS } from "../protocol/leg-hello.ts";
import { BACKLOG, RENDEZVOUS_CONNECTIONS, SPARE_FILES } from "../protocol/limits.ts";
import { kindOf } from "./first-bytes.ts";
import type { RendezvousSelf } from "./hello-verdict.ts";
import { httpDoor } from "./http-door.ts";
import { Leg } from "./leg.ts";
import { Lobby } from "./lobby.ts";
import { type LobbyLimits, limitsFor } from "./lobby-limits.ts";
import type { Instant, LegId, LobbyAction, LobbyEvent } from "./lobby-events.ts";
import type { LegObserver } from "./observer.ts";
import { originOf } from "./origin.ts";
import { Splices } from "./splices.ts";
import { Stalls } from "./stalls.ts";
import { WebSocketStream } from "./web-socket-stream.ts";
import { WitnessDoor } from "./witness/door.ts";
import type { Witness } from "./witness/witness.ts";

export interface RendezvousServerOptions extends RendezvousSelf {
  readonly listen: { readonly host: string; readonly port: number };
  readonly now: () => Instant;
  /** A ticket is signed with a key that is not known: {@link RendezvousServer.useKeyList} may help. */
  readonly askForKeys: () => void;
  readonly observer?: LegObserver | undefined;
  readonly log: Logger;
  /** How many of the first bytes of each direction the log of a session shows. */
  readonly excerptBytes?: number;
  readonly limits?: LobbyLimits;
  /** Answers `POST /add-checkpoint` on the same port. */
  readonly witness?: Witness | undefined;
  /** Which legs count as of one peer; undefined: not told by the address. */
  readonly originOf?: (remoteAddress: string | undefined) => string | undefined;
}

/**
 * A rendezvous on one port: legs over TCP, legs over WebSocket and HTTP, told apart by their first bytes.
 * It decides nothing; the {@link Lobby} does.
 */
export class RendezvousServer implements AsyncDisposable {
  readonly #options: RendezvousServerOptions;
  readonly #lobby: Lobby;
  readonly #listener: Server;
  readonly #http: ReturnType<typeof httpDoor>;
  readonly #legs = new Map<LegId, Leg>();
  readonly #legBySocket = new WeakMap<object, Leg>();
  readonly #stalls = new Stalls(() => this.#options.now().monotonic);
  readonly #clock: NodeJS.Timeout;
  readonly #quiet = new Set<() => void>();
  readonly #splices: Splices;
  /** Whether it can do its work. Who serves it adds what he knows. */
  readonly readiness = new Readiness();
  #nextId = 0;
  #keysExpire = 0;

  private constructor(options: RendezvousServerOptions) {
    this.#options = options;
    const { witness } = options;
    this.#http = httpDoor({
      readiness: this.readiness,
      onLeg: (socket, webSocket) => {
        const leg = this.#legBySocket.get(socket);
        if (leg === undefined) webSocket.terminate();
        else this.#read(leg, new WebSocketStream(webSocket), new Uint8Array(0));
      },
      witness: witness && new WitnessDoor(witness),
    });
    const connections = Math.min(RENDEZVOUS_CONNECTIONS, Math.max(64, openFilesAtMost() - SPARE_FILES));
    this.readiness.add(
      {
        name: "key list",
        look: () => (options.now().time < this.#keysExpire ? undefined : { failed: "there is no valid one" }),
      },
      { name: "room", look: () => (this.legs < this.most ? undefined : { failed: "it is full" }) },
    );
    this.#splices = new Splices(this.#stalls, {
      excerptBytes: options.excerptBytes ?? 0,
      now: () => options.now().monotonic,
      ended: (ms) => options.observer?.ended(ms),
    });
    this.#lobby = new Lobby(options, options.limits ?? limitsFor(connections));
    this.#listener = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_AFTER_MS,
      highWaterMark: HIGH_WATER_MARK_BYTES,
    });
    this.#listener.maxConnections = connections;
    this.#listener.on("connection", (socket) => this.#accept(socket));
    this.#listener.on("drop", () => options.observer?.dropped());
    this.#clock = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** @throws {SetupError} E_RUNNING when the port is taken, E_USAGE when it cannot be listened on. */
  static async start(options: RendezvousServerOptions): Promise<RendezvousServer> {
    const server = new RendezvousServer(options);
    try {
      await server.#listen(options.listen);
    } catch (error) {
      clearInterval(server.#clock);
      throw error;
    }
    return server;
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#listener.address();
    return address === null || typeof address === "string" ? 0 : address.port;
  }

  /** Sockets that are open now. */
  get legs(): number {
    return this.#lobby.counts.legs;
  }

  /** Of them, those that wait for their other one. */
  get legsWaiting(): number {
    return this.#lobby.counts.unpaired;
  }

  /** Sessions whose legs are joined. */
  get sessions(): number {
    return this.#splices.size;
  }

  /** Bytes that were carried, by the end that sent them. */
  get carried(): { readonly client: number; readonly device: number } {
    return this.#splices.carried;
  }

  /** Sockets that it takes at most. */
  get most(): number {
    return this.#listener.maxConnections;
  }

  /** Waits until no session runs and no leg is on its way to one: before its hello, or waiting for its other one. @throws the signal's reason. */
  whenQuiet(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#quiet.add(resolve);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
      this.#tellQuiet();
    });
  }

  #tellQuiet(): void {
    const { arriving, unpaired } = this.#lobby.counts;
    if (this.#quiet.size === 0 || this.sessions > 0 || arriving > 0 || unpaired > 0) return;
    for (const resolve of this.#quiet) resolve();
    this.#quiet.clear();
  }

  /** Verifies tickets with the keys of this list until it expires. To be called after every {@link askForKeys} as well. */
  useKeyList({ ticket, expires }: Pick<KeyList, "ticket" | "expires">): void {
    this.#keysExpire = expires;
    this.#tell({ type: "keys", ticketKeys: ticket, expires });
  }

  /** Ends all there is, and waits until it has ended. */
  async close(): Promise<void> {
    clearInterval(this.#clock);
    const ended = [...this.#legs.values()].map(({ socket }) => once(socket, "close"));
    const closed = once(this.#listener.close(), "close");
    for (const leg of this.#legs.values()) leg.destroy();
    await Promise.all([closed, ...ended]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #listen({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#listener.once("error", (cause) => reject(listenError(`${host}:${port}`, cause, WHEN_TAKEN)));
      this.#listener.listen({ host, port, backlog: BACKLOG }, () => {
        tellAcceptErrors(this.#listener, this.#options.log);
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    const leg = new Leg(this.#nextId++, socket);
    const { remoteAddress } = socket;
    this.#legs.set(leg.id, leg);
    this.#legBySocket.set(socket, leg);
    socket.on("error", ignore); // its close follows
    socket.on("close", () => {
      this.#legs.delete(leg.id);
      this.#tell({ type: "closed", leg: leg.id });
    });
    this.#options.log.debug({ leg: leg.id, remoteAddress }, "leg arrived");
    this.#tell({ type: "arrive", leg: leg.id, origin: (this.#options.originOf ?? originOf)(remoteAddress) });
    if (!socket.destroyed) this.#readFirstBytes(leg);
  }

  #readFirstBytes(leg: Leg): void {
    const { socket } = leg;
    let first: Uint8Array = new Uint8Array(0);
    const onEnd = (): void => void socket.destroy();
    const onData = (chunk: Uint8Array): void => {
      first = first.length === 0 ? chunk : concat(first, chunk);
      const kind = kindOf(first, this.#options.witness === undefined ? ["GET"] : ["GET", "POST"]);
      if (kind === "undecided") return;
      socket.off("data", onData).off("end", onEnd);
      if (kind === "leg") return this.#read(leg, socket, first);
      if (kind === "unknown") return void socket.destroy();
      socket.pause();
      socket.unshift(first);
      this.#http.emit("connection", socket);
      socket.resume();
    };
    socket.on("data", onData).on("end", onEnd);
  }

  #read(leg: Leg, stream: Socket | WebSocketStream, first: Uint8Array): void {
    leg.read(stream, first, {
      onHello: (hello) => {
        leg.note(hello, this.#options.now().monotonic, this.#options.log.isLevelEnabled("debug"));
        this.#options.log.debug({ leg: leg.id, role: hello.role, sid: leg.sid }, "leg said hello");
        this.#tell({ type: "hello", leg: leg.id, hello });
      },
      onMalformed: () => this.#tell({ type: "malformed", leg: leg.id }),
      onEarly: (bytes) => this.#tell({ type: "early", leg: leg.id, bytes }),
    });
  }

  #tick(): void {
    this.#tell({ type: "tick" });
    this.#stalls.trim();
    this.#tellQuiet();
  }

  #tell(event: LobbyEvent): void {
    for (const action of this.#lobby.handle(event, this.#options.now())) this.#perform(action);
  }

  #perform(action: LobbyAction): void {
    switch (action.type) {
      case "join":
        return this.#join(action.sid, this.#legs.get(action.client), this.#legs.get(action.device));
      case "refuse": {
        const { leg: id, status } = action;
        const leg = this.#legs.get(id);
        this.#options.observer?.refused(status);
        this.#options.log.debug({ leg: id, status, sid: leg?.sid }, "leg refused");
        const answer = Uint8Array.of(LEG_STATUS[status]);
        leg?.dismiss(status === "boot" ? concat(answer, this.#options.boot) : answer);
        return;
      }
      case "cut":
        this.#options.observer?.cut();
        this.#legs.get(action.leg)?.destroy();
        return;
      case "askForKeys":
        this.#options.askForKeys();
        return;
    }
  }

  #join(sid: Uint8Array, client: Leg | undefined, device: Leg | undefined): void {
    assert(client?.stream !== undefined && device?.stream !== undefined, "who is joined has said hello");
    const log = this.#options.log.child({ sid: hex(sid) });
    log.debug({ client: client.id, device: device.id }, "session joined");
    this.#options.observer?.joined(this.#options.now().monotonic - Math.min(client.heard, device.heard));
    for (const { stream } of [client, device]) stream?.write(Uint8Array.of(LEG_STATUS.joined));
    this.#splices.join(
      { stream: client.stream, early: client.takeEarly() },
      { stream: device.stream, early: device.takeEarly() },
      log,
    );
  }
}

/** Idle connections are asked for a sign of life after this long; legs have their own heartbeat, this is for the others. */
const KEEPALIVE_AFTER_MS = 30_000;
/** The same on every version of Node. A read is 64 KiB whatever this says, so that a splice of TCP legs holds 320 KiB. */
const HIGH_WATER_MARK_BYTES = 16 * 1024;
/** How late a wait may end. */
const TICK_MS = 250;
const WHEN_TAKEN =
  "If it is a rendezvous, it goes on; else give this one another port: --listen, or --rendezvous of the sshnp-directory that runs it.";

function ignore(): void {}
