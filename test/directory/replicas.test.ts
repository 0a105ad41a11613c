import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Clock, SYSTEM_CLOCK } from "../../directory/clock.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { type Distances, distanceKey } from "../../protocol/messages/rendezvous-distances.ts";
import { Secret } from "../../keys/secret.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { revocation } from "../support/later-statements.ts";
import { Postgres } from "../support/postgres.ts";
import { approve, enrol, enrolMessage, givePassword, newApplicant, newPassword } from "./applicant.ts";
import { HeldTurn } from "./held-turn.ts";
import { post, sealed } from "./raw.ts";
import { next, only, rest, send, TestLink } from "./streams.ts";
import { Watched } from "./watched.ts";
import {
  activate,
  newPerson,
  patience,
  type Person,
  putMessage,
  random,
  report,
  sessionMessage,
  subject,
  suite,
  type TestRendezvous,
  TestClock,
  World,
} from "./world.ts";

const AHEAD_MS = 8 * 60_000;
const WRONG_CLOCK = "this machine's clock is not the database's, which counts where directories share one";

let postgres: Postgres;
let one: World;
let other: World;
let client: Person;
let device: Person;

beforeAll(async () => {
  postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  // Their machines' clocks are a quarter of an hour apart, in all that follows.
  one = await World.start({ machineClock: clockAhead(AHEAD_MS) });
  other = await World.beside(one, { machineClock: clockAhead(-AHEAD_MS) });
  client = await one.activated("@client", "laptop-client", "client");
}, 60_000);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

let count = 0;
beforeEach(async () => {
  count += 1;
  device = await one.activated(`@device${count}`, "mygateway", "device");
  await one.rendezvous(`rz${count}`);
  await other.directory.registry.refresh();
});

test("a request at one wakes a device whose link another has, and the answer comes back", async () => {
  const link = await TestLink.open(other, device);
  const message = sessionMessage(client, device);
  const frames = send(one, client, message);
  const ticket = await next(frames, "ticket");
  const notify = await link.notified();
  expect(notify.ticket).toEqual(ticket.ticket);
  expect(notify.message1).toEqual(message.message1);
  const message2 = random(40_000); // more than one notification of PostgreSQL's holds
  link.link.answer({ sid: message.sid, message2 });
  expect(await rest(frames)).toEqual([{ type: "answer", message2 }]);
});

test("a request that waits at one is delivered when the device comes to the other", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const frames = send(one, client, message);
  await next(frames, "waiting");
  const link = await TestLink.open(other, device);
  const { prologue } = await link.notified();
  link.link.answer({ sid: prologue.sid, code: "E_BUSY", labels: [] });
  expect((await rest(frames)).map(({ type }) => type)).toEqual(["ticket", "deviceCode"]);
});

test("a request that waits at one and then at the other is put to its device once, with one ticket", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const lost = send(one, client, message);
  await next(lost, "waiting");
  const frames = send(other, client, message);
  await next(frames, "waiting");
  expect(await rest(lost)).toEqual([{ type: "refused", code: "E_INTERRUPTED", detail: 0 }]);
  const link = await TestLink.open(one, device);
  const notify = await link.notified();
  expect((await next(frames, "ticket")).ticket).toEqual(notify.ticket);
  link.link.answer({ sid: message.sid, message2: random(100) });
  expect((await rest(frames)).map(({ type }) => type)).toEqual(["answer"]);
  const another = send(one, client, sessionMessage(client, device));
  const { ticket } = await next(another, "ticket");
  expect((await link.notified()).ticket).toEqual(ticket); // nothing came in between
});

test("a device that moves from one to the other while it is asked is asked there, and its older link is replaced", async () => {
  const older = await TestLink.open(one, device);
  const message = sessionMessage(client, device);
  const frames = send(one, client, message);
  await next(frames, "ticket");
  await older.notified();
  const newer = await TestLink.open(other, device);
  expect(await older.end()).toMatchObject({ code: "E_REPLACED" });
  expect((await newer.notified()).message1).toEqual(message.message1);
  newer.link.answer({ sid: message.sid, message2: random(100) });
  expect((await rest(frames)).map(({ type }) => type)).toEqual(["answer"]);
});

