import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { readSeenLog } from "../../keys/log-files.ts";
import { parseMember } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { listPins, readPins } from "../../keys/peer-files.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { LABEL } from "../../protocol/label.ts";
import { cosign, printWitness, withCosignatures } from "../../protocol/log/cosignature.ts";
import { encodeLogProof, type LogProof } from "../../protocol/log/proof.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { policySubject } from "../../protocol/owner-statements.ts";
import type { PeerClaim } from "../../protocol/peers.ts";
import { CLIENT_BINDING_MS } from "../../protocol/limits.ts";
import { bindingSubject, signFirstNameStatement } from "../../protocol/statements.ts";
import { NOW } from "../protocol/fixtures.ts";
import { delegation, policy, rebinding, revocation, rotation } from "../support/later-statements.ts";
import { StatementLog } from "../support/statement-log.ts";
import { DIRECTORY, LinkedDevice } from "./linked-device.ts";
import {
  clientBinding,
  clientStatements,
  deviceBinding,
  ORIGIN,
  people,
  random,
  readAnswer,
  startRequest,
  subjectsOf,
  suite,
} from "./stage.ts";

const { client, device } = people;
const mallory = Ed25519PrivateKey.generate(suite, random);
const CLIENT_SUBJECTS = [client.name, bindingSubject(client)];
const OWN_SUBJECTS = [device.name, bindingSubject(device), policySubject(device.name)];
const OWN: MemberStatements = { names: [device.nameStatement], member: device.binding, delegation: undefined };
const REVOKED = { how: "closed", by: "peer", code: "revoked" };

let linked: LinkedDevice;
beforeEach(async () => {
  linked = await LinkedDevice.start();
  linked.log.add(client.nameStatement, client.binding, device.nameStatement, device.binding);
});
afterEach(() => linked[Symbol.asyncDispose]());

describe("a log that lies is not followed: what comes with it is answered E_LOG and ends the link", () => {
  /** The logs from which the proof of a second request comes. `honest` goes on from what the device has seen. */
  const lies: Record<string, (honest: StatementLog, seen: StatementLog) => StatementLog> = {
    "smaller than it was": () => new StatementLog(suite, people.directory.log, ORIGIN).add(client.binding),
    "of another history, and larger": (honest) => {
      const other = new StatementLog(suite, people.directory.log, ORIGIN);
      while (other.size <= honest.size) other.add(device.binding);
      return other;
    },
    "of another history, and as large": (_honest, seen) => sameSize(seen),
    "signed by another key": (honest) => {
      const other = new StatementLog(suite, mallory, ORIGIN);
      while (other.size <= honest.size) other.add(device.binding);
      return other;
    },
    "that goes by another name": (honest) => {
      const other = new StatementLog(suite, people.directory.log, "np.example.org/other");
      while (other.size <= honest.size) other.add(device.binding);
      return other;
    },
  };
  test.each(Object.keys(lies))("%s", async (which) => {
    await linked.ask();
    const seen = linked.log.copy();
    const notify = linked.request();
    linked.log.hold(device.binding);
    const lying = lies[which]?.(linked.log, seen).hold() ?? linked.log;
    linked.log = lying;
    const proof = lying.prove(subjectsOf(notify), linked.seen);
    expect(() => linked.say({ type: "notify", notify: { ...notify, proof } })).toThrow(
      expect.objectContaining({ name: expect.stringMatching(/Error$/), code: "E_LOG" }),
    );
    expect(linked.answers.at(-1)).toEqual({ sid: notify.prologue.sid, code: "E_LOG", labels: [LABEL] });
    expect(linked.seen).toBe(seen.size);
  });

  const proofs: Record<string, (proof: LogProof) => Partial<LogProof>> = {
    "a proof of growth that begins elsewhere": ({ since }) => ({ since: since - 1 }),
    "no proof of growth": () => ({ consistency: [] }),
    "a heads leaf that is not in the tree": () => ({ headsRoot: random(32) }),
    "no proof that the heads are in the tree": () => ({ inclusion: [] }),
    "a checkpoint with a changed signature": ({ checkpoint }) => ({ checkpoint: withOtherSignature(checkpoint) }),
  };
  test.each(Object.keys(proofs))("with %s", async (which) => {
    await linked.ask();
    const before = linked.seen;
    linked.log.add(device.binding);
    const notify = linked.request();
    const proof = linked.log.proof(subjectsOf(notify), before);
    const lie = encodeLogProof({ ...proof, ...proofs[which]?.(proof) });
    expect(() => linked.say({ type: "notify", notify: { ...notify, proof: lie } })).toThrow(
      expect.objectContaining({ code: "E_LOG" }),
    );
    linked.say({ type: "notify", notify: { ...notify, proof: encodeLogProof(proof) } }); // it was the lie alone
    await expect.poll(() => linked.answers.at(-1)).toHaveProperty("message2");
  });

  test("with what is no proof at all", async () => {
    const notify = linked.request();
    for (const proof of [new Uint8Array(0), random(300), linked.prove(subjectsOf(notify)).slice(0, -1)]) {
      expect(() => linked.say({ type: "notify", notify: { ...notify, proof } })).toThrow(
        expect.objectContaining({ code: "E_PROTOCOL" }),
      );
    }
    expect(linked.seen).toBe(0);
  });
});

