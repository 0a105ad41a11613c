import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pino } from "pino";
import { parseMember, parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { bindChannel, type ChannelBinding } from "../../protocol/channel/bind-channel.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import { SESSIONS_AT_ONCE, UNCONFIRMED_MS, UNCONFIRMED_SESSIONS } from "../../protocol/limits.ts";
import type { LinkParty } from "../../protocol/messages/link.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { signFirstBinding } from "../../protocol/statements.ts";
import { CLOCK } from "../../sshnpd/clock.ts";
import type { GrantedSession } from "../../sshnpd/requests.ts";
import { Sessions, type SessionsOptions, whoMakesRoom } from "../../sshnpd/sessions.ts";
import { TcpServer } from "../../sshnpd/tcp-server.ts";
import { NOW } from "../protocol/fixtures.ts";
import {
  clientBinding,
  clientOwner,
  clientStatements,
  notifyOf,
  people,
  random,
  readAnswer,
  SILENT,
  type Stage,
  setStage,
  startRequest,
  suite,
  ticketFor,
} from "./stage.ts";

/** In the rendezvous' place: takes legs, and says what the test wants. */
let rendezvous: Server;
const legs: Socket[] = [];
let stage: Stage;
let granted: GrantedSession;
/** What its client has. */
let agreed: ReturnType<typeof readAnswer>;
beforeEach(async () => {
  rendezvous = createServer((socket) => legs.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(rendezvous, "listening");
  const listed = new Map(["@client", "@one", "@two"].map((name) => [parseName(name), clientOwner]));
  stage = await setStage({ current: () => Promise.resolve([people.client.x25519.publicKey.bytes]) }, { listed });
  const initiator = startRequest();
  const notify = notifyOf(initiator);
  agreed = readAnswer(initiator, await stage.answer(notify), notify.ticket);
  const [session] = stage.granted;
  if (session === undefined) throw new Error("not granted");
  granted = session;
});
afterEach(async () => {
  vi.useRealTimers();
  for (const leg of legs.splice(0)) leg.destroy();
  rendezvous.close();
  await stage[Symbol.asyncDispose]();
});

test("so many sessions may wait for their client's proof; the one that has waited longest makes room for one more", async () => {
  const sessions = newSessions();
  for (let i = 0; i < 3 * SESSIONS_AT_ONCE; i++) {
    expect(sessions.hasRoom).toBe(true);
    sessions.begin(sessionAt(rendezvous));
  }
  await expect.poll(() => sessions.count).toBe(UNCONFIRMED_SESSIONS);
  expect(sessions.hasRoom).toBe(true);
  expect(UNCONFIRMED_SESSIONS).toBeLessThan(SESSIONS_AT_ONCE);
  await sessions.close();
  expect(sessions.count).toBe(0);
});

test("one client's sessions that prove nothing push out none of another's", async () => {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
  const sessions = newSessions({ log });
  const others = ["@one", "@two"].map(parseName);
  for (const name of others) sessions.begin(sessionAt(rendezvous, { name }));
  for (let i = 0; i < 3 * UNCONFIRMED_SESSIONS; i++) {
    sessions.begin(sessionAt(rendezvous, { member: parseMember(`made-${i}`) }));
  }
  await expect.poll(() => sessions.count).toBe(UNCONFIRMED_SESSIONS);
  for (const name of others) expect(lines.join("")).not.toContain(name);
  expect(lines).toHaveLength(2 * UNCONFIRMED_SESSIONS + others.length);
  for (const line of lines) expect(line).toContain("when too many others came");
  await sessions.close();
});

test("who makes room: of the name of which most wait, of its member of which most wait, the oldest", () => {
  const wait = (who: string) => {
    const [member = "", name = ""] = who.split("@");
    return { claim: { name: parseName(`@${name}`), member: parseMember(member) } };
  };
  const choose = (waiting: string, newest: string): number | undefined => {
    const all = waiting.split(" ").map(wait);
    const chosen = whoMakesRoom(all, wait(newest));
    return chosen && all.indexOf(chosen);
  };
  expect(choose("pc@a pc@b pc@b", "pc@c")).toBe(1);
  expect(choose("pc@b pc@a pc@b", "pc@c")).toBe(0);
  // The new one counts: whoever has as many as another gives way to nobody by asking for more.
  expect(choose("pc@a pc@b", "pc@b")).toBe(1);
  expect(choose("pc@a pc@b pc@a pc@b", "pc@b")).toBe(1);
  expect(choose("pc@a pc@b", "pc@c")).toBe(0);
  // A name cannot have members made that count as others, nor does its own thief push out its other members.
  expect(choose("pc@a m1@b m2@b m3@b", "m4@b")).toBe(1);
  expect(choose("pc@b thief@b pc@a thief@b", "thief@b")).toBe(1);
  expect(choose("pc@b", "pc@a")).toBe(0);
});

test("a session that cannot reach its rendezvous gives its room back", async () => {
  rendezvous.close();
  await once(rendezvous, "close");
  const sessions = newSessions();
  sessions.begin(granted);
  await expect.poll(() => [sessions.count, sessions.hasRoom]).toEqual([0, true]);
});

test.each([
  ["whose leg the rendezvous does not answer", []],
  ["whose client never says a word on the path", [LEG_STATUS.joined]],
  ["whose client says the first byte and no more", [LEG_STATUS.joined, 0]],
])("a session %s is given up in time", async (_what, bytes) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line) => void lines.push(line) });
  const sessions = newSessions({ log });
  sessions.begin(sessionAt(rendezvous));
  const [leg] = (await once(rendezvous, "connection")) as [Socket];
  await once(leg, "data");
  leg.write(Uint8Array.from(bytes));
  if (bytes.length > 0) await vi.waitUntil(() => lines.join().includes("leg joined"));
  vi.advanceTimersByTime(UNCONFIRMED_MS - 1);
  expect(sessions.count).toBe(1);
  const closed = new Promise((resolve) => leg.resume().once("close", resolve));
  vi.advanceTimersByTime(1);
  await closed;
  vi.useRealTimers();
  await expect.poll(() => [sessions.count, sessions.hasRoom]).toEqual([0, true]);
  expect(lines.at(-1)).toContain("The client did not prove itself in time.");
});

