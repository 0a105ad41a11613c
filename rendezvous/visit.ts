import type { Duplex } from "node:stream";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../keys/ed25519.ts";
import { DeniedError, UnavailableError } from "../keys/errors.ts";
import type { Role } from "../keys/names.ts";
import { encodeLegHello, type LegStatus } from "../protocol/leg-hello.ts";
import { HELLO_MS, OTHER_TRANSPORT_MS, UNPAIRED_LEG_MS } from "../protocol/limits.ts";
import { formatRendezvousAddress, type RendezvousAddress } from "../protocol/rendezvous-address.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import { ConnectError, connectFirst, type ConnectOptions } from "./connect.ts";
import { type LegAnswer, readLegAnswer } from "./leg-answer.ts";
import type { LegStream } from "./leg-stream.ts";
import type { Joined } from "./meeting.ts";

/** One address of one of the ticket's rendezvous. */
export interface Place {
  readonly entry: TicketEntry;
  readonly address: RendezvousAddress;
}

export interface Connection {
  readonly place: Place;
  readonly stream: Duplex;
}

/** What an end says and is. */
export interface Visitor extends Omit<ConnectOptions, "signal"> {
  readonly suite: CipherSuite;
  readonly ticket: Uint8Array;
  readonly sid: Uint8Array;
  readonly legKey: Ed25519PrivateKey;
  readonly role: Role;
  readonly nextDial: () => number;
}

/**
 * Brings a leg to one rendezvous, `places` being its addresses, and waits there to be joined. One that has restarted is dialled
 * again with its new boot, once; at an address that closes without a word, or answers what no rendezvous does, or over TCP stays
 * mute for OTHER_TRANSPORT_MS where there is one with TLS, it gives way to the other addresses. `first`: a connection to one of them that is there.
 * @throws {UnavailableError} E_RENDEZVOUS; {PeerError} E_PROTOCOL; {DeniedError} E_PROXY_AUTH; the signal's reason.
 */
export async function visit(
  visitor: Visitor,
  socket: LegStream,
  places: readonly Place[],
  first: Connection | undefined,
  signal: AbortSignal,
): Promise<Joined> {
  let left = places;
  let boot: Uint8Array | undefined;
  let connection = first ?? (await connectAny(left, visitor, signal));
  for (;;) {
    const { place, stream } = connection;
    const others = left.filter((other) => other !== place);
    const secure = place.address.transport === "tcp" ? others.filter(isSecure) : [];
    try {
      socket.start(stream, hello(visitor, place.entry, boot));
      let answer = await answerWithin(stream, secure.length > 0 ? OTHER_TRANSPORT_MS : WHOLE_WAIT_MS, signal, others);
      if (answer === "late" && secure.length > 0) {
        const other = await connectAny(secure, visitor, signal).catch(() => undefined);
        if (other !== undefined && stream.readableLength === 0 && !stream.readableEnded) {
          left = secure;
          connection = other;
          socket.giveUp(stream);
          continue;
        }
        other?.stream.destroy();
        answer = await answerWithin(stream, WHOLE_WAIT_MS - OTHER_TRANSPORT_MS, signal, []);
      }
      if (answer === "late") throw refusal(place, "unpaired");
      if (answer.status === "joined") return { stream, first: answer.first };
      if (answer.status === "boot" && boot === undefined) {
        boot = answer.boot;
        connection = await connectAny([place], visitor, signal);
      } else if (answer.status === "closed" && others.length > 0) {
        left = others;
        boot = undefined;
        connection = await connectAny(left, visitor, signal);
      } else {
        throw refusal(place, answer.status);
      }
    } catch (error) {
      socket.giveUp(stream);
      throw error;
    }
    socket.giveUp(stream);
  }
}

const WHOLE_WAIT_MS = UNPAIRED_LEG_MS + HELLO_MS;

/** @throws {UnavailableError} E_RENDEZVOUS with each address and why; {DeniedError} E_PROXY_AUTH; the signal's reason. */
export async function connectAny(
  places: readonly Place[],
  { allowPrivate, warn }: Pick<Visitor, "allowPrivate" | "warn">,
  signal: AbortSignal,
): Promise<Connection> {
  try {
    return await connectFirst(places, { allowPrivate, warn, signal });
  } catch (cause) {
    if (!(cause instanceof ConnectError)) throw cause;
    if (cause.cause instanceof DeniedError) throw cause.cause;
    throw new UnavailableError("E_RENDEZVOUS", `Cannot reach the rendezvous ${cause.reasons.join(", nor ")}.`, {
      next: "Check this machine's network, and that sshnp-rendezvous runs there; both ends must be able to reach it. Where nothing but port 443 gets out: docs/networks.md",
      cause,
    });
  }
}

function isSecure({ address }: Place): boolean {
  return address.transport === "wss";
}

/** Where there are other addresses, rubbish is no more than a reason to go there. */
async function answerWithin(
  stream: Duplex,
  ms: number,
  signal: AbortSignal,
  others: readonly Place[],
): Promise<LegAnswer | "late"> {
  const wait = AbortSignal.timeout(ms);
  return await readLegAnswer(stream, AbortSignal.any([signal, wait])).catch((error: unknown) => {
    signal.throwIfAborted();
    if (wait.aborted) return "late" as const;
    if (others.length > 0) return { status: "closed" } as const;
    throw error;
  });
}

function hello(visitor: Visitor, { key, boot }: TicketEntry, otherBoot: Uint8Array | undefined): Uint8Array {
  const { suite, legKey, ticket, sid, role, nextDial } = visitor;
  const claim = { rendezvous: key, boot: otherBoot ?? boot, sid, role, dial: nextDial() };
  return encodeLegHello(suite, legKey, ticket, claim);
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
