import { expect, test } from "vitest";
import type { Role } from "../../keys/names.ts";
import { type LegHello, parseLegHello } from "../../protocol/leg-hello.ts";
import {
  ARRIVING_LEAST_MS,
  EARLY_DATA_BYTES,
  HELLO_MS,
  LEGS_PER_ADDRESS,
  REFUSED_LEG_MS,
  RENDEZVOUS_CONNECTIONS,
  UNPAIRED_LEG_MS,
} from "../../protocol/limits.ts";
import { Lobby } from "../../rendezvous/lobby.ts";
import { type LobbyLimits, limitsFor } from "../../rendezvous/lobby-limits.ts";
import type { LobbyAction, LobbyEvent } from "../../rendezvous/lobby-events.ts";
import { newBoot, newKey, newSession, newWorld, parsed, type World } from "./world.ts";

const START = 1_767_225_600_000; // 2026-01-01
const HOUR = 3_600_000;

test("two ends of a session are joined, whichever comes first", () => {
  for (const [first, second] of [
    ["client", "device"],
    ["device", "client"],
  ] as const) {
    const room = newRoom();
    const { sid, hello } = room.session();
    const one = room.arrive();
    const two = room.arrive();
    expect(room.hello(one, hello(first, 1))).toEqual([]);
    const pair = first === "client" ? { client: one, device: two } : { client: two, device: one };
    expect(room.hello(two, hello(second, 1))).toEqual([{ type: "join", sid, ...pair }]);
  }
});

test("a hello that was seen before is refused, whoever sends it and whenever", () => {
  const room = newRoom();
  const { hello } = room.session();
  const [client, device] = [room.arrive(), room.arrive()];
  room.hello(client, hello("client", 5));
  expect(room.hello(room.arrive(), hello("client", 5))).toEqual(refused(2, "replayed"));
  room.hello(device, hello("device", 5));
  expect(room.hello(room.arrive(), hello("client", 5))).toEqual(refused(3, "replayed"));
  room.handle({ type: "closed", leg: client });
  room.handle({ type: "closed", leg: device });
  room.pass(HOUR - 1_000);
  expect(room.hello(room.arrive(), hello("device", 5))).toEqual(refused(4, "replayed"));
  expect(room.hello(room.arrive(), hello("device", 4))).toEqual(refused(5, "replayed"));
  room.pass(2_000);
  expect(room.hello(room.arrive(), hello("device", 5))).toEqual(refused(6, "ticket"));
});

test("one end twice is not a pair: the newer leg takes the place of the older", () => {
  const room = newRoom();
  const { hello } = room.session();
  room.hello(room.arrive(), hello("client", 1));
  expect(room.hello(room.arrive(), hello("client", 2))).toEqual(refused(0, "replaced"));
  expect(room.hello(room.arrive(), hello("device", 1))).toEqual([join({ client: 1, device: 2 })]);
});

test("a higher dial ends what was joined, and the other end joins it with a higher dial of its own", () => {
  const room = newRoom();
  const { hello } = room.session();
  room.hello(room.arrive(), hello("client", 1));
  room.hello(room.arrive(), hello("device", 1));
  expect(room.hello(room.arrive(), hello("device", 2))).toEqual([
    { type: "cut", leg: 0 },
    { type: "cut", leg: 1 },
  ]);
  expect(room.hello(room.arrive(), hello("client", 2))).toEqual([join({ client: 3, device: 2 })]);
});

test("each end counts for itself, from any number", () => {
  const room = newRoom();
  const { hello } = room.session();
  room.hello(room.arrive(), hello("client", 4_294_967_295));
  expect(room.hello(room.arrive(), hello("device", 0))).toEqual([join({ client: 0, device: 1 })]);
});

test("another role, number, session or leg key under the same signature is refused", () => {
  const room = newRoom();
  const session = room.session();
  const other = room.session();
  const hello = parsed(session.hello("client", 1));
  const forged: LegHello[] = [
    { ...hello, role: "device" },
    { ...hello, dial: 2 },
    { ...hello, ticket: other.ticket },
    { ...hello, ticket: newSession(room.world, { sid: session.sid, expires: START + HOUR }).ticket },
    { ...hello, ticket: newSession(room.world, { legKey: session.legKey, expires: START + HOUR }).ticket },
  ];
  for (const [leg, forgery] of forged.entries()) {
    expect(room.handle({ type: "hello", leg: room.arrive(), hello: forgery })).toEqual(refused(leg, "malformed"));
  }
});