test("what a device has measured of rendezvous decides at all of them; what a link before it told does not", async () => {
  const near = await one.rendezvous(`near${count}`);
  const far = await one.rendezvous(`far${count}`);
  await other.directory.registry.refresh();
  const told = ([first, ...others]: readonly TestRendezvous[]): Distances =>
    new Map([...others.map((each) => [keyOf(each), 500] as const), ...(first ? [[keyOf(first), 5] as const] : [])]);
  const known = async (): Promise<unknown> => (await one.directory.presence.find(device))?.distances;
  const nearest = async (): Promise<unknown> => {
    const { rendezvous } = await next(send(one, client, sessionMessage(client, device)), "ticket");
    return (JSON.parse(rendezvous[0]?.text ?? "") as { readonly subject: unknown }).subject;
  };
  const { link } = await TestLink.open(other, device);
  for (const [name, order] of [
    ["near", [near, far]],
    ["far", [far, near]],
  ] as const) {
    link.tellDistances(told([near, far]));
    link.tellDistances(told(order));
    await expect.poll(known).toEqual(told(order));
    expect(await nearest()).toBe(`rendezvous:${name}${count}`);
  }
  await TestLink.open(other, device);
  await expect.poll(known).toBeUndefined();
});

const keyOf = ({ ed25519 }: TestRendezvous): string => distanceKey(ed25519.publicKey);

test("a device that changes between the two too often is said to be a clone, at both", async () => {
  for (let i = 0; i < 5; i++) {
    const world = i % 2 === 0 ? one : other;
    const link = await TestLink.open(world, device);
    await expect
      .poll(async () => (await sql(`SELECT value FROM sshnp_entry WHERE key = 'presence:${subject(device)}'`)).length)
      .toBeGreaterThan(0);
    await link.event("own");
  }
  for (const { data } of [one, other]) {
    const audit = () => readFile(join(data.path, "audit.ndjson"), "utf8");
    await expect.poll(audit).toContain(`"event":"clone","device":"${subject(device)}"`);
  }
});

test("a link that is gone is offline at all of them", async () => {
  const link = await TestLink.open(other, device);
  await expect.poll(async () => (await one.directory.presence.find(device)) !== undefined).toBe(true);
  await link.close();
  await expect.poll(async () => await one.directory.presence.find(device)).toBeUndefined();
  expect(await only(send(one, client, sessionMessage(client, device)))).toMatchObject({ code: "E_OFFLINE" });
});

test("the rows of devices that the database has lost, or has as they were before, are written again when it is back", async () => {
  const gone = await one.activated(`@gone${count}`, "m", "device");
  const [link, another] = [await TestLink.open(other, device), await TestLink.open(other, gone)];
  const row = async (of: Person) => await sql(`SELECT value FROM sshnp_entry WHERE key = 'presence:${subject(of)}'`);
  await expect.poll(async () => [await row(device), await row(gone)]).not.toContain("");
  const older = { replica: "0".repeat(32), link: "0".repeat(32), since: 1, version: "0.1.0" };
  await sql(`UPDATE sshnp_entry SET value = '${JSON.stringify(older)}' WHERE key = 'presence:${subject(device)}'`);
  await sql(`DELETE FROM sshnp_entry WHERE key = 'presence:${subject(gone)}'`);
  await listenAnew();
  for (const [asked, its] of [
    [device, link],
    [gone, another],
  ] as const) {
    await expect.poll(async () => await one.directory.presence.find(asked)).toBeDefined();
    const message = sessionMessage(client, asked);
    const frames = send(one, client, message);
    await next(frames, "ticket");
    await its.notified();
    its.link.answer({ sid: message.sid, message2: random(100) });
    expect((await rest(frames)).map(({ type }) => type)).toEqual(["answer"]);
  }
});

