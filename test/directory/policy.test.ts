import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import { parseMember } from "../../keys/names.ts";
import { keySigner, signText } from "../../keys/owner-signer.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { POLICY_BYTES } from "../../protocol/limits.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { policyText } from "../../protocol/owner-statements.ts";
import { next, only, rest, send as post, TestLink } from "./streams.ts";
import { newPerson, type Person, putMessage, random, sessionMessage, suite, TestClock, World } from "./world.ts";

const clock = new TestClock();
let world: World;
let alice: Person;
let bob: Person;
let stranger: Person;
beforeAll(async () => {
  world = await World.start({ clock });
  alice = await world.activated("@acme", "alice", "client");
  const { name, owner, statement } = alice;
  bob = newPerson(name, parseMember("bob"), "client", { owner, statement, issued: clock.now() });
  expect(await put(bob, bob.binding)).toMatchObject({ type: "logged" });
  stranger = await world.activated("@stranger", "laptop", "client");
});
afterAll(() => world[Symbol.asyncDispose]());

let device: Person;
let count = 0;
let newest: SignedText | undefined;
beforeEach(async () => {
  count += 1;
  newest = undefined;
  device = await world.activated(`@device${count}`, "gw1", "device");
  await world.rendezvous(`rz${count}`);
});

const ALICE = "version: 1\ngrants:\n  - {from: ['@acme/alice'], to: [gw1], services: [ssh]}\n";

test("where a name has no policy, every client may look its devices up and ask: the device decides", async () => {
  for (const client of [alice, bob, stranger]) {
    expect(await lookUp(client)).toMatchObject({ type: "binding", of: "device" });
    expect(await ask(client)).toMatchObject({ type: "refused", code: "E_NEVER_SEEN" });
  }
});

test("a device that a policy lets somebody not reach is answered as one that does not exist, look-ups included", async () => {
  await expect(putPolicy(ALICE)).resolves.toMatchObject({ type: "logged" });
  expect(await lookUp(alice)).toMatchObject({ type: "binding", of: "device" });
  for (const client of [bob, stranger]) {
    const gone = { ...device, member: parseMember("gw9") };
    const frames = [await lookUp(client), await ask(client), await lookUp(client, gone), await ask(client, gone)];
    for (const frame of frames) expect(frame).toEqual({ type: "refused", code: "E_UNKNOWN_NAME", detail: 0 });
  }
});

test.each([
  ["another service", "{from: ['@acme/alice'], to: [gw1], services: ['tcp:10.0.0.1:5432']}"],
  ["another login", "{from: ['@acme/alice'], to: [gw1], services: [ssh], logins: [root]}"],
  ["a time that is over", "{from: ['@acme/alice'], to: [gw1], services: [ssh], expires: 2020-01-01}"],
])("a request that its grants have not is refused early, with E_POLICY: %s", async (_what, grant) => {
  const link = await TestLink.open(world, device);
  await putPolicy(`version: 1\ngrants:\n  - ${grant}\n`);
  expect(await lookUp(alice)).toMatchObject({ type: "binding", of: "device" });
  expect(await ask(alice)).toEqual({ type: "refused", code: "E_POLICY", detail: 0 });
  await putPolicy(ALICE);
  const frames = post(world, alice, sessionMessage(alice, device));
  await next(frames, "ticket");
  expect((await link.notified()).prologue.client.member).toBe("alice"); // and nothing was handed over before
  await frames.return(undefined);
  await link.close();
});

test("a request that waited for its device is judged once more when the device comes", async () => {
  const link = await TestLink.open(world, device);
  await link.close(); // known to have been there
  await putPolicy(ALICE);
  const frames = post(world, alice, sessionMessage(alice, device, { waitSeconds: 600 }));
  await next(frames, "waiting");
  await putPolicy("version: 1");
  const back = await TestLink.open(world, device);
  expect(await rest(frames)).toEqual([{ type: "refused", code: "E_POLICY", detail: 0 }]);
  await back.close();
});

test("devices hear of a new policy at once", async () => {
  const link = await TestLink.open(world, device);
  await link.event("own");
  await putPolicy(ALICE);
  const { own } = await link.event("own");
  expect(own.policy?.text).toBe(newest?.text);
  await link.close();
});

test.each([
  ["a text that is no policy", "version: 2"],
  ["a field that there is not", "version: 1\ngrant: []"],
  ["a zone that is not known", `${ALICE.trimEnd().slice(0, -1)}, hours: 07:00-19:00 Europe/Atlantis}\n`],
  ["a test that fails", `${ALICE}tests:\n  - {from: '@acme/bob', to: gw1, service: ssh, expect: allow}\n`],
  ["an alias bomb", "version: 1\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"],
  ["brackets without end", `version: 1\ngrants: ${"[".repeat(POLICY_BYTES / 2)}`],
])("a policy is not taken, and the one before stays: %s", async (_what, text) => {
  await putPolicy(ALICE);
  const before = newest;
  expect(await putPolicy(text)).toEqual({ type: "refused", code: "E_POLICY", detail: 0 });
  newest = before;
  expect((await world.store.policy(device.name))?.text).toBe(before?.text);
  expect(await lookUp(alice)).toMatchObject({ type: "binding" });
  expect(await putPolicy("version: 1")).toMatchObject({ type: "logged" });
  expect(await lookUp(alice)).toMatchObject({ type: "refused", code: "E_UNKNOWN_NAME" });
});

test("nobody but the owner puts a policy, and none is put twice over the same one", async () => {
  await putPolicy(ALICE);
  expect(await put(stranger, await signedPolicy("version: 1", stranger))).toMatchObject({ code: "E_NOT_AUTHORIZED" });
  const first = await signedPolicy("version: 1");
  const second = await signedPolicy("version: 1");
  expect(await put(device, first)).toMatchObject({ type: "logged" });
  expect(await put(device, second)).toEqual({ type: "refused", code: "E_STATEMENT", detail: 0 });
});

/** The next policy of the device's name. */
async function signedPolicy(text: string, by: Person = device): Promise<SignedText> {
  const place =
    newest === undefined
      ? { seq: 1, prev: null }
      : { seq: seqIn(newest) + 1, prev: hex(suite.sha256(utf8(newest.text))) };
  const statement = { name: device.name, policy: text, ...place, issued: clock.now(), expires: null };
  return await signText(keySigner(suite, by.owner), policyText(random, statement));
}

function seqIn({ text }: SignedText): number {
  return Number(/"seq":(\d+)/.exec(text)?.[1]);
}

async function putPolicy(text: string): Promise<Frame> {
  const signed = await signedPolicy(text);
  newest = signed;
  return await put(device, signed);
}

async function put(sender: Person, signed: SignedText): Promise<Frame> {
  return await only(post(world, sender, putMessage(signed)));
}

async function lookUp(client: Person, of: Person = device): Promise<Frame> {
  return await only(post(world, client, sessionMessage(client, of, { message1: new Uint8Array(0) })));
}

async function ask(client: Person, of: Person = device): Promise<Frame> {
  return await only(post(world, client, sessionMessage(client, of)));
}
