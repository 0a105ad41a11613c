import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SetupError, UnavailableError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, parsePublicKeyBlob, parsePublicKeyLine } from "../../keys/openssh.ts";
import { writePins } from "../../keys/peer-files.ts";
import { signedTextToJson } from "../../keys/signed-text.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { encodePrologue, parsePrologue, type Prologue } from "../../protocol/messages/prologue.ts";
import type { Notify } from "../../protocol/messages/session-request.ts";
import type { SessionInitiator } from "../../protocol/session/initiator.ts";
import {
  type Binding,
  type RendezvousStatement,
  signFirstBinding,
  signFirstNameStatement,
  signRendezvousStatement,
  verifyBinding,
} from "../../protocol/statements.ts";
import { REASON_BYTES, UNLISTED_REQUESTS_PER_SECOND } from "../../protocol/limits.ts";
import { HostKeys } from "../../sshnpd/host-keys.ts";
import { NOW } from "../protocol/fixtures.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import {
  clientBinding,
  clientStatements,
  notifyOf,
  people,
  random,
  readAnswer,
  type Stage,
  setStage,
  startRequest,
  suite,
  ticketFor,
} from "./stage.ts";

const { client, device, directory, rendezvous } = people;
const mallory = Ed25519PrivateKey.generate(suite, random);
const pushed = parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey));

let sshd: SshServer;
let hostKeys: HostKeys;
beforeAll(async () => {
  sshd = await startSshServer();
  hostKeys = new HostKeys(sshd.port, () => 0, new AbortController().signal);
});
afterAll(async () => {
  await sshd.stop();
});

test("of clients that are not listed few are looked into, and those who are listed do not notice", async () => {
  const listed = new Map([[parseName("@somebody"), undefined]]);
  await using stranger = await setStage(hostKeys, { listed });
  const answers = [];
  for (let i = 0; i < UNLISTED_REQUESTS_PER_SECOND + 5; i++) {
    answers.push(await stranger.answer(notifyOf(startRequest())));
  }
  expect(answers.filter((answer) => "message2" in answer)).toHaveLength(UNLISTED_REQUESTS_PER_SECOND);
  expect(answers.at(-1)).toMatchObject({ code: "E_BUSY" });

  await using stage = await setStage(hostKeys);
  for (let i = 0; i < UNLISTED_REQUESTS_PER_SECOND + 5; i++) {
    expect(await stage.answer(notifyOf(startRequest()))).toHaveProperty("message2");
  }
});

describe("a request as it should be", () => {
  test("is granted, with the server's host keys, and begins one session", async () => {
    await using stage = await setStage(hostKeys);
    const initiator = startRequest({ login: "pi" });
    const notify = notifyOf(initiator);
    const { payload, keys } = readAnswer(initiator, await stage.answer(notify), notify.ticket);
    expect(payload.refusal).toBeUndefined();
    expect(payload.hostKeys.map((blob) => parsePublicKeyBlob(blob).line).toSorted()).toEqual(sshd.hostKeys.toSorted());
    expect(payload.keyTaken).toBe(false);
    expect(stage.granted).toHaveLength(1);
    expect(stage.granted[0]?.keys.initiatorToResponder).toEqual(keys.initiatorToResponder);
    expect(stage.granted[0]?.legKey.publicKey.equals(initiator.legKey.publicKey)).toBe(true);
  });

  test("pins and writes nothing, for its client has proved nothing yet", async () => {
    await using stage = await setStage(hostKeys, { acceptsKeys: true });
    await stage.answer(notifyOf(startRequest({ login: "root", sshKey: { use: "push", blob: pushed.blob } })));
    expect(stage.granted).toHaveLength(1);
    expect(remembered(stage)).toEqual([]);
    expect(stage.told).toEqual([]);
  });

  test("gets the same bytes when it comes again, and no second session", async () => {
    await using stage = await setStage(hostKeys);
    const notify = notifyOf(startRequest());
    const [first, ...again] = await Promise.all(Array.from({ length: 5 }, () => stage.answer(notify)));
    for (const answer of [...again, await stage.answer(notify)]) expect(answer).toEqual(first);
    expect(stage.granted).toHaveLength(1);
  });

  test("is refused when its session id comes with other bytes", async () => {
    await using stage = await setStage(hostKeys);
    const first = startRequest();
    await stage.answer(notifyOf(first));
    const other = withPrologue(first, { login: "root" });
    const message1 = first.message1.slice();
    message1[100] = (message1[100] ?? 0) ^ 1;
    for (const changes of [{ prologueBytes: other }, { message1 }]) {
      expect(await stage.answer(notifyOf(first, changes))).toMatchObject({ code: "E_PROTOCOL" });
    }
    expect(stage.granted).toHaveLength(1);
  });
});

