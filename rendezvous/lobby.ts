import { hex } from "../keys/bytes.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { Role } from "../keys/names.ts";
import type { LegHello } from "../protocol/leg-hello.ts";
import { ARRIVING_LEAST_MS, EARLY_DATA_BYTES, HELLO_MS, REFUSED_LEG_MS, UNPAIRED_LEG_MS } from "../protocol/limits.ts";
import type { Ticket } from "../protocol/ticket.ts";
import { HelloJudge, type Refusal, type RendezvousSelf } from "./hello-verdict.ts";
import { type LobbyLimits, USUAL_LIMITS } from "./lobby-limits.ts";
import { Origins } from "./origins.ts";
import type { Instant, LegId, LobbyAction, LobbyEvent } from "./lobby-events.ts";

/** Legs of one session, known by session id and leg key. It is remembered until no ticket of it can be used again. */
interface Session {
  readonly unpaired: Partial<Record<Role, LegId>>;
  readonly joined: Set<LegId>;
  /** The highest dial accepted from each end. */
  readonly dials: Partial<Record<Role, number>>;
  /** ms since 1970 UTC. */
  expires: number;
}

type LegState =
  /** With a hello: it waits for a newer key list. */
  | { readonly kind: "arriving"; readonly hello?: LegHello }
  | { readonly kind: "unpaired"; readonly session: Session; readonly role: Role }
  | { readonly kind: "joined"; readonly session: Session }
  | { readonly kind: "refused" };

interface Leg {
  readonly origin: string | undefined;
  state: LegState;
  /** Bytes held until it is joined. */
  early: number;
}

const WAIT_MS = { arriving: HELLO_MS, unpaired: UNPAIRED_LEG_MS, refused: REFUSED_LEG_MS } as const;
const SWEEP_MS = 60_000;
const OTHER: Readonly<Record<Role, Role>> = { client: "device", device: "client" };
/**
 * Who may meet whom at a rendezvous. Every socket is a leg here from its first moment to its last; the lobby decides
 * which two are joined, which are refused and when none waits any longer. It knows tickets, keys and numbers, but no names.
 *
 * A session's two ends each count their dials. A dial not higher than one accepted before is a replay; a higher one
 * takes the place of that end's unpaired leg, or ends what was joined, since whoever dials anew has given that up.
 *
 * Where there are too many of a kind, the one that has waited longest makes room for the newest: an honest leg needs a
 * moment and a round trip, so it is those who mean to stay that go, and nobody can shut others out by waiting, nor by sessions
 * on which nothing happens, of which each address has a share. Thousands
 * may arrive at once, so a leg without a hello has ARRIVING_LEAST_MS before it makes room, as long as there is any.
 */
