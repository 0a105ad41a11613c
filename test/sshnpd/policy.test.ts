/** A device whose owner has signed a policy, at a directory that passes everything on to it, with true proofs. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { keySigner, signText } from "../../keys/owner-signer.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { policySubject, policyText } from "../../protocol/owner-statements.ts";
import { bindingSubject, signFirstBinding, verifyBinding } from "../../protocol/statements.ts";
import { NOW } from "../protocol/fixtures.ts";
import { rebinding } from "../support/later-statements.ts";
import { liveBytes } from "../support/memory.ts";
import { LinkedDevice, type LinkedDeviceOptions } from "./linked-device.ts";
import {
  clientBinding,
  clientOwner,
  clientStatements,
  people,
  random,
  readAnswer,
  startRequest,
  suite,
} from "./stage.ts";

const { client, device } = people;
const DEVICE = device.member;
const NOBODY = new Map();

/** In place of an SSH server and of other servers. */
let server: Server;
let port: number;
const connections: Socket[] = [];
let linked: LinkedDevice;
let newest: SignedText | undefined;
beforeAll(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.push(socket.on("error", () => {}));
    socket.end("hello");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});
afterAll(() => void server.close());
beforeEach(() => {
  newest = undefined;
});
afterEach(async () => {
  for (const socket of connections.splice(0)) socket.destroy();
  await linked[Symbol.asyncDispose]();
});

const OWNERS = `owners: {"@client": ${clientOwner}}`;
const LAPTOP = `{from: ["@client/${client.member}"], to: [${DEVICE}], services: [ssh]}`;

test("of two members the one that is granted comes in, with no -m; the other is refused by the device, which says why", async () => {
  await begin({ listed: NOBODY });
  await obey(`${OWNERS}\ngrants: [${LAPTOP}]`);
  const channel = await linked.connect();
  await channel.open("ssh").opened;
  expect(connections).toHaveLength(1);

  const phone = memberOf("phone");
  expect(await refusalOf(phone)).toEqual({
    code: "E_POLICY",
    reason: `the policy does not let @client/phone reach ${DEVICE}`,
  });
  await obey(`${OWNERS}\ngrants: [${LAPTOP}, {from: ["@client/phone"], to: [gw7], services: [ssh]}]`);
  expect((await refusalOf(phone))?.reason).toBe(
    `the policy does not let @client/phone reach ${DEVICE}; it may reach: gw7`,
  );
  await obey(`${OWNERS}\ngrants: [{from: ["@client"], to: ["*"], services: [ssh], logins: [pi]}]`);
  expect((await refusalOf(phone, "root"))?.reason).toBe(
    `the policy does not let @client/phone use ssh on ${DEVICE} as root; it may as: pi`,
  );
  expect(await refusalOf(phone, "pi")).toBeUndefined();
});

test("a policy and any -m: only who is in both comes in", async () => {
  await begin({ listed: new Map([[parseName("@somebody"), undefined]]) });
  await obey(`${OWNERS}\ngrants: [${LAPTOP}]`);
  expect((await refusalOf())?.reason).toMatch(/^it does not list @client; .* \(the policy has to grant it as well\)$/);
});

test("-m grants nothing more once there is a policy", async () => {
  await begin();
  expect(await refusalOf()).toBeUndefined();
  await obey('grants: [{from: ["@client"], to: [gw7], services: [ssh]}]');
  expect((await refusalOf())?.reason).toBe(
    `the policy does not let @client/${client.member} reach ${DEVICE}; it may reach: gw7`,
  );
});

test("a policy that takes access away ends the live session", async () => {
  await begin();
  await obey(`grants: [${LAPTOP}]`);
  const channel = await linked.connect();
  await channel.open("ssh").opened;
  const ended = channel.closed;
  await obey("grants: []");
  expect(await ended).toMatchObject({ how: "closed", by: "peer", code: "revoked" });
}, 15_000);

