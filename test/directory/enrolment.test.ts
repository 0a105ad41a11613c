import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { ENROLMENT_MS, ENROLMENTS_PER_NAME, PASSWORD_MS } from "../../protocol/limits.ts";
import { encodeEnrolmentDenial, encodeEnrolmentsQuestion } from "../../protocol/messages/enrolment.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { delegationSubject, revocationText } from "../../protocol/owner-statements.ts";
import { rotationText } from "../../protocol/owner-chain.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { bindingText } from "../../protocol/statements.ts";
import {
  approve,
  bindingOf,
  deny,
  enrol,
  enrolMessage,
  givePassword,
  giveToken,
  newApplicant,
  newPassword,
  ownStatements,
  pendingMembers,
} from "./applicant.ts";
import { newPerson, patience, type Person, putMessage, random, suite, TestClock, World } from "./world.ts";

let clock: TestClock;
let world: World;
let owner: Person;
beforeEach(async () => {
  clock = new TestClock();
  world = await World.start({ clock });
  owner = await world.activated("@acme", "laptop", "client");
});
afterEach(() => world[Symbol.asyncDispose]());

const put = (sender: X25519PrivateKey, ...statements: readonly SignedText[]) =>
  world.client().request(sender, putMessage(...statements), { signal: patience() });