test("a log that not enough witnesses vouch for is answered E_WITNESS, and believed with them", async () => {
  const [one, other] = [mallory, Ed25519PrivateKey.generate(suite, random)];
  const witness = [one, other].map(({ publicKey }, i) => printWitness(suite, { name: `example.org/w${i}`, publicKey }));
  await using careful = await LinkedDevice.start({ witnesses: { witness, witnesses: "2" } });
  const notify = careful.request();
  const proof = careful.log.proof(subjectsOf(notify));
  const cosigned = [one, other].map((key, i) =>
    cosign(suite, key, `example.org/w${i}`, proof.checkpoint, Math.floor(Date.now() / 1000)),
  );
  for (const lines of [[], cosigned.slice(0, 1), [...cosigned.slice(1), ...cosigned.slice(1)]]) {
    const checkpoint = withCosignatures(proof.checkpoint, lines);
    const lacking = { ...notify, proof: encodeLogProof({ ...proof, checkpoint }) };
    expect(() => careful.say({ type: "notify", notify: lacking })).toThrow(
      expect.objectContaining({ code: "E_WITNESS" }),
    );
    expect(careful.answers.at(-1)).toMatchObject({ code: "E_WITNESS" });
  }
  expect(careful.seen).toBe(0);
  const checkpoint = withCosignatures(proof.checkpoint, cosigned);
  careful.say({ type: "notify", notify: { ...notify, proof: encodeLogProof({ ...proof, checkpoint }) } });
  await expect.poll(() => careful.answers.at(-1)).toHaveProperty("message2");
});

test("two trees of one size are evidence: both notes are kept, once, and stay when the log goes on", async () => {
  await linked.ask();
  const [one, other] = [linked.log, sameSize(linked.log)];
  const notify = linked.request();
  for (let i = 0; i < 2; i++) {
    const proof = other.prove(subjectsOf(notify), linked.seen);
    expect(() => linked.say({ type: "notify", notify: { ...notify, proof } })).toThrow(
      expect.objectContaining({ name: "SecurityError", code: "E_LOG", evidence: [one.checkpoint, other.checkpoint] }),
    );
  }
  const kept = [{ found: expect.any(Number), notes: [one.checkpoint, other.checkpoint] }];
  await linked.directory.remembered();
  expect((await readSeenLog(linked.keys, DIRECTORY)).evidence).toEqual(kept);
  linked.log.add(device.binding);
  await linked.ask();
  await linked.directory.remembered();
  expect(await readSeenLog(linked.keys, DIRECTORY)).toMatchObject({
    ...{ checkpoint: linked.log.checkpoint, evidence: kept },
  });
});