test("the row of a device that could not be written is, once it can", async () => {
  await sql(`CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'`);
  await sql(
    `CREATE TRIGGER refused BEFORE INSERT ON sshnp_entry FOR EACH ROW WHEN (new.key LIKE 'presence:%') EXECUTE FUNCTION refused()`,
  );
  await TestLink.open(other, device);
  expect(await one.directory.presence.find(device)).toBeUndefined();
  await sql("DROP FUNCTION refused CASCADE");
  await expect.poll(async () => await one.directory.presence.find(device), { timeout: 15_000 }).toBeDefined();
});

test("who asks for a device that has no link where the database says is told soon that it is offline, and so are the next", async () => {
  const link = await TestLink.open(other, device);
  const entry = `key = 'presence:${subject(device)}'`;
  await expect.poll(() => sql(`SELECT value FROM sshnp_entry WHERE ${entry}`)).not.toBe("");
  const value = await sql(`SELECT value FROM sshnp_entry WHERE ${entry}`);
  await link.close();
  await expect.poll(() => sql(`SELECT value FROM sshnp_entry WHERE ${entry}`)).toBe("");
  await sql(`INSERT INTO sshnp_entry VALUES ('presence:${subject(device)}', '${value}')`);
  const frames = await rest(send(one, client, sessionMessage(client, device), AbortSignal.timeout(15_000)));
  expect(frames.at(-1)).toMatchObject({ code: "E_OFFLINE" });
  expect(await sql(`SELECT value FROM sshnp_entry WHERE ${entry}`)).toBe("");
});

test("a request is withdrawn wherever it waits", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const frames = send(one, client, message);
  await next(frames, "waiting");
  await only(send(other, client, { type: REQUEST.withdraw, body: encodeWithdraw(message.sid) }));
  expect(await rest(frames)).toEqual([{ type: "refused", code: "E_INTERRUPTED", detail: 0 }]);
});

test("what is stated at one, devices at the other are told", async () => {
  const link = await TestLink.open(other, device);
  await link.event("own");
  const revoked = revocation(device.owner, device.binding);
  expect(await only(send(one, device, putMessage(revoked)))).toMatchObject({ type: "logged" });
  const { own } = await link.event("own");
  expect(own.statements.member.text).toBe(revoked.text);
});

test("one rotates the keys, and another that has not noticed serves whoever has the newer list", async () => {
  const clock = new TestClock();
  await using rotating = await World.start({ clock });
  // It looks at nothing by itself.
  await using unaware = await World.beside(rotating, { clock: { ...now(clock), every: () => () => {} } });
  const gateway = await rotating.activated("@rotated", "m", "device");
  const link = await TestLink.open(unaware, gateway);
  const before = await unaware.client().fetchKeyList({ signal: patience() });
  clock.leap(8 * 24 * 60 * 60_000);
  const seq = () => rotating.directory.keyring.keyListSeq;
  await expect.poll(seq).toBeGreaterThan(before.list.seq);
  const keyList = await rotating.client().fetchKeyList({ signal: patience() });
  expect(keyList.list.sealing[0]).not.toEqual(before.list.sealing[0]);
  expect(unaware.directory.keyring.keyListSeq).toBe(before.list.seq);
  const withdrawal = { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) };
  const knowing = unaware.client({ keyList });
  expect(await knowing.request(gateway.x25519, withdrawal, { signal: patience() })).toEqual({ type: "done" });
  expect((await link.event("keyList")).keyList.list.seq).toBe(keyList.list.seq);
  clock.leap(8 * 24 * 60 * 60_000);
  await expect.poll(seq).toBeGreaterThan(keyList.list.seq);
  const newer = await rotating.client().fetchKeyList({ signal: patience() });
  expect((await unaware.client({ keyList: newer }).fetchKeyList({ signal: patience() })).list.seq).toBe(newer.list.seq);
  clock.leap(8 * 24 * 60 * 60_000);
  await expect.poll(seq).toBeGreaterThan(newer.list.seq);
  const newest = await rotating.client().fetchKeyList({ signal: patience() });
  await TestLink.open(unaware, gateway, { client: unaware.client({ keyList: newest }) });
  expect(unaware.directory.keyring.keyListSeq).toBe(newest.list.seq);
});

