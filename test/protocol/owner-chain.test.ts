import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SshnpError } from "../../keys/errors.ts";
import type { OwnerPin } from "../../keys/peer.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { FORMER_OWNERS } from "../../protocol/limits.ts";
import { verifyChainOf, verifyOwnerChain, verifyRotation } from "../../protocol/owner-chain.ts";
import { judgeOwner } from "../../protocol/peers.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { withAccepted } from "../../keys/peer.ts";
import { NOW } from "./fixtures.ts";
import { fingerprintOf, House, hashOf, lineOf } from "./house.ts";

const house = new House();
const stranger = new House("@acme", "a stranger's");
const keys = Array.from({ length: 9 }, () => house.key());
const [a, b, c, d] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];
const lines = keys.map(lineOf);
const chain = house.chain(keys);
const [named, toB, toC, toD] = chain as [SignedText, SignedText, SignedText, SignedText];
const refused = (code: string) => expect.objectContaining({ code }) as Error;

describe("a chain of owners", () => {
  test("ends at the owner key of now, and names all that handed on to it, oldest first", () => {
    for (let length = 1; length <= 8; length++) {
      const followed = verifyOwnerChain(suite, chain.slice(0, length));
      expect(followed).toMatchObject({ name: house.name, owner: lines[length - 1] });
      expect(followed.former).toEqual(lines.slice(0, length - 1));
      expect(followed.newest.signed).toBe(chain[length - 1]);
    }
  });

  test("that is cut off at its beginning begins with a rotation, whose signer is the oldest owner that is known of it", () => {
    const followed = verifyOwnerChain(suite, chain.slice(3, 6));
    expect(followed).toMatchObject({ owner: lines[5], former: [lines[2], lines[3], lines[4]] });
    expect(verifyOwnerChain(suite, [toB])).toMatchObject({ owner: lines[1], former: [lines[0]] });
  });

  test("may begin with a name statement that is not the first, and hand a name back to an owner of before", () => {
    const later = house.nameStatement(a, { seq: 4, prev: "ab".repeat(32) });
    const back = house.chain([a, b, a]);
    expect(verifyOwnerChain(suite, [later, house.rotation(a, b, later)])).toMatchObject({ owner: lines[1] });
    expect(verifyOwnerChain(suite, back)).toMatchObject({ owner: lines[0], former: [lines[0], lines[1]] });
  });

  const other = new House("@evil");
  const wrong: readonly (readonly [string, readonly SignedText[]])[] = [
    ["no statement", []],
    ["a link missing", [named, toC]],
    ["two links missing", [named, toD]],
    ["the wrong order", [named, toC, toB]],
    ["its order turned round", [toB, named]],
    ["a link twice", [named, toB, toB]],
    ["its beginning twice", [named, named]],
    ["a name statement in its middle", [named, house.nameStatement(a, { seq: 2, prev: hashOf(named) })]],
    [
      "a name statement of the next key in its middle",
      [named, house.nameStatement(b, { seq: 2, prev: hashOf(named) })],
    ],
    ["another name's beginning", [other.nameStatement(a), toB]],
    ["another name's link", [named, house.rotation(a, b, named, { subject: other.name })]],
    ["a link that a stranger signed", [named, house.rotation(house.key(), b, named)]],
    ["a link that the key it hands on to signed", [named, house.rotation(b, c, named)]],
    ["a link signed by an owner of before, the newest one left out", [named, toB, house.rotation(a, d, toB)]],
    ["a link to the key that signs it", [named, house.rotation(a, a, named)]],
    ["a link to the key that signs it, at its beginning", [house.rotation(a, a, named)]],
    ["a link that follows another statement", [named, house.rotation(a, b, house.nameStatement(a))]],
    ["a link with a gap before it", [named, house.rotation(a, b, named, { seq: 3 })]],
    ["a link of the number before", [named, house.rotation(a, b, named, { seq: 1 })]],
    ["a link that follows none", [named, house.rotation(a, b, named, { prev: null })]],
    ["a first rotation of number 1", [house.rotation(a, b, named, { seq: 1 })]],
    ["a first rotation that follows none", [house.rotation(a, b, named, { prev: null })]],
    ["a beginning that its owner has not signed", [house.say(b, "name", house.name, { owner: lineOf(a) }), toB]],
    ["a binding as its beginning", [house.binding(a, house.resident("mygateway")), toB]],
    ["a link signed as a name statement", [named, house.say(a, "name", house.name, { owner: lineOf(b) })]],
  ];
  test.each(wrong)("is refused with %s", (_what, given) => {
    expect(() => verifyOwnerChain(suite, given)).toThrow(refused("E_STATEMENT"));
    expect(() => judgeOwner(suite, house.name, given, { known: undefined, given: undefined }, NOW)).toThrow(
      refused("E_STATEMENT"),
    );
  });

  test("must be of the name that it is given for", () => {
    expect(() => verifyChainOf(suite, other.name, [named, toB])).toThrow(refused("E_STATEMENT"));
    expect(verifyChainOf(suite, house.name, [named, toB]).owner).toBe(lines[1]);
  });

  test("holds when it is a run of what was said, one after the other, and never otherwise", () => {
    const pool = [...chain.slice(0, 5), ...stranger.chain([stranger.key(), stranger.key()])];
    // A reference: by its place in the pool alone, whoever signed.
    const isRun = (places: readonly number[]): boolean =>
      places.every((place, at) => at === 0 || place === (places[at - 1] ?? 0) + 1) &&
      (places.every((place) => place < 5) || places.every((place) => place >= 5));
    fc.assert(
      fc.property(fc.array(fc.nat(pool.length - 1), { minLength: 1, maxLength: 6 }), (places) => {
        const given = places.map((place) => pool[place] as SignedText);
        if (isRun(places)) expect(verifyOwnerChain(suite, given).newest.signed).toBe(given.at(-1));
        else expect(() => verifyOwnerChain(suite, given)).toThrow(SshnpError);
      }),
      { numRuns: 300 },
    );
  });

  test("a rotation gives its signer, and none signs itself", () => {
    expect(verifyRotation(suite, toB)).toMatchObject({ signer: lines[0], statement: { owner: lines[1] } });
  });
});

