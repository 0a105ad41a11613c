/** A directory that lies to the owner of a name, for itself or for a thief; the owner works with sshnp-keys. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { readOwnerFile } from "../../keys/end-key-files.ts";
import { delegationKey, parseFleetToken } from "../../keys/enrolment-secrets.ts";
import { type Name, parseMember, parseName, type Role } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { policySubject, policyText } from "../../protocol/owner-statements.ts";
import { kindOf, seqOf, signWith, type StatementFields, subjectOf } from "../../protocol/statement-fields.ts";
import { bindingText } from "../../protocol/statements.ts";
import { newPerson, random, suite } from "../directory/world.ts";
import type { Exit } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { entryOf, ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
});
afterEach(() => forger.beHonest());
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "a revocation is left out, and another member named twice in its place": async () => {
    const owner = await newOwner("@twice");
    await enrolByToken(owner, "laptop");
    const before = forger.machine(owner.machine);
    await owner.must("revoke", "@twice", "laptop");
    const [gw1, laptop] = [owner.subject("gw1"), owner.subject("laptop")];
    await give(owner.name, (await historyOf(laptop)).slice(0, 1));
    const { store } = forger.world;
    const honest = store.newest.bind(store);
    const twice = (await historyOf(gw1)).slice(-1);
    forger.forge(store, "newest", async function* (name) {
      for await (const page of honest(name)) yield page.filter((one) => subjectOf(one) !== laptop);
      yield twice;
    });
    return outcomeOf(await before.run("sshnp-keys", "list", "@twice"));
  },
  "a name has another owner, logged, for who reads as a member, as the owner, or watches it": async () => {
    const owner = await newOwner("@taken");
    const own = forger.machine(owner.machine);
    rmSync(join(own.keys, "@taken.gw1.npkeys"));
    const thief = newPerson(owner.name, parseMember("gw1"), "device");
    await give(owner.name, [thief.statement], [thief.binding]);
    const codes = new Set<string | undefined>();
    for (const words of [["list"], ["log"], ["policy", "show"], ["monitor", "--once"]]) {
      codes.add(outcomeOf(await owner.run(...words, "@taken")).code);
      codes.add(outcomeOf(await own.run("sshnp-keys", ...words, "@taken", ...at())).code);
    }
    expect(codes.size).toBe(1);
    return { code: [...codes][0] };
  },
  "a revocation is taken back behind its owner's back, logged": async () => {
    const owner = await newOwner("@back");
    await enrolByToken(owner, "laptop");
    await owner.must("revoke", "@back", "laptop");
    await give(owner.name, (await historyOf(owner.subject("laptop"))).slice(0, 1));
    return outcomeOf(await owner.run("list", "@back"));
  },
  "statements that were acknowledged are gone, and with them what the owner's machine remembers": async () => {
    const owner = await newOwner("@gone");
    await enrolByToken(owner, "laptop");
    await owner.must("revoke", "@gone", "laptop");
    await owner.must("monitor", "@gone", "--once");
    await give(owner.name, (await historyOf(owner.subject("laptop"))).slice(0, 1));
    rmSync(join(owner.machine.keys, "state/stated.@gone.json"));
    const exit = await owner.run("monitor", "@gone", "--once", "--acknowledge");
    expect(exit.stderr).toContain("no longer has 1 of the statements about @gone");
    return outcomeOf(exit);
  },
  "a member is shown once more as waiting, and its owner deletes it": async () => {
    const owner = await newOwner("@deleting");
    const machine = forger.machine();
    const words = ["laptop2", "--otp", await owner.must("otp", "@deleting"), ...at()];
    expect((await machine.run("sshnp-keys", "enroll", "@deleting", ...words)).code).toBe(75);
    const { store } = forger.world;
    const waiting = await store.enrolments(owner.name);
    expect(waiting).toHaveLength(1);
    await owner.must("approve", "@deleting", "--auto", "laptop2", "--role", "client");
    forger.forge(store, "enrolments", () => Promise.resolve(waiting));
    const exit = await owner.run("delete", "@deleting", "laptop2");
    expect(exit.stderr).toMatch(/laptop2 of @deleting is revoked\. .*laptop2 of @deleting is turned away\./s);
    const kinds = (await historyOf(owner.subject("laptop2"))).map((signed) => kindOf(signed));
    expect(kinds).toEqual(["binding", "revocation"]);
    return outcomeOf(exit);
  },
  "what a fleet token was not given for is logged, and its owner revokes the token": async () => {
    const owner = await newOwner("@leaky");
    const { id, token } = await enrolByToken(owner, "dev-1");
    const gw1 = await historyOf(owner.subject("gw1"));
    await give(
      owner.name,
      [boundBy(token, owner.name, "admin", "client")],
      [...gw1, boundBy(token, owner.name, "gw1", "device", gw1.at(-1))],
    );
    const unasked = await owner.run("revoke", "@leaky", "--delegation", id);
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining("so that they go on: dev-1.\n") });
    expect(codeIn(unasked.stderr)).toBe("E_USAGE");
    const exit = await owner.run("revoke", "@leaky", "--delegation", id, "--yes");
    expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining("that go on: 1.\n") });
    forger.beHonest();
    expect((await historyOf(owner.subject("gw1"))).map(seqOf)).toEqual([1]);
    expect((await historyOf(owner.subject("dev-1"))).map(seqOf)).toEqual([1, 2]);
    return outcomeOf(exit);
  },
  "of the owner key from before a rotation: he has a policy logged behind the owner's": async () => {
    const owner = await newOwner("@rotated");
    const thief = await ownerKeyOf(owner);
    await owner.must("rotate", "@rotated", "--yes");
    const file = join(owner.machine.home, "policy");
    writeFileSync(file, "version: 1\n");
    await owner.must("policy", "apply", "@rotated", file, "--yes");
    const subject = policySubject(owner.name);
    const own = await historyOf(subject);
    const fields = { ...placeAfter(own.at(-1)), issued: Date.now(), expires: null };
    const text = policyText(random, { name: owner.name, policy: "version: 1\n", ...fields });
    await give(owner.name, [...own, signWith(suite, thief, text)]);
    const counting = /by an owner key that was rotated away: it counts as none/;
    expect(await owner.run("policy", "diff", "@rotated", file)).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(counting),
    });
    const again = await owner.run("policy", "apply", "@rotated", file);
    expect(again.stderr).toMatch(counting);
    expect(codeIn(again.stderr)).toBe("E_USAGE"); // it does not say that it reads so already, and would sign it
    return outcomeOf(await owner.run("policy", "show", "@rotated"));
  },
});

/** A name with its first member, gw1, and what its owner does on the machine that has his key. */
class Owner {
  readonly name: Name;
  readonly machine: Machine;

