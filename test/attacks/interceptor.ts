import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { concat, hex } from "../../keys/bytes.ts";
import { type LegHello, parseLegHello } from "../../protocol/leg-hello.ts";

/** A leg that an end has brought, with what was read of it. */
export interface InterceptedLeg {
  readonly hello: LegHello;
  /** How many bytes the hello took. */
  readonly length: number;
  /** All that was read so far, hello included; more comes from `socket`, which is paused. */
  readonly read: Uint8Array;
  readonly socket: Socket;
}

/**
 * Stands between everybody and the rendezvous, as a network does, or in its place. Legs pass, but those of sessions that
 * an attack has claimed go to that attack.
 */
export class Interceptor implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: () => number;
  readonly #claimed = new Map<string, (leg: InterceptedLeg) => void>();
  readonly #sockets = new Set<Socket>();
  readonly #listeners = new Set<(leg: InterceptedLeg) => void>();

  static async start(target: () => number): Promise<Interceptor> {
    const interceptor = new Interceptor(target);
    interceptor.#server.listen(0, "127.0.0.1");
    await once(interceptor.#server, "listening");
    return interceptor;
  }

  private constructor(target: () => number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Hands the legs of this session to `take` instead of to the rendezvous; the result lets them pass again. */
  claim(sid: Uint8Array, take: (leg: InterceptedLeg) => void): () => void {
    this.#claimed.set(hex(sid), take);
    return () => void this.#claimed.delete(hex(sid));
  }

  /** Shows the legs that pass; the result ends that. */
  watch(show: (leg: InterceptedLeg) => void): () => void {
    this.#listeners.add(show);
    return () => void this.#listeners.delete(show);
  }

  /** A connection of its own to the rendezvous. */
  dial(): Socket {
    return this.#keep(connect({ port: this.#target(), host: "127.0.0.1", allowHalfOpen: true, noDelay: true }));
  }

  /** Lets a leg go on to the rendezvous; `read` may have been changed. */
  pass({ socket, read }: Pick<InterceptedLeg, "socket" | "read">): Socket {
    const far = this.dial();
    far.write(read);
    join(socket, far);
    return far;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    this.#keep(socket);
    let read: Uint8Array = new Uint8Array(0);
    const onData = (chunk: Uint8Array): void => {
      read = concat(read, chunk);
      const hello = parse(read);
      if (hello === "incomplete") return;
      socket.off("data", onData).pause();
      if (hello === undefined) return void this.pass({ socket, read });
      const leg = { ...hello, read, socket };
      for (const show of this.#listeners) show(leg);
      const take = this.#claimed.get(hex(sidOf(leg.hello)));
      if (take === undefined) this.pass(leg);
      else take(leg);
    };
    socket.on("data", onData);
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    return socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
  }
}

/** Carries bytes both ways until one of the two is gone. */
export function join(near: Socket, far: Socket): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.pipe(to);
    from.on("close", () => to.destroy());
  }
}

/** The session that a hello is for: the third field of its ticket. */
export function sidOf({ ticket }: LegHello): Uint8Array {
  let at = 0;
  for (let field = 0; field < 2; field++) at += 2 + new DataView(ticket.buffer, ticket.byteOffset).getUint16(at);
  return ticket.slice(at + 2, at + 18);
}

function parse(read: Uint8Array): ReturnType<typeof parseLegHello> | "incomplete" {
  try {
    return parseLegHello(read) ?? "incomplete";
  } catch {
    return undefined; // a WebSocket, or no leg at all
  }
}
