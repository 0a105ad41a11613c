import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromHex, utf8 } from "../../keys/bytes.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { encodeLogProof, parseLogProof, verifyLogProof, verifySubject } from "../../protocol/log/proof.ts";
import { type MemberStatements, newestOf, verifyMemberStatements } from "../../protocol/member-statements.ts";
import { parseLinkChanged, parseLinkNames, parseLinkOwn } from "../../protocol/messages/link.ts";
import { type Frame, parseFrame } from "../../protocol/messages/response-frames.ts";
import { parseNotify } from "../../protocol/messages/session-request.ts";
import { FRAME } from "../../protocol/messages/types.ts";
import { verifyChainOf } from "../../protocol/owner-chain.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { cast, NOW } from "./fixtures.ts";
import { goldenLog, ORIGIN } from "./golden-log.ts";
import { DELEGATION, following, House, type Resident } from "./house.ts";
import { MemoryLog } from "./log/memory-log.ts";

const refused = (code: string) => expect.objectContaining({ code }) as Error;

interface Claim {
  readonly subject: string;
  readonly newest: Uint8Array | undefined;
}

/** Demands the claims of a proof, in this order and no other number. */
function demand(
  proofBytes: Uint8Array,
  log: LogKey,
  last: SignedCheckpoint | undefined,
  claims: readonly Claim[],
): void {
  const proof = parseLogProof(proofBytes);
  const heads = verifyLogProof(suite, proof, { log, witnesses: [], needed: 0, maxAge: 0 }, last, NOW);
  expect(proof.subjects).toHaveLength(claims.length);
  for (const [at, { subject, newest }] of claims.entries()) {
    const subjectProof = proof.subjects[at];
    if (subjectProof === undefined) throw new Error("there are as many proofs as claims");
    verifySubject(suite, heads, subject, newest, subjectProof);
  }
}

describe("the golden messages, whose log proofs an independent log has made,", () => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../vectors/golden.json"), "utf8")) as Record<
    string,
    string
  >;
  const bytes = (name: string): Uint8Array => fromHex(golden[name] ?? "");
  const { client, device, directory, rendezvous } = cast(suite);
  const { rotated, bySensor, policy } = goldenLog(suite);
  const log = { origin: ORIGIN, publicKey: directory.log.publicKey };
  const seen = openCheckpoint(suite, golden["checkpoint"] ?? "", log);
  const claim = (statement: SignedText): Claim => ({
    subject: subjectOf(statement),
    newest: suite.sha256(utf8(statement.text)),
  });
  const absent = (subject: string): Claim => ({ subject, newest: undefined });
  const frame = <Type extends Frame["type"]>(type: Type): Extract<Frame, { type: Type }> =>
    parseFrame(FRAME[type], bytes(`frame ${type}`)) as Extract<Frame, { type: Type }>;
  const [, rotation] = rotated.names as [SignedText, SignedText];
  const [deviceName] = bySensor.names as [SignedText];

  // As docs/protocol.md says what a message proves, and in which order.
  const newest = openCheckpoint(suite, parseLogProof(frame("logged").proof).checkpoint, log);
  /** What whoever gets a message has seen before. */
  const lastOf = (name: string): SignedCheckpoint | undefined =>
    name === "binding" ? undefined : name === "changed" ? newest : seen;
  const proofs: readonly (readonly [string, Uint8Array, readonly Claim[]])[] = [
    [
      "ticket",
      frame("ticket").proof,
      [claim(client.binding), claim(device.nameStatement), claim(device.binding), claim(rendezvous.statement)],
    ],
    ["binding", frame("binding").proof, [claim(device.nameStatement), claim(device.binding)]],
    ["logged", frame("logged").proof, [claim(rotation), claim(rotated.member)]],
    ["statements", frame("statements").proof, [claim(rotation), claim(rotated.member)]],
    [
      "notify",
      parseNotify(bytes("notify")).proof,
      [claim(client.nameStatement), claim(client.binding), absent("@device:policy"), claim(rendezvous.statement)],
    ],
    ["names", parseLinkNames(bytes("link names")).proof, [claim(rotation), claim(deviceName)]],
    [
      "own",
      parseLinkOwn(bytes("link own")).proof,
      [claim(deviceName), claim(bySensor.member), claim(bySensor.delegation as SignedText), claim(policy)],
    ],
    ["changed", parseLinkChanged(bytes("link changed")).proof, [claim(rotation), claim(rotated.member)]],
  ];

  test.each(proofs)(
    "%s: prove that what they bring is the newest, from the checkpoint that was seen on",
    (name, proof, claims) => {
      demand(proof, log, lastOf(name), claims);
    },
  );

  test.each(proofs)("%s: prove it in this order alone, and nothing else", (name, proof, claims) => {
    demand(proof, log, lastOf(name), claims);
    const last = lastOf(name);
    for (const [at, { subject, newest: hash }] of claims.entries()) {
      const other = hash === undefined ? suite.sha256(utf8("another")) : undefined;
      for (const wrong of [other, suite.sha256(utf8("an older one"))]) {
        const changed = claims.map((one, i) => (i === at ? { subject, newest: wrong } : one));
        expect(() => demand(proof, log, last, changed)).toThrow(refused("E_LOG"));
      }
    }
    expect(() => demand(proof, log, last, claims.toReversed())).toThrow(refused("E_LOG"));
  });

  test("prove nothing to whoever has seen a larger log, or trusts another one", () => {
    const [, , claims] = proofs[0] ?? [];
    expect(newest.size).toBeGreaterThan(seen.size);
    expect(() => demand(frame("ticket").proof, log, newest, claims ?? [])).toThrow("smaller than it was");
    const other = { origin: ORIGIN, publicKey: directory.root.publicKey };
    expect(() => demand(frame("ticket").proof, other, seen, claims ?? [])).toThrow(refused("E_LOG"));
    expect(() => demand(frame("ticket").proof, { ...log, origin: "elsewhere" }, seen, claims ?? [])).toThrow(
      refused("E_LOG"),
    );
  });
});