  constructor(name: Name, machine: Machine) {
    this.name = name;
    this.machine = machine;
  }

  subject(member: string): string {
    return `${this.name}/${member}`;
  }

  run(...words: string[]): Promise<Exit> {
    return this.machine.run("sshnp-keys", ...words);
  }

  must(...words: string[]): Promise<string> {
    return this.machine.must("sshnp-keys", ...words);
  }
}

async function newOwner(name: string): Promise<Owner> {
  const machine = forger.machine();
  await forger.activate(machine, name, "-d", "gw1");
  return new Owner(parseName(name), machine);
}

/** Makes a device by a fleet token for such devices, and gives the token's key and its ID. */
async function enrolByToken(
  owner: Owner,
  member: string,
): Promise<{ readonly id: string; readonly token: Ed25519PrivateKey }> {
  const text = await owner.must("delegate", owner.name, "--role", "device", "--pattern", member, "--uses", "9");
  const machine = forger.machine();
  const enrolling = machine.start("sshnp-keys", "enroll", owner.name, member, "-d", "--token", "-", ...at());
  enrolling.stdin.end(`${text}\n`);
  expect(await enrolling.exit()).toMatchObject({ code: 0 });
  const [made] = await forger.world.store.delegations(owner.name);
  return { id: made?.[0] ?? "", token: delegationKey(suite, parseFleetToken(text), owner.name) };
}

function at(): string[] {
  return ["--directory", forger.world.address.text];
}

/** A binding to keys of the thief's, which follows another one or is the first. */
function boundBy(key: Ed25519PrivateKey, name: Name, member: string, role: Role, before?: SignedText): SignedText {
  const text = bindingText(random, {
    ...{ name, member: parseMember(member), role, ...placeAfter(before), issued: Date.now(), expires: null },
    x25519: X25519PrivateKey.generate(suite, random).publicKey,
    ed25519: Ed25519PrivateKey.generate(suite, random).publicKey,
  });
  return signWith(suite, key, text);
}

/** The directory logs these as the newest, and gives them as all that there ever was on their subject. */
async function give(name: Name, ...pasts: readonly (readonly SignedText[])[]): Promise<void> {
  const { store } = forger.world;
  const given = new Map(pasts.map((past) => [subjectOf(past[0] ?? { text: "" }), past]));
  await forger.log.append(
    pasts.flatMap((past) => past.slice(-1)).map((newest) => entryOf(newest)),
    [],
  );
  const [past, newest] = [store.past.bind(store), store.newest.bind(store)];
  const forged = (honest: typeof past, said: readonly SignedText[]): typeof past =>
    async function* (of) {
      for await (const page of honest(of)) yield page.filter((one) => !given.has(subjectOf(one)));
      if (of === name) yield [...said];
    };
  const all = [...given.values()];
  forger.forge(store, "past", forged(past, all.flat()));
  forger.forge(
    store,
    "newest",
    forged(
      newest,
      all.flatMap((one) => one.slice(-1)),
    ),
  );
}

async function historyOf(subject: string): Promise<SignedText[]> {
  const [name] = subject.split(/[/:]/) as [Name];
  const statements: SignedText[] = [];
  for await (const page of forger.world.store.past(name)) statements.push(...page);
  return statements.filter((one) => subjectOf(one) === subject);
}

function placeAfter(before: SignedText | undefined): Pick<StatementFields, "seq" | "prev"> {
  if (before === undefined) return { seq: 1, prev: null };
  return { seq: seqOf(before) + 1, prev: hex(suite.sha256(utf8(before.text))) };
}

/** The key in an owner file, as whoever has stolen that has it. */
async function ownerKeyOf({ name, machine }: Owner): Promise<Ed25519PrivateKey> {
  const folder = await PrivateFolder.open(machine.keys);
  const keys = folder && (await readOwnerFile(suite, folder, name, () => Promise.reject(new Error("no passphrase"))));
  if (keys === undefined) throw new Error("there is no owner file");
  return keys.privateKey;
}

/** What a command ended with. */
function outcomeOf({ stderr, code }: Exit): Outcome {
  const said = codeIn(stderr);
  expect(code === 0, stderr).toBe(said === undefined);
  return { code: said };
}