test("legs of different sessions never meet, not even under one session id", () => {
  const room = newRoom();
  const session = room.session();
  const stranger = newSession(room.world, { sid: session.sid, expires: START + HOUR });
  expect(room.hello(room.arrive(), session.hello("client", 1))).toEqual([]);
  expect(room.hello(room.arrive(), stranger.hello("device", 1))).toEqual([]);
  expect(room.hello(room.arrive(), room.session().hello("device", 1))).toEqual([]);
});

test("a ticket that is expired, foreign or for elsewhere is refused, each with its word", () => {
  const room = newRoom();
  const expires = START + HOUR;
  const late = newSession(room.world, { expires: START });
  expect(room.hello(room.arrive(), late.hello("client", 1))).toEqual(refused(0, "ticket"));
  const addresses = ["tcp://np.example.org:7801"];
  const key = newKey();
  const entries = [{ key: key.publicKey, boot: room.world.boot, addresses }];
  const elsewhere = newSession(room.world, { entries, expires });
  expect(room.hello(room.arrive(), elsewhere.hello("client", 1, { rendezvous: key }))).toEqual(refused(1, "elsewhere"));
  const forged = newSession(room.world, { expires });
  const ticket = forged.ticket.slice();
  ticket.set(newSession(room.world, { expires, ticketKey: newKey() }).ticket.subarray(-64), ticket.length - 64);
  const hello = { ...parsed(forged.hello("client", 1)), ticket };
  expect(room.handle({ type: "hello", leg: room.arrive(), hello })).toEqual(refused(2, "ticket"));
});

test("a ticket is verified once for both legs; one that differs in a bit, or whose key is gone, is refused all the same", () => {
  let verified = 0;
  const world = newWorld();
  const suite: World["suite"] = {
    ...world.suite,
    verify: (...claim) => {
      verified += 1;
      return world.suite.verify(...claim);
    },
  };
  const room = newRoom({ world: { ...world, suite } });
  const { hello } = room.session();
  room.hello(room.arrive(), hello("client", 1));
  expect(verified).toBe(2); // the ticket's signature, and the leg's
  const forged = parsed(hello("device", 1));
  const ticket = new Uint8Array(forged.ticket);
  ticket[ticket.length - 1] = (ticket.at(-1) ?? 0) ^ 1;
  expect(room.handle({ type: "hello", leg: room.arrive(), hello: { ...forged, ticket } })).toEqual(
    refused(1, "ticket"),
  );
  expect(verified).toBe(3);
  expect(room.hello(room.arrive(), hello("device", 1))).toEqual([join({ client: 0, device: 2 })]);
  expect(verified).toBe(4);
  room.handle({ type: "keys", ticketKeys: [newKey().publicKey], expires: START + HOUR });
  expect(room.hello(room.arrive(), hello("device", 2))).toEqual([{ type: "askForKeys" }]);
  expect(verified).toBe(4);
});

test("a hello for another boot is told of this one; a ticket for another boot does for a hello for this one", () => {
  const room = newRoom();
  const before = { ...room.world, boot: newBoot() };
  const session = newSession(before, { expires: START + HOUR });
  expect(room.hello(room.arrive(), session.hello("client", 1))).toEqual(refused(0, "boot"));
  expect(room.hello(room.arrive(), session.hello("client", 2, { boot: room.world.boot }))).toEqual([]);
  expect(room.hello(room.arrive(), session.hello("device", 1, { boot: room.world.boot }))).toEqual([
    join({ client: 1, device: 2 }),
  ]);
});

test("after a restart, what was recorded before it opens nothing", () => {
  const room = newRoom();
  const { hello } = room.session();
  const recorded = [hello("client", 1), hello("device", 1)];
  for (const bytes of recorded) room.hello(room.arrive(), bytes);
  const restarted = newRoom({ world: { ...room.world, boot: newBoot() } });
  for (const bytes of recorded) {
    const leg = restarted.arrive();
    expect(restarted.hello(leg, bytes)).toEqual(refused(leg, "boot"));
  }
});

test("a hello under a ticket key that is not known waits for the key list, and is judged by it", () => {
  const room = newRoom();
  const rotated = newKey();
  const expires = START + HOUR;
  const session = newSession(room.world, { ticketKey: rotated, expires });
  expect(room.hello(room.arrive(), session.hello("client", 1))).toEqual([{ type: "askForKeys" }]);
  expect(room.hello(room.arrive(), session.hello("device", 1))).toEqual([{ type: "askForKeys" }]);
  const ticketKeys = [rotated.publicKey, room.world.ticketKey.publicKey];
  expect(room.handle({ type: "keys", ticketKeys, expires })).toEqual([join({ client: 0, device: 1 })]);
});

