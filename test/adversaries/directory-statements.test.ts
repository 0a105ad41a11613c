/** A directory that gives a client false statements, with logs and tickets to match; every client is sshnp itself. */
import { afterAll, afterEach, beforeAll } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { type SignedText } from "../../keys/signed-text.ts";
import { revocationText } from "../../protocol/owner-statements.ts";
import { after, seqOf, signWith } from "../../protocol/statement-fields.ts";
import { bindingSubject, signRendezvousStatement } from "../../protocol/statements.ts";
import type { Log } from "../../directory/log/log.ts";
import type { MemberRecord, NameRecord } from "../../directory/records.ts";
import { newPerson, patience, type Person, putMessage, random, suite } from "../directory/world.ts";
import { utf8 } from "../../keys/bytes.ts";
import type { Machine } from "../support/stack.ts";
import { anything, entryOf, ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
/** Has met mygateway of @device. */
let acquainted: Machine;
/** A device, offline, whose owner's key is at hand. */
let pi: Person;
let other: Person;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
  pi = await forger.world.activated("@pi", "box", "device");
  other = await forger.world.activated("@other", "box", "device");
  await forger.startDaemon(forger.device);
  acquainted = forger.machine(forger.client);
  const exit = await forger.connect(acquainted);
  if (exit.code !== 0) throw new Error(exit.stderr);
});
afterEach(() => forger.beHonest());
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "a device's key is swapped for one that the directory has bound itself, and logged": async () => {
    const forged = newPerson(pi.name, pi.member, "device", { statement: pi.statement });
    giveMember(pi, memberOf(forged));
    await logAlso(forged.binding);
    return await meet("@pi", "box");
  },
  "a device's binding has another key under its owner's true signature": async () => {
    const { text } = newPerson(pi.name, pi.member, "device", { owner: pi.owner }).binding;
    const binding = { text, signature: pi.binding.signature };
    giveMember(pi, { ...memberOf(pi), binding, newest: binding });
    await logAlso(binding);
    return await meet("@pi", "box");
  },
  "a device has the statements of another name": async () => {
    giveName(pi, other.statement);
    giveMember(pi, memberOf(other));
    return await meet("@pi", "box");
  },
  "a device has the binding of another member of its name": async () => {
    const { member } = other;
    const { owner, statement } = pi;
    const second = newPerson(pi.name, parseMember(`${member}2`), "device", { owner, statement });
    giveMember(pi, memberOf(second));
    await logAlso(second.binding);
    return await meet("@pi", "box");
  },
  "a name that the client has pinned has an owner of the directory's, logged": async () => {
    await takeName("@device");
    return await meet("@device", "mygateway", forger.machine(acquainted));
  },
  "a name whose fingerprint was given has an owner of the directory's, logged": async () => {
    await takeName("@device");
    return await meet(`@device=SHA256:${"A".repeat(43)}`, "mygateway");
  },
  "a revocation is hidden behind a fresh checkpoint": async () => {
    const revoked = await revokedDevice("@pi2");
    giveMember(revoked, memberOf(revoked));
    return await meet("@pi2", "box");
  },
  "a revocation is hidden by a log that never had it, from who has seen a longer one": async () => {
    const before = await forger.fork();
    const revoked = await revokedDevice("@pi3");
    const client = await whoHasSeenAll();
    giveMember(revoked, memberOf(revoked));
    forger.show((subjects, since) => before.proof(subjects, since));
    return await meet("@pi3", "box", client);
  },
  "a revocation is hidden by a log of the same size that has something else": async () => {
    const revoked = await revokedDevice("@pi4");
    const client = await whoHasSeenAll();
    const otherwise = await forger.fork({ batches: -1 });
    await otherwise.append([anything()], []);
    giveMember(revoked, memberOf(revoked));
    forger.show((subjects, since) => otherwise.proof(subjects, since));
    return await meet("@pi4", "box", client);
  },
  "a ticket is signed by a key of no list": async () => {
    forger.forge(forger.world.directory.keyring, "ticket", Ed25519PrivateKey.generate(suite, random));
    return await meet("@device", "mygateway");
  },
  "a ticket names other addresses than the rendezvous has": async () => {
    offer((made) => ({
      ...made,
      entries: made.entries.map((entry) => ({ ...entry, addresses: ["tcp://127.0.0.1:9"] })),
    }));
    return await meet("@device", "mygateway");
  },
  "a rendezvous has a statement that the root key has not signed": async () => {
    foreignRendezvous(Ed25519PrivateKey.generate(suite, random));
    return await meet("@device", "mygateway");
  },
  "a rendezvous has a root-signed statement that is not in the log": async () => {
    foreignRendezvous(forger.world.directory.keyring.root);
    return await meet("@device", "mygateway");
  },
  "the binding from before a revocation comes back, logged, to who has seen the one after it": async () => {
    const { record, client } = await boundAgain();
    giveMember(MYGATEWAY, record);
    await logAlso(record.binding);
    return await meet("@device", "mygateway", client);
  },
  "the binding from before a revocation comes back, not logged": async () => {
    const { record, client } = await boundAgain();
    giveMember(MYGATEWAY, record);
    return await meet("@device", "mygateway", client);
  },
});

