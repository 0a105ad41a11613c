import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readStatements } from "../../directory/client.ts";
import type { Operation } from "../../directory/database.ts";
import { readStatements as readFrames } from "../../directory/reading.ts";
import { delegationOperation, policyOperation, statementOperation } from "../../directory/records.ts";
import { hex } from "../../keys/bytes.ts";
import { parseMember } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { READING_MS, UNREAD_ANSWER_MS } from "../../protocol/limits.ts";
import { encodeReadStatements, type Reading } from "../../protocol/messages/read-statements.ts";
import { type Frame, parseFrame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { delegationSubject, delegationText, policySubject, policyText } from "../../protocol/owner-statements.ts";
import { ResponseOpener } from "../../protocol/response.ts";
import { signWith, subjectOf } from "../../protocol/statement-fields.ts";
import { sealed } from "./raw.ts";
import { rest } from "./streams.ts";
import { newPerson, patience, type Person, putMessage, random, suite, TestClock, World } from "./world.ts";

/** Knows whether somebody is waited for, and what is to end an answer. */
class WatchedClock extends TestClock {
  waiting = 0;
  endOfReading: (() => void) | undefined;

  override every(ms: number, action: () => void): () => void {
    const stop = super.every(ms, action);
    if (ms === READING_MS) this.endOfReading = action;
    if (ms !== UNREAD_ANSWER_MS) return stop;
    this.waiting += 1;
    return () => {
      this.waiting -= 1;
      stop();
    };
  }
}

const POLICIES = 4_000;
const DELEGATIONS = 1_000;
const clock = new WatchedClock();
let world: World;
let owner: Person;
beforeAll(async () => {
  world = await World.start({ clock });
  owner = await world.activated("@acme", "laptop", "client");
  await fill(owner);
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());

test.each([
  ["history", POLICIES + DELEGATIONS + 2],
  ["newest", DELEGATIONS + 3],
] as const)("all statements of a name that has thousands reach a slow reader: %s", async (what, count) => {
  const { response, opener } = await ask(owner, what);
  const frames: Frame[] = [];
  for await (const chunk of response) {
    response.pause();
    for (let i = 0; i < 3; i += 1) await turn();
    frames.push(...framesOf(opener, chunk as Uint8Array));
    response.resume();
  }
  expect(frames.at(-1)).toEqual({ type: "done" });
  const statements = frames.flatMap((frame) => (frame.type === "statements" ? frame.statements : []));
  expect(statements).toHaveLength(count);
  expect(new Set(statements.map(({ text }) => text)).size).toBe(count);
});

test("who asks for statements and never reads them is cut off", async () => {
  const { response } = await ask(owner, "history");
  while (clock.waiting === 0) await turn();
  const ended = once(response.socket, "close", { signal: patience() });
  clock.advance(UNREAD_ANSWER_MS);
  while (clock.waiting > 0) await turn();
  response.on("error", () => {});
  response.resume();
  await ended;
  expect(response.complete).toBe(false);
});

test("an answer that its reader draws out is no work that takes others' turns", async () => {
  const { response } = await ask(owner, "history");
  while (clock.waiting === 0) await turn();
  expect([world.directory.posts.open, world.directory.posts.working]).toEqual([1, 0]);
  response.on("error", () => {});
  response.destroy();
  while (world.directory.posts.open > 0) await turn();
  expect(world.directory.posts.working).toBe(0);
});

test("who has an answer under way gets no second one, which stops nobody else, and has it when the first has ended", async () => {
  const member = newPerson(owner.name, parseMember("other"), "client", {
    owner: owner.owner,
    statement: owner.statement,
    issued: clock.now(),
  });
  await world.client().request(member.x25519, putMessage(member.binding), { signal: patience() });
  const first = await ask(owner, "history");
  const busy = await ask(owner, "newest");
  expect(await framesFrom(busy)).toEqual([
    expect.objectContaining({ type: "welcome" }),
    { type: "refused", code: "E_BUSY", detail: 1000 },
  ]);
  expect((await framesFrom(await ask(member, "newest"))).at(-1)).toEqual({ type: "done" });
  const client = world.client();
  const question = { name: owner.name, what: "newest", ownerSignature: new Uint8Array(0) } as const;
  const second = readStatements(client, owner.x25519, question, { signal: patience() });
  first.response.destroy();
  expect((await second).length).toBeGreaterThan(DELEGATIONS);
});

test("an answer that its reader draws out ends after READING_MS", async () => {
  const { response } = await ask(owner, "history");
  response.on("error", () => {});
  const ended = once(response.socket, "close", { signal: patience() });
  clock.endOfReading?.();
  response.resume();
  await ended;
  expect(response.complete).toBe(false);
});

test("what is said while the newest are read is what is shown and proved", async () => {
  const { store, directory } = world;
  const client = world.client();
  await client.keyList({ signal: patience() });
  const before = (await store.policy(owner.name)) ?? expect.fail();
  const frames = readFrames(
    { suite, store, statementLog: directory.statementLog },
    { name: owner.name, what: "newest", checkpointSize: 0 },
  );
  const first = await frames.next();
  const fields = { name: owner.name, issued: clock.now(), expires: null, seq: POLICIES + 1 };
  const prev = hex(suite.sha256(new TextEncoder().encode(before.text)));
  const policy = "version: 1\ngrants: []\n";
  const signed = signWith(suite, owner.owner, policyText(random, { ...fields, policy, prev }));
  await world.client().request(owner.x25519, putMessage(signed), { signal: patience() });
  const pages = [first.value, ...(await rest(frames))].map((frame) =>
    frame?.type === "statements" ? frame : expect.fail(),
  );
  expect(pages.at(-1)?.statements.at(-1)?.text).toBe(signed.text);
  for (const { statements, proof } of pages) {
    const claims = statements.map(({ text }) => ({
      subject: subjectOf({ text }),
      newest: suite.sha256(new TextEncoder().encode(text)),
    }));
    client.acceptProof(proof).demand(claims);
  }
});

test("others have their turns while the past is read", async () => {
  let turns = 0;
  const over = new AbortController();
  const others = (async () => {
    for (; !over.signal.aborted; turns += 1) await turn();
  })();
  const { store, directory } = world;
  const question = { name: owner.name, what: "history", checkpointSize: 0 } as const;
  let last = -1;
  for await (const frame of readFrames({ suite, store, statementLog: directory.statementLog }, question)) {
    expect(frame.type).toBe("statements");
    expect(turns).toBeGreaterThan(last);
    last = turns;
  }
  over.abort();
  await others;
});

test("what is replaced between its reading and its proof is not shown as a lie: its reader asks again", async () => {
  const { store, directory } = world;
  const { statementLog } = directory;
  const [sensor] = await store.members(owner.name);
  const honest = statementLog.proof.bind(statementLog);
  let isPut = false;
  const proof: typeof honest = async (subjects, since) => {
    if (!isPut) {
      isPut = true;
      await statementLog.append([{ subject: `${owner.name}/${sensor?.member}`, hash: random(32) }], []);
    }
    return await honest(subjects, since);
  };
  const services = { suite, store, statementLog: { proof, proves: statementLog.proves.bind(statementLog) } };
  const question = { name: owner.name, what: "newest", checkpointSize: 0 } as const;
  const frames = await rest(readFrames(services, question));
  expect(frames.at(-1)).toEqual({ type: "refused", code: "E_BUSY", detail: 100 });
});

/** The answer to a question for statements, none of which is read yet. */
async function ask(sender: Person, what: Reading): Promise<{ response: IncomingMessage; opener: ResponseOpener }> {
  const { name, x25519 } = sender;
  const client = world.client();
  const body = encodeReadStatements({ name, what, checkpointSize: 0, ownerSignature: new Uint8Array(0) });
  const freshness = { kind: "time", time: clock.now() } as const;
  const { bytes, responseSecret } = await sealed(client, x25519, { type: REQUEST.readStatements, body }, { freshness });
  const url = new URL("/v1/messages", client.address.url);
  const sent = request(url, { method: "POST", agent: false }).end(bytes);
  const [response] = (await once(sent, "response", { signal: patience() })) as [IncomingMessage];
  return { response, opener: new ResponseOpener(suite, responseSecret) };
}

async function framesFrom({ response, opener }: Awaited<ReturnType<typeof ask>>): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const chunk of response) frames.push(...framesOf(opener, chunk as Uint8Array));
  return frames;
}

