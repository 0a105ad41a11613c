import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Operation } from "../../directory/database.ts";
import { delegationOperation, policyOperation, statementOperation } from "../../directory/records.ts";
import { hex } from "../../keys/bytes.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { UNREAD_ANSWER_MS } from "../../protocol/limits.ts";
import { encodeReadStatements, type Reading } from "../../protocol/messages/read-statements.ts";
import { type Frame, parseFrame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { delegationSubject, delegationText, policySubject, policyText } from "../../protocol/owner-statements.ts";
import { ResponseOpener } from "../../protocol/response.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { sealed } from "./raw.ts";
import { patience, type Person, random, suite, TestClock, World } from "./world.ts";

/** Knows whether somebody is waited for. */
class WatchedClock extends TestClock {
  waiting = 0;

  override every(ms: number, action: () => void): () => void {
    const stop = super.every(ms, action);
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
