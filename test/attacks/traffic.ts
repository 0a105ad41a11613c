/** What attackers send with: sockets that nobody helps, at a rate that is bounded. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";

/** Ticks of a pace are joined in steps of this length, so that a fast one costs no timer each. */
const STEP_MS = 10;

/** Calls `act` so many times a second until `signal` is aborted; what could not be done in time is left out. */
export async function pace(perSecond: number, signal: AbortSignal, act: (n: number) => void): Promise<number> {
  let done = 0;
  let due = 0;
  let last = performance.now();
  while (!signal.aborted) {
    const now = performance.now();
    due = Math.min(due + ((now - last) * perSecond) / 1000, Math.max(1, (perSecond * 10 * STEP_MS) / 1000));
    last = now;
    for (; due >= 1; due--) act(done++);
    await delay(STEP_MS, undefined, { signal }).catch(() => {});
  }
  return done;
}

/** Sockets of one attack, of which the oldest go when there are too many; all go at its end. */
export class Sockets {
  readonly #most: number;
  readonly #open = new Set<Socket>();
  readonly #isEvicting: boolean;
  #isClosing = false;
  opened = 0;
  /** Those of them that are gone and that this side did not close. */
  closedByPeer = 0;

  /** `whenFull`: what an attacker does that has as many sockets as it wants. */
  constructor(most: number, whenFull: "close the oldest" | "wait" = "close the oldest") {
    this.#most = most;
    this.#isEvicting = whenFull === "close the oldest";
  }

  get size(): number {
    return this.#open.size;
  }

  *[Symbol.iterator](): Iterator<Socket> {
    yield* this.#open;
  }

  /** One more to a port of this machine, which reads and forgets what comes; undefined when there is no room. */
  open(port: number): Socket | undefined {
    if (this.#open.size >= this.#most) {
      if (!this.#isEvicting) return undefined;
      for (const oldest of this.#open) {
        oldest.destroy();
        this.#open.delete(oldest);
        break;
      }
    }
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#open.add(socket);
    this.opened++;
    return socket
      .on("error", () => {})
      .on("close", () => {
        if (!this.#isClosing && this.#open.delete(socket)) this.closedByPeer++;
      })
      .resume();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(
      [...this.#open].map(async (socket) => {
        if (!socket.closed) await once(socket.destroy(), "close");
      }),
    );
  }
}

/** Resolves when `signal` is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

/** The head of a WebSocket upgrade; frames may follow at once. */
export function upgradeTo(path: string): string {
  const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
  return `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`;
}

/** A frame of a client, RFC 6455 section 5.2, masked with zeros. `first`: FIN and opcode. `said`: another length than its own. */
export function webSocketFrame(first: number, payload: Buffer, said: number = payload.length): Buffer {
  const length =
    said < 126
      ? Buffer.of(0x80 | said)
      : said < 65_536
        ? Buffer.of(0xfe, said >> 8, said & 0xff)
        : Buffer.alloc(9, 0xff);
  if (said >= 65_536) length.writeBigUInt64BE(BigInt(said), 1);
  return Buffer.concat([Buffer.of(first), length, Buffer.alloc(4), payload]);
}

/** Sends `first` and then `again` without end, as fast as it is read, for as long as the socket is there. */
export function flood(socket: Socket, first: Buffer, again: Buffer): void {
  const fill = (): void => {
    while (!socket.destroyed && socket.write(again));
  };
  socket.on("drain", fill);
  socket.write(first);
  fill();
}

/** Does `act` again and again until `signal` is aborted, so many at a time; rejects when one does. */
export async function takeTurns(atOnce: number, signal: AbortSignal, act: (n: number) => Promise<void>): Promise<void> {
  let n = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (!signal.aborted) await act(n++);
    }),
  );
}
