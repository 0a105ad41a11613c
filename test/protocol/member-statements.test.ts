import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, utf8 } from "../../keys/bytes.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { CLIENT_BINDING_MS, LAST_TIME_MS } from "../../protocol/limits.ts";
import {
  mayMake,
  type MemberStatements,
  newestOf,
  readMemberStatements,
  verifyMemberStatements,
  writeMemberStatements,
} from "../../protocol/member-statements.ts";
import { verifyChainOf } from "../../protocol/owner-chain.ts";
import { verifyDelegation } from "../../protocol/owner-statements.ts";
import { judgePeer } from "../../protocol/peers.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { NOW } from "./fixtures.ts";
import { DELEGATION, following, hashOf, House, lineOf, type Resident } from "./house.ts";

const house = new House();
const [owner, nextOwner, stranger, fleet] = [house.key(), house.key(), house.key(), house.key()];
const [gateway, sensor] = [house.resident("mygateway"), house.resident("sensor-7")];
const named = house.nameStatement(owner);
const rotation = house.rotation(owner, nextOwner, named);
const chain = verifyChainOf(suite, house.name, [named]);
const rotated = verifyChainOf(suite, house.name, [named, rotation]);
const binding = house.binding(owner, gateway);
const delegation = house.delegation(owner, fleet);
const delegated = house.binding(fleet, sensor);
const subject = `${house.name}/mygateway`;
const refused = (code: string) => expect.objectContaining({ code }) as Error;

function verify(
  { member: of }: Pick<Resident, "member">,
  member: SignedText,
  given: { readonly by?: SignedText; readonly revocation?: SignedText; readonly chain?: typeof chain } = {},
) {
  const { by, revocation, chain: owners = chain } = given;
  const statements: MemberStatements = { names: [named], member, delegation: by, delegationRevocation: revocation };
  return verifyMemberStatements(suite, { name: house.name, member: of }, owners, statements);
}

describe("the statements of a member", () => {
  test("bind it when its name's owner signed, and the log must prove the name and the binding", () => {
    const answered = verify(gateway, binding);
    expect(answered.binding.statement.x25519.equals(gateway.x25519.publicKey)).toBe(true);
    expect(answered.delegation).toBeUndefined();
    expect(newestOf({ name: house.name, member: gateway.member }, chain, answered)).toEqual([
      { subject: "@acme", newest: chain.newest.hash },
      { subject: "@acme/mygateway", newest: answered.binding.hash },
    ]);
  });

  test("bind it when a delegation of his signed, which the log must prove after the two", () => {
    const answered = verify(sensor, delegated, { by: delegation });
    expect(answered.delegation?.statement).toMatchObject({ id: DELEGATION, pattern: "sensor-*" });
    const newest = newestOf({ name: house.name, member: sensor.member }, chain, answered);
    expect(newest.map((one) => one.subject)).toEqual(["@acme", "@acme/sensor-7", `@acme:delegation:${DELEGATION}`]);
    expect(newest[2]?.newest).toEqual(suite.sha256(utf8(delegation.text)));
  });

  test("bind nobody any more once the name has another owner, until he says so himself", () => {
    expect(() => verify(gateway, binding, { chain: rotated })).toThrow(refused("E_STATEMENT"));
    expect(() => verify(sensor, delegated, { by: delegation, chain: rotated })).toThrow(refused("E_STATEMENT"));
    const again = house.binding(nextOwner, gateway, following(binding));
    expect(verify(gateway, again, { chain: rotated }).binding.statement.seq).toBe(2);
    const renewed = house.delegation(nextOwner, fleet, following(delegation));
    expect(verify(sensor, delegated, { by: renewed, chain: rotated }).binding.statement.seq).toBe(1);
  });

  test.each<[string, SignedText, SignedText | undefined]>([
    ["another member's binding", house.binding(owner, sensor), undefined],
    [
      "the binding of a member of another name",
      house.binding(owner, gateway, { subject: "@evil/mygateway" }),
      undefined,
    ],
    ["a binding that a stranger signed", house.binding(stranger, gateway), undefined],
    ["a binding that the member signed itself", house.binding(gateway.ed25519, gateway), undefined],
    ["a name statement", named, undefined],
    ["a rotation", rotation, undefined],
    ["a delegation", delegation, undefined],
    ["a policy", house.policy(owner, "grants: []"), undefined],
  ])("bind nobody with %s", (_what, member, by) => {
    expect(() => verify(gateway, member, by === undefined ? {} : { by })).toThrow(refused("E_STATEMENT"));
  });
});

