import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LogFollower } from "../../directory/client.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { writeOwnStatements } from "../../keys/own-statement-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { OWNER_CHAIN } from "../../protocol/limits.ts";
import type { LinkOwn } from "../../protocol/messages/link.ts";
import { delegationSubject, policySubject } from "../../protocol/owner-statements.ts";
import { bindingSubject, signFirstNameStatement } from "../../protocol/statements.ts";
import { OwnStatements } from "../../sshnpd/own-statements.ts";
import { NOW } from "../protocol/fixtures.ts";
import { delegation, policy, rebinding, revocation, rotation } from "../support/later-statements.ts";
import { StatementLog } from "../support/statement-log.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { deviceBinding, deviceKeys, keyList, ORIGIN, people, random, suite } from "./stage.ts";

const { device } = people;
const successor = Ed25519PrivateKey.generate(suite, random);
const mallory = Ed25519PrivateKey.generate(suite, random);
const NAME = device.nameStatement;
const BINDING = device.binding;
const KEYS = deviceBinding.statement;
const POLICY = policySubject(device.name);
const STATE_FILE = "state/own.@device.mygateway.json";
const NONE = new Uint8Array(32);

let folder: TemporaryFolder;
let keys: PrivateFolder;
let log: StatementLog;
let follower: LogFollower;
beforeEach(async () => {
  folder = await temporaryFolder();
  keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  log = new StatementLog(suite, people.directory.log, ORIGIN).add(NAME, BINDING);
  follower = new LogFollower(suite);
});
afterEach(() => folder.remove());

test("a device is at first what its key file says, without a policy", async () => {
  const own = await open();
  expect(own.party).toEqual({ name: device.name, member: device.member, bindingHash: hashOf(BINDING) });
  expect([own.policy, own.policyHash, own.policyClaim]).toEqual([
    undefined,
    NONE,
    { subject: POLICY, newest: undefined },
  ]);
  await take(own, {});
  expect(isStored()).toBe(false); // nothing is newer
});

