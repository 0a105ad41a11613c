import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { readSeenLog } from "../../keys/log-files.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { readOwnStatements } from "../../keys/own-statement-files.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { cosign, printWitness, withCosignatures } from "../../protocol/log/cosignature.ts";
import type { LogProof } from "../../protocol/log/proof.ts";
import { bindingSubject, signFirstNameStatement } from "../../protocol/statements.ts";
import { NOW } from "../protocol/fixtures.ts";
import { clientBinding, clientStatements, deviceBinding, ORIGIN, people, random, suite } from "../sshnpd/stage.ts";
import { rebinding, revocation, rotation } from "../support/later-statements.ts";
import { StatementLog } from "../support/statement-log.ts";
import { DIRECTORY, ScriptedDirectory } from "./scripted-directory.ts";

const { client, device } = people;
const mallory = Ed25519PrivateKey.generate(suite, random);
const successor = Ed25519PrivateKey.generate(suite, random);
const DEVICE: MemberStatements = { names: [device.nameStatement], member: device.binding, delegation: undefined };
const DEVICE_SUBJECTS = [device.name, bindingSubject(device)];
const CLIENT_SUBJECTS = [client.name, bindingSubject(client)];
const OWNER = ed25519Line(client.owner.publicKey);
const E_LOG = { name: "SecurityError", code: "E_LOG" };

let directory: ScriptedDirectory;
beforeEach(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  directory = await ScriptedDirectory.start();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await directory[Symbol.asyncDispose]();
});

test("an honest one is believed, and what was seen of its log is remembered", async () => {
  await directory.connectOnce();
  expect(await readSeenLog(directory.keys, DIRECTORY)).toMatchObject({
    ...{ checkpoint: directory.log.checkpoint, evidence: [] },
  });
  expect(pins()).toEqual(["peer.@device.json", "peer.@device.mygateway.json"]);
  expect(directory.requests.map(({ checkpointSize }) => checkpointSize)).toEqual([0, directory.log.size]);

  directory.log.add(client.nameStatement);
  await directory.connectOnce(); // the device is remembered, so there is no look-up
  expect(directory.requests).toHaveLength(3);
  expect((await readSeenLog(directory.keys, DIRECTORY)).checkpoint).toBe(directory.log.checkpoint);
});

describe("statements on the device that are not the newest", () => {
  const newer = rebinding(device.owner, deviceBinding.statement, device.binding);
  const handedOn = rotation({ from: device.owner, to: successor, before: device.nameStatement });
  const hidden: Record<string, SignedText> = {
    "its revocation is hidden": revocation(device.owner, device.binding),
    "its newer binding is hidden": newer,
    "its owner's rotation is hidden": handedOn,
  };
  test.each(Object.keys(hidden))("at first contact: %s", async (which) => {
    directory.log.add(hidden[which] ?? newer);
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect([directory.requests.length, directory.legs, pins()]).toEqual([1, [], []]);
  });

  test.each(Object.keys(hidden))("that are remembered here: %s", async (which) => {
    await directory.connectOnce();
    directory.log.add(hidden[which] ?? newer);
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect([directory.requests.length, directory.legs]).toEqual([3, []]);
  });

  test.each([
    ["too few", [device.name]],
    ["too many", [...DEVICE_SUBJECTS, client.name]],
    ["none", []],
    ["of somebody else", CLIENT_SUBJECTS],
    ["in another order", DEVICE_SUBJECTS.toReversed()],
  ])("at first contact: proofs %s", async (_what, subjects) => {
    directory.provenWithStatements = subjects;
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect([directory.legs, pins()]).toEqual([[], []]);
  });

  test("are given twice", async () => {
    directory.interjections.push({ of: "device", statements: DEVICE }, { of: "device", statements: DEVICE });
    await expect(directory.connect()).rejects.toMatchObject({ code: "E_STATEMENT" });
    expect(directory.legs).toEqual([]);
  });
});

describe("a ticket that comes without proof leads nowhere", () => {
  const lies: Record<string, (log: StatementLog) => void> = {
    "the client's own revocation is hidden": (log) => log.add(revocation(client.owner, client.binding)),
    "the client's own newer binding is hidden": (log) =>
      log.add(rebinding(client.owner, clientBinding.statement, client.binding)),
    "the rendezvous has a newer statement": (log) =>
      log.add({ text: directory.rendezvous.text.replace('"seq":1', '"seq":2') }),
  };
  test.each(Object.keys(lies))("%s", async (which) => {
    lies[which]?.(directory.log);
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect([directory.requests.length, directory.legs, pins()]).toEqual([2, [], []]);
  });

  test.each([
    ["too few", [bindingSubject(client), ...DEVICE_SUBJECTS]],
    ["none", []],
    ["of others", [client.name, ...DEVICE_SUBJECTS, "rendezvous:eu1"]],
  ])("proofs %s", async (_what, subjects) => {
    directory.provenWithTicket = subjects;
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect([directory.legs, pins()]).toEqual([[], []]);
  });
});