export class Lobby {
  readonly #judge: HelloJudge;
  readonly #limits: LobbyLimits;
  readonly #legs = new Map<LegId, Leg>();
  /** When (monotonic ms) a wait ends; each in the order of time, as all waits of a kind are of one length. */
  readonly #waits = {
    arriving: new Map<LegId, number>(),
    unpaired: new Map<LegId, number>(),
    refused: new Map<LegId, number>(),
  };
  readonly #origins: Origins;
  readonly #sessions = new Map<string, Session>();
  #sweepAt = 0;
  /** Those of which bytes are held; who began first comes first. */
  readonly #withEarly = new Set<LegId>();
  #earlyBytes = 0;

  constructor(self: RendezvousSelf, limits: LobbyLimits = USUAL_LIMITS) {
    this.#judge = new HelloJudge(self);
    this.#limits = limits;
    this.#origins = new Origins(limits);
  }

  /** Legs with a socket now; of them those without a verdict on their hello, and those that wait for their other one. */
  get counts(): { readonly legs: number; readonly arriving: number; readonly unpaired: number } {
    return { legs: this.#legs.size, arriving: this.#waits.arriving.size, unpaired: this.#waits.unpaired.size };
  }

  handle(event: LobbyEvent, now: Instant): LobbyAction[] {
    switch (event.type) {
      case "arrive":
        return this.#arrive(event.leg, event.origin, now);
      case "hello":
        return this.#hello(event.leg, event.hello, now);
      case "malformed":
        return this.#isArriving(event.leg) ? [this.#refuse(event.leg, "malformed", now)] : [];
      case "early":
        return this.#early(event.leg, event.bytes, now);
      case "closed":
        this.#forget(event.leg);
        return [];
      case "keys":
        return this.#useKeys(event.ticketKeys, event.expires, now);
      case "tick":
        return this.#tick(now);
    }
  }

  #arrive(id: LegId, origin: string | undefined, now: Instant): LobbyAction[] {
    const { arriving, refused } = this.#waits;
    if (!this.#origins.arrive(origin, now.monotonic)) return [{ type: "cut", leg: id }];
    const hadItsMoment = (until: number): boolean => now.monotonic - (until - WAIT_MS.arriving) >= ARRIVING_LEAST_MS;
    const actions = [
      ...this.#makeRoom(arriving, this.#limits.arriving, hadItsMoment),
      ...this.#makeRoom(arriving, this.#limits.arrivingAtMost),
      ...this.#makeRoom(refused, this.#limits.refused),
    ];
    this.#legs.set(id, { origin, state: { kind: "arriving" }, early: 0 });
    arriving.set(id, now.monotonic + WAIT_MS.arriving);
    return actions;
  }

  /** Cuts the legs that have waited longest, until one more fits or none is left that may be cut. */
  #makeRoom(
    waits: ReadonlyMap<LegId, number>,
    most: number,
    mayBeCut: (until: number) => boolean = () => true,
  ): LobbyAction[] {
    const actions: LobbyAction[] = [];
    for (const [leg, until] of waits) {
      if (waits.size < most || !mayBeCut(until)) break;
      actions.push({ type: "cut", leg });
      this.#forget(leg);
    }
    return actions;
  }

  #hello(id: LegId, hello: LegHello, now: Instant): LobbyAction[] {
    if (!this.#isArriving(id)) return [];
    const verdict = this.#judge.judge(hello, now.time);
    if (verdict === "unknownKey") {
      this.#leg(id).state = { kind: "arriving", hello };
      return [{ type: "askForKeys" }];
    }
    return "refusal" in verdict
      ? [this.#refuse(id, verdict.refusal, now)]
      : this.#admit(id, verdict.ticket, hello, now);
  }

  #admit(id: LegId, ticket: Ticket, { role, dial }: LegHello, now: Instant): LobbyAction[] {
    const key = hex(ticket.sid) + hex(ticket.legKey.bytes);
    let session = this.#sessions.get(key);
    if (session === undefined) {
      if (this.#sessions.size >= this.#limits.sessions) return [this.#refuse(id, "full", now)];
      session = { unpaired: {}, joined: new Set(), dials: {}, expires: ticket.expires };
      this.#sessions.set(key, session);
    }
    if (dial <= (session.dials[role] ?? -1)) return [this.#refuse(id, "replayed", now)];
    session.dials[role] = dial;
    session.expires = Math.max(session.expires, ticket.expires);

    const actions: LobbyAction[] = [];
    const before = session.unpaired[role];
    if (before !== undefined) actions.push(this.#refuse(before, "replaced", now));
    for (const leg of session.joined) {
      actions.push({ type: "cut", leg });
      this.#forget(leg);
    }
    const other = session.unpaired[OTHER[role]];
    if (other === undefined) {
      for (const [longest] of this.#waits.unpaired) {
        if (this.#waits.unpaired.size < this.#limits.unpaired) break;
        actions.push(this.#refuse(longest, "full", now));
      }
      session.unpaired[role] = id;
      this.#enter(id, { kind: "unpaired", session, role }, now);
      return actions;
    }
    this.#enter(other, { kind: "joined", session }, now);
    this.#enter(id, { kind: "joined", session }, now);
    const pair = role === "client" ? { client: id, device: other } : { client: other, device: id };
    return [...actions, { type: "join", sid: ticket.sid, ...pair }];
  }

  #early(id: LegId, bytes: number, now: Instant): LobbyAction[] {
    const leg = this.#legs.get(id);
    if (leg?.state.kind !== "unpaired" && leg?.state.kind !== "arriving") return [];
    leg.early += bytes;
    this.#earlyBytes += bytes;
    this.#withEarly.add(id);
    if (leg.early > EARLY_DATA_BYTES) return [this.#refuse(id, "malformed", now)];
    const actions: LobbyAction[] = [];
    while (this.#earlyBytes > this.#limits.early) actions.push(this.#refuse(this.#holderOfMost(), "full", now));
    return actions;
  }

  /** The leg of which most is held, of several the first: an honest one sends little ahead. */
  #holderOfMost(): LegId {
    let most: { readonly id: LegId; readonly early: number } | undefined;
    for (const id of this.#withEarly) {
      const { early } = this.#leg(id);
      if (most === undefined || early > most.early) most = { id, early };
    }
    if (most === undefined) throw new Error("broken invariant: bytes are held of somebody");
    return most.id;
  }

  #useKeys(ticketKeys: readonly Ed25519PublicKey[], expires: number, now: Instant): LobbyAction[] {
    this.#judge.use(ticketKeys, expires);
    return [...this.#waits.arriving.keys()].flatMap((id) => {
      const { state } = this.#leg(id);
      if (state.kind !== "arriving" || state.hello === undefined) return [];
      const actions = this.#hello(id, state.hello, now);
      return actions.some(({ type }) => type === "askForKeys") ? [this.#refuse(id, "ticket", now)] : actions;
    });
  }

  #tick(now: Instant): LobbyAction[] {
    const actions: LobbyAction[] = [];
    for (const id of overdue(this.#waits.refused, now)) {
      actions.push({ type: "cut", leg: id });
      this.#forget(id);
    }
    for (const id of overdue(this.#waits.unpaired, now)) actions.push(this.#refuse(id, "unpaired", now));
    for (const id of overdue(this.#waits.arriving, now)) {
      const { state } = this.#leg(id);
      const hasHello = state.kind === "arriving" && state.hello !== undefined;
      actions.push(this.#refuse(id, hasHello ? "ticket" : "malformed", now));
    }
    if (now.monotonic >= this.#sweepAt) {
      this.#sweepAt = now.monotonic + SWEEP_MS;
      this.#origins.sweep(now.monotonic);
      for (const [key, session] of this.#sessions) {
        if (now.time >= session.expires && !isAlive(session)) this.#sessions.delete(key);
      }
    }
    return actions;
  }

  #refuse(id: LegId, status: Refusal, now: Instant): LobbyAction {
    this.#enter(id, { kind: "refused" }, now);
    return { type: "refuse", leg: id, status };
  }

  /** Takes a leg from the state it is in to another. */
  #enter(id: LegId, state: Exclude<LegState, { kind: "arriving" }>, now: Instant): void {
    const leg = this.#leg(id);
    this.#leave(id, leg);
    leg.state = state;
    if (state.kind !== "unpaired") this.#dropEarly(id, leg);
    if (state.kind === "joined") {
      state.session.joined.add(id);
      this.#origins.joined(leg.origin);
    } else {
      this.#waits[state.kind].set(id, now.monotonic + WAIT_MS[state.kind]);
    }
  }

  #forget(id: LegId): void {
    const leg = this.#legs.get(id);
    if (leg === undefined) return;
    this.#leave(id, leg);
    this.#dropEarly(id, leg);
    this.#origins.gone(leg.origin, { waited: leg.state.kind !== "joined" });
    this.#legs.delete(id);
  }

  #leave(id: LegId, { state }: Leg): void {
    if (state.kind === "joined") state.session.joined.delete(id);
    else this.#waits[state.kind].delete(id);
    if (state.kind === "unpaired") delete state.session.unpaired[state.role];
  }

  #dropEarly(id: LegId, leg: Leg): void {
    this.#withEarly.delete(id);
    this.#earlyBytes -= leg.early;
    leg.early = 0;
  }

  #isArriving(id: LegId): boolean {
    return this.#legs.get(id)?.state.kind === "arriving";
  }

  #leg(id: LegId): Leg {
    const leg = this.#legs.get(id);
    if (leg === undefined) throw new Error("broken invariant: a leg that waits is known");
    return leg;
  }
}

/** Legs whose wait is over. The map may be changed while they are taken. */
function* overdue(waits: ReadonlyMap<LegId, number>, now: Instant): Generator<LegId, void, void> {
  for (const [id, deadline] of waits) {
    if (deadline > now.monotonic) return;
    yield id;
  }
}

function isAlive({ unpaired, joined }: Session): boolean {
  return joined.size > 0 || unpaired.client !== undefined || unpaired.device !== undefined;
}
