import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import type { SignedText, TextToSign } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { handOn } from "../../protocol/handing-on.ts";
import { judgeNameAccount, type NameAccount, successionOf } from "../../protocol/name-account.ts";
import { rotationText } from "../../protocol/owner-chain.ts";
import { delegationText, policyText, revocationText } from "../../protocol/owner-statements.ts";
import { after, seqOf, signWith, subjectOf } from "../../protocol/statement-fields.ts";
import { firstBinding, firstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";

const name = parseName("@acme");
const [LONG_AGO, NOW, LATER] = [1_000_000, 2_000_000, 3_000_000] as const;
/** What a member may be, and what it is after a rotation. */
const KINDS = {
  plain: "active",
  ending: "active",
  revoked: "revoked",
  delegated: "active",
  "of an ended delegation": "active",
  "of a revoked delegation": "orphaned",
  "beyond a delegation": "orphaned",
  "beyond an ended delegation": "orphaned",
} as const;
type Kind = keyof typeof KINDS;

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
const newKey = (): Ed25519PrivateKey => Ed25519PrivateKey.generate(suite, random);

test("whatever counted goes on to count, however much of it was said again before the cut, and nothing is said twice", () => {
  const kinds = fc.array(fc.constantFrom(...(Object.keys(KINDS) as Kind[])), { maxLength: 6 });
  fc.assert(
    fc.property(kinds, fc.boolean(), fc.nat(12), (members, hasPolicy, cut) => {
      const [old, next] = [newKey(), newKey()];
      const history = past(old, members, hasPolicy);
      const before = judge(history);
      const handing = { from: lineOf(old), to: lineOf(next), issued: NOW };
      const fields = { ...after(before.chain.newest), issued: NOW, expires: null };
      const rotation = signWith(suite, old, rotationText(random, { ...fields, name, owner: lineOf(next) }));

      const sign = (texts: readonly TextToSign[]) => texts.map((text) => signWith(suite, next, text));
      const all = [...history, rotation, ...sign(handOn(random, before, handing)).slice(0, cut)];
      all.push(...sign(handOn(random, judge(all), handing)));
      const account = judge(all);
      expect(handOn(random, account, handing)).toEqual([]);
      expect(account.chain.owner).toBe(lineOf(next));
      expect(account.members.map(({ condition }) => condition)).toEqual(members.map((kind) => KINDS[kind]));
      expect(account.members.map(keysOf)).toEqual(before.members.map(keysOf));
      expect(account.policy?.policy.statement.policy).toBe(hasPolicy ? "version: 1\n" : undefined);
      expect(account.history.filter(({ kind }) => kind === "policy")).toHaveLength(hasPolicy ? 2 : 0);
      expect(account.members.map(({ newest }) => newest.seq <= 3)).not.toContain(false);
    }),
    { numRuns: 40 },
  );
});

test("of the policies it is the last by the owner until now that goes on, whatever a former one has signed behind it", () => {
  const [first, second, third] = [newKey(), newKey(), newKey()];
  const policyBy = (key: Ed25519PrivateKey, policy: string, before?: SignedText, expires: number | null = null) => {
    const place = before === undefined ? { seq: 1, prev: null } : successionOf(pastOf(before));
    return signWith(suite, key, policyText(random, { name, policy, ...place, issued: LONG_AGO, expires }));
  };
  const named = signWith(suite, first, firstNameStatement(random, { name, owner: lineOf(first), issued: LONG_AGO }));
  const fields = { ...successionOf(pastOf(named)), issued: LONG_AGO, expires: null };
  const rotation = signWith(suite, first, rotationText(random, { ...fields, name, owner: lineOf(second) }));
  const [one, two] = [policyBy(first, "one"), policyBy(first, "stolen")];
  // An end of its own counts nowhere: devices go on with it.
  const said = policyBy(second, "two", one, LONG_AGO + 1);
  const stolen = policyBy(first, "stolen", said);

  const handing = { from: lineOf(second), to: lineOf(third), issued: NOW };
  const account = judge([named, rotation, one, said, stolen]);
  expect(account.policy).toMatchObject({ condition: "orphaned", newest: { signed: stolen }, policy: { signed: said } });
  const texts = handOn(random, account, handing).map(({ text }) => JSON.parse(text) as object);
  expect(texts).toEqual([
    expect.objectContaining({ kind: "policy", policy: "two", ...successionOf(pastOf(stolen)), expires: null }),
  ]);
  const foreign = judge([named, rotation, two]);
  expect(foreign.policy).toMatchObject({ condition: "orphaned", signer: lineOf(first) });
  expect(handOn(random, foreign, handing)).toEqual([]);
  expect(judge([named, rotation, one, said]).policy).toMatchObject({ condition: "active", policy: { signed: said } });
});

function pastOf({ text }: SignedText): { readonly seq: number; readonly hash: Uint8Array } {
  return { seq: seqOf({ text }), hash: suite.sha256(new TextEncoder().encode(text)) };
}

function judge(history: readonly SignedText[]): NameAccount {
  const newest = new Map(history.map((signed) => [subjectOf(signed), signed]));
  return judgeNameAccount(suite, name, { newest: [...newest.values()], history }, NOW);
}

function past(owner: Ed25519PrivateKey, kinds: readonly Kind[], hasPolicy: boolean): SignedText[] {
  const said = [
    signWith(suite, owner, firstNameStatement(random, { name, owner: lineOf(owner), issued: LONG_AGO })),
    ...kinds.flatMap((kind, i) => memberOf(owner, kind, i)),
  ];
  const first = { seq: 1, prev: null, issued: LONG_AGO, expires: null };
  const policy = policyText(random, { ...first, name, policy: "version: 1\n" });
  return hasPolicy ? [...said, signWith(suite, owner, policy)] : said;
}

function memberOf(owner: Ed25519PrivateKey, kind: Kind, i: number): SignedText[] {
  const keys = { x25519: X25519PrivateKey.generate(suite, random).publicKey, ed25519: newKey().publicKey };
  const role = kind.startsWith("beyond") ? ("client" as const) : ("device" as const);
  const member = { name, member: parseMember(`gw${i}`), role, ...keys };
  const expires = kind === "ending" ? LATER : null;
  const signer = kind.includes("delegat") ? newKey() : owner;
  const binding = signWith(suite, signer, firstBinding(random, { ...member, issued: LONG_AGO, expires }));
  const revoked = (signed: SignedText): SignedText => {
    const of = { seq: 1, hash: suite.sha256(new TextEncoder().encode(signed.text)) };
    const fields = { subject: subjectOf(signed), ...successionOf(of), issued: LONG_AGO, expires: null, reason: "lost" };
    return signWith(suite, owner, revocationText(random, fields));
  };
  if (kind === "revoked") return [binding, revoked(binding)];
  if (signer === owner) return [binding];
  const text = delegationText(random, {
    ...{ name, id: `${i}`.padStart(16, "0"), key: signer.publicKey, role: "device", pattern: "gw*", uses: 5 },
    ...{ seq: 1, prev: null, issued: LONG_AGO, expires: kind.includes("ended") ? LONG_AGO + 1 : null },
  });
  const delegation = signWith(suite, owner, text);
  return kind === "of a revoked delegation" ? [delegation, binding, revoked(delegation)] : [delegation, binding];
}

function keysOf({ binding }: NameAccount["members"][number]): string {
  const { member, x25519, ed25519, expires } = binding.statement;
  return JSON.stringify([member, x25519, ed25519, expires]);
}

function lineOf({ publicKey }: Ed25519PrivateKey): string {
  return ed25519Line(publicKey);
}