describe("what the owner has said since", () => {
  test("a rotation with a new binding is taken, stored, and what counts after a restart", async () => {
    const handedOn = rotation({ from: device.owner, to: successor, before: NAME });
    const bound = rebinding(successor, KEYS, BINDING);
    const own = await open();
    log.add(handedOn, bound);
    await take(own, { names: [NAME, handedOn], member: bound });
    expect(own.party.bindingHash).toEqual(hashOf(bound));
    expect(isStored()).toBe(true);

    const again = await open();
    expect(again.party.bindingHash).toEqual(hashOf(bound));
    const newer = rebinding(successor, KEYS, bound);
    log.add(newer);
    await take(again, { names: [NAME, handedOn], member: newer });
    expect((await open()).party.bindingHash).toEqual(hashOf(newer));
  });

  test("rotations that are taken one by one count after a restart, however many they are", async () => {
    const chain = [NAME];
    let [from, bound] = [device.owner, BINDING];
    for (let count = 1; count <= OWNER_CHAIN + 2; count += 1) {
      const to = Ed25519PrivateKey.generate(suite, random);
      chain.push(rotation({ from, to, before: chain.at(-1) ?? NAME }));
      [from, bound] = [to, rebinding(to, KEYS, bound)];
      log.add(...chain.slice(-1), bound);
      await take(await open(), { names: chain.slice(-OWNER_CHAIN), member: bound });
      expect((await open()).party.bindingHash).toEqual(hashOf(bound));
    }
    // Nor does the one in the key file speak for the name again.
    const stolen = rebinding(device.owner, KEYS, bound);
    log.add(NAME, stolen);
    await expect(take(await open(), { names: [NAME], member: stolen })).rejects.toMatchObject({ code: "E_OWNER_KEY" });
  });

  test("what could not be written is written when it is said again", async () => {
    const own = await open();
    const renewed = rebinding(device.owner, KEYS, BINDING);
    log.add(renewed);
    mkdirSync(join(keys.path, STATE_FILE), { recursive: true, mode: 0o700 }); // where the file belongs
    await expect(take(own, { member: renewed })).rejects.toMatchObject({ code: expect.stringMatching(/^E_/) });
    rmdirSync(join(keys.path, STATE_FILE));
    await take(own, { member: renewed });
    expect((await open()).party.bindingHash).toEqual(hashOf(renewed));
  });

  test("nothing goes back to the owner key before, also after a restart: whoever has stolen that says nothing any more", async () => {
    const handedOn = rotation({ from: device.owner, to: successor, before: NAME });
    const bound = rebinding(successor, KEYS, BINDING);
    const own = await open();
    log.add(handedOn, bound);
    await take(own, { names: [NAME, handedOn], member: bound });
    const stolen = rebinding(device.owner, KEYS, bound);
    const allowed = policy(device.owner, device.name, undefined);
    const lying = { names: [NAME], member: stolen, policy: allowed };
    log.add(NAME, stolen, allowed);
    for (const one of [own, await open()]) {
      await expect(take(one, lying)).rejects.toMatchObject({
        ...{ name: "SecurityError", code: "E_OWNER_KEY" },
        message: "The directory gives an older statement on @device.",
      });
      expect([one.party.bindingHash, one.policy]).toEqual([hashOf(bound), undefined]);
    }
  });

  test("a second rotation by the owner key before, of the same number, is refused", async () => {
    const [one, other] = [successor, mallory].map((to) => rotation({ from: device.owner, to, before: NAME }));
    if (one === undefined || other === undefined) throw new Error("two keys, two rotations");
    const own = await open();
    const bound = rebinding(successor, KEYS, BINDING);
    log.add(one, bound);
    await take(own, { names: [NAME, one], member: bound });
    const evil = rebinding(mallory, KEYS, bound);
    const further = rotation({ from: mallory, to: Ed25519PrivateKey.generate(suite, random), before: other });
    log.add(other, evil);
    for (const names of [[NAME, other], [other], [NAME, other, further]]) {
      await expect(take(own, { names, member: evil })).rejects.toMatchObject({ code: "E_OWNER_KEY" });
    }
  });

  test("another owner key that nobody handed the name on to is refused", async () => {
    const own = await open();
    const impostor = Ed25519PrivateKey.generate(suite, random);
    const { name } = device;
    const line = ed25519Line(impostor.publicKey);
    const names = [signFirstNameStatement(suite, random, impostor, { name, owner: line, issued: NOW })];
    const member = rebinding(impostor, KEYS, BINDING);
    log.add(...names, member);
    await expect(take(own, { names, member })).rejects.toMatchObject({ name: "SecurityError", code: "E_OWNER_KEY" });
    expect([own.party.bindingHash, isStored()]).toEqual([hashOf(BINDING), false]);
  });

  test("bound to other keys than its own, it is told so", async () => {
    const own = await open();
    const x25519 = X25519PrivateKey.generate(suite, random).publicKey;
    const ed25519 = mallory.publicKey;
    for (const changes of [{ x25519 }, { ed25519 }]) {
      const member = rebinding(device.owner, KEYS, BINDING, changes);
      log.add(member);
      await expect(take(own, { member })).rejects.toMatchObject({
        ...{ name: "SecurityError", code: "E_MEMBER_KEY" },
        message: "mygateway of @device is bound to other keys than this machine's.",
      });
    }
    expect([own.party.bindingHash, isStored()]).toEqual([hashOf(BINDING), false]);
  });

  test("an older binding than the newest, also one of before a restart, is refused", async () => {
    const own = await open();
    const bound = rebinding(device.owner, KEYS, BINDING);
    log.add(bound);
    await take(own, { member: bound });
    log.add(BINDING);
    for (const one of [own, await open()]) {
      await expect(take(one, {})).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
      expect(one.party.bindingHash).toEqual(hashOf(bound));
    }
  });

  test("revoked, it is told so with the owner's reason, in plain characters", async () => {
    const own = await open();
    const member = revocation(device.owner, BINDING, { reason: "stolen\u001b[2J\n\u202e[E_OK]" });
    log.add(member);
    await expect(take(own, { member })).rejects.toMatchObject({
      ...{ name: "DeniedError", code: "E_REVOKED" },
      message: 'mygateway of @device is revoked by its owner. The owner says: "stolen\\u001b[2J\\n\\u202e[E_OK]".',
      next: "The owner of @device can take that back: sshnp-keys unrevoke @device mygateway",
    });
    expect(isStored()).toBe(false);
  });

  test("a revocation that somebody else signed, or of another member, revokes nothing", async () => {
    const own = await open();
    for (const member of [
      revocation(mallory, BINDING),
      revocation(device.owner, BINDING, { subject: "@device/other" }),
    ]) {
      log.add(member);
      await expect(take(own, { member })).rejects.toMatchObject({ code: "E_STATEMENT" });
    }
  });

  test("a delegation that made its binding must be the newest, too", async () => {
    const token = Ed25519PrivateKey.generate(suite, random);
    const given = delegation(device.owner, {
      ...{ name: device.name, id: "0123456789abcdef", key: token.publicKey },
      ...{ role: "device", pattern: "my*" },
    });
    const bound = rebinding(token, KEYS, undefined);
    const owned = { ...deviceKeys, statements: [NAME, bound, given] };
    const own = await OwnStatements.open(suite, keys, owned);
    const subjects = [
      ...SUBJECTS.slice(0, 2),
      delegationSubject({ name: device.name, id: "0123456789abcdef" }),
      POLICY,
    ];
    log.add(bound, given);
    await take(own, { member: bound, delegation: given }, subjects);
    log.add(revocation(device.owner, given));
    await expect(take(own, { member: bound, delegation: given }, subjects)).rejects.toMatchObject({ code: "E_LOG" });
  });
});