describe("a revocation", () => {
  test("ends a member, and the owner's reason is told as words that no terminal obeys", () => {
    const revoked = house.revocation(owner, subject, binding, { reason: "stolen\u001b[2J at night" });
    expect(() => verify(gateway, revoked)).toThrow(refused("E_REVOKED"));
    expect(() => verify(gateway, revoked)).toThrow("mygateway of @acme is revoked by its owner. The owner says:");
    expect(() => verify(gateway, revoked)).not.toThrow("\u001b");
    expect(() => verify(gateway, house.revocation(owner, subject, binding, { reason: "" }))).not.toThrow("says");
  });

  test("ends one that a delegation made, too, whatever comes with it", () => {
    const revoked = house.revocation(owner, `${house.name}/sensor-7`, delegated);
    expect(() => verify(sensor, revoked, { by: delegation })).toThrow(refused("E_REVOKED"));
    expect(() => verify(sensor, revoked)).toThrow(refused("E_REVOKED"));
  });

  test("ends what a delegation made when it is the delegation's, and no stranger's", () => {
    const of = `${house.name}:delegation:${DELEGATION}`;
    const ending = house.revocation(owner, of, delegation, { reason: "leaked" });
    const ended = (revocation: SignedText, more = {}) =>
      verify(sensor, delegated, { by: delegation, revocation, ...more });
    expect(() => ended(ending)).toThrow(refused("E_REVOKED"));
    expect(() => ended(ending)).toThrow('The owner says: "leaked".');
    for (const other of [
      house.revocation(stranger, of, delegation),
      house.revocation(fleet, of, delegation),
      house.revocation(owner, `@evil:delegation:${DELEGATION}`, delegation),
      house.revocation(owner, `${house.name}:delegation:ffeeddccbbaa9988`, delegation),
      house.revocation(owner, subject, binding),
    ]) {
      expect(() => ended(other)).toThrow(refused("E_STATEMENT"));
    }
    expect(() => ended(ending, { chain: rotated })).toThrow(refused("E_STATEMENT"));
    // Nor one that the owner has bound himself.
    expect(() => verify(gateway, binding, { revocation: ending })).toThrow(refused("E_STATEMENT"));
  });

  test("is taken back by a binding after it", () => {
    const revoked = house.revocation(owner, subject, binding);
    const again = house.binding(owner, gateway, following(revoked));
    expect(verify(gateway, again).binding.statement.seq).toBe(3);
  });

  test.each<[string, SignedText]>([
    ["by a stranger", house.revocation(stranger, subject, binding)],
    ["by a fleet token", house.revocation(fleet, subject, binding)],
    ["by the member itself", house.revocation(gateway.ed25519, subject, binding)],
    ["by another member", house.revocation(sensor.ed25519, subject, binding)],
    ["of another member", house.revocation(owner, `${house.name}/sensor-7`, binding)],
    ["of a member of another name", house.revocation(owner, "@evil/mygateway", binding)],
    ["of a delegation", house.revocation(owner, `${house.name}:delegation:${DELEGATION}`, binding)],
  ])("%s ends nothing, and is no word of the owner's", (_what, revocation) => {
    expect(() => verify(gateway, revocation, { by: delegation })).toThrow(refused("E_STATEMENT"));
  });

  test("by an owner of before ends nothing once the name was handed on", () => {
    const revoked = house.revocation(owner, subject, binding);
    expect(() => verify(gateway, revoked, { chain: rotated })).toThrow(refused("E_STATEMENT"));
  });
});

