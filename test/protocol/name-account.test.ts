import { describe, expect, test } from "vitest";
import type { SignedText } from "../../keys/signed-text.ts";
import { judgeNameAccount, type NameAccount } from "../../protocol/name-account.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { NOW } from "./fixtures.ts";
import { following, House } from "./house.ts";

const house = new House();
const [owner, nextOwner, stranger, fleet] = [house.key(), house.key(), house.key(), house.key()];
const [gateway, laptop, sensor] = [
  house.resident("gw1"),
  house.resident("laptop", "client"),
  house.resident("sensor-7"),
];
const named = house.nameStatement(owner);
const rotation = house.rotation(owner, nextOwner, named);
const [gw1, laptop1] = [house.binding(owner, gateway), house.binding(owner, laptop)];
const revoked = house.revocation(owner, "@acme/laptop", laptop1);
const [delegation, delegated] = [house.delegation(owner, fleet), house.binding(fleet, sensor)];

describe("what a directory gives of a name", () => {
  test("counts when every subject's statements are there from the first to the newest", () => {
    const { members } = judge([named, gw1, laptop1, revoked, delegation, delegated]);
    expect(members.map(({ member, condition, delegation: id }) => [member, condition, id !== undefined])).toEqual([
      ["gw1", "active", false],
      ["laptop", "revoked", false],
      ["sensor-7", "active", true],
    ]);
  });

  test("is refused when a revocation is left out, and another subject is named twice in its place", () => {
    const history = [named, gw1, laptop1];
    for (const newest of [
      [named, gw1, gw1],
      [named, named, gw1],
      [named, gw1, named, gw1],
    ]) {
      expect(() => judge(history, newest)).toThrow(incomplete);
    }
  });

  test.each([
    ["the newest is not the last of the past", [named, laptop1], [named, revoked]],
    ["the past goes beyond the newest", [named, laptop1, revoked], [named, laptop1]],
    ["a subject has a newest and no past", [named], [named, gw1]],
    ["a subject has a past and no newest", [named, gw1], [named]],
  ])("is refused when it is not all: %s", (_what, history, newest) => {
    expect(() => judge(history, newest)).toThrow(incomplete);
  });

  test.each([
    ["one is left out", [named, revoked]],
    ["the first comes twice", [named, laptop1, laptop1]],
    ["one follows another than the one before", [named, laptop1, house.revocation(owner, "@acme/laptop", gw1)]],
    ["there are two of one number", [named, laptop1, revoked, house.revocation(owner, "@acme/laptop", laptop1)]],
    ["a rotation follows another name statement", [house.nameStatement(owner), rotation]],
  ])("is refused when the statements on a subject do not follow each other: %s", (_what, history) => {
    expect(() => judge(history)).toThrow(refused("do not follow each other"));
  });

  test.each([
    ["a binding", [named, house.binding(stranger, gateway)]],
    ["a revocation", [named, laptop1, house.revocation(stranger, "@acme/laptop", laptop1)]],
    ["a delegation, and what it has made", [named, house.delegation(stranger, fleet), delegated]],
    ["a policy", [named, house.policy(stranger, "version: 1\n")]],
    ["a statement of the past, behind which the owner's own stands", strangersThenOwners()],
    ["a revocation by a fleet token", [named, delegation, laptop1, house.revocation(fleet, "@acme/laptop", laptop1)]],
    ["a binding by a member's own key", [named, gw1, house.binding(gateway.ed25519, sensor)]],
  ])("is refused when a stranger signed: %s", (_what, history) => {
    expect(() => judge(history)).toThrow(refused("is signed by a stranger"));
  });

  test("is refused when it is of another name, or something that is no statement", () => {
    expect(() => judge([gw1])).toThrow(refused("No statement of a name is given"));
    const other = new House("@evil");
    expect(() => judge([named, other.binding(owner, gateway)])).toThrow(incomplete);
    expect(() => judge([named, { ...gw1, text: "{}" }])).toThrow(refused("something that is no statement"));
    expect(() => judge([named, { ...gw1, signature: laptop1.signature }])).toThrow();
  });

  test("is orphaned when a former owner signed it, and the owner of now has not said it again", () => {
    const again = house.binding(nextOwner, gateway, following(gw1));
    const { members, delegations } = judge([named, rotation, gw1, laptop1, delegation, delegated, again]);
    expect(members.map(({ condition }) => condition)).toEqual(["active", "orphaned", "orphaned"]);
    expect(delegations.map(({ condition }) => condition)).toEqual(["orphaned"]);
  });
});

describe("what a fleet token made beyond what it was given for", () => {
  test("does not take the place of the keys before, though the directory has taken it", () => {
    const stolen = house.binding(fleet, { ...sensor, x25519: gateway.x25519 }, following(delegated));
    const onOwners = house.binding(fleet, { ...gateway, x25519: sensor.x25519 }, following(gw1));
    const { members } = judge([named, delegation, delegated, stolen, gw1, onOwners]);
    expect(members.map(({ member, condition }) => [member, condition])).toEqual([
      ["sensor-7", "orphaned"],
      ["gw1", "orphaned"],
    ]);
    expect(members.map(({ binding }) => binding.signed)).toEqual([delegated, gw1]);
    expect(members.map(({ newest }) => newest.signed)).toEqual([stolen, onOwners]);
  });

  test("is not said to be made by it where there is nothing else", () => {
    const admin = house.binding(fleet, house.resident("admin", "client"));
    const { members } = judge([named, delegation, admin]);
    expect(members).toMatchObject([{ member: "admin", condition: "orphaned", delegation: undefined }]);
  });

  test("does not hide what an owner binds, though a former one has given a token with that owner's key", () => {
    const trap = house.delegation(owner, nextOwner);
    const again = house.binding(nextOwner, gateway, following(gw1));
    const { members } = judge([named, rotation, trap, gw1, again]);
    expect(members).toMatchObject([{ member: "gw1", condition: "active", binding: { signed: again } }]);
  });
});

const incomplete = refused("does not give all statements");

function refused(message: string): Error {
  return expect.objectContaining({ code: "E_STATEMENT", message: expect.stringContaining(message) }) as Error;
}

/** `newest`: by default the last of each subject. */
function judge(history: readonly SignedText[], newest?: readonly SignedText[]): NameAccount {
  const last = new Map(history.map((signed) => [subjectOf(signed), signed]));
  return judgeNameAccount(suite, house.name, { newest: newest ?? [...last.values()], history }, NOW);
}

function strangersThenOwners(): SignedText[] {
  const forged = house.binding(stranger, gateway);
  return [named, forged, house.binding(owner, gateway, following(forged))];
}