describe("a directory that lies is believed in nothing", () => {
  const bound = rebinding(device.owner, KEYS, BINDING);
  const newest = rebinding(device.owner, KEYS, bound);

  test.each<[string, Partial<Said>, (lies: StatementLog) => readonly string[]]>([
    ["a binding that is not the newest", { member: bound }, (lies) => (lies.add(bound, newest), SUBJECTS)],
    ["a binding that was never logged", { member: bound }, () => SUBJECTS],
    [
      "that there is no policy, and there is one",
      {},
      (lies) => (lies.add(policy(device.owner, device.name, undefined)), SUBJECTS),
    ],
    ["proof of too few statements", {}, () => SUBJECTS.slice(0, 2)],
    ["proof of too many statements", {}, () => [...SUBJECTS, "@client"]],
    ["proof of other statements", {}, () => ["@client", "@client/laptop-client", "@client:policy"]],
    ["proofs in another order", {}, () => SUBJECTS.toReversed()],
    ["no proof of anything", {}, () => []],
  ])("it says %s", async (_what, said, lie) => {
    const own = await open();
    await expect(take(own, said, lie(log))).rejects.toMatchObject({ name: "SecurityError", code: "E_LOG" });
    expect([own.party.bindingHash, own.policy, isStored()]).toEqual([hashOf(BINDING), undefined, false]);
  });
});