describe("a delegation", () => {
  test.each<[string, SignedText, SignedText | undefined]>([
    ["when it is not there", delegated, undefined],
    ["when a stranger signed it", delegated, house.delegation(stranger, fleet)],
    ["when another delegation signed it", house.binding(stranger, sensor), house.delegation(fleet, stranger)],
    ["when it signed itself", delegated, house.delegation(fleet, fleet)],
    // CVE-2025-49825 (Teleport): a certificate signed with the key of a certificate that is no authority.
    ["when a member's own key signed it", delegated, house.delegation(gateway.ed25519, fleet)],
    ["when it is a binding", house.binding(gateway.ed25519, sensor), binding],
    [
      "when it is a binding signed as a delegation",
      delegated,
      house.say(owner, "delegation", subject, { role: "device" }),
    ],
    ["when it is a name statement", house.binding(owner, sensor), named],
    ["when it is another's", delegated, house.delegation(owner, stranger)],
    [
      "when it is of another name",
      delegated,
      house.delegation(owner, fleet, { subject: `@evil:delegation:${DELEGATION}` }),
    ],
    ["beyond its role", house.binding(fleet, { ...sensor, role: "client" }), delegation],
    ["beyond its pattern", house.binding(fleet, sensor, { subject: "@acme/mygateway" }), delegation],
    ["beyond a pattern without a star", delegated, house.delegation(owner, fleet, { pattern: "sensor-70" })],
    ["beyond a pattern that is longer", delegated, house.delegation(owner, fleet, { pattern: "sensor-70*" })],
    ["of another name", house.binding(fleet, sensor, { subject: "@evil/sensor-7" }), delegation],
    ["that are not the first", house.binding(fleet, sensor, following(delegated)), delegation],
    ["that follow another", house.binding(fleet, sensor, { prev: hashOf(binding) }), delegation],
    ["that say they are the second and follow none", house.binding(fleet, sensor, { seq: 2 }), delegation],
    ["made when it has expired", delegated, house.delegation(owner, fleet, { expires: NOW })],
    [
      "made after it has expired",
      house.binding(fleet, sensor, { issued: NOW + 9 }),
      house.delegation(owner, fleet, { expires: NOW + 5 }),
    ],
  ])("makes no bindings %s", (_what, member, by) => {
    const of = member.text.includes("@acme/mygateway") && !member.text.includes("revocation") ? gateway : sensor;
    const given = by === undefined ? {} : { by };
    // What is signed as a delegation and is none does not parse.
    const code = by?.text.includes('"kind":"delegation","subject":"@acme/') === true ? "E_PROTOCOL" : "E_STATEMENT";
    expect(() => verify(of, member, given)).toThrow(refused(code));
    const claim = { name: house.name, member: of.member, role: "device" as const };
    const statements = { names: [named], member, delegation: by };
    const unknown = { known: { owner: undefined, member: undefined }, given: undefined };
    expect(() => judgePeer(suite, { ...claim, statements }, unknown, NOW)).toThrow(refused(code));
  });

  test("adds nothing to a binding that the owner signed himself", () => {
    expect(() => verify(sensor, house.binding(owner, sensor), { by: delegation })).toThrow(refused("E_STATEMENT"));
  });

  test("makes clients only with an end, within a year", () => {
    const laptop = house.resident("sensor-9", "client");
    const by = house.delegation(owner, fleet, { role: "client" });
    const made = (expires: number | null) => house.binding(fleet, laptop, { issued: NOW, expires });
    const end = NOW + CLIENT_BINDING_MS;
    expect(verify(laptop, made(end), { by }).binding.statement.expires).toBe(end);
    for (const expires of [null, end + 1, LAST_TIME_MS]) {
      expect(() => verify(laptop, made(expires), { by })).toThrow(refused("E_STATEMENT"));
    }
  });

  test("keeps what it made while it was good after it has expired", () => {
    const expiring = house.delegation(owner, fleet, { expires: NOW + 1 });
    expect(verify(sensor, delegated, { by: expiring }).binding.statement.issued).toBe(NOW);
  });

  test.each([
    ["*", "sensor-7", true],
    ["*", "a", true],
    ["sensor-7", "sensor-7", true],
    ["sensor-*", "sensor-7", true],
    ["sensor-7*", "sensor-7", true],
    ["sensor", "sensor-7", false],
    ["sensor-7-*", "sensor-7", false],
    ["Sensor-*", "sensor-7", false],
  ])("with the pattern %s may make %s: %s", (pattern, member, may) => {
    const [one] = [house.resident(member)];
    const made = verifyBinding(suite, house.binding(fleet, one), lineOf(fleet)).statement;
    const given = { ...verifyDelegation(suite, delegation, lineOf(owner)).statement, pattern };
    expect(mayMake(given, made)).toBe(may);
  });
});

describe("on the wire", () => {
  const write = (statements: MemberStatements): Uint8Array => {
    const writer = new ByteWriter();
    writeMemberStatements(writer, statements);
    return writer.done();
  };
  const read = (bytes: Uint8Array): MemberStatements => readMemberStatements(new ByteReader(bytes));

  test("one to eight statements on the name come with a member's", () => {
    const statements = (count: number) => ({ names: Array(count).fill(named), member: binding, delegation });
    for (const count of [1, 8]) expect(read(write(statements(count)))).toEqual(statements(count));
    for (const count of [0, 9, 255]) expect(() => read(write(statements(count)))).toThrow(refused("E_PROTOCOL"));
  });

  test("a delegation is there, or with its revocation, or not, and nothing else", () => {
    const without = write({ names: [named], member: binding, delegation: undefined });
    const delegationRevocation = house.revocation(owner, `${house.name}:delegation:${DELEGATION}`, delegation);
    const revoked = { names: [named], member: delegated, delegation, delegationRevocation };
    expect(read(write(revoked))).toEqual(revoked);
    for (const form of [1, 2, 3, 0x80, 255]) {
      const changed = without.slice();
      changed[changed.length - 1] = form;
      expect(() => read(changed)).toThrow(refused("E_PROTOCOL"));
    }
  });
});
