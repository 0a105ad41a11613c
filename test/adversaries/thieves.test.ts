/** Who has stolen a secret, a fleet token or an old backup: at the real directory, and at real ends when that directory helps. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import { SshnpError } from "../../keys/errors.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { type Delegation, delegationText, revocationText } from "../../protocol/owner-statements.ts";
import { seqOf, signWith, subjectOf } from "../../protocol/statement-fields.ts";
import { type Binding, bindingText } from "../../protocol/statements.ts";
import { patience, type Person, putMessage, random, suite } from "../directory/world.ts";
import { copyFolder } from "../support/copy-folder.ts";
import { anything, entryOf, ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

let forger: ForgingDirectory;
/** A device of an owner who has given a fleet token to somebody, for devices called fleet-... */
let pi: Person;
const token = Ed25519PrivateKey.generate(suite, random);
const id = "0123456789abcdef";
let given: SignedText;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
  pi = await forger.world.activated("@pi", "fleet-1", "device");
  given = delegation({});
  expect(await put(given)).toMatchObject({ type: "logged" });
});
afterEach(() => forger.rest());
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "a one-time secret is used once more, with keys of the thief's": async () => {
    const name = parseName("@robbed");
    const secret = hex((await forger.world.addName(name)).secretBytes());
    const words = ["activate", "-a", name, "-c", secret, "--directory", forger.world.address.text];
    await forger.machine().must("sshnp-keys", ...words);
    const before = await forger.world.store.name(name);
    const exit = await forger.machine().run("sshnp-keys", ...words);
    expect(await forger.world.store.name(name)).toEqual(before);
    return { code: codeIn(exit.stderr) };
  },
  "a fleet token replaces the keys of a device that is there": async () => await putBy(token, successor()),
  "a fleet token replaces the keys of a device that is there, and the directory logs it": async () =>
    await servedBy(token, successor(), given),
  "a fleet token makes a device beyond its pattern": async () => await putBy(token, first({ member: "gateway" })),
  "a fleet token makes a device beyond its pattern, and the directory logs it": async () =>
    await servedBy(token, first({ member: "gateway" }), given),
  "a fleet token for devices makes a client": async () => await putBy(token, first({ role: "client" })),
  "a fleet token makes another token": async () => {
    const second = Ed25519PrivateKey.generate(suite, random);
    return await refusalOf(put(delegation({ id: "fedcba9876543210", key: second.publicKey }, token)));
  },
  "a token that a token has made binds a device, and the directory logs it": async () => {
    const second = Ed25519PrivateKey.generate(suite, random);
    const made = delegation({ id: "fedcba9876543210", key: second.publicKey }, token);
    return await servedBy(second, first({ member: "fleet-7" }), made);
  },
  "a binding's own key binds another device, and the directory logs it": async () =>
    await servedBy(pi.ed25519, first({ member: "fleet-8" }), undefined),
  "a fleet token is used more often than it may": async () => {
    const binding = first({ member: "fleet-2" });
    expect(await putBy(token, binding)).toEqual({ code: undefined });
    return await putBy(token, first({ member: "fleet-3" }));
  },
  "a fleet token is used when its owner has revoked it": async () => {
    const text = revocationText(random, {
      ...after(given),
      subject: subjectOf(given),
      reason: "",
      issued: Date.now(),
      expires: null,
    });
    expect(await put(signWith(suite, pi.owner, text))).toMatchObject({ type: "logged" });
    return await putBy(token, first({ member: "fleet-4" }));
  },
  "a key that is bound already is bound to another name": async () => {
    const other = await forger.world.activated("@thief", "box", "device");
    const { binding } = first({ member: "fleet-9", x25519: pi.x25519.publicKey });
    const text = bindingText(random, { ...binding, name: other.name, member: parseMember("stolen") });
    return await refusalOf(putFrom(pi.x25519, signWith(suite, other.owner, text)));
  },
  "a whole old data folder is put back, log and checkpoint with it": async () => {
    const { world } = forger;
    const { port } = world.directory;
    const aside = join(world.folder.path, "aside");
    await world.pause();
    copyFolder(world.data.path, aside);
    await world.resume(port);
    await world.directory.statementLog.append([anything()], []);
    const client = forger.machine(forger.client);
    await forger.connect(client, "@pi", "fleet-1"); // it has seen the newer log
    await world.pause();
    rmSync(world.data.path, { recursive: true });
    copyFolder(aside, world.data.path);
    await world.resume(port);
    return { code: codeIn((await forger.connect(client, "@pi", "fleet-1")).stderr) };
  },
});