test("a rendezvous at a private address is not dialled for a directory that is at none", async () => {
  const sessions = newSessions({ allowPrivate: () => false });
  sessions.begin(sessionAt(rendezvous));
  await expect.poll(() => sessions.count).toBe(0);
  expect(legs).toEqual([]);
});

describe("of clients that have proved themselves", () => {
  const [laptop, phone] = [claimOf("laptop"), claimOf("phone")];
  const revoked = { how: "closed", by: "peer", code: "revoked" };
  let told: (readonly LinkParty[])[];
  let lines: string[];
  let sessions: Sessions;
  beforeEach(() => {
    told = [];
    lines = [];
    const log = pino({ level: "info" }, { write: (line) => void lines.push(line) });
    sessions = newSessions({ log, onClients: (clients) => void told.push(clients) });
  });
  afterEach(() => sessions.close());

  test("the list is told as it changes: each once, however many sessions it has", async () => {
    const first = await begin(laptop);
    expect(told).toEqual([[party(laptop)]]);
    const second = await begin(laptop);
    const third = await begin(phone);
    expect(told).toEqual([[party(laptop)], [party(laptop), party(phone)]]);
    expect(sessions.clients).toEqual([party(laptop), party(phone)]);
    sessions.begin(sessionAt(rendezvous, claimOf("tablet"))); // that has proved nothing
    first.close("finished");
    await expect.poll(() => sessions.count).toBe(3);
    third.close("finished");
    await expect.poll(() => told.length).toBe(3);
    second.close("finished");
    await expect.poll(() => told.length).toBe(4);
    expect(told.slice(2)).toEqual([[party(laptop)], []]);
    expect(sessions.clients).toEqual([]);
  });

  test("those of a revoked one are ended as revoked, others' live on", async () => {
    const [first, second, other] = [await begin(laptop), await begin(laptop), await begin(phone)];
    sessions.revoke(party(laptop));
    expect([await first.closed, await second.closed]).toEqual([revoked, revoked]);
    await expect.poll(() => sessions.clients).toEqual([party(phone)]);
    await other.open("tcp:10.0.0.1:1").opened.catch((error: unknown) => {
      expect(error).toMatchObject({ code: "E_DEVICE_REFUSED" }); // the device's own word: it is alive
    });
    expect(told.at(-1)).toEqual([party(phone)]);
    const ends = lines.filter((line) => line.includes("session ended")).map((line) => JSON.parse(line) as object);
    expect(ends).toEqual(Array(2).fill(expect.objectContaining({ member: "laptop", by: "us", code: "revoked" })));
    expect(lines.join()).not.toContain("session given up");
  });

  test("those that were begun with a key that is not its own any more are ended, the others are kept", async () => {
    const [before, now] = [X25519PrivateKey.generate(suite, random), X25519PrivateKey.generate(suite, random)];
    const old = await begin(laptop, before.publicKey);
    const kept = [await begin(laptop, now.publicKey), await begin(phone, before.publicKey)];
    sessions.keepOf(party(laptop), { x25519: now.publicKey, expires: null });
    expect(await old.closed).toEqual(revoked);
    await expect.poll(() => sessions.count).toBe(2);
    sessions.keepOf(party(laptop), { x25519: now.publicKey, expires: null });
    expect(sessions.clients).toEqual([party(laptop), party(phone)]);
    for (const one of kept) one.close("finished");
  });

  test("all are ended when the device itself is revoked, with those that have proved nothing yet", async () => {
    const all = [await begin(laptop), await begin(phone)];
    sessions.begin(sessionAt(rendezvous, claimOf("tablet")));
    sessions.revokeAll();
    for (const one of all) expect(await one.closed).toEqual(revoked);
    await expect.poll(() => [sessions.count, sessions.clients]).toEqual([0, []]);
    expect(lines.filter((line) => line.includes("session given up"))).toEqual([
      expect.stringMatching(/"member":"tablet".*"code":"E_REVOKED"/),
    ]);
    sessions.begin(sessionAt(rendezvous, claimOf("desk"))); // granted before that was known
    await expect.poll(() => sessions.count).toBe(0);
    expect(lines.at(-1)).toMatch(/"member":"desk".*"code":"E_REVOKED"/);
    sessions.restore();
    (await begin(laptop)).close("finished");
  });

  /** A session of that client, which has proved itself on a leg of its own. */
  async function begin(claim: PeerClaim, clientKey = granted.clientKey): Promise<ChannelBinding> {
    const connected = once(rendezvous, "connection") as Promise<[Socket]>;
    sessions.begin({ ...sessionAt(rendezvous, claim), clientKey });
    const [leg] = await connected;
    await once(leg, "data"); // the device's hello
    leg.write(Uint8Array.of(LEG_STATUS.joined, 0));
    const { keys, payload } = agreed;
    const channel = new Channel({
      role: "client",
      send: suite.aead(keys.initiatorToResponder),
      receive: suite.aead(keys.responderToInitiator),
      limits: payload.limits,
    });
    const { signal } = new AbortController();
    return await new Promise((resolve) => {
      const binding = bindChannel(channel, leg, {
        ...{ signal, clock: CLOCK },
        onConfirmed: () => binding.ping(),
        onPong: () => resolve(binding), // the device has read our CONFIRM too
      });
    });
  }
});

