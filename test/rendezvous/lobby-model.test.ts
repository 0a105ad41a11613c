import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Role } from "../../keys/names.ts";
import type { LegHello } from "../../protocol/leg-hello.ts";
import {
  ARRIVING_LEAST_MS,
  EARLY_DATA_BYTES,
  HELLO_MS,
  REFUSED_LEG_MS,
  UNPAIRED_LEG_MS,
} from "../../protocol/limits.ts";
import { Lobby } from "../../rendezvous/lobby.ts";
import type { Instant, LobbyAction, LobbyEvent } from "../../rendezvous/lobby-events.ts";
import { newSession, newWorld, parsed } from "./world.ts";

const START = 1_767_225_600_000; // 2026-01-01
const SESSIONS = 3;
const DIALS = 4;
const LIMITS = {
  arrivals: { perSecond: 1, burst: 1_000 },
  ...{ waitingPerOrigin: 4, legsPerOrigin: 5, arriving: 3, arrivingAtMost: 6, unpaired: 2, refused: 3, sessions: 2 },
  early: 2 * EARLY_DATA_BYTES,
};
const SWEEP_MS = 60_000; // how often the lobby forgets sessions whose ticket has expired

type Step =
  | { readonly do: "arrive"; readonly origin: string | undefined }
  | {
      readonly do: "hello";
      readonly pick: number;
      readonly session: number;
      readonly role: Role;
      readonly dial: number;
    }
  | { readonly do: "early"; readonly pick: number; readonly bytes: number }
  | { readonly do: "malformed" | "close"; readonly pick: number }
  | { readonly do: "pass"; readonly ms: number };

const pick = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("arrive"), origin: fc.constantFrom("a", "b", undefined) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("hello"),
      pick,
      session: fc.nat(SESSIONS - 1),
      role: fc.constantFrom("client", "device"),
      dial: fc.nat(DIALS - 1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("early"), pick, bytes: fc.nat(EARLY_DATA_BYTES) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("malformed"), pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("close"), pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass"), ms: fc.nat(UNPAIRED_LEG_MS) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass"), ms: fc.nat(2 * ARRIVING_LEAST_MS) }) },
) as fc.Arbitrary<Step>;

test("whatever arrives, is replayed, cut or expires, the lobby does what a plain list of legs would", () => {
  const world = newWorld();
  const expires = Array.from({ length: SESSIONS }, (_, i) => START + 30_000 * (i + 1));
  const hellos = expires.map((end) => allHellos(newSession(world, { expires: end })));
  const self = { suite: world.suite, key: world.rendezvous.publicKey, boot: world.boot };

  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const lobby = new Lobby(self, LIMITS);
      const model = new Model(expires);
      const send = (event: LobbyEvent): string[] => lobby.handle(event, model.now).map((action) => describe(action));
      send({ type: "keys", ticketKeys: [world.ticketKey.publicKey], expires: Number.MAX_SAFE_INTEGER });
      for (const one of steps) {
        const event = eventOf(one, model, hellos);
        if (event === undefined) continue;
        if (one.do === "pass") model.passed += one.ms;
        const expected = model.apply(one);
        expect(send(event).toSorted(), JSON.stringify(one)).toEqual(expected.toSorted());
        expect(lobby.counts.legs).toBe(model.legs.filter(({ state }) => state !== "gone").length);
      }
    }),
    { numRuns: process.env["SLOW"] === "1" ? 20_000 : 400 },
  );
});

interface ModelLeg {
  readonly id: number;
  readonly origin: string | undefined;
  state: "arriving" | "unpaired" | "refused" | "joined" | "gone";
  session: number;
  role: Role;
  since: number;
  /** When it came into its state, among those of one moment. */
  order: number;
  early: number;
}

/** The rules again, said over a plain list that is searched from end to end each time. */
class Model {
  readonly legs: ModelLeg[] = [];
  passed = 0;
  readonly #withEarly: ModelLeg[] = [];
  #order = 0;
  readonly #expires: readonly number[];
  readonly #dials = new Map<string, number>();
  readonly #remembered = new Set<number>();
  #swept = Number.NEGATIVE_INFINITY;

