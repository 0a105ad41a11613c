import type { Socket } from "node:net";
import { STRANGER_TURNS, STRANGERS, STRANGERS_PER_ADDRESS } from "../protocol/limits.ts";
import { isLoopback, networkOf } from "./rate-limit.ts";

/** When a stranger came, in turns of {@link Strangers}, and from where; undefined: the address tells nothing. */
interface Arrival {
  readonly turn: number;
  readonly network: string | undefined;
  readonly onClose: () => void;
}

/**
 * The connections that have proved nothing yet: whoever has said hello on a link or sent a message as a member of the
 * directory is none. Where there are too many, the one that has had longest makes room, so that nobody can shut others
 * out by keeping silent: an honest client needs a moment and a round trip.
 *
 * When thousands come back at once it is the directory that is slow, and none of them may be given up for that. So each
 * has some turns of the event loop, in which all that had come is read, before it counts as silent.
 */
export class Strangers {
  readonly #arrivals = new Map<Socket, Arrival>();
  readonly #counts = new Map<string, number>();
  readonly #most: number;
  #turn = 0;
  #isTurning = false;

  /** `connections`: how many there may be in all; strangers never take more than half of them. */
  constructor(connections: number) {
    this.#most = Math.min(STRANGERS, Math.floor(connections / 2));
  }

  get size(): number {
    return this.#arrivals.size;
  }

  add(socket: Socket): void {
    if (socket.destroyed || this.#arrivals.has(socket)) return;
    const address = socket.remoteAddress ?? "";
    const network = isLoopback(address) ? undefined : networkOf(address);
    const onClose = (): void => this.remove(socket);
    this.#arrivals.set(socket, { turn: this.#turn, network, onClose });
    if (network !== undefined) this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
    socket.once("close", onClose);
    if (network !== undefined && (this.#counts.get(network) ?? 0) > STRANGERS_PER_ADDRESS) this.#cutOldestOf(network);
    this.#turnWhileFull();
  }

  /** It has proved who it is, or is gone. */
  remove(socket: Socket): void {
    const arrival = this.#arrivals.get(socket);
    if (arrival === undefined) return;
    this.#arrivals.delete(socket);
    const { network, onClose } = arrival;
    socket.off("close", onClose);
    if (network === undefined) return;
    const left = (this.#counts.get(network) ?? 1) - 1;
    if (left > 0) this.#counts.set(network, left);
    else this.#counts.delete(network);
  }

  #cutOldestOf(network: string): void {
    for (const [socket, arrival] of this.#arrivals) if (arrival.network === network) return this.#cut(socket);
  }

  #turnWhileFull(): void {
    if (this.#isTurning || this.#arrivals.size <= this.#most) return;
    this.#isTurning = true;
    setImmediate(() => {
      this.#isTurning = false;
      this.#turn += 1;
      for (const [socket, { turn }] of this.#arrivals) {
        if (this.#arrivals.size <= this.#most || this.#turn - turn < STRANGER_TURNS) break;
        this.#cut(socket);
      }
      this.#turnWhileFull();
    });
  }

  #cut(socket: Socket): void {
    this.remove(socket);
    socket.destroy();
  }
}
