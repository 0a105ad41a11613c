/** Holes that others had, tried here; cves.ts says which of them are tried elsewhere. */
import { expect, test } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SshnpError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { verifyKeyList } from "../../protocol/key-list.ts";
import { openCheckpoint } from "../../protocol/log/checkpoint.ts";
import { cosign, witnessTimes } from "../../protocol/log/cosignature.ts";
import { parseLogProof, verifySubject } from "../../protocol/log/proof.ts";
import { NOTE_BYTES } from "../../protocol/limits.ts";
import { verifyMemberStatements } from "../../protocol/member-statements.ts";
import { encodeReadStatements } from "../../protocol/messages/read-statements.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { verifyChainOf } from "../../protocol/owner-chain.ts";
import { delegationText, revocationText } from "../../protocol/owner-statements.ts";
import { namespaceOf, seqOf, signWith } from "../../protocol/statement-fields.ts";
import {
  bindingSubject,
  bindingText,
  signFirstNameStatement,
  verifyBinding,
  verifyNameStatement,
  verifyRendezvousStatement,
} from "../../protocol/statements.ts";
import { verifyTicket } from "../../protocol/ticket.ts";
import { newPerson, patience, type Person, putMessage, sessionMessage, TestClock, World } from "../directory/world.ts";
import { NOW } from "../protocol/fixtures.ts";
import { keyList, ORIGIN, people, random, startRequest, suite, ticketFor } from "../sshnpd/stage.ts";
import { StatementLog } from "../support/statement-log.ts";
import { processorMs } from "../support/processor-time.ts";

const { client, device, directory, rendezvous } = people;
const deviceOwner = ed25519Line(device.owner.publicKey);
const id = "0123456789abcdef";
const HOUR = 3_600_000;

const log = new StatementLog(suite, directory.log, ORIGIN).add(client.nameStatement);
const logKey = { origin: ORIGIN, publicKey: directory.log.publicKey };
const witness = Ed25519PrivateKey.generate(suite, random);
const cosigned = `${log.checkpoint}${cosign(suite, witness, "witness.example", log.checkpoint, NOW / 1000)}`;
const VERIFIERS: Record<string, (by: CipherSuite) => unknown> = {
  "a name statement": (by) => verifyNameStatement(by, client.nameStatement),
  "a binding": (by) => verifyBinding(by, device.binding, deviceOwner),
  "a rendezvous statement": (by) =>
    verifyRendezvousStatement(by, rendezvous.statement, ed25519Line(directory.root.publicKey)),
  "a key list": (by) =>
    verifyKeyList(
      by,
      keyList.signed,
      fingerprint(suite, parsePublicKeyLine(ed25519Line(directory.root.publicKey)).blob),
    ),
  "a ticket": (by) => verifyTicket(by, keyList.list.ticket, ticketFor(startRequest())),
  "a checkpoint": (by) => openCheckpoint(by, log.checkpoint, logKey),
  "a witness": (by) => {
    const times = witnessTimes(by, openCheckpoint(suite, cosigned, logKey), [
      { name: "witness.example", publicKey: witness.publicKey },
    ]);
    if (times.length === 0) throw new Error("no witness");
  },
};

test.each(Object.keys(VERIFIERS))("hyperbridge #1225, CVE-2025-26465: %s has one yes, and it is true", (which) => {
  const verifier = VERIFIERS[which] ?? expect.fail();
  verifier(suite);
  const outOfMemory = (): never => {
    throw new RangeError("Array buffer allocation failed");
  };
  const verdicts = [new Error("no"), 1, "true", {}, [], Promise.resolve(true), undefined, null].map((one) => () => one);
  for (const verify of [...verdicts, outOfMemory]) {
    const strange = Object.assign(Object.create(suite) as CipherSuite, { verify });
    expect(() => verifier(strange), String(verify)).toThrow();
  }
});

test("CVE-2026-25793: what is revoked stays revoked, in whatever form its signature comes", () => {
  const text = revocationText(random, {
    ...{ ...after(device.binding), issued: NOW, expires: null, reason: "", subject: bindingSubject(device) },
  });
  const revocation = signWith(suite, device.owner, text);
  const chain = verifyChainOf(suite, device.name, [device.nameStatement]);
  const logged = new StatementLog(suite, directory.log, ORIGIN).add(device.nameStatement, device.binding);
  logged.add(revocation);
  // The log has texts, so that no other form of a signature is another statement.
  for (const member of [revocation, device.binding]) {
    const statements = { names: [device.nameStatement], member, delegation: undefined };
    const judge = (): void => {
      const { binding } = verifyMemberStatements(suite, device, chain, statements);
      const { headsRoot, subjects } = logged.proof([bindingSubject(device)]);
      verifySubject(suite, headsRoot, bindingSubject(device), binding.hash, subjects[0] ?? expect.fail());
    };
    expect(judge).toThrow(expect.objectContaining({ code: member === revocation ? "E_REVOKED" : "E_LOG" }));
  }
  for (let at = 0; at < device.binding.signature.length; at++) {
    const signature = device.binding.signature.slice();
    signature[at] = (signature[at] ?? 0) ^ 0x10;
    expect(() => verifyBinding(suite, { ...device.binding, signature }, deviceOwner)).toThrow(SshnpError);
  }
});