test("a hello under a ticket key that no key list has is refused by the next one, or when it has waited too long", () => {
  const room = newRoom();
  const expires = START + HOUR;
  const { hello } = newSession(room.world, { ticketKey: newKey(), expires });
  room.hello(room.arrive(), hello("client", 1));
  expect(room.handle({ type: "keys", ticketKeys: [room.world.ticketKey.publicKey], expires })).toEqual(
    refused(0, "ticket"),
  );
  room.hello(room.arrive(), hello("client", 1));
  expect(room.pass(HELLO_MS - 1)).not.toContainEqual(refused(1, "ticket")[0]);
  expect(room.pass(1)).toEqual(refused(1, "ticket"));
});

test("ticket keys count until their list expires", () => {
  const room = newRoom();
  const { hello } = newSession(room.world, { expires: START + 2 * HOUR });
  room.handle({ type: "keys", ticketKeys: [room.world.ticketKey.publicKey], expires: START + HOUR });
  room.pass(HOUR);
  expect(room.hello(room.arrive(), hello("client", 1))).toEqual([{ type: "askForKeys" }]);
});

test("a leg has 5 s for its hello, then 15 s for the other one, and is gone 2 s after it was told", () => {
  const room = newRoom();
  const silent = room.arrive();
  expect(room.pass(HELLO_MS - 1)).toEqual([]);
  expect(room.pass(1)).toEqual(refused(silent, "malformed"));
  expect(room.pass(REFUSED_LEG_MS - 1)).toEqual([]);
  expect(room.pass(1)).toEqual([{ type: "cut", leg: silent }]);

  const { hello } = room.session();
  const lonely = room.arrive();
  room.pass(HELLO_MS - 1);
  room.hello(lonely, hello("client", 1));
  expect(room.pass(UNPAIRED_LEG_MS - 1)).toEqual([]);
  expect(room.pass(1)).toEqual(refused(lonely, "unpaired"));
  expect(room.hello(room.arrive(), hello("device", 1))).toEqual([]);
  expect(room.lobby.counts.legs).toBe(2);
});

test("an unpaired leg may send 64 KiB ahead and no byte more; a joined one is not counted", () => {
  const room = newRoom();
  const { hello } = room.session();
  const leg = room.arrive();
  room.hello(leg, hello("client", 1));
  expect(room.handle({ type: "early", leg, bytes: EARLY_DATA_BYTES })).toEqual([]);
  expect(room.handle({ type: "early", leg, bytes: 1 })).toEqual(refused(leg, "malformed"));
  const again = room.arrive();
  room.hello(again, hello("client", 2));
  room.handle({ type: "early", leg: again, bytes: EARLY_DATA_BYTES });
  room.hello(room.arrive(), hello("device", 1));
  expect(room.handle({ type: "early", leg: again, bytes: EARLY_DATA_BYTES })).toEqual([]);
});

test("what all waiting legs may send ahead is bounded too; whoever sends most makes room", () => {
  const room = newRoom({ limits: { early: 100 } });
  const [one, two] = [room.arrive(), room.arrive()];
  room.hello(one, room.session().hello("client", 1));
  room.hello(two, room.session().hello("client", 1));
  expect(room.handle({ type: "early", leg: one, bytes: 60 })).toEqual([]);
  expect(room.handle({ type: "early", leg: two, bytes: 60 })).toEqual(refused(one, "full"));
  room.handle({ type: "closed", leg: two });
  const three = room.arrive();
  room.hello(three, room.session().hello("client", 1));
  expect(room.handle({ type: "early", leg: three, bytes: 60 })).toEqual([]);
});

test("one address has so many legs that wait, refused ones included until they are gone; joined ones are free", () => {
  const room = newRoom({ limits: { waitingPerOrigin: 2 } });
  const { hello } = room.session();
  const [one, two] = [room.arrive("a"), room.arrive("a")];
  expect(room.tryToArrive("a")).toEqual([{ type: "cut", leg: 2 }]);
  expect(room.tryToArrive("b")).toEqual([]);
  room.hello(one, hello("client", 1));
  expect(room.tryToArrive("a")).toEqual([{ type: "cut", leg: 4 }]);
  room.hello(two, hello("device", 1));
  const [five] = [room.arrive("a"), room.arrive("a")];
  expect(room.tryToArrive("a")).toEqual([{ type: "cut", leg: 7 }]);
  expect(room.handle({ type: "malformed", leg: five })).toEqual(refused(five, "malformed"));
  expect(room.tryToArrive("a")).toEqual([{ type: "cut", leg: 8 }]);
  room.handle({ type: "closed", leg: five });
  expect(room.tryToArrive("a")).toEqual([]);
});