describe("refused for all to know, sealed for the one who asked", () => {
  test("a client that is not listed, told nothing of those who are", async () => {
    await using stage = await setStage(hostKeys, { listed: new Map([[parseName("@bob"), undefined]]) });
    expect(await refusalOf(stage)).toEqual({
      code: "E_DEVICE_REFUSED",
      reason: "it does not list @client; on the device: sshnpd -m @client ...",
    });
  });

  test("anybody, when nobody is listed", async () => {
    await using stage = await setStage(hostKeys, { listed: new Map() });
    expect((await refusalOf(stage))?.code).toBe("E_DEVICE_REFUSED");
  });

  test("a listed client whose owner key nobody has said: a request does not resolve it", async () => {
    await using stage = await setStage(hostKeys, { listed: new Map([[client.name, undefined]]) });
    const refusal = await refusalOf(stage);
    expect(refusal?.code).toBe("E_DEVICE_REFUSED");
    expect(refusal?.reason).toContain("has not learnt yet which owner key that is");
    expect(remembered(stage)).toEqual([]);
  });

  test("another service than ssh", async () => {
    await using stage = await setStage(hostKeys);
    const refusal = await refusalOf(stage, { service: "tcp:169.254.169.254:80" });
    expect(refusal).toEqual({
      code: "E_DEVICE_REFUSED",
      reason: "it grants @client ssh and nothing else; on the device: sshnpd --permit-open 169.254.169.254:80 ...",
    });
  });

  test("everybody, when nothing answers on the SSH port", async () => {
    const nothing = new HostKeys(1, () => 0, new AbortController().signal);
    await using stage = await setStage(nothing);
    const reason = "No SSH server on this device: nothing answers on its 127.0.0.1:1.";
    expect(await refusalOf(stage)).toEqual({ code: "E_NO_SSHD", reason });
  });

  test("everybody, when the SSH server is not in order, with no word of this machine's", async () => {
    const message = "A host key cannot be made: /var/lib/sshnp/state/ssh_host_key: No space left on device";
    const broken = { current: () => Promise.reject(new SetupError("E_STORAGE", message, { next: "Look." })) };
    await using stage = await setStage(broken);
    const reason = "its SSH server is not in order; on the device: sshnpd check";
    expect(await refusalOf(stage)).toEqual({ code: "E_NO_SSHD", reason });
  });

  test("everybody, with a reason that is cut at its bytes, and not within a character", async () => {
    const away = { current: () => Promise.reject(new UnavailableError("E_NO_SSHD", "ü€".repeat(200))) };
    await using stage = await setStage(away);
    const refusal = await refusalOf(stage);
    expect(refusal).toEqual({ code: "E_NO_SSHD", reason: "ü€".repeat(102) + "ü" });
    expect(Buffer.byteLength(refusal?.reason ?? "")).toBe(REASON_BYTES);
  });

  test("one session more than there may be", async () => {
    await using stage = await setStage(hostKeys, { hasRoom: () => false });
    expect((await refusalOf(stage))?.code).toBe("E_BUSY");
  });

  async function refusalOf(stage: Stage, changes: Parameters<typeof startRequest>[0] = {}) {
    const initiator = startRequest(changes);
    const notify = notifyOf(initiator);
    const { payload } = readAnswer(initiator, await stage.answer(notify), notify.ticket);
    expect(stage.granted).toEqual([]);
    expect(payload.hostKeys).toEqual([]);
    return payload.refusal;
  }
});