test("CVE-2025-3757, CVE-2025-4658: a statement has one reading, that of the bytes that were signed", () => {
  const { text } = device.binding;
  const changes = [
    text.replace('"role":"device"', '"role":"client","role":"device"'),
    text.replace('"role":"device"', '"role":"device","role":"client"'),
    text.replace('"v":1', '"v":1.0'),
    text.replace("{", "{ "),
    text.replace('"v":1,', '"v":1,"__proto__":{"role":"client"},'),
    text.replace('"device"', String.raw`"\u0064evice"`),
    `${text}\n`,
    `\ufeff${text}`,
  ];
  for (const changed of changes) {
    expect(changed).not.toBe(text);
    const signature = signSshsig(suite, device.owner, namespaceOf("binding"), utf8(changed));
    expect(() => verifyBinding(suite, { text: changed, signature }, deviceOwner), changed).toThrow(SshnpError);
    const { signature: old } = device.binding;
    expect(() => verifyBinding(suite, { text: changed, signature: old }, deviceOwner), changed).toThrow(SshnpError);
  }
});

test("CVE-2026-54787: what a token makes counts when it was made before the token's end, and not after", () => {
  const token = Ed25519PrivateKey.generate(suite, random);
  const chain = verifyChainOf(suite, device.name, [device.nameStatement]);
  const delegation = signWith(
    suite,
    device.owner,
    delegationText(random, {
      ...{ seq: 1, prev: null, issued: NOW, expires: NOW + HOUR, name: device.name, id },
      ...{ key: token.publicKey, role: "device", pattern: "*", uses: 1 },
    }),
  );
  const judge = (issued: number): unknown => {
    const { name, member, role, x25519, ed25519 } = newPerson(device.name, parseMember("fleet-1"), "device");
    const keys = { x25519: x25519.publicKey, ed25519: ed25519.publicKey };
    const text = bindingText(random, { ...keys, name, member, role, seq: 1, prev: null, issued, expires: null });
    const statements = { names: [device.nameStatement], member: signWith(suite, token, text), delegation };
    return verifyMemberStatements(suite, { name, member }, chain, statements);
  };
  judge(NOW + HOUR - 1);
  for (const issued of [NOW + HOUR, NOW + 2 * HOUR]) {
    expect(() => judge(issued)).toThrow(expect.objectContaining({ code: "E_STATEMENT" }));
  }
});

test("CVE-2024-45395: the largest proofs and notes that are read at all are refused in moments", () => {
  const spent = processorMs(() => {
    for (let i = 0; i < 10; i++) {
      expect(() => parseLogProof(new Uint8Array(10_000_000))).toThrow(SshnpError);
      expect(() => parseLogProof(random(24_576))).toThrow(SshnpError);
      const lines = `\u2014 ${logKey.origin} ${"A".repeat(92)}\n`.repeat(1000);
      for (const note of [
        `${log.checkpoint}${lines}`,
        `${log.checkpoint}${lines}`.slice(0, NOTE_BYTES),
        "\n".repeat(NOTE_BYTES),
      ]) {
        expect(() => openCheckpoint(suite, note, logKey)).toThrow(SshnpError);
      }
    }
  });
  expect(spent).toBeLessThan(5_000);
});

test("Teleport 14.3.36: an owner speaks for his own name, and what he signs for another one is nobody's", () => {
  const foreign = signFirstNameStatement(suite, random, client.owner, {
    ...{ name: client.name, owner: ed25519Line(client.owner.publicKey), issued: NOW },
  });
  expect(() => verifyChainOf(suite, device.name, [foreign])).toThrow(SshnpError);
  const chain = verifyChainOf(suite, device.name, [device.nameStatement]);
  const { binding } = newPerson(device.name, device.member, "device", { owner: client.owner });
  const statements = { names: [device.nameStatement], member: binding, delegation: undefined };
  expect(() => verifyMemberStatements(suite, device, chain, statements)).toThrow(
    expect.objectContaining({ code: "E_STATEMENT" }),
  );
});

