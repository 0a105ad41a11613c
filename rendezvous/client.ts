import type { Duplex } from "node:stream";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { UnavailableError } from "../keys/errors.ts";
import type { Role } from "../keys/names.ts";
import { parseRendezvousAddress } from "../protocol/rendezvous-address.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import { LegStream } from "./leg-stream.ts";
import { meet } from "./meeting.ts";
import { type Connection, connectAny, type Place, visit } from "./visit.ts";

export { isPrivateAddress } from "./ip-address.ts";
export { DistanceTable } from "./distance-table.ts";
export { measureRendezvous } from "./measure.ts";
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
  /** Told when a TLS certificate does not verify, which stops nothing. */
  readonly warn?: ((text: string) => void) | undefined;
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
  /** Fulfilled when the other end is there; of a client that waits at several rendezvous, when it has spoken. Rejected with {UnavailableError} E_RENDEZVOUS, or the signal's reason. */
  readonly joined: Promise<void>;
  /** The rendezvous where they have met; before that, the one reached first. */
  readonly rendezvous: Ed25519PublicKey;
  /** The first address that the ticket has of it. */
  readonly address: string;
}

/**
 * Brings this end's leg to a rendezvous of the ticket: to the first address that answers, each with a short head start
 * over the next; and to the others as well when the other end does not come there soon, or it is no good (meeting.ts).
 * One that has restarted is dialled again with its new boot, once.
 * @throws {UnavailableError} E_RENDEZVOUS when none can be connected to, E_NO_RENDEZVOUS when there is none; {DeniedError}
 * E_PROXY_AUTH; {SetupError} E_USAGE for a variable that names no proper proxy; the signal's reason when it is aborted.
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
  #rendezvous: Ed25519PublicKey;

  constructor(options: DialLegOptions, places: readonly Place[], first: Connection) {
    this.#options = options;
    this.#rendezvous = first.place.entry.key;
    this.joined = this.#meet(options, places, first);
    this.joined.catch((error: unknown) => this.socket.destroy(error instanceof Error ? error : undefined));
  }

  get rendezvous(): Ed25519PublicKey {
    return this.#rendezvous;
  }

  get address(): string {
    return this.#options.entries.find(({ key }) => key.equals(this.#rendezvous))?.addresses[0] ?? "";
  }

  async #meet(options: DialLegOptions, places: readonly Place[], first: Connection): Promise<void> {
    const destroyed = new AbortController();
    this.socket.once("close", () => destroyed.abort(cut()));
    const { entry: reached } = first.place;
    this.#rendezvous = await meet({
      role: options.role,
      socket: this.socket,
      entries: [reached, ...options.entries.filter((entry) => entry !== reached && entry.addresses.length > 0)],
      visit: (entry, signal) => {
        const its = places.filter((place) => place.entry === entry);
        return visit(options, this.socket, its, entry === reached ? first : undefined, signal);
      },
      signal: AbortSignal.any([options.signal, destroyed.signal]),
    });
  }
}

function cut(): UnavailableError {
  return new UnavailableError("E_RENDEZVOUS", "The connection to the rendezvous was given up.", { next: "Try again." });
}