interface Made {
  readonly binding: Binding;
  /** Of whoever is bound. */
  readonly holder: X25519PrivateKey;
}

function first(change: {
  readonly member?: string;
  readonly role?: "client" | "device";
  readonly x25519?: Binding["x25519"];
}): Made {
  const holder = X25519PrivateKey.generate(suite, random);
  const { member = "fleet-5", role = "device", x25519 = holder.publicKey } = change;
  const ed25519 = Ed25519PrivateKey.generate(suite, random).publicKey;
  const fields = { seq: 1, prev: null, issued: Date.now(), expires: null };
  return { holder, binding: { ...fields, name: pi.name, member: parseMember(member), role, x25519, ed25519 } };
}

/** What would follow on the binding of the device that is there. */
function successor(): Made {
  const made = first({ member: pi.member });
  return { ...made, binding: { ...made.binding, ...after(pi.binding) } };
}

function after(before: SignedText): { readonly seq: number; readonly prev: string } {
  return { seq: seqOf(before) + 1, prev: hex(suite.sha256(utf8(before.text))) };
}

function delegation(change: Partial<Delegation>, signer = pi.owner): SignedText {
  return signWith(
    suite,
    signer,
    delegationText(random, {
      ...{ seq: 1, prev: null, issued: Date.now(), expires: null },
      ...{ name: pi.name, id, key: token.publicKey, role: "device", pattern: "fleet-*", uses: 1 },
      ...change,
    }),
  );
}

async function putBy(signer: Ed25519PrivateKey, { binding, holder }: Made): Promise<Outcome> {
  return await refusalOf(putFrom(holder, signWith(suite, signer, bindingText(random, binding))));
}

async function put(...statements: readonly SignedText[]): Promise<Frame> {
  return await putFrom(pi.x25519, ...statements);
}

async function putFrom(sender: X25519PrivateKey, ...statements: readonly SignedText[]): Promise<Frame> {
  return await forger.world.client().request(sender, putMessage(...statements), { signal: patience() });
}

async function refusalOf(answer: Promise<Frame>): Promise<Outcome> {
  try {
    await answer;
    return { code: undefined };
  } catch (error) {
    if (error instanceof SshnpError) return { code: error.code };
    throw error;
  }
}

/** The directory takes the thief's side: it stores such a binding, logs it, and serves it to a client. */
async function servedBy(signer: Ed25519PrivateKey, { binding }: Made, made: SignedText | undefined): Promise<Outcome> {
  const { store } = forger.world;
  const signed = signWith(suite, signer, bindingText(random, binding));
  const { role, x25519, ed25519, expires, name, member } = binding;
  const record = { role, x25519, ed25519, expires, binding: signed, newest: signed };
  const honestMember = store.member.bind(store);
  forger.forge(store, "member", (party) => {
    if (party.name !== name || party.member !== member) return honestMember(party);
    return Promise.resolve({ ...record, delegation: made === undefined ? undefined : id });
  });
  forger.forge(store, "delegation", () => Promise.resolve(made && { delegation: made, newest: made, made: 1 }));
  const fork = await forger.fork();
  await fork.append(
    [entryOf(signed), ...(made === undefined ? [] : [{ ...entryOf(made), subject: `${pi.name}:delegation:${id}` }])],
    [],
  );
  forger.show((subjects, since) => fork.proof(subjects, since));
  const { stderr, code } = await forger.connect(forger.machine(forger.client), pi.name, member);
  expect(code).toBe(255);
  return { code: codeIn(stderr) };
}