test("what was seen of the log is demanded after a restart, too", async () => {
  await linked.ask();
  const seen = linked.log.copy();
  await linked.stop();
  await using again = await LinkedDevice.start({ keys: linked.keys });
  expect(again.seen).toBe(seen.size);

  again.log = new StatementLog(suite, people.directory.log, ORIGIN).add(client.binding);
  const sayNow = (): void => {
    const notify = { ...startNotify(again), proof: again.prove([]) };
    again.say({ type: "notify", notify });
  };
  expect(sayNow).toThrow(expect.objectContaining({ code: "E_LOG" }));
  again.log = sameSize(seen);
  expect(sayNow).toThrow(expect.objectContaining({ evidence: [seen.checkpoint, again.log.checkpoint] }));
  again.log = seen.add(device.binding);
  expect(await again.ask()).toHaveProperty("message2");
});

test("a checkpoint that a client brings of another tree of the same size is evidence, and the request is refused", async () => {
  await linked.ask();
  const other = sameSize(linked.log);
  const refusal = await refusalOf(other.checkpoint);
  expect(refusal).toEqual({
    ...{ code: "E_LOG", reason: "The directory's log has signed two different trees of the same size." },
  });
  await linked.directory.remembered();
  expect((await readSeenLog(linked.keys, DIRECTORY)).evidence).toMatchObject([
    { notes: [linked.log.checkpoint, other.checkpoint] },
  ]);
});

test("a checkpoint that a client brings which says nothing against the log stops nothing", async () => {
  await linked.ask();
  const newer = linked.log.copy().add(device.binding);
  const foreign = new StatementLog(suite, mallory, ORIGIN).add(device.binding);
  for (const checkpoint of ["", linked.log.checkpoint, newer.checkpoint, foreign.checkpoint, "nonsense"]) {
    expect(await refusalOf(checkpoint)).toBeUndefined();
  }
  expect((await readSeenLog(linked.keys, DIRECTORY)).evidence).toEqual([]);
});

describe("a request whose statements are not the newest is refused with E_LOG", () => {
  const newer = rebinding(client.owner, clientBinding.statement, client.binding);
  const lies: Record<string, (log: StatementLog) => readonly string[] | undefined> = {
    "the client is revoked, and its binding is given": (log) => void log.add(revocation(client.owner, client.binding)),
    "the client has a newer binding": (log) => void log.add(newer),
    "the client's owner has handed the name on": (log) =>
      void log.add(rotation({ from: client.owner, to: mallory, before: client.nameStatement })),
    "the rendezvous has a newer statement": (log) =>
      void log.add({ text: people.rendezvous.statement.text.replace('"seq":1', '"seq":2') }),
    "there is a policy that the device was not told of": (log) =>
      void log.add(policy(device.owner, device.name, undefined)),
    "the client alone is proved": () => CLIENT_SUBJECTS,
    "nothing is proved": () => [],
    "another client is proved": () => [device.name, bindingSubject(device), ...OWN_SUBJECTS.slice(2), "rendezvous:eu1"],
  };
  test.each(Object.keys(lies))("%s", async (which) => {
    const notify = linked.request();
    const subjects = lies[which]?.(linked.log) ?? subjectsOf(notify);
    linked.say({ type: "notify", notify: { ...notify, proof: linked.prove(subjects) } });
    await expect.poll(() => linked.answers).toEqual([{ sid: notify.prologue.sid, code: "E_LOG", labels: [LABEL] }]);
    expect([linked.sessions.count, await listPins(linked.keys)]).toEqual([0, []]);
  });
});

test("a revoked client that an honest directory hands on is refused as revoked", async () => {
  const member = revocation(client.owner, client.binding, { reason: "lost" });
  const initiator = startRequest();
  const notify = linked.request(initiator, { client: { ...clientStatements, member } });
  expect(await linked.ask(initiator, notify)).toMatchObject({ code: "E_REVOKED" });
  expect(linked.sessions.count).toBe(0);
});