function claimOf(memberText: string): PeerClaim {
  const { client } = people;
  const member = parseMember(memberText);
  const { seq: _seq, prev: _prev, ...fields } = clientBinding.statement;
  const binding = signFirstBinding(suite, random, client.owner, { ...fields, member });
  return { name: client.name, member, role: "client", statements: { ...clientStatements, member: binding } };
}

function party({ name, member }: PeerClaim): LinkParty {
  return { name, member };
}

function newSessions(changes: Partial<SessionsOptions> = {}): Sessions {
  return new Sessions({
    suite,
    clients: stage.clients,
    access: stage.access,
    sshServer: new TcpServer({ port: 1, hostKeys: { current: () => Promise.resolve([]) } }),
    accountFor: () => Promise.resolve(undefined),
    now: () => NOW + 1000,
    log: SILENT,
    allowPrivate: () => true,
    onClients: () => {},
    ...changes,
  });
}

/** The granted session, with a ticket to where the test listens. */
function sessionAt(server: Server, client: Partial<PeerClaim> = {}): GrantedSession {
  const { port } = server.address() as AddressInfo;
  const { ed25519, boot } = people.rendezvous;
  const entries = [{ key: ed25519.publicKey, boot, addresses: [`tcp://127.0.0.1:${port}`] }];
  const claim = { ...granted.claim, ...client };
  return {
    ...granted,
    claim,
    ticketBytes: ticketFor(startRequest(), { entries }),
    ticket: { ...granted.ticket, entries },
  };
}