test("one address has its share of all legs, joined ones included, and gets one back for each that is gone", () => {
  const room = newRoom({ limits: { legsPerOrigin: 2 } });
  const { hello } = room.session();
  const [one, two] = [room.arrive("a"), room.arrive("a")];
  room.hello(one, hello("client", 1));
  room.hello(two, hello("device", 1));
  expect(room.tryToArrive("a")).toEqual([{ type: "cut", leg: 2 }]);
  expect(room.tryToArrive("b")).toEqual([]);
  expect(room.tryToArrive(undefined)).toEqual([]);
  room.handle({ type: "closed", leg: two });
  expect(room.tryToArrive("a")).toEqual([]);
  expect(room.tryToArrive("a")).toEqual([{ type: "cut", leg: 6 }]);
  expect(limitsFor(800).legsPerOrigin).toBe(100);
  expect(limitsFor(RENDEZVOUS_CONNECTIONS).legsPerOrigin).toBe(LEGS_PER_ADDRESS);
});

test("the connections of one address have a rate, whatever becomes of them, and those of others their own", () => {
  const room = newRoom({ limits: { arrivals: { perSecond: 2, burst: 3 } } });
  const comeAndGo = (origin?: string): boolean => {
    const leg = room.arrive(origin);
    const { legs } = room.lobby.counts;
    room.handle({ type: "closed", leg });
    return legs === 1;
  };
  const five = (): boolean[] => Array.from({ length: 5 }, () => comeAndGo("a"));
  expect(five()).toEqual([true, true, true, false, false]);
  expect(comeAndGo("b")).toBe(true);
  expect(comeAndGo()).toBe(true);
  room.pass(1000);
  expect(five()).toEqual([true, true, false, false, false]);
  room.pass(120_000);
  expect(five()).toEqual([true, true, true, false, false]);
});

test("whoever has waited longest for nothing makes room for the newest, of each kind", () => {
  const room = newRoom({ limits: { arriving: 2, unpaired: 2, refused: 2 } });
  const legs = [room.arrive(), room.arrive()] as const;
  room.pass(ARRIVING_LEAST_MS);
  expect(room.tryToArrive(undefined)).toEqual([{ type: "cut", leg: legs[0] }]);
  const sessions = Array.from({ length: 4 }, () => room.session());
  expect(room.hello(legs[1], (sessions[0] ?? room.session()).hello("client", 1))).toEqual([]);
  expect(room.hello(2, (sessions[1] ?? room.session()).hello("client", 1))).toEqual([]);
  expect(room.hello(room.arrive(), (sessions[2] ?? room.session()).hello("client", 1))).toEqual(
    refused(legs[1], "full"),
  );
  expect(room.hello(room.arrive(), (sessions[1] ?? room.session()).hello("device", 1))).toEqual([
    join({ client: 2, device: 4 }),
  ]);
  expect(room.handle({ type: "malformed", leg: room.arrive() })).toEqual(refused(5, "malformed"));
  expect(room.tryToArrive(undefined)).toEqual([{ type: "cut", leg: legs[1] }]);
});

test("a leg has its moment for a hello, however many arrive with it, up to a bound", () => {
  const room = newRoom({ limits: { arriving: 2, arrivingAtMost: 6 } });
  const { sid, hello } = room.session();
  const [client, device] = [room.arrive(), room.arrive()];
  room.pass(ARRIVING_LEAST_MS - 1);
  for (let leg = 2; leg < 6; leg++) expect(room.tryToArrive(undefined)).toEqual([]);
  expect(room.hello(client, hello("client", 1))).toEqual([]);
  expect(room.hello(device, hello("device", 1))).toEqual([{ type: "join", sid, client, device }]);

  expect([room.tryToArrive(undefined), room.tryToArrive(undefined)]).toEqual([[], []]);
  expect(room.tryToArrive(undefined)).toEqual([{ type: "cut", leg: 2 }]);
  room.pass(ARRIVING_LEAST_MS);
  expect(room.tryToArrive(undefined)).toEqual([3, 4, 5, 6, 7].map((leg) => ({ type: "cut", leg })));
  expect(room.lobby.counts.legs).toBe(4);
});

