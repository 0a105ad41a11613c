import { describe, expect, test } from "vitest";
import type { SignedText } from "../../keys/signed-text.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { judgeOwn, type OwnKeys, type OwnStanding, statementsIn } from "../../protocol/own-standing.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { DELEGATION, following, House, lineOf } from "./house.ts";

const house = new House();
const [owner, nextOwner, lastOwner, fleet] = [house.key(), house.key(), house.key(), house.key()];
const [gateway, sensor] = [house.resident("mygateway"), house.resident("sensor-7")];
const [named, rotation, last] = house.chain([owner, nextOwner, lastOwner]) as [SignedText, SignedText, SignedText];
const binding = house.binding(owner, gateway);
const second = house.binding(owner, gateway, following(binding));
const keys: OwnKeys = {
  ...{ name: house.name, member: gateway.member, owner: lineOf(owner) },
  ...{ x25519: gateway.x25519.publicKey, ed25519: gateway.ed25519.publicKey },
};
const saying = (statements: Partial<MemberStatements>): MemberStatements => ({
  ...{ names: [named], member: binding, delegation: undefined },
  ...statements,
});
const judge = (statements: Partial<MemberStatements>, known?: OwnStanding) =>
  judgeOwn(suite, keys, saying(statements), known);
const refused = (code: string) => expect.objectContaining({ code }) as Error;

describe("what is said about this very member", () => {
  test("counts as its key file has it, and names what the log must prove", () => {
    const { binding: own, newest, chain } = judge({});
    expect(own.signed).toBe(binding);
    expect(newest.map(({ subject }) => subject)).toEqual(["@acme", "@acme/mygateway"]);
    expect(chain.owner).toBe(keys.owner);
    expect(judge({}, judge({})).binding.signed).toBe(binding);
  });

  test("may be newer, and never older than what is known, nor another of the same number", () => {
    const newer = judge({ member: second }, judge({}));
    expect(newer.binding.statement.seq).toBe(2);
    const other = house.binding(owner, gateway, following(binding));
    for (const older of [binding, other]) {
      expect(() => judge({ member: older }, newer)).toThrow(refused("E_MEMBER_KEY"));
    }
  });

  test("counts when the owner of its key file has handed the name on, however often", () => {
    const renewed = house.binding(lastOwner, gateway, following(binding));
    expect(judge({ names: [named, rotation, last], member: renewed }, judge({})).chain.owner).toBe(lineOf(lastOwner));
    // Cut off before the key file's owner: nobody it knows speaks for the name.
    expect(() => judge({ names: [last], member: renewed }, judge({}))).toThrow(refused("E_OWNER_KEY"));
  });

  test("goes on from the owner that is known by now, whoever it was in the key file", () => {
    const byNext = house.binding(nextOwner, gateway, following(binding));
    const known = judge({ names: [named, rotation], member: byNext }, judge({}));
    const byLast = house.binding(lastOwner, gateway, following(byNext));
    expect(judge({ names: [last], member: byLast }, known).chain.owner).toBe(lineOf(lastOwner));
    // Not back to an owner who has handed the name on, even with a newer binding of his.
    const later = house.binding(owner, gateway, following(byNext));
    for (const names of [[named], [house.nameStatement(owner, { seq: 2, prev: following(named).prev })]]) {
      expect(() => judge({ names, member: later }, known)).toThrow(refused("E_OWNER_KEY"));
    }
    const fork = house.rotation(owner, lastOwner, named);
    expect(() => judge({ names: [named, fork], member: byLast }, known)).toThrow(refused("E_OWNER_KEY"));
    const fifth = house.nameStatement(owner, { seq: 5, prev: "ab".repeat(32) });
    const since = judge({ names: [fifth] }, judge({}));
    for (const names of [[named], [house.nameStatement(owner, { seq: 5, prev: "cd".repeat(32) })]]) {
      expect(() => judge({ names }, since)).toThrow("an older statement on @acme");
    }
    // Nor may he hand it on once more.
    const stolen = house.rotation(owner, lastOwner, rotation);
    expect(() => judge({ names: [stolen], member: byLast }, known)).toThrow(refused("E_OWNER_KEY"));
  });

  test("is refused when somebody else speaks for the name, with all signed as it should be", () => {
    const other = new House("@acme", "somebody else's");
    const thief = other.key();
    const stolen = { names: [other.nameStatement(thief)], member: other.binding(thief, gateway) };
    expect(() => judge(stolen)).toThrow(refused("E_OWNER_KEY"));
    const handedOn = other.chain([thief, nextOwner]);
    expect(() => judge({ names: handedOn, member: house.binding(nextOwner, gateway) })).toThrow(refused("E_OWNER_KEY"));
  });

  test.each([
    ["Noise key", { ...gateway, x25519: sensor.x25519 }],
    ["signing key", { ...gateway, ed25519: sensor.ed25519 }],
  ])("is refused when it is bound to another %s than its own", (_what, resident) => {
    const member = house.binding(owner, resident, following(binding));
    expect(() => judge({ member }, judge({}))).toThrow(refused("E_MEMBER_KEY"));
    expect(() => judge({ member })).toThrow("bound to other keys than this machine's");
  });

  test("is refused when it is about another member, or was signed by a stranger", () => {
    expect(() => judge({ member: house.binding(owner, { ...gateway, member: sensor.member }) })).toThrow(
      "another member",
    );
    expect(() => judge({ member: house.binding(house.key(), gateway) })).toThrow(refused("E_STATEMENT"));
    expect(() => judgeOwn(suite, { ...keys, name: new House("@evil").name }, saying({}), undefined)).toThrow(
      refused("E_STATEMENT"),
    );
  });

  test("is that it is revoked, when its owner says so and nobody else", () => {
    const subject = "@acme/mygateway";
    expect(() => judge({ member: house.revocation(owner, subject, binding) })).toThrow(refused("E_REVOKED"));
    expect(() => judge({ member: house.revocation(house.key(), subject, binding) })).toThrow(refused("E_STATEMENT"));
    expect(() => judge({ member: house.revocation(owner, "@acme/sensor-7", binding) })).toThrow(refused("E_STATEMENT"));
  });

  test("counts when a delegation made it, which the log must prove as well", () => {
    const own = { ...keys, member: sensor.member, x25519: sensor.x25519.publicKey, ed25519: sensor.ed25519.publicKey };
    const statements = saying({ member: house.binding(fleet, sensor), delegation: house.delegation(owner, fleet) });
    const { newest } = judgeOwn(suite, own, statements, undefined);
    expect(newest.map(({ subject }) => subject)).toEqual(["@acme", "@acme/sensor-7", `@acme:delegation:${DELEGATION}`]);
  });
});

test("a key file's statements are those of the name, the binding and its delegation, in whatever order they stand", () => {
  const delegation = house.delegation(owner, fleet);
  expect(statementsIn({ statements: [binding, named] })).toEqual(saying({}));
  expect(statementsIn({ statements: [named, rotation, binding, delegation] })).toEqual(
    saying({ names: [named, rotation], delegation }),
  );
  expect(() => statementsIn({ statements: [named] })).toThrow();
});