describe("a pushed key", () => {
  test.each([
    { acceptsKeys: true, login: "root", use: "push", taken: true },
    { acceptsKeys: false, login: "root", use: "push", taken: false },
    { acceptsKeys: true, login: "root", use: "certify", taken: false },
    { acceptsKeys: true, login: "", use: "push", taken: true },
    { acceptsKeys: true, login: "np-not-there", use: "push", taken: true },
  ] as const)(
    "is taken only with -s, to be pushed, whether there is the login or not: %o",
    async ({ acceptsKeys, login, use, taken }) => {
      await using stage = await setStage(hostKeys, { acceptsKeys });
      const initiator = startRequest({ login, sshKey: { use, blob: pushed.blob } });
      const notify = notifyOf(initiator);
      const { payload } = readAnswer(initiator, await stage.answer(notify), notify.ticket);
      expect(payload.refusal).toBeUndefined();
      expect(payload.keyTaken).toBe(taken);
      expect(stage.granted[0]?.pushedKey?.key.line).toBe(payload.keyTaken ? pushed.line : undefined);
    },
  );

  test("has nobody asked for its login ahead of the client's proof", async () => {
    await using folder = await temporaryFolder();
    const asked = join(folder.path, "asked");
    writeFileSync(join(folder.path, "getent"), `#!/bin/sh\necho "$@" >> ${asked}\n`, { mode: 0o700 });
    const path = process.env["PATH"];
    process.env["PATH"] = `${folder.path}:${path}`;
    try {
      await using stage = await setStage(hostKeys, { acceptsKeys: true });
      await stage.answer(notifyOf(startRequest({ login: "pi", sshKey: { use: "push", blob: pushed.blob } })));
      expect(stage.granted).toHaveLength(1);
      expect(stage.granted[0]?.pushedKey).toMatchObject({ login: "pi" });
      expect(existsSync(asked)).toBe(false);
    } finally {
      process.env["PATH"] = path;
    }
  });

  test.each([
    ["two lines", new TextEncoder().encode(`${pushed.line}\n${pushed.line}\n`)],
    ["a key and more", Uint8Array.of(...pushed.blob, 10)],
    ["half a key", pushed.blob.slice(0, 20)],
  ])("that is no key is not taken: %s", async (_what, blob) => {
    await using stage = await setStage(hostKeys, { acceptsKeys: true });
    const initiator = startRequest({ login: "root", sshKey: { use: "push", blob } });
    const notify = notifyOf(initiator);
    const { payload } = readAnswer(initiator, await stage.answer(notify), notify.ticket);
    expect(payload.keyTaken).toBe(false);
    expect(stage.granted[0]?.pushedKey).toBeUndefined();
  });

  test("for a login that is none never gets here", () => {
    for (const login of ["-oProxyCommand=x", "$(x)", "a b", "pi\n", "../root", "a".repeat(33)]) {
      const prologueBytes = withPrologue(startRequest(), { login });
      expect(() => parsePrologue(prologueBytes)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
    }
  });
});

describe("refused by a code alone, with nothing begun and nothing remembered", () => {
  const hash = new Uint8Array(32).fill(9);
  const prologues: Record<string, (prologue: Prologue) => Partial<Prologue>> = {
    "session id": () => ({ sid: random(16) }),
    "client's name": ({ client: party }) => ({ client: { ...party, name: parseName("@other") } }),
    "client's member": ({ client: party }) => ({ client: { ...party, member: parseMember("other") } }),
    "client's binding": ({ client: party }) => ({ client: { ...party, bindingHash: hash } }),
    "device's name": ({ device: party }) => ({ device: { ...party, name: parseName("@other") } }),
    "device's member": ({ device: party }) => ({ device: { ...party, member: parseMember("other") } }),
    "device's binding": ({ device: party }) => ({ device: { ...party, bindingHash: hash } }),
    service: () => ({ service: "tcp:127.0.0.1:22" }),
    login: () => ({ login: "root" }),
    "leg key": () => ({ legKey: mallory.publicKey }),
  };
  test.each(Object.keys(prologues))("the prologue has another %s than msg1 was made with", async (field) => {
    const initiator = startRequest();
    const change = prologues[field]?.(parsePrologue(initiator.prologue)) ?? {};
    await expectCode(notifyOf(initiator, { prologueBytes: withPrologue(initiator, change) }));
  });

  test("the prologue has another session id and leg key, and a ticket to match", async () => {
    const [victim, other] = [startRequest(), startRequest()];
    const prologueBytes = withPrologue(victim, { sid: other.sid, legKey: other.legKey.publicKey });
    await expectCode(notifyOf(victim, { prologueBytes, ticket: ticketFor(other) }), "E_DEVICE_UNREADABLE");
  });

  test("any byte of msg1 is changed", async () => {
    await using stage = await setStage(hostKeys);
    for (let position = 0; position < startRequest().message1.length; position += 41) {
      const initiator = startRequest();
      const message1 = initiator.message1.slice();
      message1[position] = (message1[position] ?? 0) ^ 1;
      expect(await stage.answer(notifyOf(initiator, { message1 }))).toHaveProperty("code");
    }
    expect(stage.granted).toEqual([]);
    expect(remembered(stage)).toEqual([]);
  });

  test.each([
    ["empty", () => new Uint8Array(0)],
    ["cut", (message1: Uint8Array) => message1.slice(0, -1)],
    ["longer", (message1: Uint8Array) => Uint8Array.of(...message1, 0)],
    ["another session's", () => startRequest().message1],
  ])("msg1 is %s", async (_what, change) => {
    const initiator = startRequest();
    await expectCode(notifyOf(initiator, { message1: change(initiator.message1) }), "E_DEVICE_UNREADABLE");
  });

  test("msg1 is made with another key than the client's binding has", async () => {
    const clientKey = X25519PrivateKey.generate(suite, random);
    await expectCode(notifyOf(startRequest({ clientKey })), "E_MEMBER_KEY");
  });

  test("msg1 is made with the device's own key", async () => {
    await expectCode(notifyOf(startRequest({ clientKey: device.x25519 })), "E_MEMBER_KEY");
  });

  const tickets: Record<string, (initiator: SessionInitiator) => Uint8Array> = {
    "by another key": (initiator) => ticketFor(initiator, {}, mallory),
    "for another session": () => ticketFor(startRequest()),
    "for another session id": (initiator) => ticketFor(initiator, { sid: random(16) }),
    "for another leg key": (initiator) => ticketFor(initiator, { legKey: mallory.publicKey }),
    "that has expired": (initiator) => ticketFor(initiator, { expires: NOW + 1000 }),
    "with another rendezvous": (initiator) => ticketFor(initiator, { entries: [entry({ key: mallory.publicKey })] }),
    "with another address": (initiator) =>
      ticketFor(initiator, { entries: [entry({ addresses: ["tcp://169.254.169.254:80"] })] }),
    "with one address more": (initiator) =>
      ticketFor(initiator, { entries: [entry({ addresses: [...rendezvous.addresses, "tcp://10.0.0.1:5432"] })] }),
    "with a rendezvous more": (initiator) =>
      ticketFor(initiator, { entries: [entry({}), entry({ key: mallory.publicKey })] }),
    "that is cut": (initiator) => ticketFor(initiator).slice(0, -1),
    "that is empty": () => new Uint8Array(0),
  };
  test.each(Object.keys(tickets))("a ticket %s", async (which) => {
    const initiator = startRequest();
    const answer = await expectCode(notifyOf(initiator, { ticket: tickets[which]?.(initiator) ?? new Uint8Array(0) }));
    expect(["E_TICKET", "E_PROTOCOL"]).toContain(answer);
  });

  test("any byte of the ticket is changed", async () => {
    await using stage = await setStage(hostKeys);
    const initiator = startRequest();
    const good = ticketFor(initiator);
    for (let position = 0; position < good.length; position++) {
      const ticket = good.slice();
      ticket[position] = (ticket[position] ?? 0) ^ 1;
      expect(await stage.answer(notifyOf(initiator, { ticket }))).toHaveProperty("code");
    }
    expect(stage.granted).toEqual([]);
  });

  const statements: Record<string, readonly SignedText[]> = {
    "none at all": [],
    "one too many": [rendezvous.statement, rendezvous.statement],
    "signed by somebody else": [rendezvousStatement({}, mallory)],
    "of another key": [rendezvousStatement({ ed25519: mallory.publicKey })],
    "with other addresses": [rendezvousStatement({ addresses: ["tcp://np.example.org:7802"] })],
    "that has expired": [rendezvousStatement({ expires: NOW + 1000 })],
    "of another kind": [client.binding],
  };
  test.each(Object.keys(statements))("a rendezvous statement: %s", async (which) => {
    await expectCode(notifyOf(startRequest(), { rendezvous: statements[which] ?? [] }));
  });

  const otherClient = X25519PrivateKey.generate(suite, random);
  const clients: Record<string, Partial<MemberStatements>> = {
    "a name statement of another owner": { names: [nameStatement(mallory)] },
    "all statements of another owner": { names: [nameStatement(mallory)], member: binding({}, mallory) },
    "a binding by another owner": { member: binding({}, mallory) },
    "a binding of another key": { member: binding({ x25519: otherClient.publicKey }) },
    "a binding of another member": { member: binding({ member: parseMember("other") }) },
    "a binding of a device": { member: binding({ role: "device" }) },
    "a binding that has expired": { member: binding({ expires: NOW }) },
    "the device's statements": { names: [device.nameStatement], member: device.binding },
    "a name statement where a binding belongs": { member: client.nameStatement },
    "a text that was not signed": { names: [{ ...client.nameStatement, text: `${client.nameStatement.text} ` }] },
  };
  test.each(Object.keys(clients))("the client brings %s", async (which) => {
    await expectCode(notifyOf(startRequest(), { client: { ...clientStatements, ...clients[which] } }));
  });

  test("another owner key than the one given with -m", async () => {
    const attacker = attack();
    await using stage = await setStage(hostKeys);
    expect(await stage.answer(attacker)).toMatchObject({ code: "E_OWNER_KEY" });
    expect([stage.granted, remembered(stage)]).toEqual([[], []]);
  });

  test("another owner key than the one pinned", async () => {
    await using stage = await setStage(hostKeys, { listed: new Map([[client.name, undefined]]) });
    await stage.clients.learn([client.nameStatement], NOW);
    const before = remembered(stage);
    expect(await stage.answer(attack())).toMatchObject({ code: "E_OWNER_KEY" });
    expect([stage.granted, remembered(stage)]).toEqual([[], before]);
    const initiator = startRequest();
    expect(await stage.answer(notifyOf(initiator))).toHaveProperty("message2");
  });

  test("an older binding of the client than one seen before", async () => {
    await using stage = await setStage(hostKeys);
    const newer = binding({ x25519: otherClient.publicKey });
    const { name, member } = client;
    const owner = ed25519Line(client.owner.publicKey);
    const nothing = { owner: undefined, member: undefined };
    const statement = signedTextToJson(client.nameStatement);
    await writePins(stage.keys, nothing, {
      owner: { v: 1, name, owner, origin: "given", since: NOW, statement, accepted: [] },
      member: {
        ...{ v: 1, name, member, owner, binding: signedTextToJson(newer) },
        ...{ delegation: null, hostKeys: [], accepted: [] },
      },
    });
    expect(await stage.answer(notifyOf(startRequest()))).toMatchObject({ code: "E_MEMBER_KEY" });
    expect(stage.granted).toEqual([]);
  });

  test("more at once than are answered", async () => {
    let letGo = (): void => {};
    const held = new Promise<readonly Uint8Array[]>((resolve) => (letGo = () => resolve([])));
    await using stage = await setStage({ current: () => held });
    const answers = Array.from({ length: 70 }, () => stage.answer(notifyOf(startRequest())));
    expect(await Promise.all(answers.slice(64))).toEqual(
      answers.slice(64).map(() => expect.objectContaining({ code: "E_BUSY" })),
    );
    letGo();
    for (const answer of await Promise.all(answers.slice(0, 64))) expect(answer).toHaveProperty("message2");
  });

  /** The whole of a request by somebody whom the directory has given the client's name. */
  function attack(): Notify {
    const evilBinding = binding({ x25519: otherClient.publicKey }, mallory);
    const { hash: evilHash } = verifyBinding(suite, evilBinding, ed25519Line(mallory.publicKey));
    const party = { name: client.name, member: client.member, bindingHash: evilHash };
    const initiator = startRequest({ clientKey: otherClient, client: party });
    return notifyOf(initiator, {
      client: { ...clientStatements, names: [nameStatement(mallory)], member: evilBinding },
    });
  }
});

async function expectCode(notify: Notify, code?: string): Promise<string> {
  await using stage = await setStage(hostKeys, { acceptsKeys: true });
  const answer = await stage.answer(notify);
  expect(answer).toEqual({
    sid: notify.prologue.sid,
    code: code === undefined ? expect.stringMatching(/^E_/) : code,
    labels: ["sshnp/1"],
  });
  expect([stage.granted, remembered(stage), stage.told]).toEqual([[], [], []]);
  return "code" in answer ? answer.code : "";
}

function remembered({ keys }: Stage): string[] {
  return readdirSync(keys.path, { recursive: true, encoding: "utf8" }).filter((file) => file.includes("peer"));
}

function withPrologue(initiator: SessionInitiator, change: Partial<Prologue>): Uint8Array {
  return encodePrologue({ ...parsePrologue(initiator.prologue), ...change });
}

function entry(change: object) {
  const { boot, addresses } = rendezvous;
  return { key: rendezvous.ed25519.publicKey, boot, addresses, ...change };
}

function rendezvousStatement(change: Partial<RendezvousStatement>, key = directory.root): SignedText {
  return signRendezvousStatement(suite, random, key, {
    rendezvous: "eu1",
    seq: 1,
    prev: null,
    issued: NOW,
    expires: null,
    x25519: rendezvous.x25519.publicKey,
    ed25519: rendezvous.ed25519.publicKey,
    addresses: rendezvous.addresses,
    ...change,
  });
}

function nameStatement(owner: Ed25519PrivateKey): SignedText {
  const { name } = client;
  return signFirstNameStatement(suite, random, owner, { name, owner: ed25519Line(owner.publicKey), issued: NOW });
}

function binding(change: Partial<Binding>, owner = client.owner): SignedText {
  const { seq: _seq, prev: _prev, ...fields } = clientBinding.statement;
  return signFirstBinding(suite, random, owner, { ...fields, ...change });
}