describe.each([
  ["with a ticket", false],
  ["with statements", true],
])("after a first connect, in another process, a log that lies %s", (_where, looksUp) => {
  beforeEach(async () => {
    await directory.connectOnce();
    if (looksUp) forgetPins();
  });

  const logs: Record<string, (seen: StatementLog) => StatementLog> = {
    "is smaller than it was": () =>
      new StatementLog(suite, people.directory.log, ORIGIN).add(client.binding, ...everything().slice(2)),
    "has another history": (seen) => {
      const other = twin();
      while (other.size <= seen.size) other.add(client.nameStatement);
      return other;
    },
    "is signed by another key": (seen) => {
      const other = new StatementLog(suite, mallory, ORIGIN);
      while (other.size <= seen.size) other.add(...everything());
      return other;
    },
  };
  test.each(Object.keys(logs))("%s: it is refused", async (which) => {
    const seen = directory.log;
    directory.log = logs[which]?.(seen) ?? seen;
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect(directory.legs).toEqual([]);
    expect(await readSeenLog(directory.keys, DIRECTORY)).toMatchObject({
      ...{ checkpoint: seen.checkpoint, evidence: [] },
    });
  });

  const proofs: Record<string, (proof: LogProof) => Partial<LogProof>> = {
    "begins its proof of growth elsewhere": ({ since }) => ({ since: since - 1 }),
    "proves no growth": () => ({ consistency: [] }),
    "has other heads than it says": () => ({ headsRoot: random(32) }),
  };
  test.each(Object.keys(proofs))("%s: it is refused", async (which) => {
    directory.log.add(client.nameStatement);
    directory.mangled = proofs[which] ?? (() => ({}));
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    directory.mangled = () => ({});
    await directory.connectOnce(); // it was the lie alone
  });

  test("has two trees of one size: both notes are on disk when the connect has failed", async () => {
    const seen = directory.log;
    directory.log = twin();
    const evidence = [seen.checkpoint, directory.log.checkpoint];
    for (let i = 0; i < 2; i++) await expect(directory.connect()).rejects.toMatchObject({ ...E_LOG, evidence });
    expect(await readSeenLog(directory.keys, DIRECTORY)).toMatchObject({
      ...{ checkpoint: seen.checkpoint, evidence: [{ found: expect.any(Number), notes: evidence }] },
    });
    expect(directory.legs).toEqual([]);
    directory.log = seen.add(client.nameStatement);
    await directory.connectOnce();
    expect((await readSeenLog(directory.keys, DIRECTORY)).evidence).toHaveLength(1);
  });
});

test("a log that not enough witnesses vouch for is refused with E_WITNESS, and believed with them", async () => {
  const witness = [printWitness(suite, { name: "example.org/witness", publicKey: mallory.publicKey })];
  await expect(directory.connect({ witness })).rejects.toMatchObject({
    ...{ name: "SecurityError", code: "E_WITNESS" },
    message: expect.stringMatching(/^0 of 1 witnesses have cosigned/),
    next: expect.stringContaining("sshnp-directory witness ls"),
  });
  expect([directory.legs, pins(), await readSeenLog(directory.keys, DIRECTORY)]).toMatchObject([
    [],
    [],
    { checkpoint: null },
  ]);
  directory.mangled = ({ checkpoint }) => {
    const line = cosign(suite, mallory, "example.org/witness", checkpoint, Math.floor(Date.now() / 1000));
    return { checkpoint: withCosignatures(checkpoint, [line]) };
  };
  const session = await directory.connect({ witness });
  for (const leg of directory.legs) leg.destroy();
  await session.ended;
});

test("a device that was shown another tree of the same size gives it away: both notes are kept, and nothing is pinned", async () => {
  const deviceLog = new StatementLog(suite, people.directory.log, ORIGIN);
  await using split = await ScriptedDirectory.start({ deviceLog });
  deviceLog.add(...everything(split).toReversed());
  await expect(split.connect()).rejects.toMatchObject(E_LOG);
  const { evidence } = await readSeenLog(split.keys, DIRECTORY);
  expect(evidence).toMatchObject([{ notes: [split.log.checkpoint, split.stage.log.checkpoint] }]);
  expect(pins(split)).toEqual([]);
});