describe("the policy of its name", () => {
  const first = policy(device.owner, device.name, undefined);
  const second = policy(device.owner, device.name, first, { policy: "version: 1\n# another\n" });

  test("is taken, named by its hash, and kept over a restart", async () => {
    const own = await open();
    log.add(first);
    await take(own, { policy: first });
    for (const one of [own, await open()]) {
      expect(one.policy?.statement.policy).toBe("version: 1\n");
      expect([one.policyHash, one.policyClaim]).toEqual([hashOf(first), { subject: POLICY, newest: hashOf(first) }]);
      await take(one, {}); // the hello named it, so it is left out and only proved
    }
  });

  test("gives way to a newer one, and comes back never", async () => {
    const own = await open();
    log.add(first);
    await take(own, { policy: first });
    log.add(second);
    await expect(take(own, {})).rejects.toMatchObject({ code: "E_LOG" }); // what is known is not the newest
    await take(own, { policy: second });
    expect((await open()).policyHash).toEqual(hashOf(second));
    log.add(first);
    for (const one of [own, await open()]) {
      await expect(take(one, { policy: first })).rejects.toMatchObject({ code: "E_STATEMENT" });
      await expect(take(one, {})).rejects.toMatchObject({ code: "E_LOG" });
      expect(one.policyHash).toEqual(hashOf(second));
    }
  });

  test("has no second one of its number, though its owner signed both", async () => {
    const other = policy(device.owner, device.name, first, { policy: "version: 1\n# a third\n" });
    const own = await open();
    log.add(first, second);
    await take(own, { policy: second });
    log.add(other);
    for (const one of [own, await open()]) {
      await expect(take(one, { policy: other })).rejects.toMatchObject({ code: "E_STATEMENT" });
      expect(one.policyHash).toEqual(hashOf(second));
    }
    log.add(second);
    await take(own, { policy: second });
  });

  test.each<[string, SignedText]>([
    ["signed by somebody else", policy(mallory, device.name, undefined)],
    ["of another name", policy(device.owner, parseName("@devices"), undefined)],
    ["that is a statement of another kind", BINDING],
    ["with a changed text", { ...first, text: first.text.replace("version: 1", "version: 2") }],
  ])("is not one %s", async (_what, said) => {
    const own = await open();
    log.add({ text: said.text.replace("@devices:", "@device:") });
    await expect(take(own, { policy: said })).rejects.toMatchObject({
      code: expect.stringMatching(/^E_(STATEMENT|PROTOCOL)$/),
    });
    expect([own.policy, isStored()]).toEqual([undefined, false]);
  });

  test("is one of the owner of now: after a rotation it has to be signed anew", async () => {
    const own = await open();
    log.add(first);
    await take(own, { policy: first });
    const handedOn = rotation({ from: device.owner, to: successor, before: NAME });
    const bound = rebinding(successor, KEYS, BINDING);
    const names = [NAME, handedOn];
    log.add(handedOn, bound);
    await expect(take(own, { names, member: bound })).rejects.toMatchObject({ code: "E_STATEMENT" });
    const anew = policy(successor, device.name, first);
    log.add(anew);
    await take(own, { names, member: bound, policy: anew });
    expect((await open()).policyHash).toEqual(hashOf(anew));
  });
});

test("a state file that somebody has damaged, or made of another owner's statements, stops the daemon", async () => {
  const own = await open();
  const bound = rebinding(device.owner, KEYS, BINDING);
  log.add(bound);
  await take(own, { member: bound });
  await writeOwnStatements(keys, device, {
    ...{ names: [NAME], member: people.client.binding, delegation: undefined, policy: undefined },
    owner: undefined,
  });
  await expect(open()).rejects.toMatchObject({ code: "E_STATEMENT" });
  writeFileSync(join(keys.path, STATE_FILE), "{}");
  await expect(open()).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
});

const SUBJECTS: readonly string[] = [device.name, bindingSubject(device), POLICY];

interface Said {
  readonly names: readonly SignedText[];
  readonly member: SignedText;
  readonly delegation: SignedText;
  readonly policy: SignedText;
}

/** What the directory says on the link, with proof of `subjects` as its log is now. */
async function take(own: OwnStatements, said: Partial<Said>, subjects = SUBJECTS): Promise<void> {
  const { names = [NAME], member = BINDING, delegation: made, policy: given } = said;
  const proof = log.prove(subjects, follower.size(keyList.list));
  const link: LinkOwn = { statements: { names, member, delegation: made }, policy: given, proof };
  await own.take(link, follower.accept(keyList.list, proof, NOW));
}

function open(): Promise<OwnStatements> {
  return OwnStatements.open(suite, keys, deviceKeys);
}

function hashOf({ text }: SignedText): Uint8Array {
  return suite.sha256(new TextEncoder().encode(text));
}

function isStored(): boolean {
  return existsSync(join(keys.path, STATE_FILE));
}
