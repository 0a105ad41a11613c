import { randomBytes } from "node:crypto";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import type { Role } from "../../keys/names.ts";
import { encodeLegHello, type LegHello, parseLegHello } from "../../protocol/leg-hello.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { signTicket, type TicketEntry } from "../../protocol/ticket.ts";

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

/** A directory's ticket key, and a rendezvous with its boot. */
export interface World {
  readonly suite: typeof suite;
  readonly ticketKey: Ed25519PrivateKey;
  readonly rendezvous: Ed25519PrivateKey;
  readonly boot: Uint8Array;
}

export function newWorld(): World {
  return { suite, ticketKey: newKey(), rendezvous: newKey(), boot: random(16) };
}

export function newKey(): Ed25519PrivateKey {
  return Ed25519PrivateKey.generate(suite, random);
}

export function newBoot(): Uint8Array {
  return random(16);
}

export interface SessionOptions {
  /** ms since 1970; an hour from now when not given. */
  readonly expires?: number;
  /** Where the rendezvous is; of use to dialLeg alone. */
  readonly addresses?: readonly string[];
  readonly entries?: readonly TicketEntry[];
  readonly ticketKey?: Ed25519PrivateKey;
  /** Another session than this one, with its sid or leg key. */
  readonly sid?: Uint8Array;
  readonly legKey?: Ed25519PrivateKey;
}

export interface Session {
  readonly sid: Uint8Array;
  readonly legKey: Ed25519PrivateKey;
  readonly entries: readonly TicketEntry[];
  readonly ticket: Uint8Array;
  /** The bytes of a hello for the world's rendezvous and boot, or for others. */
  readonly hello: (
    role: Role,
    dial: number,
    claim?: { boot?: Uint8Array; rendezvous?: Pick<Ed25519PrivateKey, "publicKey"> },
  ) => Uint8Array;
}

/** A session with a ticket of the world's directory for the world's rendezvous. */
export function newSession(world: World, options: SessionOptions = {}): Session {
  const sid = options.sid ?? random(16);
  const legKey = options.legKey ?? newKey();
  const addresses = options.addresses ?? ["tcp://np.example.org:7801"];
  const entries = options.entries ?? [{ key: world.rendezvous.publicKey, boot: world.boot, addresses }];
  const expires = options.expires ?? Date.now() + 3_600_000;
  const ticket = signTicket(suite, options.ticketKey ?? world.ticketKey, {
    sid,
    legKey: legKey.publicKey,
    entries,
    issued: expires - 3_600_000,
    expires,
  });
  const hello: Session["hello"] = (role, dial, { boot = world.boot, rendezvous = world.rendezvous } = {}) =>
    encodeLegHello(suite, legKey, ticket, { rendezvous: rendezvous.publicKey, boot, sid, role, dial });
  return { sid, legKey, entries, ticket, hello };
}

export function parsed(hello: Uint8Array): LegHello {
  const result = parseLegHello(hello);
  if (result === undefined) throw new Error("the hello is incomplete");
  return result.hello;
}
