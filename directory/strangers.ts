import type { Socket } from "node:net";
import { CONNECTIONS_PER_ADDRESS, STRANGER_LOOKS, STRANGERS, STRANGERS_PER_ADDRESS } from "../protocol/limits.ts";
import { isLoopback, networkOf } from "../protocol/network-of.ts";

interface Stranger {
  readonly socket: Socket;
  /** The number of the look before it came. */
  readonly since: number;
  readonly crowds: readonly Crowd[];
  readonly onClose: () => void;
}

/** Strangers that make room for each other, in the order in which they came: all, or those of one address. */
interface Crowd {
  readonly members: Set<Stranger>;
  /** That may be as silent as they like. */
  readonly few: number;
  /** At any moment. */
  readonly most: number;
}

/**
 * The connections that have proved nothing yet: whoever has said a hello that holds, or sent a message as a member of the
 * directory, is none. The one that came first makes room: where there are more than a few, once it has had its time to speak,
 * and where they would take more than half of what connections there may be, at once. So nobody can shut others out by
 * keeping silent, and a herd over a slow line, each of which needs a round trip or two, gets in.
 *
 * That time is counted in looks of the directory and not in milliseconds: between two looks it has read all that had
 * come, so nobody is given up because it is the directory that is slow.
 */
export class Strangers {
  /** By their ends, since TLS gives those who speak another socket than the one that was accepted. */
  readonly #strangers = new Map<string, Stranger>();
  readonly #all: Crowd;
  readonly #networks = new Map<string, Crowd>();
  readonly #onRoom: () => void;
  #looks = 0;

  /** `connections`: how many there may be in all. `onRoom` is called for each that makes room. */
  constructor(connections: number, onRoom: () => void = () => {}) {
    this.#all = crowd(STRANGERS, connections);
    this.#onRoom = onRoom;
  }

  get size(): number {
    return this.#strangers.size;
  }

  add(socket: Socket): void {
    const end = endsOf(socket);
    if (this.#strangers.get(end)?.socket.destroyed === true) this.#forget(end); // its close is yet to be told
    if (socket.destroyed || this.#strangers.has(end)) return;
    const crowds = this.#crowdsOf(socket);
    const stranger = { socket, since: this.#looks, crowds, onClose: () => this.#forget(end) };
    this.#strangers.set(end, stranger);
    socket.once("close", stranger.onClose);
    for (const each of crowds) {
      each.members.add(stranger);
      this.#makeRoom(each);
    }
  }

  /** It has proved who it is. */
  remove(socket: Socket): void {
    this.#forget(endsOf(socket));
  }

  /** To be called every STRANGER_LOOK_MS, or later where the directory has too much to do. */
  look(): void {
    this.#looks += 1;
    this.#makeRoom(this.#all);
    for (const [network, each] of this.#networks) {
      this.#makeRoom(each);
      if (each.members.size === 0) this.#networks.delete(network);
    }
  }

  #makeRoom({ members, few, most }: Crowd): void {
    for (const { socket, since, onClose } of members) {
      const hasHadItsTime = this.#looks - since >= STRANGER_LOOKS;
      if (members.size <= (hasHadItsTime ? few : most)) return;
      onClose();
      socket.destroy();
      this.#onRoom();
    }
  }

  /** An address that is this machine's tells nothing: behind a reverse proxy it is everybody's. */
  #crowdsOf({ remoteAddress = "" }: Socket): readonly Crowd[] {
    if (isLoopback(remoteAddress)) return [this.#all];
    const network = networkOf(remoteAddress);
    const own = this.#networks.get(network) ?? crowd(STRANGERS_PER_ADDRESS, CONNECTIONS_PER_ADDRESS);
    this.#networks.set(network, own);
    return [this.#all, own];
  }

  #forget(end: string): void {
    const stranger = this.#strangers.get(end);
    if (stranger === undefined) return;
    this.#strangers.delete(end);
    stranger.socket.off("close", stranger.onClose);
    for (const { members } of stranger.crowds) members.delete(stranger);
  }
}

function crowd(few: number, connections: number): Crowd {
  const most = Math.floor(connections / 2);
  return { members: new Set(), few: Math.min(few, most), most };
}

function endsOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
}