describe("with a one-time password", () => {
  test("a machine waits, its owner approves, and it is shown its binding with proof, whatever was restarted between", async () => {
    const key = await givePassword(world.client(), owner);
    await restart();
    const gateway = newApplicant(owner.name, "gw7");
    expect(await enrol(world.client(), gateway, key)).toMatchObject({ type: "pending" });
    await restart();
    expect(await pendingMembers(world.client(), owner)).toEqual(["gw7"]);
    expect(await enrol(world.client(), gateway, key)).toMatchObject({ type: "pending" });
    await expect(ownStatements(world.client(), gateway)).rejects.toMatchObject({ code: "E_PENDING" });
    await approve(world.client(), owner, gateway);
    await restart();
    expect(await pendingMembers(world.client(), owner)).toEqual([]);
    const shown = await enrol(world.client(), gateway, key);
    expect(shown).toMatchObject({ type: "binding", of: "client" });
    expect(await ownStatements(world.client(), gateway)).toMatchObject({ type: "binding" });
  });

  test("one that waits on its stream is told when its owner approves, and one whose owner denies, too", async () => {
    const [key, another] = [await givePassword(world.client(), owner), await givePassword(world.client(), owner)];
    const [yes, no] = [newApplicant(owner.name, "gw-yes"), newApplicant(owner.name, "gw-no")];
    const answers = [waitFor(yes, key), waitFor(no, another)];
    await Promise.all(answers.map(({ pending }) => pending));
    await approve(world.client(), owner, yes);
    await deny(world.client(), owner, no);
    expect(await answers[0]?.decided).toMatchObject({ type: "binding" });
    expect(await answers[1]?.decided).toMatchObject({ type: "refused", code: "E_NOT_AUTHORIZED" });
    // Denied is denied: its password was used.
    await expect(enrol(world.client(), no, another)).rejects.toMatchObject({ code: "E_TOKEN" });
  });

  test("one that waits and cannot be answered is told so and may ask again, and its owner has his answer", async () => {
    const key = await givePassword(world.client(), owner);
    const machine = newApplicant(owner.name, "gw-1");
    const { pending, decided } = waitFor(machine, key);
    await pending;
    const proofs = vi.spyOn(world.directory.statementLog, "proof");
    proofs.mockRejectedValueOnce(new UnavailableError("E_STORAGE", "The store cannot be read."));
    expect(await approve(world.client(), owner, machine)).toMatchObject({ type: "logged" });
    expect(await decided).toMatchObject({ type: "refused", code: "E_STORAGE" });
    proofs.mockRestore();
    expect(await enrol(world.client(), machine, key)).toMatchObject({ type: "binding" });
  });

  test("of 100 machines with one password exactly one waits (TS-2025-007)", async () => {
    const key = await givePassword(world.client(), owner);
    const machines = Array.from({ length: 100 }, (_, i) => newApplicant(owner.name, `gw${i}`));
    const answers = await Promise.allSettled(machines.map((one) => enrol(world.client(), one, key)));
    const waiting = machines.filter((_, i) => answers[i]?.status === "fulfilled").map((one) => one.public.member);
    expect(waiting).toHaveLength(1);
    expect(await pendingMembers(world.client(), owner)).toEqual(waiting);
    for (const answer of answers) {
      if (answer.status === "rejected") expect(answer.reason).toMatchObject({ code: "E_TOKEN" });
    }
  });

  test("used, expired, rotated away or never given, it lets nobody wait, after a restart neither (CVE-2026-61699)", async () => {
    const used = await givePassword(world.client(), owner);
    await enrol(world.client(), newApplicant(owner.name, "gw1"), used);
    const now = clock.now();
    const expired = await givePassword(world.client(), owner, { issued: now, expires: now + 1000 });
    clock.advance(2000);
    const former = await givePassword(world.client(), owner);
    const never = newPassword(owner).key;
    const refuses = async (...keys: readonly Ed25519PrivateKey[]) => {
      for (const key of keys) {
        const machine = newApplicant(owner.name, "gw2");
        await expect(enrol(world.client(), machine, key)).rejects.toMatchObject({ code: "E_TOKEN" });
      }
    };
    await refuses(used, expired, never);
    await restart();
    await refuses(used, expired, never);
    expect(await pendingMembers(world.client(), owner)).toEqual(["gw1"]);
    const next = Ed25519PrivateKey.generate(suite, random);
    const rotation = rotationText(random, {
      ...{ name: owner.name, owner: ed25519Line(next.publicKey), seq: 2, issued: Date.now(), expires: null },
      prev: hex(suite.sha256(utf8(owner.statement.text))),
    });
    await put(owner.x25519, signWith(suite, owner.owner, rotation));
    await refuses(used, expired, former, never);
    await restart();
    await refuses(used, expired, former, never);
  });

  test("a machine that waits when the owner key is rotated asks again, with a password of the new one", async () => {
    const machine = newApplicant(owner.name, "gw1");
    const key = await givePassword(world.client(), owner);
    await enrol(world.client(), machine, key);
    const rotated = { ...owner, owner: Ed25519PrivateKey.generate(suite, random) };
    const rotation = rotationText(random, {
      ...{ name: owner.name, owner: ed25519Line(rotated.owner.publicKey), seq: 2, issued: Date.now(), expires: null },
      prev: hex(suite.sha256(utf8(owner.statement.text))),
    });
    await put(owner.x25519, signWith(suite, owner.owner, rotation));
    expect(await pendingMembers(world.client(), owner)).toEqual([]);
    await expect(enrol(world.client(), machine, key)).rejects.toMatchObject({ code: "E_TOKEN" });
    const another = await givePassword(world.client(), rotated);
    expect(await enrol(world.client(), machine, another)).toMatchObject({ type: "pending" });
    expect(await pendingMembers(world.client(), owner)).toEqual(["gw1"]);
  });

  test("for one role, one pattern or one name it is good for no other", async () => {
    const device = await givePassword(world.client(), owner, { role: "device", pattern: "gw-*" });
    const other = await world.activated("@other", "laptop", "client");
    for (const machine of [
      newApplicant(owner.name, "gw-1", "client"),
      newApplicant(owner.name, "gate", "device"),
      newApplicant(other.name, "gw-1", "device"),
    ]) {
      await expect(enrol(world.client(), machine, device)).rejects.toMatchObject({ code: "E_TOKEN" });
    }
    expect(await enrol(world.client(), newApplicant(owner.name, "gw-1"), device)).toMatchObject({ type: "pending" });
  });

  test("nobody but the owner of now gives one, nor for longer than it may live", async () => {
    const stranger = newPerson(owner.name, parseMember("x"), "client");
    const send = (message: { type: number; body: Uint8Array }) =>
      world.client().request(owner.x25519, message, { signal: patience() });
    await expect(send(newPassword({ ...stranger, name: owner.name }).message)).rejects.toMatchObject({
      code: "E_NOT_AUTHORIZED",
    });
    await expect(send(newPassword({ ...owner, name: parseName("@nobody") }).message)).rejects.toMatchObject({
      code: "E_NOT_AUTHORIZED",
    });
    const tooLong = newPassword(owner, { expires: clock.now() + PASSWORD_MS + 3_600_000 });
    await expect(send(tooLong.message)).rejects.toMatchObject({ code: "E_STATEMENT" });
    await expect(send(newPassword(owner, { expires: Date.now() - 1 }).message)).rejects.toMatchObject({
      code: "E_STATEMENT",
    });
  });

  test("the same password given again stays used", async () => {
    const { key, message } = newPassword(owner);
    const give = () => world.client().request(owner.x25519, message, { signal: patience() });
    await give();
    await enrol(world.client(), newApplicant(owner.name, "gw1"), key);
    await give();
    const second = newApplicant(owner.name, "gw2");
    await expect(enrol(world.client(), second, key)).rejects.toMatchObject({ code: "E_TOKEN" });
  });

  test("a member's name that is taken is refused, by one that waits with other keys as well, and the password stays good", async () => {
    const key = await givePassword(world.client(), owner);
    await expect(enrol(world.client(), newApplicant(owner.name, "laptop"), key)).rejects.toMatchObject({
      code: "E_MEMBER_TAKEN",
    });
    await enrol(world.client(), newApplicant(owner.name, "gw1"), await givePassword(world.client(), owner));
    await expect(enrol(world.client(), newApplicant(owner.name, "gw1"), key)).rejects.toMatchObject({
      code: "E_MEMBER_TAKEN",
    });
    expect(await enrol(world.client(), newApplicant(owner.name, "gw2"), key)).toMatchObject({ type: "pending" });
  });

  test("keys that are bound already are refused, one of both or both, of whatever name (headscale #2731)", async () => {
    const key = await givePassword(world.client(), owner);
    const other = await world.activated("@other", "laptop", "client");
    for (const keys of [{ x25519: other.x25519 }, { ed25519: other.ed25519 }, other, owner]) {
      const machine = newApplicant(owner.name, "gw1", "device", keys);
      await expect(enrol(world.client(), machine, key)).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
    }
    const first = newApplicant(owner.name, "gw1");
    await enrol(world.client(), first, key);
    const copied = newApplicant(owner.name, "gw2", "device", { ed25519: first.ed25519 });
    const second = await givePassword(world.client(), owner);
    await expect(enrol(world.client(), copied, second)).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
  });

  test("a machine must hold both keys that it asks with", async () => {
    const key = await givePassword(world.client(), owner);
    const machine = newApplicant(owner.name, "gw1");
    const forged = { ownSignature: suite.sign(Ed25519PrivateKey.generate(suite, random), utf8("x")) };
    await expect(enrol(world.client(), machine, key, forged)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    // Sealed with another X25519 key than the one that was signed for.
    const message = await enrolMessage(world.client(), machine, key);
    const thief = X25519PrivateKey.generate(suite, random);
    await expect(world.client().request(thief, message, { signal: patience() })).rejects.toMatchObject({
      code: "E_TOKEN",
    });
  });

  test("who waits is forgotten after 48 hours, and an owner's late yes is refused", async () => {
    const key = await givePassword(world.client(), owner);
    const machine = newApplicant(owner.name, "gw1");
    await enrol(world.client(), machine, key);
    clock.leap(ENROLMENT_MS + 1000);
    expect(await pendingMembers(world.client(), owner)).toEqual([]);
    await expect(approve(world.client(), owner, machine)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    await expect(enrol(world.client(), machine, key)).rejects.toMatchObject({ code: "E_TOKEN" });
    await expect.poll(() => world.store.enrolments(owner.name)).toEqual([]);
  });

  test("those who wait are capped for each name, and none of them is evicted (GO-2026-5815)", async () => {
    const key = await givePassword(world.client(), owner);
    const one = newApplicant(owner.name, "gw0");
    await enrol(world.client(), one, await givePassword(world.client(), owner));
    const { enrolmentOperation } = await import("../../directory/enrolment-records.ts");
    const pending = await world.store.enrolment(one.public);
    if (pending === undefined) throw new Error("nobody waits");
    const others = Array.from({ length: ENROLMENTS_PER_NAME - 1 }, (_, i) => newApplicant(owner.name, `gw${i + 1}`));
    await world.store.writeEnrolments(others.map((other) => enrolmentOperation({ ...pending, ...other.public })));
    await expect(enrol(world.client(), newApplicant(owner.name, "late"), key)).rejects.toMatchObject({
      code: "E_BUSY",
    });
    expect(await world.store.enrolments(owner.name)).toHaveLength(ENROLMENTS_PER_NAME);
  });
});

describe("nobody is let in without the owner's word (CVE-2025-44005, CVE-2025-66406, CVE-2026-30836)", () => {
  test("what somebody else signs binds nobody, however he waits", async () => {
    const key = await givePassword(world.client(), owner);
    const machine = newApplicant(owner.name, "gw1");
    await enrol(world.client(), machine, key);
    const stranger = newPerson(owner.name, parseMember("x"), "client");
    for (const signer of [stranger.owner, key, machine.ed25519, owner.ed25519]) {
      const binding = bindingOf({ owner: signer }, machine);
      await expect(put(machine.x25519, binding)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    }
    expect(await world.store.member(machine.public)).toBeUndefined();
  });

  test("an owner binds no keys whose holder has not asked, nor in another role", async () => {
    const machine = newApplicant(owner.name, "gw1");
    await expect(approve(world.client(), owner, machine)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    await enrol(world.client(), machine, await givePassword(world.client(), owner));
    const client = { ...machine, public: { ...machine.public, role: "client" as const } };
    await expect(approve(world.client(), owner, client)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    await approve(world.client(), owner, machine);
  });

  test("every message of an enrolment, from nobody, changes and tells nothing", async () => {
    const machine = newApplicant(owner.name, "gw1");
    await enrol(world.client(), machine, await givePassword(world.client(), owner));
    const nobody = newPerson(owner.name, parseMember("x"), "client");
    const { name, member, x25519, ed25519 } = machine.public;
    const denied = signSshsig(suite, nobody.owner, "sshnp-denial@v1", utf8("x"));
    const messages = [
      newPassword({ name, owner: nobody.owner }).message,
      await enrolMessage(world.client(), newApplicant(name, "gw2"), nobody.ed25519),
      { type: REQUEST.readEnrolments, body: encodeEnrolmentsQuestion({ name, ownerSignature: new Uint8Array(0) }) },
      { type: REQUEST.readEnrolments, body: encodeEnrolmentsQuestion({ name, ownerSignature: denied }) },
      {
        type: REQUEST.denyEnrolment,
        body: encodeEnrolmentDenial({ name, member, x25519, ed25519, ownerSignature: denied }),
      },
      putMessage(bindingOf(nobody, newApplicant(name, "gw3", "device", nobody))),
    ];
    for (const message of messages) {
      await expect(world.client().request(nobody.x25519, message, { signal: patience() })).rejects.toMatchObject({
        code: expect.stringMatching(/^E_(NOT_AUTHORIZED|TOKEN)$/),
      });
    }
    for (const one of ["laptop", "gw1"]) {
      // Whether somebody else waits is nobody's business.
      const asking = ownStatements(world.client(), newApplicant(name, one, "client", nobody));
      await expect(asking).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    }
    for (const type of Object.values(REQUEST).filter(isOfEnrolment)) {
      const empty = { type, body: new Uint8Array(0) };
      await expect(world.client().request(nobody.x25519, empty, { signal: patience() })).rejects.toMatchObject({
        code: "E_PROTOCOL",
      });
    }
    expect(await pendingMembers(world.client(), owner)).toEqual(["gw1"]);
    expect(await world.store.members(name)).toHaveLength(1);
  });
});

describe("with a fleet token", () => {
  test("of 100 machines with its last use exactly one becomes a member, and is in the log", async () => {
    const { key, id } = await giveToken(world.client(), owner, { uses: 3 });
    const machines = Array.from({ length: 100 }, (_, i) => newApplicant(owner.name, `gw-${i}`));
    const [first, second, ...others] = machines;
    for (const one of [first, second]) if (one !== undefined) await put(one.x25519, bindingOf({ owner: key }, one));
    const answers = await Promise.allSettled(others.map((one) => put(one.x25519, bindingOf({ owner: key }, one))));
    const winners = others.filter((_, i) => answers[i]?.status === "fulfilled");
    expect(winners).toHaveLength(1);
    for (const answer of answers) {
      if (answer.status === "rejected") expect(answer.reason).toMatchObject({ code: "E_TOKEN" });
    }
    expect((await world.store.delegation(owner.name, id))?.made).toBe(3);
    for (const one of [first, second, ...winners]) {
      if (one !== undefined) expect(await ownStatements(world.client(), one)).toMatchObject({ type: "binding" });
    }
    expect(await world.store.members(owner.name)).toHaveLength(4);
  });

  test("the same machine again is no further use", async () => {
    const { key, id } = await giveToken(world.client(), owner);
    const machine = newApplicant(owner.name, "gw-1");
    const binding = bindingOf({ owner: key }, machine);
    await put(machine.x25519, binding);
    await restart();
    await put(machine.x25519, binding);
    expect((await world.store.delegation(owner.name, id))?.made).toBe(1);
  });

  test("beyond its pattern, its role, its end or a first binding it makes nothing", async () => {
    const { key } = await giveToken(world.client(), owner, { uses: 9 });
    const member = newApplicant(owner.name, "gw-1");
    const made = bindingOf({ owner: key }, member);
    await put(member.x25519, made);
    const thief = newApplicant(owner.name, "gw-1");
    // An existing device is not taken over, as its first statement or as its next.
    await expect(put(thief.x25519, bindingOf({ owner: key }, thief))).rejects.toMatchObject({ code: "E_MEMBER_TAKEN" });
    const prev = hex(suite.sha256(utf8(made.text)));
    const next = bindingText(random, { ...thief.public, seq: 2, prev, issued: Date.now(), expires: null });
    await expect(put(thief.x25519, signWith(suite, key, next))).rejects.toMatchObject({ code: "E_TOKEN" });
    for (const beyond of [newApplicant(owner.name, "gate"), newApplicant(owner.name, "gw-2", "client")]) {
      await expect(put(beyond.x25519, bindingOf({ owner: key }, beyond))).rejects.toMatchObject({ code: "E_TOKEN" });
    }
    const clients = await giveToken(world.client(), owner, { role: "client" });
    const endless = newApplicant(owner.name, "gw-5", "client");
    await expect(put(endless.x25519, bindingOf({ owner: clients.key }, endless))).rejects.toMatchObject({
      code: "E_TOKEN",
    });
    const ended = await giveToken(world.client(), owner, { expires: clock.now() + 1000 });
    clock.advance(2000);
    const late = newApplicant(owner.name, "gw-3");
    await expect(put(late.x25519, bindingOf({ owner: ended.key }, late))).rejects.toMatchObject({ code: "E_TOKEN" });
    // Nor does it bind keys of others, which do not ask.
    const absent = newApplicant(owner.name, "gw-4");
    await expect(put(thief.x25519, bindingOf({ owner: key }, absent))).rejects.toMatchObject({
      code: "E_NOT_AUTHORIZED",
    });
  });

  test("once its owner has given the delegation another key, the old one makes nothing more", async () => {
    const { key, signed, id } = await giveToken(world.client(), owner, { uses: 9 });
    const prev = hex(suite.sha256(utf8(signed.text)));
    const { key: next } = await giveToken(world.client(), owner, { id, uses: 9, seq: 2, prev });
    const [thief, machine] = [newApplicant(owner.name, "gw-1"), newApplicant(owner.name, "gw-2")];
    await expect(put(thief.x25519, bindingOf({ owner: key }, thief))).rejects.toMatchObject({
      code: "E_NOT_AUTHORIZED",
    });
    expect(await put(machine.x25519, bindingOf({ owner: next }, machine))).toMatchObject({ type: "logged" });
  });

  test("neither a member nor a token makes tokens, revokes or rotates (CVE-2025-49825)", async () => {
    const { key, signed, id } = await giveToken(world.client(), owner, { uses: 9 });
    const machine = newApplicant(owner.name, "gw-1");
    await put(machine.x25519, bindingOf({ owner: key }, machine));
    for (const signer of [key, machine.ed25519, owner.ed25519]) {
      const pretender = { ...owner, owner: signer };
      await expect(giveToken(world.client(), pretender)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
      const revocation = revocationText(random, {
        ...{
          subject: delegationSubject({ name: owner.name, id }),
          seq: 2,
          issued: Date.now(),
          expires: null,
          reason: "",
        },
        prev: hex(suite.sha256(utf8(signed.text))),
      });
      await expect(put(machine.x25519, signWith(suite, signer, revocation))).rejects.toMatchObject({
        code: "E_NOT_AUTHORIZED",
      });
      const other = newApplicant(owner.name, "gw-2");
      if (signer === key) continue;
      await expect(put(other.x25519, bindingOf({ owner: signer }, other))).rejects.toMatchObject({
        code: "E_NOT_AUTHORIZED",
      });
    }
  });

  test("revoked, it makes nothing, after a restart neither (CVE-2026-53602, CVE-2026-55513)", async () => {
    const { key, signed, id } = await giveToken(world.client(), owner, { uses: 9 });
    const revocation = revocationText(random, {
      ...{
        subject: delegationSubject({ name: owner.name, id }),
        seq: 2,
        issued: Date.now(),
        expires: null,
        reason: "",
      },
      prev: hex(suite.sha256(utf8(signed.text))),
    });
    await put(owner.x25519, signWith(suite, owner.owner, revocation));
    await restart();
    const machine = newApplicant(owner.name, "gw-1");
    await expect(put(machine.x25519, bindingOf({ owner: key }, machine))).rejects.toMatchObject({ code: "E_REVOKED" });
    expect(await world.store.member(machine.public)).toBeUndefined();
  });
});

async function restart(): Promise<void> {
  await world.pause();
  await world.resume();
}

/** An enrolment that waits: that it does, and what is decided. */
function waitFor(machine: ReturnType<typeof newApplicant>, key: Ed25519PrivateKey) {
  const client = world.client();
  const frames = (async () =>
    client.send(machine.x25519, await enrolMessage(client, machine, key, { isWaiting: true }), {
      signal: patience(),
    }))();
  const pending = frames.then(async (answer) => (await answer.next()).value);
  const decided = pending.then(async () => (await (await frames).next()).value);
  return { pending, decided };
}

function isOfEnrolment(type: number): boolean {
  return type >= REQUEST.putPassword && type <= REQUEST.denyEnrolment;
}