describe("newer statements on the client itself", () => {
  const renewed = rebinding(client.owner, clientBinding.statement, client.binding);
  const handedOn = rotation({ from: client.owner, to: successor, before: client.nameStatement });
  const rebound = rebinding(successor, clientBinding.statement, client.binding);

  test.each<[string, MemberStatements]>([
    ["renewed", { ...clientStatements, member: renewed }],
    ["rotated", { ...clientStatements, names: [client.nameStatement, handedOn], member: rebound }],
  ])("are taken, stored, and used by the next connect from the start: %s", async (_what, statements) => {
    directory.log.add(...statements.names.slice(1), statements.member);
    directory.client = statements;
    directory.interjections.push({ of: "client", statements });
    await directory.connectOnce(); // the device was given @client's owner, and follows a rotation from it
    const hash = suite.sha256(new TextEncoder().encode(statements.member.text));
    const hashes = () => directory.requests.map(({ prologue }) => Buffer.from(prologue.client.bindingHash));
    expect(hashes()).toEqual([Buffer.from(clientBinding.hash), Buffer.from(hash), Buffer.from(hash)]);
    expect(await readOwnStatements(directory.keys, client)).toEqual({ ...statements, policy: undefined, owner: OWNER });
    await directory.connectOnce();
    expect(hashes().slice(3)).toEqual([Buffer.from(hash)]);
  });

  test("are taken once: a directory that does not take its own is none", async () => {
    const statements = { ...clientStatements, member: renewed };
    directory.log.add(renewed);
    directory.interjections.push({ of: "client", statements }, { of: "client", statements });
    await expect(directory.connect()).rejects.toMatchObject({ name: "SecurityError", code: "E_STATEMENT" });
    expect(directory.requests).toHaveLength(2);
  });

  const impostor = signFirstNameStatement(suite, random, mallory, {
    ...{ name: client.name, owner: ed25519Line(mallory.publicKey), issued: NOW },
  });
  const otherKey = X25519PrivateKey.generate(suite, random).publicKey;
  test.each<[string, string, string, Partial<MemberStatements>]>([
    [
      "of another owner",
      "E_OWNER_KEY",
      "The directory says that another owner speaks for @client.",
      { names: [impostor], member: rebinding(mallory, clientBinding.statement, client.binding) },
    ],
    [
      "of another key",
      "E_MEMBER_KEY",
      "laptop-client of @client is bound to other keys than this machine's.",
      { member: rebinding(client.owner, clientBinding.statement, client.binding, { x25519: otherKey }) },
    ],
    [
      "that revoke it",
      "E_REVOKED",
      'laptop-client of @client is revoked by its owner. The owner says: "left\\u001b[31m\\n[E_OK]".',
      { member: revocation(client.owner, client.binding, { reason: "left\u001b[31m\n[E_OK]" }) },
    ],
    [
      "that somebody else signed",
      "E_STATEMENT",
      "a binding is not signed by the owner of its name",
      { member: rebinding(mallory, clientBinding.statement, client.binding) },
    ],
  ])("%s stop the connect by their name: %s", async (_what, code, message, said) => {
    const statements = { ...clientStatements, ...said };
    directory.log.add(statements.member);
    if (said.names !== undefined) directory.log.add(...said.names);
    directory.interjections.push({ of: "client", statements });
    await expect(directory.connect()).rejects.toMatchObject({ code, message });
    expect([await readOwnStatements(directory.keys, client), directory.legs]).toEqual([undefined, []]);
  });

  test("that are older than those known here are refused, also after a restart", async () => {
    const statements = { ...clientStatements, member: renewed };
    directory.log.add(renewed);
    directory.client = statements;
    directory.interjections.push({ of: "client", statements });
    await directory.connectOnce();
    directory.log.add(client.binding);
    directory.interjections.push({ of: "client", statements: clientStatements });
    await expect(directory.connect()).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
    expect((await readOwnStatements(directory.keys, client))?.member).toEqual(renewed);
  });

  test.each([
    ["not the newest", CLIENT_SUBJECTS],
    ["not proved", []],
    ["proved for somebody else", DEVICE_SUBJECTS],
  ])("that are %s are not taken", async (_what, subjects) => {
    directory.log.add(renewed);
    if (subjects === CLIENT_SUBJECTS) directory.log.add(rebinding(client.owner, clientBinding.statement, renewed));
    directory.provenWithStatements = subjects;
    directory.interjections.push({ of: "client", statements: { ...clientStatements, member: renewed } });
    await expect(directory.connect()).rejects.toMatchObject(E_LOG);
    expect(await readOwnStatements(directory.keys, client)).toBeUndefined();
  });
});

test.each([
  ["at first contact", false],
  ["that is remembered here", true],
])("a device %s that its owner has revoked says so, with his reason in plain characters", async (_when, isKnown) => {
  if (isKnown) await directory.connectOnce();
  const member = revocation(device.owner, device.binding, { reason: "sold\u0007 [E_OK]" });
  directory.log.add(member);
  directory.device = { ...DEVICE, member };
  if (isKnown) directory.interjections.push({ of: "device", statements: directory.device });
  await expect(directory.connect()).rejects.toMatchObject({
    ...{ name: "DeniedError", code: "E_REVOKED" },
    message: 'mygateway of @device is revoked by its owner. The owner says: "sold\\u0007 [E_OK]".',
  });
  expect(directory.legs).toEqual([]);
});

/** What a log needs for a connect. */
function everything({ rendezvous } = directory): SignedText[] {
  return [client.nameStatement, client.binding, device.nameStatement, device.binding, rendezvous];
}

/** A log of the size that the directory's has, with the same statements in another order. */
function twin(): StatementLog {
  return new StatementLog(suite, people.directory.log, ORIGIN).add(...everything().toReversed());
}

function forgetPins(): void {
  for (const file of pins()) rmSync(join(directory.keys.path, "state", file));
}

function pins({ keys } = directory): string[] {
  return readdirSync(keys.path, { recursive: true, encoding: "utf8" })
    .filter((file) => file.includes("peer."))
    .map((file) => file.replace("state/", ""))
    .toSorted();
}