test("a policy that leaves a session its ssh ends the streams that it does not leave it", async () => {
  await begin();
  const tcp = `tcp:127.0.0.1:${port}`;
  await obey(`grants: [${LAPTOP}, {from: ["@client"], to: [${DEVICE}], services: ["${tcp}"]}]`);
  const channel = await linked.connect();
  const [ssh, other] = [channel.open("ssh"), channel.open(tcp)];
  await Promise.all([ssh.opened, other.opened]);
  const broken = once(other.resume(), "error");
  await obey(`grants: [${LAPTOP}]`);
  expect((await broken)[0]).toMatchObject({ code: "E_DEVICE_REFUSED" });
  await expect(channel.open(tcp).opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" });
  await channel.open("ssh").opened;
  expect(ssh.destroyed).toBe(false);
});

test("what is granted as tcp is connected as the device reaches it, and only that", async () => {
  await begin({ sshPort: 1 });
  await obey(`grants: [{from: ["@client"], to: ["*"], services: ["tcp:127.0.0.1:${port}", "tcp:127.0.0.1:1"]}]`);
  const channel = await linked.connect(startRequest({ service: `tcp:127.0.0.1:${port}` }));
  const stream = channel.open(`tcp:127.0.0.1:${port}`);
  const [bytes] = (await once(stream, "data")) as [Uint8Array];
  expect(new TextDecoder().decode(bytes)).toBe("hello");
  await expect(channel.open("tcp:127.0.0.1:1").opened).rejects.toMatchObject({ code: "E_CLOSED" });
  await expect(channel.open("ssh").opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" });
});

test("what is granted as tcp may be at an IPv6 address", async () => {
  const other = createServer((socket) => connections.push(socket.end("hello"))).listen(0, "::1");
  await once(other, "listening");
  const service = `tcp:[::1]:${(other.address() as AddressInfo).port}`;
  await begin();
  await obey(`grants: [{from: ["@client"], to: ["*"], services: ["${service}"]}]`);
  const stream = (await linked.connect(startRequest({ service }))).open(service);
  const [bytes] = (await once(stream, "data")) as [Uint8Array];
  expect(new TextDecoder().decode(bytes)).toBe("hello");
  other.close();
});

test("a live session ends at the expiry of its grant", async () => {
  const clock = standingClock();
  await begin({ now: () => clock.now });
  const expiry = Math.ceil(NOW / 1000) * 1000 + 2000;
  const said = `${new Date(expiry).toISOString().slice(0, 19)}Z`;
  await obey(`grants: [{from: ["@client"], to: ["*"], services: [ssh], expires: "${said}"}]`);
  const channel = await linked.connect();
  await channel.open("ssh").opened;
  clock.now = expiry;
  expect(await channel.closed).toMatchObject({ code: "revoked" });
  expect((await refusalOf())?.reason).toMatch(/^the policy let @client\/\S+ use ssh on \S+ until /);
}, 20_000);

test("a live session ends with its client's binding, and no stream of it is opened then", async () => {
  const { channel, clock, ends } = await beginBound();
  await channel.open("ssh").opened;
  clock.now = ends;
  expect(await channel.closed).toMatchObject({ code: "revoked" });
}, 20_000);

test("a live session whose client is renewed for the same key goes on beyond the binding that it began with", async () => {
  const { channel, binding, clock, ends } = await beginBound();
  const renewed = rebinding(client.owner, clientBinding.statement, binding);
  linked.log.add(renewed);
  const proof = linked.prove([client.name, bindingSubject(client)]);
  const statements = { ...clientStatements, member: renewed };
  linked.say({
    type: "changed",
    changed: { client: { name: client.name, member: client.member }, statements, proof },
  });
  await obey(`grants: [${LAPTOP}]`); // the device takes what it is told in turn
  clock.now = ends + 1000;
  await channel.open("ssh").opened;
  expect(linked.sessions.count).toBe(1);
}, 20_000);

test("an expiry further off than timers reach ends nothing now", async () => {
  await begin();
  await obey(`grants: [{from: ["@client"], to: ["*"], services: [ssh], expires: 2999-12-31}]`);
  const channel = await linked.connect();
  const stream = channel.open("ssh");
  await stream.opened;
  for (let i = 0; i < 100; i++) await new Promise(setImmediate);
  await channel.open("ssh").opened;
  expect([stream.destroyed, linked.sessions.count]).toEqual([false, 1]);
});

test("access that is checked at the first stream only (chisel, CVE-2026-48113): after ssh, 10,000 other services are refused, in flat memory", async () => {
  await begin();
  await obey(`grants: [${LAPTOP}]`);
  const channel = await linked.connect();
  await channel.open("ssh").opened;
  await expect(channel.open("tcp:10.0.0.1:5432").opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" });
  const refuse = async (first: number, count: number): Promise<void> => {
    for (let at = first; at < first + count; at += 50) {
      const services = Array.from(
        { length: 50 },
        (_, i) => `tcp:10.${(at + i) >> 8}.${(at + i) & 255}.1:${1 + at + i}`,
      );
      const results = await Promise.allSettled(services.map((service) => channel.open(service).opened));
      for (const result of results) {
        expect(result).toMatchObject({ status: "rejected", reason: { code: "E_DEVICE_REFUSED" } });
      }
    }
  };
  await refuse(0, 2000);
  const before = liveBytes();
  await refuse(2000, 10_000);
  expect(liveBytes() - before).toBeLessThan(4 * 1024 * 1024);
  await channel.open("ssh").opened;
  expect(connections).toHaveLength(2);
}, 120_000);

test("a policy that the device cannot read lets nobody in, and ends what goes on", async () => {
  await begin();
  const channel = await linked.connect();
  await channel.open("ssh").opened;
  const ended = channel.closed;
  await obey("grants: nonsense");
  expect(await ended).toMatchObject({ code: "revoked" });
  expect((await refusalOf())?.reason).toBe(
    "it cannot read the policy of its owner, so it lets nobody in; its log says why",
  );
});

test("the owner key of a name is the one that the policy says, as with -m @client=SHA256:...", async () => {
  await begin({ listed: NOBODY });
  const other = fingerprintOf(Ed25519PrivateKey.generate(suite, random));
  await obey(`owners: {"@client": ${other}}\ngrants: [${LAPTOP}]`);
  expect(await linked.clients.unresolved()).toEqual([]);
  expect(await linked.ask()).toMatchObject({ code: "E_OWNER_KEY" });
});

test("a session whose name gets another owner key by the policy ends", async () => {
  await begin({ listed: NOBODY });
  await obey(`${OWNERS}\ngrants: [${LAPTOP}]`);
  const channel = await linked.connect();
  await channel.open("ssh").opened;
  const ended = channel.closed;
  await obey(`owners: {"@client": ${fingerprintOf(Ed25519PrivateKey.generate(suite, random))}}\ngrants: [${LAPTOP}]`);
  expect(await ended).toMatchObject({ code: "revoked" });
});

test("when -m and the policy give two owner keys, the name is refused", async () => {
  await begin();
  await obey(`owners: {"@client": ${fingerprintOf(Ed25519PrivateKey.generate(suite, random))}}\ngrants: [${LAPTOP}]`);
  expect(await linked.ask()).toMatchObject({ code: "E_OWNER_KEY" });
  expect(await linked.clients.describe()).toEqual([
    "@client is refused: -m and the policy of the owner give two different owner keys.",
  ]);
});

test("an owner key that nobody has said is asked for at the directory, on a new link, and never taken from a request", async () => {
  await begin({ listed: NOBODY });
  await obey(`grants: [${LAPTOP}]`);
  await expect.poll(() => linked.closed).toBe(1);
  expect(await linked.clients.unresolved()).toEqual(["@client"]);
  expect((await refusalOf())?.reason).toMatch(/^it admits @client but has not learnt yet which owner key that is/);
  await linked.clients.learn([client.nameStatement], NOW);
  expect(await refusalOf()).toBeUndefined();
});

async function begin(options: LinkedDeviceOptions = {}): Promise<void> {
  linked = await LinkedDevice.start({ sshPort: port, ...options });
}

/** Has the owner sign the rest of a policy, and the directory bring it. */
async function obey(text: string): Promise<void> {
  const before = newest === undefined ? undefined : suite.sha256(new TextEncoder().encode(newest.text));
  const seq = newest === undefined ? 1 : Number(/"seq":(\d+)/.exec(newest.text)?.[1]) + 1;
  const statement = policyText(random, {
    ...{ name: device.name, policy: `version: 1\n${text}\n`, issued: NOW, expires: null },
    ...{ seq, prev: before === undefined ? null : hex(before) },
  });
  const policy = await signText(keySigner(suite, device.owner), statement);
  newest = policy;
  linked.log.hold(device.nameStatement, device.binding, policy);
  const proof = linked.prove([device.name, bindingSubject(device), policySubject(device.name)]);
  const statements = { names: [device.nameStatement], member: device.binding, delegation: undefined };
  linked.say({ type: "own", own: { statements, policy, proof } });
  await expect.poll(() => linked.own.policy?.signed.text).toBe(policy.text);
  expect(linked.failures).toEqual([]);
}

/** What the device takes for the time stands still until the test sets it. */
function standingClock() {
  return { now: NOW + 1000 };
}

/** A session of a client whose binding ends at `ends`. */
async function beginBound() {
  const clock = standingClock();
  await begin({ now: () => clock.now });
  const ends = clock.now + 1500;
  const binding = rebinding(client.owner, clientBinding.statement, client.binding, { expires: ends });
  const bindingHash = suite.sha256(utf8(binding.text));
  const initiator = startRequest({ client: { name: client.name, member: client.member, bindingHash } });
  const channel = await linked.connect(initiator, { client: { ...clientStatements, member: binding } });
  return { channel, binding, clock, ends };
}

/** Another member of @client, with keys of its own. */
function memberOf(memberText: string) {
  const member = parseMember(memberText);
  const [x25519, ed25519] = [X25519PrivateKey.generate(suite, random), Ed25519PrivateKey.generate(suite, random)];
  const { seq: _seq, prev: _prev, ...fields } = clientBinding.statement;
  const keys = { x25519: x25519.publicKey, ed25519: ed25519.publicKey };
  const binding = signFirstBinding(suite, random, client.owner, { ...fields, ...keys, member });
  const { hash } = verifyBinding(suite, binding, ed25519Line(client.owner.publicKey));
  return { member, x25519, binding, hash };
}

/** What the device seals for a member that asks for ssh; undefined: it is granted. */
async function refusalOf(asking: Partial<ReturnType<typeof memberOf>> = {}, login = "") {
  const {
    member = client.member,
    x25519 = client.x25519,
    binding = client.binding,
    hash = clientBinding.hash,
  } = asking;
  const party = { name: client.name, member, bindingHash: hash };
  const initiator = startRequest({ client: party, clientKey: x25519, login });
  const notify = linked.request(initiator, { client: { ...clientStatements, member: binding } });
  return readAnswer(initiator, await linked.ask(initiator, notify), notify.ticket).payload.refusal;
}

function fingerprintOf(key: Ed25519PrivateKey) {
  return fingerprint(suite, parsePublicKeyLine(ed25519Line(key.publicKey)).blob);
}