describe("owners of names that were asked for", () => {
  test("are pinned when the log says that there is none newer", async () => {
    await using bare = await LinkedDevice.start({ listed: new Map([[client.name, undefined]]) });
    bare.log.add(client.nameStatement);
    const chains = [[client.nameStatement]];
    bare.say({ type: "names", names: { chains, proof: bare.prove([client.name]) } });
    await expect.poll(() => listPins(bare.keys)).toEqual([{ name: client.name, member: undefined }]);
    expect(bare.failures).toEqual([]);
  });

  test.each([
    ["has handed the name on, which the directory hides", [client.name]],
    ["is not what is proved", [device.name]],
    ["is not proved", []],
  ])("are not when one %s", async (_what, subjects) => {
    await using bare = await LinkedDevice.start({ listed: new Map([[client.name, undefined]]) });
    bare.log.add(client.nameStatement, device.nameStatement);
    bare.log.add(rotation({ from: client.owner, to: mallory, before: client.nameStatement }));
    bare.say({ type: "names", names: { chains: [[client.nameStatement]], proof: bare.prove(subjects) } });
    await expect.poll(() => bare.failures).toEqual([expect.objectContaining({ code: "E_LOG" })]);
    expect(await listPins(bare.keys)).toEqual([]);
  });
});

describe("what is said about the device itself", () => {
  const bound = rebinding(device.owner, deviceBinding.statement, device.binding);

  test("counts for the request right behind it", async () => {
    linked.log.add(bound);
    sayOwn({ ...OWN, member: bound });
    const bindingHash = suite.sha256(new TextEncoder().encode(bound.text));
    const initiator = startRequest({ device: { name: device.name, member: device.member, bindingHash } });
    expect(await linked.ask(initiator)).toHaveProperty("message2");
    expect(await linked.ask(startRequest())).toMatchObject({ code: "E_DEVICE_UNREADABLE" }); // of the binding before
    expect(linked.failures).toEqual([]);
  });

  test.each<[string, string, SignedText]>([
    ["revoked", "E_REVOKED", revocation(device.owner, device.binding)],
    [
      "bound to another machine's keys",
      "E_MEMBER_KEY",
      rebinding(device.owner, deviceBinding.statement, device.binding, {
        x25519: X25519PrivateKey.generate(suite, random).publicKey,
      }),
    ],
  ])("ends all sessions and the link when it is %s", async (_what, code, member) => {
    const [first, second] = [await linked.connect(), await linked.connect()];
    linked.log.add(member);
    sayOwn({ ...OWN, member });
    expect([await first.closed, await second.closed]).toEqual([REVOKED, REVOKED]);
    expect(linked.failures).toEqual([expect.objectContaining({ code })]);
    await expect.poll(() => linked.watched.at(-1)).toEqual([]);
  });

  test("ends also one that was asked for before that was said, until the device is itself again", async () => {
    const member = revocation(device.owner, device.binding);
    const initiator = startRequest();
    await linked.ask(initiator, linked.request(initiator), () => {
      linked.log.add(member);
      sayOwn({ ...OWN, member });
    });
    await expect.poll(() => linked.failures).toEqual([expect.objectContaining({ code: "E_REVOKED" })]);
    await expect.poll(() => linked.sessions.count).toBe(0);
    const again = rebinding(device.owner, deviceBinding.statement, member);
    linked.log.add(again);
    sayOwn({ ...OWN, member: again });
    const bindingHash = suite.sha256(new TextEncoder().encode(again.text));
    const after = startRequest({ device: { name: device.name, member: device.member, bindingHash } });
    await expect((await linked.connect(after)).open("other").opened).rejects.toMatchObject({
      code: "E_DEVICE_REFUSED",
    });
  });

  const impostor = signFirstNameStatement(suite, random, mallory, {
    ...{ name: device.name, owner: ed25519Line(mallory.publicKey), issued: NOW },
  });
  test.each<[string, string, Partial<MemberStatements>]>([
    ["is not the newest", "E_LOG", { member: bound }],
    [
      "another owner says",
      "E_OWNER_KEY",
      { names: [impostor], member: rebinding(mallory, deviceBinding.statement, device.binding) },
    ],
    ["revokes it by somebody else", "E_STATEMENT", { member: revocation(mallory, device.binding) }],
  ])("ends the link, and no session, when it %s", async (_what, code, said) => {
    const session = await linked.connect();
    if (code !== "E_LOG") linked.log.add(...[said.names?.[0], said.member].filter((one) => one !== undefined));
    sayOwn({ ...OWN, ...said });
    await expect.poll(() => linked.failures).toEqual([expect.objectContaining({ code })]);
    await expect(session.open("other").opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" }); // it lives
  });

  function sayOwn(statements: MemberStatements): void {
    linked.say({ type: "own", own: { statements, policy: undefined, proof: linked.prove(OWN_SUBJECTS) } });
  }
});

describe("what is said about a client with sessions", () => {
  const X25519 = X25519PrivateKey.generate(suite, random);
  const renewed = rebinding(client.owner, clientBinding.statement, client.binding);
  const replaced = rebinding(client.owner, clientBinding.statement, client.binding, { x25519: X25519.publicKey });

  test("ends them when it is revoked, and it begins no other", async () => {
    const [first, second] = [await linked.connect(), await linked.connect()];
    expect(linked.watched).toEqual([[{ name: client.name, member: client.member }]]);
    const member = revocation(client.owner, client.binding);
    linked.log.add(member);
    sayChanged({ ...clientStatements, member });
    expect([await first.closed, await second.closed]).toEqual([REVOKED, REVOKED]);
    await expect.poll(() => linked.watched.at(-1)).toEqual([]);
    const initiator = startRequest();
    const notify = { ...linked.request(initiator), client: { ...clientStatements, member } };
    linked.log.add(member);
    expect(await linked.ask(initiator, notify)).toMatchObject({ code: "E_REVOKED" });
    expect(linked.failures).toEqual([]);
  });

  test("and the binding from before its revocation counts no more, though the log calls it the newest again", async () => {
    const session = await linked.connect();
    const member = revocation(client.owner, client.binding);
    linked.log.add(member);
    sayChanged({ ...clientStatements, member });
    expect(await session.closed).toEqual(REVOKED);
    linked.log.add(client.binding);
    const before = startRequest();
    expect(await linked.ask(before, linked.request(before))).toMatchObject({ code: "E_MEMBER_KEY" });
    const again = rebinding(client.owner, clientBinding.statement, member);
    linked.log.add(again);
    const bindingHash = suite.sha256(new TextEncoder().encode(again.text));
    const after = startRequest({ client: { name: client.name, member: client.member, bindingHash } });
    const notify = linked.request(after, { client: { ...clientStatements, member: again } });
    expect(await linked.ask(after, notify)).toHaveProperty("message2");
  });

  test("ends them when the fleet token that made it is revoked, of which the log is believed nothing else again", async () => {
    const token = Ed25519PrivateKey.generate(suite, random);
    const of = {
      name: client.name,
      id: "00112233445566aa",
      key: token.publicKey,
      role: "client",
      pattern: "*",
    } as const;
    const given = delegation(client.owner, of);
    const member = rebinding(token, clientBinding.statement, undefined, { expires: NOW + CLIENT_BINDING_MS });
    const bindingHash = suite.sha256(new TextEncoder().encode(member.text));
    const asked = () => startRequest({ client: { name: client.name, member: client.member, bindingHash } });
    const made: MemberStatements = { ...clientStatements, member, delegation: given };
    const ask = async (statements = made) => {
      const initiator = asked();
      return await linked.ask(initiator, linked.request(initiator, { client: statements }));
    };
    const session = await linked.connect(asked(), { client: made });
    const revoked = revocation(client.owner, given, { reason: "leaked" });
    linked.log.add(revoked);
    const subjects = [...CLIENT_SUBJECTS, `${client.name}:delegation:${of.id}`];
    const changed = {
      client: { name: client.name, member: client.member },
      statements: { ...made, delegationRevocation: revoked },
    };
    linked.say({ type: "changed", changed: { ...changed, proof: linked.prove(subjects) } });
    expect(await session.closed).toEqual(REVOKED);
    expect(await ask({ ...made, delegationRevocation: revoked })).toMatchObject({ code: "E_REVOKED" });
    linked.log.add(given);
    expect(await ask()).toMatchObject({ code: "E_MEMBER_KEY" });
    // What the owner himself signs after that counts.
    const again = rebinding(client.owner, clientBinding.statement, member);
    linked.log.add(again);
    const own = startRequest({
      client: { ...client, bindingHash: suite.sha256(new TextEncoder().encode(again.text)) },
    });
    const notify = linked.request(own, { client: { ...clientStatements, member: again } });
    expect(await linked.ask(own, notify)).toHaveProperty("message2");
    expect(linked.failures).toEqual([]);
  });

  test("remembers a key that was replaced, so that what was asked for with the one before does not begin any more", async () => {
    await (await linked.connect()).open("other").opened.catch(() => {}); // it is pinned
    const before: PeerClaim = {
      name: client.name,
      member: client.member,
      role: "client",
      statements: clientStatements,
    };
    await linked.clients.pin(before, NOW);
    linked.log.add(replaced);
    sayChanged({ ...clientStatements, member: replaced });
    await expect.poll(async () => (await readPins(linked.keys, before)).member?.binding.text).toBe(replaced.text);
    // What a session does at its client's proof.
    await expect(linked.clients.pin(before, NOW)).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
  });

  test("ends them when its key was replaced, and the new key begins others", async () => {
    const session = await linked.connect();
    linked.log.add(replaced);
    sayChanged({ ...clientStatements, member: replaced });
    expect(await session.closed).toEqual(REVOKED);
    const bindingHash = suite.sha256(new TextEncoder().encode(replaced.text));
    const initiator = startRequest({
      ...{ clientKey: X25519, client: { name: client.name, member: client.member, bindingHash } },
    });
    const notify = linked.request(initiator, { client: { ...clientStatements, member: replaced } });
    expect(await linked.ask(initiator, notify)).toHaveProperty("message2");
  });

  test("ends none when its binding was renewed for the same key", async () => {
    const session = await linked.connect();
    linked.log.add(renewed);
    sayChanged({ ...clientStatements, member: renewed });
    await expect(session.open("other").opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" }); // it lives
    expect([linked.sessions.clients.length, linked.failures]).toEqual([1, []]);
  });

  test("ends none of another client", async () => {
    const session = await linked.connect();
    const other = { name: client.name, member: parseMember("other") };
    const bound = rebinding(client.owner, { ...clientBinding.statement, ...other }, undefined);
    const member = revocation(client.owner, bound);
    linked.log.add(bound).add(member);
    const proof = linked.prove([client.name, bindingSubject(other)]);
    const statements = { ...clientStatements, member };
    linked.say({ type: "changed", changed: { client: other, statements, proof } });
    await expect(session.open("other").opened).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" }); // it lives
  });

  test.each<[string, Partial<MemberStatements>]>([
    ["does not prove that its binding is the newest", { member: renewed }],
    [
      "gives statements that its owner did not sign",
      { member: rebinding(mallory, clientBinding.statement, client.binding) },
    ],
  ])("ends them when the directory %s: whoever cannot begin a session now has none", async (_what, said) => {
    const session = await linked.connect();
    sayChanged({ ...clientStatements, ...said });
    expect(await session.closed).toEqual(REVOKED);
  });

  function sayChanged(statements: MemberStatements): void {
    const proof = linked.prove(CLIENT_SUBJECTS);
    linked.say({
      type: "changed",
      changed: { client: { name: client.name, member: client.member }, statements, proof },
    });
  }
});

/** Another log of the same key and size. */
function sameSize(log: StatementLog): StatementLog {
  const other = new StatementLog(suite, people.directory.log, ORIGIN);
  while (other.size < log.size - 2) other.add(device.binding);
  const rest = log.size - other.size;
  if (rest > 0) other.add(...Array.from({ length: rest - 1 }, () => client.binding));
  return other;
}

function startNotify(one: LinkedDevice) {
  const log = one.log.copy();
  const notify = one.request();
  one.log = log;
  return notify;
}

/** The device's answer, read by its client, who brings this checkpoint. */
async function refusalOf(checkpoint: string) {
  const initiator = startRequest({ checkpoint });
  const notify = linked.request(initiator);
  return readAnswer(initiator, await linked.ask(initiator, notify), notify.ticket).payload.refusal;
}

function withOtherSignature(note: string): string {
  const at = note.length - 10;
  return `${note.slice(0, at)}${note[at] === "A" ? "B" : "A"}${note.slice(at + 1)}`;
}