describe("who is judged by a chain", () => {
  const judge = (given: readonly SignedText[], known?: OwnerPin, fingerprint?: ReturnType<typeof fingerprintOf>) =>
    judgeOwner(suite, house.name, given, { known, given: fingerprint }, NOW);
  const pinA = judge([named]).owner;
  const pinB = judge([named, toB], pinA).owner;

  test("is the owner of now, when the pinned one handed the name on to him, and is known from then on", () => {
    const judged = judge([named, toB], pinA);
    expect(judged).toMatchObject({ firstContact: false, rotatedFrom: fingerprintOf(a) });
    expect(judged.ownerFingerprint).toBe(fingerprintOf(b));
    expect(judged.owner).toMatchObject({ owner: lines[1], origin: "rotation", since: NOW, accepted: [] });
    expect(judge([named, toB], judged.owner)).toMatchObject({ rotatedFrom: undefined, owner: judged.owner });
  });

  test("may have been handed the name over others, as long as the pinned one is among them", () => {
    expect(judge(chain.slice(0, 8), pinA)).toMatchObject({ rotatedFrom: fingerprintOf(a), owner: { owner: lines[7] } });
    expect(judge(chain.slice(1, 9), pinA)).toMatchObject({ rotatedFrom: fingerprintOf(a), owner: { owner: lines[8] } });
    expect(judge(chain.slice(3, 9), judge(chain.slice(0, 3)).owner)).toMatchObject({ rotatedFrom: fingerprintOf(c) });
  });

  test("is refused when the pinned owner is not in the chain, however long it is", () => {
    for (const given of [chain.slice(2, 9), [toD], stranger.chain([stranger.key(), stranger.key()])]) {
      expect(() => judge(given, pinA)).toThrow(refused("E_OWNER_KEY"));
      expect(() => judge(given, pinA)).toThrow("OWNER KEY CHANGED");
      expect(() => judge(given, undefined, fingerprintOf(a))).toThrow(refused("E_OWNER_KEY"));
    }
  });

  test("never goes back to before a rotation, nor to another one of the same number", () => {
    const pinC = judge([named, toB, toC], pinB).owner;
    for (const given of [
      [named],
      [named, toB],
      [toB],
      [house.rotation(b, d, toB)],
      [named, toB, house.rotation(b, d, toB)],
    ]) {
      expect(() => judge(given, pinC)).toThrow(refused("E_OWNER_KEY"));
    }
    expect(() => judge([named], pinB)).toThrow(refused("E_OWNER_KEY"));
    expect(() => judge([named, house.rotation(a, b, named, { issued: NOW + 1 })], pinB)).toThrow("older or second");
    expect(judge([named, toB, toC], pinC).owner).toEqual(pinC);
  });

  test("cannot be made by the key that was rotated away, which may be stolen by now", () => {
    const stolen = house.rotation(a, theft, toB, { seq: 9 });
    for (const given of [
      [house.rotation(a, theft, toB)],
      [named, house.rotation(a, theft, named)],
      [named, toB, house.rotation(a, theft, toB)],
      [stolen],
      [stolen, house.rotation(theft, house.key(), stolen)],
    ]) {
      expect(() => judge(given, pinB)).toThrow(refused(given.length === 3 ? "E_STATEMENT" : "E_OWNER_KEY"));
    }
  });

  const theft = house.key();
  test.each([
    ["the one that was rotated away", fingerprintOf(a)],
    ["the one that it was handed on to", fingerprintOf(b)],
    ["the thief's own", fingerprintOf(theft)],
    ["none", undefined],
  ])("never goes back to a key that was rotated away, whatever fingerprint is given: %s", (_which, given) => {
    const fork = house.rotation(a, theft, named);
    const seen = [pinB, judge([named, toB], undefined, fingerprintOf(a)).owner, judge([named, toB]).owner];
    seen.push(judge([toB]).owner, judge([toC], pinB).owner, withAccepted(pinB, fingerprintOf(theft)));
    for (const pin of seen) {
      for (const back of [
        [named],
        [house.nameStatement(a, { seq: 9, prev: "ab".repeat(32) })],
        [house.rotation(a, theft, named, { seq: 9 })],
        [named, fork],
        [fork, house.rotation(theft, house.key(), fork)],
      ]) {
        expect(() => judge(back, pin, given)).toThrow(refused("E_OWNER_KEY"));
        expect(() => judge(back, pin, given)).toThrow(`handed it on since, as was seen before: ${fingerprintOf(a)}`);
      }
    }
  });

  test("remembers who has handed the name on since it is known, and lets nobody else in between", () => {
    const knows = (pin: OwnerPin) => pin.former;
    expect([knows(pinA), knows(pinB)]).toEqual([[], [fingerprintOf(a)]]);
    const pinC = judge([toC], pinB).owner;
    expect(knows(pinC)).toEqual([fingerprintOf(a), fingerprintOf(b)]);
    expect(judge([named, toB, toC], pinC).owner).toEqual(pinC);
    expect(judge([named, toB, toC], pinC, fingerprintOf(a)).owner.former).toEqual(pinC.former);
    // A person gave the former one only after the one of now was met.
    const metLate = judge([house.nameStatement(b, { seq: 3, prev: "ab".repeat(32) })]).owner;
    const handedOn = [house.rotation(a, b, toC)];
    expect(knows(metLate)).toEqual([]);
    expect(judge(handedOn, metLate, fingerprintOf(a)).owner.former).toEqual([fingerprintOf(a)]);
    // Hands a name on that was never theirs.
    const strangers = Array.from({ length: 7 }, () => house.key());
    const intruding = house.chain([...strangers, b]);
    expect(judge(intruding, pinB).owner.former).toEqual([fingerprintOf(a)]);
  });

  test("of a pin from before former ones were kept learns them from the chain, and keeps those that came last", () => {
    const { former: _former, ...old } = pinB;
    expect(judge([named, toB], old).owner).toEqual(pinB);
    expect(() => judge([named], old)).toThrow(refused("E_OWNER_KEY"));
    const many = Array.from({ length: FORMER_OWNERS + 2 }, () => house.key());
    let before = house.nameStatement(many[0] as (typeof keys)[0]);
    let pin = judge([before]).owner;
    for (const [at, to] of many.entries()) {
      const from = many[at - 1];
      if (from === undefined) continue;
      before = house.rotation(from, to, before);
      pin = judge([before], pin).owner;
    }
    expect(pin.former).toEqual(many.slice(1, -1).map(fingerprintOf));
  });

  test("may be given by the fingerprint of a former owner, and not by that of one to come", () => {
    expect(judge([named, toB, toC], undefined, fingerprintOf(a))).toMatchObject({
      firstContact: false,
      rotatedFrom: fingerprintOf(a),
      owner: { origin: "rotation", owner: lines[2] },
    });
    expect(judge([named, toB], undefined, fingerprintOf(b))).toMatchObject({
      rotatedFrom: undefined,
      owner: { origin: "given" },
    });
    expect(() => judge([named, toB], undefined, fingerprintOf(c))).toThrow("Given");
  });

  test("counts by the fingerprint that is given, even where another owner is pinned that handed on to nobody", () => {
    const others = stranger.key();
    const pinned = judge([stranger.nameStatement(others)]).owner;
    expect(judge([named, toB], pinned, fingerprintOf(a))).toMatchObject({ rotatedFrom: fingerprintOf(a) });
    expect(() => judge([named, toB], pinned)).toThrow(refused("E_OWNER_KEY"));
    const next = stranger.key();
    const handedOn = judge(stranger.chain([others, next]), pinned).owner;
    expect(judge([named, toB], handedOn, fingerprintOf(b)).owner).toMatchObject({
      ...{ owner: lines[1], origin: "given", former: [fingerprintOf(a)] },
    });
  });

  test("may be the one that was accepted beforehand, and is that no rotation", () => {
    const others = stranger.key();
    const accepting = withAccepted(pinA, fingerprintOf(others));
    expect(judge([stranger.nameStatement(others)], accepting)).toMatchObject({
      rotatedFrom: undefined,
      owner: { origin: "accepted", accepted: [] },
    });
    // It is the key of now that was accepted, not one that its chain has left behind.
    const next = stranger.key();
    expect(() => judge(stranger.chain([others, next]), accepting)).toThrow(refused("E_OWNER_KEY"));
  });

  test("is a first contact once, with a whole chain or one that is cut off", () => {
    expect(judge([named, toB])).toMatchObject({ firstContact: true, rotatedFrom: undefined });
    expect(judge([toC])).toMatchObject({ firstContact: true, owner: { owner: lines[2], origin: "first contact" } });
  });

  test("is refused when the newest statement has expired, whenever those before did", () => {
    const expiring = house.nameStatement(a, { expires: NOW });
    const next = house.rotation(a, b, expiring);
    const last = house.rotation(a, b, expiring, { expires: NOW });
    expect(judge([expiring, next])).toMatchObject({ firstContact: true });
    expect(() => judge([expiring])).toThrow("expired");
    expect(() => judge([expiring, last])).toThrow("expired");
  });
});