test("nebula-mesh, CVE-2026-53602: a revocation outlives the directory", async () => {
  await using world = await World.start();
  const alice = await world.activated("@alice", "laptop", "client");
  const gateway = await world.activated("@acme", "gw", "device");
  const text = revocationText(random, {
    ...{ ...after(alice.binding), issued: Date.now(), expires: null, reason: "lost", subject: bindingSubject(alice) },
  });
  await ask(world, gateway, putMessage(signWith(suite, alice.owner, text)));
  for (const isRestarted of [false, true]) {
    if (isRestarted) {
      await world.pause();
      await world.resume();
    }
    const frame = await world.client().request(alice.x25519, sessionMessage(alice, gateway), { signal: patience() });
    if (frame.type !== "binding") expect.fail(`after ${isRestarted ? "a restart" : "the revocation"}: ${frame.type}`);
    expect(frame.statements.member.text).toBe(text.text);
  }
});

test("nebula-mesh, CVE-2026-55513: a token that has expired makes nothing, before and after a restart", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const acme = await world.activated("@acme", "gw", "device");
  const token = Ed25519PrivateKey.generate(suite, random);
  const times = { seq: 1, prev: null, issued: clock.now() };
  const delegation = delegationText(random, {
    ...{ ...times, expires: clock.now() + 10_000, name: acme.name, id },
    ...{ key: token.publicKey, role: "device", pattern: "*", uses: 10 },
  });
  await ask(world, acme, putMessage(signWith(suite, acme.owner, delegation)));
  const make = async (member: string): Promise<unknown> => {
    const made = newPerson(acme.name, parseMember(member), "device", { owner: token, issued: times.issued });
    return await ask(world, made, putMessage(made.binding));
  };
  await make("in-time");
  clock.leap(10_001);
  await expect(make("late")).rejects.toMatchObject({ code: "E_TOKEN" });
  await world.pause();
  await world.resume();
  await expect(make("later")).rejects.toMatchObject({ code: "E_TOKEN" });
});

test("CVE-2026-44423, CVE-2026-44424, CVE-2026-44426: nobody reads or changes another name's, nor learns whether it is there", async () => {
  await using world = await World.start();
  const acme = await world.activated("@acme", "gw", "device");
  const mallory = await world.activated("@mallory", "laptop", "client");
  const before = JSON.stringify(await world.store.members());
  for (const name of [acme.name, parseName("@nobody")]) {
    const stranger = newPerson(name, parseMember("gw2"), "device", { owner: mallory.owner });
    const revocation = revocationText(random, {
      ...{ ...after(acme.binding), issued: Date.now(), expires: null, reason: "", subject: `${name}/gw` },
    });
    const reading = { type: REQUEST.readStatements, body: readingOf(name) };
    for (const [sender, message] of [
      [mallory, reading],
      [stranger, putMessage(stranger.binding)],
      [mallory, putMessage(signWith(suite, mallory.owner, revocation))],
      [mallory, putMessage(mallory.statement, signWith(suite, mallory.owner, revocation))],
    ] as const) {
      await expect(ask(world, sender, message)).rejects.toMatchObject({
        code: expect.stringMatching(/^E_(NOT_AUTHORIZED|PROTOCOL)$/),
      });
    }
  }
  expect(JSON.stringify(await world.store.members())).toBe(before);
});

test("CVE-2025-10678: a directory that is new lets nobody in", async () => {
  await using world = await World.start();
  expect([await world.store.names(), await world.store.members(), await world.administration.rendezvous()]).toEqual([
    [],
    [],
    [],
  ]);
  for (const name of ["@admin", "@root", "@acme"]) {
    const person = newPerson(parseName(name), parseMember("laptop"), "client");
    await expect(ask(world, person, putMessage(person.binding))).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    await expect(ask(world, person, sessionMessage(person, person))).rejects.toMatchObject({
      code: "E_NOT_AUTHORIZED",
    });
  }
});

function after(before: SignedText): { readonly seq: number; readonly prev: string } {
  return { seq: seqOf(before) + 1, prev: hex(suite.sha256(utf8(before.text))) };
}

function readingOf(name: Person["name"]): Uint8Array {
  return encodeReadStatements({ name, what: "history", checkpointSize: 0, ownerSignature: new Uint8Array(0) });
}

async function ask(
  world: World,
  sender: Pick<Person, "x25519">,
  message: { readonly type: number; readonly body: Uint8Array },
): Promise<unknown> {
  return await world.client().request(sender.x25519, message, { signal: patience() });
}
