import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { isIP, Socket } from "node:net";
import { DIAL_STAGGER_MS, DIRECTORY_CONNECT_MS, REDIAL_MS } from "../../protocol/limits.ts";
import { NobodyThereError } from "./nobody-there.ts";

export interface Place {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Connects by TCP. As long as nothing comes back another attempt is begun beside those under way, at the next address of
 * the host: soon while there are addresses that were not tried yet, then every REDIAL_MS. For a kernel asks again after
 * 1, 2, 4 ... s alone, so that a network that returns would go unnoticed for longer the longer it was away; and Node gives
 * each but the last address of a host no more than 250 ms, less than a satellite's round trip.
 * @throws {NobodyThereError} when an answer says so, or none has come for `limitMs`; the signal's reason.
 */
export async function connectPersistently(
  place: Place,
  signal: AbortSignal,
  limitMs = DIRECTORY_CONNECT_MS,
): Promise<Socket> {
  signal.throwIfAborted();
  const addresses = await addressesOf(place.host, signal, limitMs);
  signal.throwIfAborted();
  return await new Promise((resolve, reject) => {
    new Attempts(addresses, place.port, { signal, limitMs }, { resolve, reject });
  });
}

interface Bounds {
  readonly signal: AbortSignal;
  readonly limitMs: number;
}

interface Outcome {
  resolve(socket: Socket): void;
  reject(error: unknown): void;
}

/** All attempts at one place, the first of which that connects is the one that counts. */
class Attempts {
  readonly #addresses: readonly string[];
  readonly #port: number;
  readonly #signal: AbortSignal;
  readonly #done: Outcome;
  readonly #sockets = new Set<Socket>();
  readonly #failed = new Set<string>();
  readonly #deadline: NodeJS.Timeout;
  readonly #abort = (): void => this.#end(() => this.#done.reject(this.#signal.reason));
  #next: NodeJS.Timeout | undefined;
  #begun = 0;

  constructor(addresses: readonly string[], port: number, { signal, limitMs }: Bounds, done: Outcome) {
    this.#addresses = addresses;
    this.#port = port;
    this.#signal = signal;
    this.#done = done;
    this.#deadline = setTimeout(() => this.#fail(new NobodyThereError("ETIMEDOUT")), limitMs);
    signal.addEventListener("abort", this.#abort, { once: true });
    this.#begin();
  }

  #begin(): void {
    clearTimeout(this.#next);
    const host = this.#nextAddress();
    if (host === undefined) return;
    this.#next = setTimeout(() => this.#begin(), this.#begun < this.#addresses.length ? DIAL_STAGGER_MS : REDIAL_MS);
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once("connect", () => {
      this.#sockets.delete(socket);
      socket.removeAllListeners("error").on("error", () => {}); // its close tells whoever has it then
      this.#end(() => this.#done.resolve(socket));
    });
    socket.on("error", (error) => this.#refused(socket, host, error));
    socket.connect({ host, port: this.#port }).setNoDelay(true);
  }

  /** In their order, round and round, those that have said no left out. */
  #nextAddress(): string | undefined {
    for (let looked = 0; looked < this.#addresses.length; looked++) {
      const address = this.#addresses[this.#begun++ % this.#addresses.length];
      if (address !== undefined && !this.#failed.has(address)) return address;
    }
    return undefined;
  }

  /** One address has said no, which it would say again. */
  #refused(socket: Socket, host: string, error: Error): void {
    if (!this.#sockets.delete(socket)) return;
    this.#failed.add(host);
    if (this.#addresses.every((address) => this.#failed.has(address))) {
      this.#fail(new NobodyThereError("code" in error ? String(error.code) : error.message, { cause: error }));
    } else {
      this.#begin();
    }
  }

  #fail(error: Error): void {
    this.#end(() => this.#done.reject(error));
  }

  #end(finish: () => void): void {
    clearTimeout(this.#next);
    clearTimeout(this.#deadline);
    this.#signal.removeEventListener("abort", this.#abort);
    const others = [...this.#sockets];
    this.#sockets.clear();
    for (const socket of others) socket.destroy();
    finish();
  }
}

/** The system's resolver may take half a minute where nothing answers it, and cannot be told to stop: it is left alone then. */
async function addressesOf(host: string, signal: AbortSignal, limitMs: number): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const ended = once(limit, "abort").then(() => Promise.reject(new NobodyThereError("EAI_AGAIN")));
  try {
    const found = await Promise.race([lookup(host, { all: true }), ended]);
    return found.map(({ address }) => address);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof NobodyThereError) throw error;
    throw new NobodyThereError(error instanceof Error && "code" in error ? String(error.code) : "ENOTFOUND", {
      cause: error,
    });
  }
}