  constructor(expires: readonly number[]) {
    this.#expires = expires;
  }

  get now(): Instant {
    return { time: START + this.passed, monotonic: this.passed };
  }

  /** The leg that a step means, of those that are there. */
  picked(number: number): ModelLeg | undefined {
    const there = this.#in("arriving", "unpaired", "refused", "joined");
    return there[number % there.length];
  }

  apply(one: Step): string[] {
    switch (one.do) {
      case "arrive":
        return this.#arrive(one.origin);
      case "hello":
        return this.#hello(this.picked(one.pick), one);
      case "early": {
        const leg = this.picked(one.pick);
        if (leg?.state !== "arriving" && leg?.state !== "unpaired") return [];
        if (!this.#withEarly.includes(leg)) this.#withEarly.push(leg);
        leg.early += one.bytes;
        if (leg.early > EARLY_DATA_BYTES) return [this.#refuse(leg, "malformed")];
        const total = (): number => this.#in("arriving", "unpaired").reduce((sum, { early }) => sum + early, 0);
        const actions: string[] = [];
        while (total() > LIMITS.early) {
          const holding = this.#withEarly.filter(({ state }) => state === "arriving" || state === "unpaired");
          const [most] = holding.toSorted((a, b) => b.early - a.early); // stable: of several the first
          if (most !== undefined) actions.push(this.#refuse(most, "full"));
        }
        return actions;
      }
      case "malformed": {
        const leg = this.picked(one.pick);
        return leg?.state === "arriving" ? [this.#refuse(leg, "malformed")] : [];
      }
      case "close": {
        const leg = this.picked(one.pick);
        if (leg !== undefined) leg.state = "gone";
        return [];
      }
      case "pass":
        return this.#expire();
    }
  }

  #arrive(origin: string | undefined): string[] {
    const id = this.legs.length;
    const waiting = this.#in("arriving", "unpaired", "refused");
    const ofIt = (legs: readonly ModelLeg[]): number => legs.filter((leg) => leg.origin === origin).length;
    const full =
      origin !== undefined &&
      (ofIt(waiting) >= LIMITS.waitingPerOrigin || ofIt([...waiting, ...this.#in("joined")]) >= LIMITS.legsPerOrigin);
    const cut = full ? [] : [...this.#tooManyArriving(), ...this.#tooMany("refused")];
    for (const leg of cut) leg.state = "gone";
    const state = full ? "gone" : "arriving";
    this.legs.push({
      id,
      origin,
      state,
      session: -1,
      role: "client",
      since: this.passed,
      order: this.#order++,
      early: 0,
    });
    return full ? [`cut ${id}`] : cut.map((leg) => `cut ${leg.id}`);
  }

  /** Of those who have had their moment, so many that one more fits; at the bound, of those who have not as well. */
  #tooManyArriving(): ModelLeg[] {
    const there = inOrder(this.#in("arriving"));
    const hadTheirMoment = there.filter(({ since }) => this.passed - since >= ARRIVING_LEAST_MS).length;
    const tooMany = Math.min(there.length - LIMITS.arriving + 1, hadTheirMoment);
    return there.slice(0, Math.max(0, tooMany, there.length - LIMITS.arrivingAtMost + 1));
  }

  /** Those who have been longest in a state, so many that one more fits. */
  #tooMany(state: "unpaired" | "refused"): ModelLeg[] {
    const there = inOrder(this.#in(state));
    return there.slice(0, Math.max(0, there.length - LIMITS[state] + 1));
  }

  #hello(leg: ModelLeg | undefined, { session, role, dial }: Step & { do: "hello" }): string[] {
    if (leg?.state !== "arriving") return [];
    if (START + this.passed >= (this.#expires[session] ?? 0)) return [this.#refuse(leg, "ticket")];
    if (!this.#remembered.has(session) && this.#remembered.size >= LIMITS.sessions) return [this.#refuse(leg, "full")];
    this.#remembered.add(session);
    if (dial <= (this.#dials.get(`${session} ${role}`) ?? -1)) return [this.#refuse(leg, "replayed")];
    this.#dials.set(`${session} ${role}`, dial);
    const ofSession = this.#in("unpaired", "joined").filter((other) => other.session === session);
    const actions = ofSession
      .filter((other) => other.state === "unpaired" && other.role === role)
      .map((other) => this.#refuse(other, "replaced"));
    for (const other of ofSession.filter(({ state }) => state === "joined")) {
      other.state = "gone";
      actions.push(`cut ${other.id}`);
    }
    const other = ofSession.find(({ state }) => state === "unpaired");
    if (other === undefined) actions.push(...this.#tooMany("unpaired").map((longest) => this.#refuse(longest, "full")));
    Object.assign(leg, { state: "unpaired", session, role, since: this.passed, order: this.#order++ });
    if (other === undefined) return actions;
    other.state = "joined";
    leg.state = "joined";
    const [client, device] = role === "client" ? [leg, other] : [other, leg];
    return [...actions, `join ${client.id} ${device.id}`];
  }

  #expire(): string[] {
    const over = (leg: ModelLeg, ms: number): boolean => this.passed - leg.since >= ms;
    const arriving = this.#in("arriving").filter((leg) => over(leg, HELLO_MS));
    const unpaired = this.#in("unpaired").filter((leg) => over(leg, UNPAIRED_LEG_MS));
    const refused = this.#in("refused").filter((leg) => over(leg, REFUSED_LEG_MS));
    for (const leg of refused) leg.state = "gone";
    const actions = [
      ...refused.map(({ id }) => `cut ${id}`),
      ...inOrder(unpaired).map((leg) => this.#refuse(leg, "unpaired")),
      ...inOrder(arriving).map((leg) => this.#refuse(leg, "malformed")),
    ];
    if (this.passed - this.#swept >= SWEEP_MS) {
      this.#swept = this.passed;
      for (const session of this.#remembered) {
        const isOver = START + this.passed >= (this.#expires[session] ?? 0);
        const isAlive = this.#in("unpaired", "joined").some((leg) => leg.session === session);
        if (isOver && !isAlive) this.#remembered.delete(session);
      }
    }
    return actions;
  }

  #refuse(leg: ModelLeg, status: string): string {
    leg.state = "refused";
    leg.since = this.passed;
    leg.order = this.#order++;
    return `refuse ${leg.id} ${status}`;
  }

  #in(...states: ModelLeg["state"][]): ModelLeg[] {
    return this.legs.filter(({ state }) => states.includes(state));
  }
}

function inOrder(legs: readonly ModelLeg[]): ModelLeg[] {
  return legs.toSorted((a, b) => a.order - b.order);
}

function eventOf(one: Step, model: Model, hellos: readonly LegHello[][]): LobbyEvent | undefined {
  if (one.do === "arrive") return { type: "arrive", leg: model.legs.length, origin: one.origin };
  if (one.do === "pass") return { type: "tick" };
  const leg = model.picked(one.pick)?.id;
  if (leg === undefined) return undefined;
  switch (one.do) {
    case "early":
      return { type: "early", leg, bytes: one.bytes };
    case "malformed":
      return { type: "malformed", leg };
    case "close":
      return { type: "closed", leg };
    case "hello": {
      const hello = hellos[one.session]?.[helloIndex(one.role, one.dial)];
      return hello && { type: "hello", leg, hello };
    }
  }
}

function allHellos(session: ReturnType<typeof newSession>): LegHello[] {
  const hellos: LegHello[] = [];
  for (let dial = 0; dial < DIALS; dial++) {
    for (const role of ["client", "device"] as const)
      hellos[helloIndex(role, dial)] = parsed(session.hello(role, dial));
  }
  return hellos;
}

function helloIndex(role: Role, dial: number): number {
  return 2 * dial + (role === "client" ? 0 : 1);
}

function describe(action: LobbyAction): string {
  switch (action.type) {
    case "join":
      return `join ${action.client} ${action.device}`;
    case "refuse":
      return `refuse ${action.leg} ${action.status}`;
    case "cut":
      return `cut ${action.leg}`;
    case "askForKeys":
      return "askForKeys";
  }
}
