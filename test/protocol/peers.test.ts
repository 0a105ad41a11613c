import { describe, expect, test } from "vitest";
import { hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { type PeerPins, withAccepted } from "../../keys/peer.ts";
import { type SignedText, signedTextToJson } from "../../keys/signed-text.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { revocationText } from "../../protocol/owner-statements.ts";
import { judgeOwner, judgePeer, type PeerClaim, seenRevocation } from "../../protocol/peers.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { cast, NOW, repeatableRandom, statementsOf } from "./fixtures.ts";
import { DELEGATION, fingerprintOf, House, lineOf } from "./house.ts";

const { device, client } = cast(suite);
const random = repeatableRandom("peers");
const claim: PeerClaim = {
  name: device.name,
  member: device.member,
  role: "device",
  statements: statementsOf(device),
};
/** The claim with other statements. */
const saying = (statements: Partial<MemberStatements>): PeerClaim => ({
  ...claim,
  statements: { ...claim.statements, ...statements },
});
const ownerFingerprint = fingerprint(suite, parsePublicKeyLine(ed25519Line(device.owner.publicKey)).blob);
const NOBODY: PeerPins = { owner: undefined, member: undefined };
const nothing = { known: NOBODY, given: undefined };

/** The same name, said to belong to somebody else, with everything signed as it should be. */
function swapped(): { claim: PeerClaim; owner: Ed25519PrivateKey; fingerprint: ReturnType<typeof fingerprint> } {
  const owner = Ed25519PrivateKey.generate(suite, random);
  const line = ed25519Line(owner.publicKey);
  const { name, member, x25519, ed25519 } = device;
  return {
    claim: saying({
      names: [signFirstNameStatement(suite, random, owner, { name, owner: line, issued: NOW })],
      member: signFirstBinding(suite, random, owner, {
        name,
        member,
        role: "device",
        x25519: x25519.publicKey,
        ed25519: ed25519.publicKey,
        issued: NOW,
        expires: null,
      }),
    }),
    owner,
    fingerprint: fingerprint(suite, parsePublicKeyLine(line).blob),
  };
}

/** A later binding of the same member by the same owner. */
function later(seq: number, x25519 = client.x25519): PeerClaim {
  const fields = {
    ...(JSON.parse(device.binding.text) as object),
    seq,
    x25519: x25519.publicKey.toJSON(),
    prev: "0".repeat(64),
  };
  const text = JSON.stringify(fields);
  return saying({ member: { text, signature: signSshsig(suite, device.owner, "sshnp-binding@v1", utf8(text)) } });
}

/** A later statement of the same name by the same owner. */
function renamed(seq: number, expires: number | null) {
  const fields = { ...(JSON.parse(device.nameStatement.text) as object), seq, prev: "0".repeat(64), expires };
  const text = JSON.stringify(fields);
  return { text, signature: signSshsig(suite, device.owner, "sshnp-name@v1", utf8(text)) };
}

describe("a peer", () => {
  test("is a first contact once, and known afterwards", () => {
    const first = judgePeer(suite, claim, nothing, NOW);
    expect(first.firstContact).toBe(true);
    expect(first.ownerFingerprint).toBe(ownerFingerprint);
    const second = judgePeer(suite, claim, { known: first.pins, given: undefined }, NOW + 1);
    expect(second.firstContact).toBe(false);
    expect(second.pins).toEqual(first.pins);
  });

  test("is no first contact when its fingerprint was given", () => {
    const judged = judgePeer(suite, claim, { known: NOBODY, given: ownerFingerprint }, NOW);
    expect(judged.firstContact).toBe(false);
    expect(judged.pins.owner.origin).toBe("given");
  });

  test("with another owner key than the pinned one is refused, with both fingerprints", () => {
    const { pins } = judgePeer(suite, claim, nothing, NOW);
    const other = swapped();
    const judge = () => judgePeer(suite, other.claim, { known: pins, given: undefined }, NOW);
    expect(judge).toThrow(ownerFingerprint);
    expect(judge).toThrow(other.fingerprint);
    expect(judge).toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  });

  test("with another owner key than the given one is refused at first contact", () => {
    const judge = () => judgePeer(suite, swapped().claim, { known: NOBODY, given: ownerFingerprint }, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  });

  test("may change its owner key to the accepted one and to no other", () => {
    const { pins } = judgePeer(suite, claim, nothing, NOW);
    const expected = swapped();
    const known = { ...pins, owner: withAccepted(pins.owner, expected.fingerprint) };
    expect(judgePeer(suite, expected.claim, { known, given: undefined }, NOW).pins.owner).toMatchObject({
      origin: "accepted",
      accepted: [],
    });
    expect(() => judgePeer(suite, swapped().claim, { known, given: undefined }, NOW)).toThrow("OWNER KEY CHANGED");
  });

  test("gets no other owner key by what was accepted as host key of one of its members", () => {
    const { pins } = judgePeer(suite, claim, nothing, NOW);
    const other = swapped();
    const known = { ...pins, member: withAccepted(pins.member, other.fingerprint) };
    const judge = () => judgePeer(suite, other.claim, { known, given: undefined }, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  });

  test("with another owner keeps the host keys of its machine, and is bound anew", () => {
    const { pins } = judgePeer(suite, later(7), nothing, NOW);
    const other = swapped();
    const hostKeys = [ed25519Line(other.owner.publicKey)];
    const known = {
      owner: withAccepted(pins.owner, other.fingerprint),
      member: { ...pins.member, hostKeys, accepted: [ownerFingerprint] },
    };
    const { member } = judgePeer(suite, other.claim, { known, given: undefined }, NOW).pins;
    expect(member).toMatchObject({ owner: hostKeys[0], hostKeys, accepted: [ownerFingerprint] });
    expect(member.binding.text).toBe(other.claim.statements.member.text);
  });

  test("goes to its newer binding and never back", () => {
    const { pins } = judgePeer(suite, claim, nothing, NOW);
    const newer = judgePeer(suite, later(2), { known: pins, given: undefined }, NOW);
    expect(newer.binding.statement.x25519.equals(client.x25519.publicKey)).toBe(true);
    const back = () => judgePeer(suite, claim, { known: newer.pins, given: undefined }, NOW);
    expect(back).toThrow(expect.objectContaining({ code: "E_MEMBER_KEY" }));
  });

  test("goes on from a revocation that was seen, and never back behind it", () => {
    const { pins } = judgePeer(suite, claim, nothing, NOW);
    const revoked = { seq: 2, owner: pins.owner.owner };
    const known = { ...pins, revoked };
    for (const old of [claim, later(2)]) {
      const judge = () => judgePeer(suite, old, { known, given: undefined }, NOW);
      expect(judge).toThrow(expect.objectContaining({ code: "E_MEMBER_KEY" }));
    }
    const renewed = judgePeer(suite, later(3), { known, given: undefined }, NOW);
    expect(renewed.binding.statement.seq).toBe(3);
    judgePeer(suite, later(3), { known: { ...renewed.pins, revoked }, given: undefined }, NOW);
  });

  test("what is remembered of a revocation is its owner's, whatever else is given beside it", () => {
    const member = signWith(
      suite,
      device.owner,
      revocationText(repeatableRandom("revoked"), {
        ...{ subject: `${device.name}/${device.member}`, reason: "", seq: 2, issued: NOW, expires: null },
        prev: hex(suite.sha256(utf8(claim.statements.member.text))),
      }),
    );
    const beside = signWith(
      suite,
      client.owner,
      revocationText(repeatableRandom("beside"), {
        ...{ subject: `${device.name}:delegation:${DELEGATION}`, reason: "", seq: 2, issued: NOW, expires: null },
        prev: hex(new Uint8Array(32)),
      }),
    );
    const statements = { ...claim.statements, member, delegation: beside, delegationRevocation: beside };
    const judge = () => judgePeer(suite, { ...claim, statements }, nothing, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_REVOKED" }));
    expect(seenRevocation(statements)).toEqual({ seq: 2, owner: ed25519Line(device.owner.publicKey) });
  });

  test("cannot have two bindings of one number", () => {
    const { pins } = judgePeer(suite, claim, nothing, NOW);
    const judge = () => judgePeer(suite, later(1), { known: pins, given: undefined }, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_MEMBER_KEY" }));
  });

  test.each([
    ["another member's binding", { ...claim, member: client.member }],
    ["another role", { ...claim, role: "client" as const }],
    ["another name's statement", { ...claim, name: client.name }],
    ["a binding signed by somebody else", saying({ member: client.binding })],
    ["another name's owner", saying({ names: [client.nameStatement] })],
    ["no statement of its name", saying({ names: [] })],
    ["two statements of its name", saying({ names: [device.nameStatement, device.nameStatement] })],
  ])("is refused with %s", (_what, refused) => {
    const judge = () => judgePeer(suite, refused, nothing, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_STATEMENT" }));
  });

  test("is refused when its binding has expired", () => {
    const { name, member, x25519, ed25519, owner } = device;
    const binding = signFirstBinding(suite, random, owner, {
      name,
      member,
      role: "device",
      x25519: x25519.publicKey,
      ed25519: ed25519.publicKey,
      issued: NOW,
      expires: NOW + 10,
    });
    expect(judgePeer(suite, saying({ member: binding }), nothing, NOW + 9).firstContact).toBe(true);
    expect(() => judgePeer(suite, saying({ member: binding }), nothing, NOW + 10)).toThrow("expired");
  });

  test("is refused when the statement of its name has expired, however it is known", () => {
    const expiring = saying({ names: [renamed(2, NOW + 10)] });
    const { pins, firstContact } = judgePeer(suite, expiring, nothing, NOW + 9);
    expect(firstContact).toBe(true);
    for (const memory of [nothing, { known: pins, given: undefined }, { known: pins, given: ownerFingerprint }]) {
      const judge = () => judgePeer(suite, expiring, memory, NOW + 10);
      expect(judge).toThrow(expect.objectContaining({ code: "E_STATEMENT" }));
    }
  });

  test("is remembered with the newest statement of its name, and never goes back to an older one", () => {
    const judge = (seq: number, known: PeerPins["owner"]) =>
      judgeOwner(suite, device.name, [renamed(seq, null)], { known, given: undefined }, NOW + seq).owner;
    const second = judge(2, judge(1, undefined));
    expect(second).toMatchObject({ since: NOW + 1, statement: { text: renamed(2, null).text } });
    expect(judge(2, second)).toEqual(second);
    expect(() => judge(1, second)).toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  });

  describe("that was handed on", () => {
    const house = new House(device.name);
    const [owner, nextOwner, fleet] = [house.key(), house.key(), house.key()];
    const [named, rotation] = house.chain([owner, nextOwner]) as [SignedText, SignedText];
    const resident = house.resident("sensor-7");
    const bind = (by: Ed25519PrivateKey, seq: number) =>
      house.binding(by, resident, seq === 1 ? {} : { seq, prev: "ab".repeat(32) });
    const judge = (statements: Partial<MemberStatements> & Pick<MemberStatements, "member">, known = NOBODY) => {
      const all = { names: [named], delegation: undefined, ...statements };
      const about = { name: house.name, member: resident.member, role: "device" as const };
      return judgePeer(suite, { ...about, statements: all }, { known, given: undefined }, NOW);
    };

    test("is bound by its next owner, and never by a statement older than one of the owner before", () => {
      const { pins } = judge({ member: bind(owner, 4) });
      const names = [named, rotation];
      for (const seq of [1, 3, 4]) {
        expect(() => judge({ names, member: bind(nextOwner, seq) }, pins)).toThrow(
          expect.objectContaining({ code: "E_MEMBER_KEY" }),
        );
      }
      const judged = judge({ names, member: bind(nextOwner, 5) }, pins);
      expect(judged).toMatchObject({ rotatedFrom: fingerprintOf(owner), firstContact: false });
      expect(judged.pins).toMatchObject({ owner: { owner: lineOf(nextOwner) }, member: { owner: lineOf(nextOwner) } });
    });

    test("stays bound and revoked by an owner of before, though the chain that is given begins after him", () => {
      const lastOwner = house.key();
      const onwards = house.rotation(nextOwner, lastOwner, rotation);
      const delegation = house.delegation(lastOwner, fleet);
      const cut = (member: SignedText, known: PeerPins) =>
        judge({ names: [onwards], member, ...(member === renewed ? {} : { delegation }) }, known);
      const first = judge({ member: bind(owner, 5) }).pins;
      const renewed = bind(lastOwner, 7);
      const { owner: pinned } = judgeOwner(
        suite,
        house.name,
        [named, rotation],
        { known: first.owner, given: undefined },
        NOW,
      );
      const { former: _former, ...old } = pinned; // a pin from before former owners were kept
      const revoked = { seq: 6, owner: lineOf(owner) };
      for (const known of [pinned, old]) {
        for (const seen of [{ member: first.member }, { member: undefined, revoked }]) {
          expect(() => cut(bind(fleet, 1), { owner: known, ...seen })).toThrow(
            expect.objectContaining({ code: "E_MEMBER_KEY" }),
          );
          expect(cut(renewed, { owner: known, ...seen }).binding.statement.seq).toBe(7);
        }
      }
      // Then pinned to the last one, who is two further on.
      const { owner: last } = judgeOwner(suite, house.name, [onwards], { known: pinned, given: undefined }, NOW);
      expect(() => cut(bind(fleet, 1), { owner: last, member: first.member })).toThrow("number 5 was seen before");
    });

    test("is bound anew where a person has put another owner in the place of his since, at another member", () => {
      const other = new House(device.name, "another owner's");
      const anew = other.key();
      const first = judge({ names: [named, rotation], member: bind(nextOwner, 5) }).pins;
      const names = [other.nameStatement(anew)];
      const accepting = withAccepted(first.owner, fingerprintOf(anew));
      const { owner: pinned } = judgeOwner(suite, house.name, names, { known: accepting, given: undefined }, NOW);
      const known = { owner: pinned, member: first.member, revoked: { seq: 6, owner: lineOf(owner) } };
      expect(judge({ names, member: bind(anew, 1) }, known).binding.statement.seq).toBe(1);
    });

    test("is not handed on by a statement older than the one that is known", () => {
      const fifth = house.nameStatement(owner, { seq: 5, prev: "ab".repeat(32) });
      const { pins } = judge({ names: [fifth], member: bind(owner, 1) });
      for (const names of [[rotation], [named, rotation]]) {
        expect(() => judge({ names, member: bind(nextOwner, 2) }, pins)).toThrow(
          "older or second statement (number 2)",
        );
      }
      const onwards = house.rotation(owner, nextOwner, fifth);
      expect(judge({ names: [onwards], member: bind(nextOwner, 2) }, pins).pins.owner.owner).toBe(lineOf(nextOwner));
    });

    test("is remembered with the delegation that made it, and what the log must prove in the order of its proofs", () => {
      const delegation = house.delegation(owner, fleet);
      const { pins, newest } = judge({ member: bind(fleet, 1), delegation });
      expect(pins.member.delegation).toEqual(signedTextToJson(delegation));
      expect(judge({ member: bind(owner, 2) }, pins).pins.member.delegation).toBeNull();
      expect(newest.map(({ subject }) => subject)).toEqual([
        house.name,
        `${house.name}/sensor-7`,
        `${house.name}:delegation:${DELEGATION}`,
      ]);
    });
  });
});