function framesOf(opener: ResponseOpener, chunk: Uint8Array): Frame[] {
  return opener.push(chunk).map((item) => {
    if ("keyList" in item) throw new Error("another key list");
    return parseFrame(item.type, item.body);
  });
}

/** Thousands of statements of a name, 12 MB in all, as if it had made them over the years. */
async function fill({ name, owner: key }: Person): Promise<void> {
  const fields = { name, issued: clock.now(), expires: null };
  const said: { subject: string; seq: number; signed: SignedText }[] = [];
  const operations: Operation[] = [];
  const id = (i: number): string => i.toString(16).padStart(16, "0");
  for (let i = 1; i <= DELEGATIONS; i += 1) {
    const of = { id: id(i), key: key.publicKey, role: "device", pattern: "*", uses: 1 } as const;
    const signed = signWith(suite, key, delegationText(random, { ...fields, ...of, seq: 1, prev: null }));
    said.push({ subject: delegationSubject({ name, id: of.id }), seq: 1, signed });
    operations.push(delegationOperation(name, of.id, { delegation: signed, newest: signed, made: 0 }));
  }
  for (let seq = 1; seq <= POLICIES; seq += 1) {
    const policy = `version: 1\ngrants: []\n# ${hex(random(1_200))}\n`;
    const signed = signWith(suite, key, policyText(random, { ...fields, policy, seq, prev: null }));
    said.push({ subject: policySubject(name), seq, signed });
    if (seq === POLICIES) operations.push(policyOperation(name, signed));
  }
  const entries = said.map(({ subject, signed }) => ({
    subject,
    hash: suite.sha256(new TextEncoder().encode(signed.text)),
  }));
  const rows = said.map(({ subject, seq, signed }) => statementOperation(subject, seq, signed));
  await world.store.exclusively(() => world.directory.statementLog.append(entries, [...operations, ...rows]));
}