const MYGATEWAY = { name: parseName("@device"), member: parseMember("mygateway") };

/** mygateway is revoked and bound again: its record from before, and a client that has met it since. */
async function boundAgain(): Promise<{ readonly record: MemberRecord; readonly client: Machine }> {
  const record = await forger.world.store.member(MYGATEWAY);
  if (record === undefined) throw new Error("there is no such device");
  await forger.rest();
  const owner = forger.machine(forger.device);
  const words = ["@device", "mygateway", "--directory", forger.world.address.text];
  for (const verb of ["revoke", "unrevoke"]) await owner.must("sshnp-keys", verb, ...words);
  await forger.startDaemon(forger.device);
  const client = forger.machine(acquainted);
  const exit = await forger.connect(client);
  if (exit.code !== 0) throw new Error(exit.stderr);
  return { record, client };
}

/** What sshnp says on a machine, by default a client's that has met nobody yet. */
async function meet(device: string, member: string, machine = forger.machine(forger.client)): Promise<Outcome> {
  const { stderr, stdout, code } = await forger.connect(machine, device, member);
  if (code !== 255 || stdout !== "") throw new Error(`it went on, with status ${code}: ${stderr}`);
  return { code: codeIn(stderr), evidence: (await forger.shownEvidence(machine)).length };
}

function memberOf({ role, x25519, ed25519, binding }: Person): MemberRecord {
  const keys = { x25519: x25519.publicKey, ed25519: ed25519.publicKey };
  return { ...keys, role, expires: null, binding, newest: binding, delegation: undefined };
}

function giveMember(of: Pick<Person, "name" | "member">, record: MemberRecord): void {
  const { store } = forger.world;
  const honest = store.member.bind(store);
  forger.forge(store, "member", async (party) =>
    bindingSubject(party) === bindingSubject(of) ? record : await honest(party),
  );
}

function giveName({ name: of }: Pick<Person, "name">, statement: SignedText): void {
  const { store } = forger.world;
  const honest = store.name.bind(store);
  forger.forge(store, "name", async (name) => {
    const record = await honest(name);
    return name === of && record !== undefined ? ({ ...record, statements: [statement] } satisfies NameRecord) : record;
  });
}

/** A true continuation of the log in which these are the newest of their subjects. */
async function logAlso(...statements: readonly SignedText[]): Promise<Log> {
  const fork = await forger.fork();
  await fork.append(statements.map(entryOf), []);
  forger.show((subjects, since) => fork.proof(subjects, since));
  return fork;
}

/** All of a name, and mygateway, is another owner's. */
async function takeName(text: string): Promise<void> {
  const thief = newPerson(parseName(text), MYGATEWAY.member, "device");
  giveName(thief, thief.statement);
  giveMember(thief, memberOf(thief));
  await logAlso(thief.statement, thief.binding);
}

async function revokedDevice(name: string): Promise<Person> {
  const person = await forger.world.activated(name, "box", "device");
  const before = { statement: { seq: seqOf(person.binding) }, hash: suite.sha256(utf8(person.binding.text)) };
  const text = revocationText(random, {
    ...{ subject: bindingSubject(person), reason: "stolen", issued: Date.now(), expires: null },
    ...after(before),
  });
  const message = putMessage(signWith(suite, person.owner, text));
  const frame = await forger.world.client().request(person.x25519, message, { signal: patience() });
  if (frame.type !== "logged") throw new Error(`the directory answers ${frame.type}`);
  return person;
}

/** A client whose newest checkpoint is the log's. */
async function whoHasSeenAll(): Promise<Machine> {
  const client = forger.machine(acquainted);
  await forger.connect(client, "@other", "box");
  return client;
}

type Offer = ReturnType<typeof forger.world.directory.registry.offer>;

function offer(change: (made: Offer) => Offer): void {
  const { registry } = forger.world.directory;
  const honest = registry.offer.bind(registry);
  forger.forge(registry, "offer", (now) => change(honest(now)));
}

/** A rendezvous of the operator's own making, in the place of the one that stands in the log. */
function foreignRendezvous(signer: Ed25519PrivateKey): void {
  const key = Ed25519PrivateKey.generate(suite, random).publicKey;
  offer(({ entries: [entry], names: [name = ""] }) => {
    const { addresses = [], boot = random(16) } = entry ?? {};
    const statement = signRendezvousStatement(suite, random, signer, {
      ...{ rendezvous: name, addresses, seq: 1, prev: null, issued: Date.now(), expires: null },
      x25519: pi.x25519.publicKey,
      ed25519: key,
    });
    return { entries: [{ key, boot, addresses }], names: [name], statements: [statement] };
  });
}