test("who waits at one for its owner is answered though the one did not hear that he has decided", async () => {
  const machine = newApplicant(device.name, "gw1");
  const message = await enrolMessage(one.client(), machine, await givePassword(one.client(), device), {
    isWaiting: true,
  });
  const frames = one.client().send(machine.x25519, message, { signal: patience() });
  await next(frames, "pending");
  await listenAnew(() => approve(other.client(), device, machine));
  expect((await rest(frames)).map(({ type }) => type)).toEqual(["binding"]);
});

test("who is refused anyway takes no turn, nor does a rendezvous that reports, nor a proof of what another has logged", async () => {
  const stranger = newPerson(device.name, parseMember("m2"), "device");
  const secret = await one.addName(parseName(`@new${count}`));
  const machine = newApplicant(device.name, "gw2");
  const reporting = await one.rendezvous(`rz-reporting${count}`);
  const wrong = newPerson(parseName(`@new${count}`), parseMember("m"), "client");
  await using turn = await HeldTurn.take(new URL(await database(), postgres.serverUrl).href);
  const verdict = (asked: Promise<Frame>) =>
    asked.then(
      ({ type }) => type,
      (error: { readonly code: string }) => error.code,
    );
  const at = other.client();
  const put = at.request(stranger.x25519, putMessage(stranger.binding), { signal: patience() });
  expect(await verdict(put)).toBe("E_NOT_AUTHORIZED");
  expect(await verdict(enrol(at, machine, newPassword(device).key))).toBe("E_TOKEN");
  const foreign = newPassword({ ...device, owner: stranger.owner }).message;
  expect(await verdict(at.request(device.x25519, foreign, { signal: patience() }))).toBe("E_NOT_AUTHORIZED");
  expect(await verdict(activate(at, wrong, Secret.fromBytes(random(32))))).toBe("E_CRAM_WRONG");
  expect(await verdict(report(at, { ...reporting, x25519: device.x25519 }))).toBe("E_NOT_AUTHORIZED");
  expect(await verdict(report(at, reporting))).toBe("rendezvous");
  const size = one.directory.statementLog.checkpoint.size;
  const proof = await other.directory.statementLog.proof([device.name], 0);
  expect(Number(proof.checkpoint.split("\n")[1])).toBe(size);
  await turn.end();
  expect(await verdict(activate(at, wrong, secret))).toBe("logged");
});

test("a message counts once and a nonce everywhere", async () => {
  const withdraw = { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) };
  const recorded = await sealed(one.client(), client.x25519, withdraw);
  const verdict = async (world: World, message: typeof recorded): Promise<unknown> => {
    const { frames } = await post(world.client(), message);
    const frame = frames.at(-1);
    return frame?.type === "refused" ? frame.code : frame?.type;
  };
  const { frames } = await post(one.client(), recorded);
  const [welcome] = frames;
  if (welcome?.type !== "welcome") throw new Error("no welcome");
  expect(await verdict(other, recorded)).toBe("E_PROTOCOL");
  const freshness = { kind: "nonce", nonce: welcome.nonce } as const;
  const withNonce = await sealed(one.client(), client.x25519, withdraw, { freshness });
  expect(await verdict(other, withNonce)).toBe("done");
  expect(await verdict(one, withNonce)).toBe("E_PROTOCOL");
});

test("what the one says of time the other takes, and both say the database's, though their machines' clocks are wrong", async () => {
  for (const [world, beside] of [
    [one, other],
    [other, one],
  ] as const) {
    const at = world.client();
    const machine = newApplicant(device.name, world === one ? "of-one" : "of-other");
    const password = await givePassword(at, device);
    expect(Math.abs(at.clockOffset ?? Infinity)).toBeLessThan(AHEAD_MS / 2);
    expect(await enrol(beside.client(), machine, password)).toMatchObject({ type: "pending" });
    const { registry, clock } = beside.directory;
    const standing = async () => {
      await registry.refresh();
      return registry.list(clock.now()).find(({ name }) => name === `rz${count}`);
    };
    await expect.poll(standing).toMatchObject({ isUp: true });
  }
});

