import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import {
  bindChannel,
  type BindOptions,
  type ChannelBinding,
  type Clock,
} from "../../../protocol/channel/bind-channel.ts";
import type { ChannelStream } from "../../../protocol/channel/stream-adapter.ts";
import { newChannel } from "./pair.ts";

export const realClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, action) => {
    const timer = setTimeout(action, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Time that passes when told to. */
export class HandClock implements Clock {
  #now = 0;
  readonly #timers = new Map<object, { at: number; action: () => void }>();

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, action: () => void): () => void {
    const key = {};
    this.#timers.set(key, { at: this.#now + milliseconds, action });
    return () => this.#timers.delete(key);
  }

  get waiting(): number {
    return this.#timers.size;
  }

  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.#now = next[1].at;
      next[1].action();
    }
    this.#now = end;
  }
}

/** A socket whose other side is the test: what is written to it waits until the test takes it. */
export class HandPipe extends Duplex {
  #written: Uint8Array[] = [];
  #taken: () => void = () => {};

  override _read(): void {}

  override _writev(chunks: { chunk: Uint8Array }[], callback: () => void): void {
    this.#written = chunks.map(({ chunk }) => chunk);
    this.#taken = callback;
  }

  /** What was written and not yet taken; room for the next write. */
  takeWritten(): Uint8Array {
    const bytes = Buffer.concat(this.#written);
    const taken = this.#taken;
    this.#written = [];
    this.#taken = () => {};
    taken();
    return bytes;
  }

  /** Resolves when whoever reads this socket has read `bytes`. */
  async deliver(bytes: Uint8Array): Promise<void> {
    this.push(bytes);
    await new Promise(setImmediate);
  }
}

/** A client and a device on the two ends of a TCP connection. */
export class BoundEnds implements AsyncDisposable {
  readonly clientSocket: Socket;
  readonly deviceSocket: Socket;
  readonly client: ChannelBinding;
  readonly device: ChannelBinding;
  /** What the device does about a stream that it is asked for. */
  onOpen: (stream: ChannelStream) => void = () => {};
  onPong: () => void = () => {};
  onConfirmed: () => void = () => {};

  constructor(clientSocket: Socket, deviceSocket: Socket, options: EndsOptions) {
    this.clientSocket = clientSocket;
    this.deviceSocket = deviceSocket;
    const defaults = { signal: new AbortController().signal, clock: realClock };
    const device = options.device ?? { onOpen: (stream: ChannelStream) => this.onOpen(stream) };
    this.device = bindChannel(newChannel("device"), deviceSocket, { ...defaults, ...device });
    this.client = bindChannel(newChannel("client"), clientSocket, {
      ...defaults,
      ...options.client,
      onConfirmed: () => this.onConfirmed(),
      onPong: (roundTripMs) => {
        options.client?.onPong?.(roundTripMs);
        this.onPong();
      },
    });
  }

  /** A stream that the device has accepted, on both sides. One at a time. */
  async openPair(): Promise<[near: ChannelStream, far: ChannelStream]> {
    const requested = this.nextOpen();
    const near = this.client.open("ssh");
    const far = await requested;
    far.accept();
    await near.opened;
    return [near, far];
  }

  /** The next stream that the device is asked for. */
  nextOpen(): Promise<ChannelStream> {
    return new Promise((resolve) => {
      this.onOpen = resolve;
    });
  }

  /** Resolves when a PING of the client's came back: all that was sent before it has arrived. */
  pong(ping: () => void = () => this.client.ping()): Promise<void> {
    return new Promise((resolve) => {
      this.onPong = resolve;
      ping();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.deviceSocket.destroy();
    this.clientSocket.destroy();
    await Promise.all([this.client.closed, this.device.closed]);
  }
}

export interface EndsOptions {
  readonly client?: Partial<BindOptions>;
  /** Given, they replace `onOpen` of the ends too. */
  readonly device?: Partial<BindOptions>;
  /** Runs before the two have heard of each other. */
  readonly atOnce?: (ends: BoundEnds) => void;
}

/** The ends once the client has heard from the device, or has ended. */
export async function boundEnds(options: EndsOptions = {}): Promise<BoundEnds> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const clientSocket = connect({ port: portOf(server), host: "127.0.0.1", allowHalfOpen: true });
  const [deviceSocket] = await accepted;
  server.close();
  const ends = new BoundEnds(clientSocket, deviceSocket, options);
  const confirmed = new Promise<void>((resolve) => {
    ends.onConfirmed = resolve;
  });
  options.atOnce?.(ends);
  await Promise.race([confirmed, ends.client.closed]);
  return ends;
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