test("at its cap it refuses new sessions and evicts none", () => {
  const room = newRoom({ limits: { sessions: 1 } });
  const { hello } = room.session();
  room.hello(room.arrive(), hello("client", 1));
  const other = room.session();
  expect(room.hello(room.arrive(), other.hello("client", 1))).toEqual(refused(1, "full"));
  expect(room.hello(room.arrive(), hello("device", 1))).toEqual([join({ client: 0, device: 2 })]);
  for (const leg of [0, 2]) room.handle({ type: "closed", leg });
  expect(room.hello(room.arrive(), other.hello("client", 1))).toEqual(refused(3, "full"));
  expect(room.hello(room.arrive(), hello("client", 1))).toEqual(refused(4, "replayed"));
  room.pass(HOUR);
  const later = newSession(room.world, { expires: START + 2 * HOUR });
  expect(room.hello(room.arrive(), later.hello("client", 1))).toEqual([]);
});

test("a renewed ticket keeps the numbers, and a session that lives outlasts its ticket", () => {
  const room = newRoom({ limits: { sessions: 1 } });
  const { sid, legKey, hello } = room.session();
  const renewed = newSession(room.world, { sid, legKey, expires: START + 3 * HOUR });
  room.hello(room.arrive(), hello("client", 7));
  room.hello(room.arrive(), hello("device", 7));
  room.pass(2 * HOUR);
  expect(room.hello(room.arrive(), renewed.hello("client", 7))).toEqual(refused(2, "replayed"));
  expect(room.hello(room.arrive(), renewed.hello("client", 8))).toEqual([
    { type: "cut", leg: 0 },
    { type: "cut", leg: 1 },
  ]);
  room.pass(HOUR / 2);
  expect(room.hello(room.arrive(), renewed.hello("device", 7))).toEqual(refused(4, "replayed"));
});

test("a hello with any one bit flipped joins nothing", () => {
  const room = newRoom();
  const { hello } = room.session();
  const bytes = hello("client", 1);
  room.hello(room.arrive(), hello("device", 1));
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
    const leg = room.arrive();
    expect(room.read(leg, flipped).filter(({ type }) => type === "join")).toEqual([]);
    room.handle({ type: "closed", leg });
  }
  expect(room.read(room.arrive(), bytes)).toMatchObject([{ type: "join", device: 0 }]);
});

interface Room {
  readonly world: World;
  readonly lobby: Lobby;
  /** A session with a ticket for an hour. */
  session(): ReturnType<typeof newSession>;
  handle(event: LobbyEvent): LobbyAction[];
  hello(leg: number, bytes: Uint8Array): LobbyAction[];
  /** As the server does it: only what parses reaches the lobby. */
  read(leg: number, bytes: Uint8Array): LobbyAction[];
  arrive(origin?: string): number;
  tryToArrive(origin: string | undefined): LobbyAction[];
  /** Lets so many ms pass. */
  pass(ms: number): LobbyAction[];
}

function newRoom(options: { world?: World; limits?: Partial<LobbyLimits> } = {}): Room {
  const world = options.world ?? newWorld();
  const self = { suite: world.suite, key: world.rendezvous.publicKey, boot: world.boot };
  const most = {
    ...{
      waitingPerOrigin: 1000,
      legsPerOrigin: 1000,
      arriving: 1000,
      arrivingAtMost: 1000,
      unpaired: 1000,
      refused: 1000,
    },
    ...{ sessions: 1000, early: 1e9, arrivals: { perSecond: 1000, burst: 1000 } },
  };
  const lobby = new Lobby(self, { ...most, ...options.limits });
  let passed = 0;
  let next = 0;
  const room: Room = {
    world,
    lobby,
    session: () => newSession(world, { expires: START + HOUR }),
    handle: (event) => lobby.handle(event, { time: START + passed, monotonic: passed }),
    hello: (leg, bytes) => room.handle({ type: "hello", leg, hello: parsed(bytes) }),
    read: (leg, bytes) => {
      try {
        const result = parseLegHello(bytes);
        return result === undefined ? [] : room.handle({ type: "hello", leg, hello: result.hello });
      } catch {
        return room.handle({ type: "malformed", leg });
      }
    },
    arrive: (origin) => {
      room.tryToArrive(origin);
      return next - 1;
    },
    tryToArrive: (origin) => room.handle({ type: "arrive", leg: next++, origin }),
    pass: (ms) => {
      passed += ms;
      return room.handle({ type: "tick" });
    },
  };
  room.handle({ type: "keys", ticketKeys: [world.ticketKey.publicKey], expires: START + 24 * HOUR });
  return room;
}

function refused(leg: number, status: string): unknown[] {
  return [{ type: "refuse", leg, status }];
}

function join(pair: Record<Role, number>): unknown {
  return { type: "join", sid: expect.any(Uint8Array), ...pair };
}