describe("what its owner has taken back", () => {
  const house = new House();
  const [owner, nextOwner, fleet] = [house.key(), house.key(), house.key()];
  const [gateway, sensor] = [house.resident("mygateway"), house.resident("sensor-7")];
  const named = house.nameStatement(owner);
  const binding = house.binding(owner, gateway);
  const delegation = house.delegation(owner, fleet);
  const delegated = house.binding(fleet, sensor);

  /** A log in which all of it stands, and what was said later, each the newest on its subject. */
  function logWith(...later: readonly SignedText[]): MemoryLog {
    const log = new MemoryLog(suite);
    for (const { text } of [named, binding, delegation, delegated, ...later]) log.add(subjectOf({ text }), text);
    return log;
  }

  /** What somebody finds who is given these statements under the newest checkpoint. */
  function look(log: MemoryLog, { member }: Resident, statements: Omit<MemberStatements, "names">): void {
    const names = [named];
    const who = { name: house.name, member };
    const chain = verifyChainOf(suite, house.name, names);
    const answered = verifyMemberStatements(suite, who, chain, { names, ...statements });
    const claims = newestOf(who, chain, answered);
    const proof = log.prove(
      log.publish(),
      0,
      claims.map(({ subject }) => subject),
    );
    demand(encodeLogProof(proof), log.log, undefined, claims);
  }

  test("counts as long as it has not", () => {
    look(logWith(), gateway, { member: binding, delegation: undefined });
    look(logWith(), sensor, { member: delegated, delegation });
  });

  test("cannot be shown as if it still stood: a member that is revoked", () => {
    const log = logWith(house.revocation(owner, "@acme/mygateway", binding));
    expect(() => look(log, gateway, { member: binding, delegation: undefined })).toThrow("newest on @acme/mygateway");
    look(log, sensor, { member: delegated, delegation });
  });

  test("cannot be shown as if it still stood: a binding that another one replaces", () => {
    const log = logWith(house.binding(owner, gateway, following(binding)));
    expect(() => look(log, gateway, { member: binding, delegation: undefined })).toThrow(refused("E_LOG"));
  });

  // CVE-2026-42508 (x/crypto knownhosts): what a revoked authority had signed went on counting.
  test("takes with it whoever it made: members of a delegation that is revoked", () => {
    const log = logWith(house.revocation(owner, `@acme:delegation:${DELEGATION}`, delegation));
    expect(() => look(log, sensor, { member: delegated, delegation })).toThrow(
      `newest on @acme:delegation:${DELEGATION}`,
    );
    look(log, gateway, { member: binding, delegation: undefined });
  });

  test("takes with it whoever it made: members of a delegation that now says something else", () => {
    const narrower = house.delegation(owner, fleet, { ...following(delegation), pattern: "camera-*" });
    const log = logWith(narrower);
    expect(() => look(log, sensor, { member: delegated, delegation })).toThrow(refused("E_LOG"));
    expect(() => look(log, sensor, { member: delegated, delegation: narrower })).toThrow(refused("E_STATEMENT"));
  });

  test("cannot be shown as if it still stood: an owner who has handed the name on", () => {
    const log = logWith(house.rotation(owner, nextOwner, named));
    expect(() => look(log, gateway, { member: binding, delegation: undefined })).toThrow("newest on @acme");
  });
});
