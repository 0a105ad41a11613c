import type { Duplex } from "node:stream";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { UnavailableError } from "../keys/errors.ts";
import type { Role } from "../keys/names.ts";
import { encodeLegHello, type LegStatus } from "../protocol/leg-hello.ts";
import { HELLO_MS, UNPAIRED_LEG_MS } from "../protocol/limits.ts";
import {
  formatRendezvousAddress,
  parseRendezvousAddress,
  type RendezvousAddress,
} from "../protocol/rendezvous-address.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import { ConnectError, connectFirst } from "./connect.ts";
import { readLegAnswer } from "./leg-answer.ts";
import { LegStream } from "./leg-stream.ts";

export { isPrivateAddress } from "./ip-address.ts";
export { lookAtRendezvous } from "./look.ts";

export interface DialLegOptions {
  readonly suite: CipherSuite;
  /** As the directory signed it. */
  readonly ticket: Uint8Array;
  /** The ticket's entries that a root-signed statement agrees with, in the ticket's order. */
  readonly entries: readonly TicketEntry[];
  /** 16 bytes. */
  readonly sid: Uint8Array;
  readonly legKey: Ed25519PrivateKey;
  readonly role: Role;
  /** A number higher than all that this end has used in this session; asked for once per hello. */
  readonly nextDial: () => number;
  /** Whether loopback, link-local and private addresses are dialled. */
  readonly allowPrivate: boolean;
  /** Ends the dial, and the wait for the other end; once `joined`, the socket is its user's to end. */
  readonly signal: AbortSignal;
}

export interface Leg {
  /**
   * Bytes to and from the other end. What is written before `joined` goes ahead as early data, up to 64 KiB. It may be
   * half-closed. That it ends does not tell why: a rendezvous that loses the other end ends this one as well. Nobody
   * needs to listen for its `error`; after one, as after its last byte, it closes.
   */
  readonly socket: Duplex;
  /** Fulfilled when the other end is there. Rejected with {UnavailableError} E_RENDEZVOUS, or the signal's reason. */
  readonly joined: Promise<void>;
  /** The rendezvous dialled last. */
  readonly rendezvous: Ed25519PublicKey;
}

/** One address of one of the ticket's rendezvous. */
interface Place {
  readonly entry: TicketEntry;
  readonly address: RendezvousAddress;
}

/**
 * Brings this end's leg to a rendezvous of the ticket: to the first address that answers, each with a short head start
 * over the next. One that has restarted is dialled again with its new boot, once; one that closes without a word is
 * given up for the others.
 * @throws {UnavailableError} E_RENDEZVOUS when none can be connected to, E_NO_RENDEZVOUS when there is none; the signal's
 * reason when it is aborted.
 */
export async function dialLeg(options: DialLegOptions): Promise<Leg> {
  const { entries, signal } = options;
  const places = entries.flatMap((entry) =>
    entry.addresses.map((address) => ({ entry, address: parseRendezvousAddress(address) })),
  );
  if (places.length === 0) {
    throw new UnavailableError("E_NO_RENDEZVOUS", "No rendezvous of the ticket is vouched for by the directory.", {
      next: "Try again; if it stays so, whoever runs the directory should look at `sshnp-directory rendezvous ls`.",
    });
  }
  return new DialledLeg(options, places, await connectAny(places, options, signal));
}

class DialledLeg implements Leg {
  readonly socket: LegStream = new LegStream();
  readonly joined: Promise<void>;
  readonly #options: DialLegOptions;
  #place: Place;

  constructor(options: DialLegOptions, places: readonly Place[], first: Connection) {
    this.#options = options;
    this.#place = first.place;
    this.joined = this.#meet(places, first);
    this.joined.catch((error: unknown) => this.socket.destroy(error instanceof Error ? error : undefined));
  }

  get rendezvous(): Ed25519PublicKey {
    return this.#place.entry.key;
  }

  async #meet(places: readonly Place[], first: Connection): Promise<void> {
    const destroyed = new AbortController();
    this.socket.once("close", () => destroyed.abort(cut()));
    const { signal: given } = this.#options;
    const signal = AbortSignal.any([given, destroyed.signal]);

    let connection = first;
    let left = places;
    let boot: Uint8Array | undefined;
    for (;;) {
      const { place, stream } = connection;
      this.#place = place;
      this.socket.start(stream, this.#hello(place.entry, boot));
      const wait = AbortSignal.timeout(UNPAIRED_LEG_MS + HELLO_MS);
      const answer = await readLegAnswer(stream, AbortSignal.any([signal, wait])).catch((error: unknown) => {
        throw wait.aborted && !signal.aborted ? refusal(place, "unpaired") : error;
      });
      if (answer.status === "joined") return this.socket.join(answer.first);
      if (answer.status === "boot" && boot === undefined) {
        boot = answer.boot;
        connection = await connectAny([place], this.#options, signal);
      } else if (answer.status === "closed" && left.length > 1) {
        left = left.filter((other) => other !== place);
        boot = undefined;
        connection = await connectAny(left, this.#options, signal);
      } else {
        throw refusal(place, answer.status);
      }
    }
  }

  #hello({ key, boot }: TicketEntry, otherBoot: Uint8Array | undefined): Uint8Array {
    const { suite, legKey, ticket, sid, role, nextDial } = this.#options;
    const claim = { rendezvous: key, boot: otherBoot ?? boot, sid, role, dial: nextDial() };
    return encodeLegHello(suite, legKey, ticket, claim);
  }
}

interface Connection {
  readonly place: Place;
  readonly stream: Duplex;
}

async function connectAny(
  places: readonly Place[],
  { allowPrivate }: DialLegOptions,
  signal: AbortSignal,
): Promise<Connection> {
  try {
    return await connectFirst(places, { allowPrivate, signal });
  } catch (cause) {
    if (!(cause instanceof ConnectError)) throw cause;
    throw new UnavailableError("E_RENDEZVOUS", `Cannot reach the rendezvous ${cause.reasons.join(", nor ")}.`, {
      next: "Check this machine's network, and that sshnp-rendezvous runs there; both ends must be able to reach it.",
      cause,
    });
  }
}

const REFUSALS: Readonly<Record<Exclude<LegStatus, "joined"> | "closed", readonly [string, string]>> = {
  boot: ["restarts again and again", "Whoever runs it should look at its log."],
  malformed: ["does not understand this end", "Bring sshnp to the same version here and there."],
  ticket: ["does not accept the ticket", "Try again; if it stays so, compare its clock with the directory's."],
  elsewhere: ["is another one than the ticket names", "Try again; its address may have passed to another machine."],
  replayed: ["has seen this connection before", "Try again."],
  full: ["is full", "Try again in a minute; whoever runs it may add another."],
  unpaired: [
    "waited in vain for the other end",
    "Try again; if it stays so, the other end cannot reach the rendezvous.",
  ],
  replaced: ["has a newer connection of this end", "Nothing is to be done: that one goes on."],
  closed: ["closed the connection without an answer", "Try again; a proxy or firewall in between may have cut it."],
};

function refusal({ address }: Place, status: keyof typeof REFUSALS): UnavailableError {
  const [fact, next] = REFUSALS[status];
  return new UnavailableError("E_RENDEZVOUS", `The rendezvous ${formatRendezvousAddress(address)} ${fact}.`, { next });
}

function cut(): UnavailableError {
  return new UnavailableError("E_RENDEZVOUS", "The connection to the rendezvous was given up.", { next: "Try again." });
}