test("a machine whose clock is more than 5 s off the database's is said to be, in the log at the start and by /readyz; one that is nearer is not", async () => {
  const off = new Map<string, unknown>();
  for (const seconds of [480, 8, 2, -2, -8, -480]) {
    const warned: unknown[] = [];
    const write = (line: string): void => {
      const { msg, aheadMs } = JSON.parse(line) as { readonly msg: string; readonly aheadMs: number };
      if (msg === WRONG_CLOCK) warned.push(Math.round(aheadMs / 1000));
    };
    const log = pino({ level: "warn" }, { write });
    await using world = await World.beside(one, { machineClock: clockAhead(seconds * 1000), log });
    const { checks } = await world.directory.readiness.look();
    off.set(`${seconds} s`, [warned, checks.find(({ name }) => name === "clock")]);
  }
  const degraded = (how: string) => {
    const reason = `this machine's clock is ${how} the database's, which counts`;
    return { name: "clock", status: "degraded", reason };
  };
  const ok = { name: "clock", status: "ok" };
  expect(Object.fromEntries(off)).toEqual({
    "480 s": [[480], degraded("480 s ahead of")],
    "8 s": [[8], degraded("8 s ahead of")],
    "2 s": [[], ok],
    "-2 s": [[], ok],
    "-8 s": [[-8], degraded("8 s behind")],
    "-480 s": [[-480], degraded("480 s behind")],
  });
});

test("each counts how many there are, as one comes and goes", async () => {
  const [atOne, atOther] = [await Watched.over(one), await Watched.over(other)];
  const alive = async (): Promise<unknown> =>
    await Promise.all([atOne, atOther].map((watched) => watched.value("replicas_alive")));
  await expect.poll(alive).toEqual([2, 2]);
  const third = await World.beside(one);
  await expect.poll(alive).toEqual([3, 3]);
  await third[Symbol.asyncDispose]();
  await expect.poll(alive).toEqual([2, 2]);
  await Promise.all([atOne.end(), atOther.end()]);
});

test("names are activated at both at once, and it is one log", async () => {
  const people = Array.from({ length: 12 }, (_, i) => newPerson(parseName(`@crowd${i}`), parseMember("m"), "client"));
  const worlds = [one, other];
  const frames = await Promise.all(
    people.map(
      async (person, i) => await activate((i % 2 ? one : other).client(), person, await one.addName(person.name)),
    ),
  );
  expect(frames.every(({ type }) => type === "logged")).toBe(true);
  await Promise.all(worlds.map(({ directory }) => directory.statementLog.refresh()));
  const [a, b] = worlds.map(({ directory }) => directory.statementLog.checkpoint);
  expect(a?.text).toBe(b?.text);
  for (const person of people) {
    const proof = await other.directory.statementLog.proof([person.name], 0);
    const hash = suite.sha256(new TextEncoder().encode(person.statement.text));
    expect(other.directory.statementLog.proves(proof, [person.name], [hash])).toBe(true);
  }
});

/** The name of the one that both directories share. */
async function database(): Promise<string> {
  return await postgres.sql("SELECT datname FROM pg_database WHERE datname LIKE 'np_%' ORDER BY oid LIMIT 1");
}

async function sql(statement: string): Promise<string> {
  return await postgres.sql(statement, await database());
}

/** Ends the connections by which both hear of each other, and waits until both have others. */
async function listenAnew(meanwhile?: () => Promise<unknown>): Promise<void> {
  const listening = "application_name = 'sshnp-directory' AND query ~ '^(LISTEN|SELECT 1$)'";
  const pids = await sql(`SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${listening}`);
  expect(pids.split("\n")).toHaveLength(2);
  await meanwhile?.();
  await expect.poll(() => sql(`SELECT count(*) FROM pg_stat_activity WHERE ${listening}`)).toBe("2");
}

/** Without its timers. */
function now(clock: Clock): Pick<Clock, "now" | "monotonic"> {
  return { now: () => clock.now(), monotonic: () => clock.monotonic() };
}

/** Of a machine that is set wrong. */
function clockAhead(ms: number): Clock {
  return { ...SYSTEM_CLOCK, now: () => SYSTEM_CLOCK.now() + ms };
}
