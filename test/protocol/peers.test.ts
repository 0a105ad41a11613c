import { describe, expect, test } from "vitest";
import { concat, hex, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { withAccepted } from "../../keys/peer-files.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { judgeHostKeys, judgePeer, memberOf, type PeerClaim } from "../../protocol/peers.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { cast, NOW, repeatableRandom } from "./fixtures.ts";

const { device, client } = cast(suite);
const random = repeatableRandom("peers");
const claim: PeerClaim = {
  name: device.name,
  member: device.member,
  role: "device",
  nameStatement: device.nameStatement,
  binding: device.binding,
};
const ownerFingerprint = fingerprint(suite, parsePublicKeyLine(ed25519Line(device.owner.publicKey)).blob);
const nothing = { known: undefined, given: undefined };

/** The same name, said to belong to somebody else, with everything signed as it should be. */
function swapped(): { claim: PeerClaim; fingerprint: ReturnType<typeof fingerprint> } {
  const owner = Ed25519PrivateKey.generate(suite, random);
  const line = ed25519Line(owner.publicKey);
  const { name, member, x25519, ed25519 } = device;
  return {
    claim: {
      ...claim,
      nameStatement: signFirstNameStatement(suite, random, owner, { name, owner: line, issued: NOW }),
      binding: signFirstBinding(suite, random, owner, {
        name,
        member,
        role: "device",
        x25519: x25519.publicKey,
        ed25519: ed25519.publicKey,
        issued: NOW,
        expires: null,
      }),
    },
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
  return { ...claim, binding: { text, signature: signSshsig(suite, device.owner, "sshnp-binding@v1", utf8(text)) } };
}

describe("a peer", () => {
  test("is a first contact once, and known afterwards", () => {
    const first = judgePeer(suite, claim, nothing, NOW);
    expect(first.firstContact).toBe(true);
    expect(first.ownerFingerprint).toBe(ownerFingerprint);
    const second = judgePeer(suite, claim, { known: first.peer, given: undefined }, NOW + 1);
    expect(second.firstContact).toBe(false);
    expect(second.peer).toEqual(first.peer);
  });

  test("is no first contact when its fingerprint was given", () => {
    const judged = judgePeer(suite, claim, { known: undefined, given: ownerFingerprint }, NOW);
    expect(judged.firstContact).toBe(false);
    expect(judged.peer.origin).toBe("given");
  });

  test("with another owner key than the pinned one is refused, with both fingerprints", () => {
    const { peer } = judgePeer(suite, claim, nothing, NOW);
    const other = swapped();
    const judge = () => judgePeer(suite, other.claim, { known: peer, given: undefined }, NOW);
    expect(judge).toThrow(ownerFingerprint);
    expect(judge).toThrow(other.fingerprint);
    expect(judge).toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  });

  test("with another owner key than the given one is refused at first contact", () => {
    const judge = () => judgePeer(suite, swapped().claim, { known: undefined, given: ownerFingerprint }, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_OWNER_KEY" }));
  });

  test("may change its owner key to the accepted one and to no other", () => {
    const { peer } = judgePeer(suite, claim, nothing, NOW);
    const expected = swapped();
    const known = withAccepted(peer, expected.fingerprint);
    expect(judgePeer(suite, expected.claim, { known, given: undefined }, NOW).peer.origin).toBe("accepted");
    expect(() => judgePeer(suite, swapped().claim, { known, given: undefined }, NOW)).toThrow("OWNER KEY CHANGED");
  });

  test("keeps its host keys and other members when one binding is newer, and never goes back", () => {
    const { peer } = judgePeer(suite, claim, nothing, NOW);
    const newer = judgePeer(suite, later(2), { known: peer, given: undefined }, NOW);
    expect(newer.binding.statement.x25519.equals(client.x25519.publicKey)).toBe(true);
    const back = () => judgePeer(suite, claim, { known: newer.peer, given: undefined }, NOW);
    expect(back).toThrow(expect.objectContaining({ code: "E_MEMBER_KEY" }));
  });

  test("cannot have two bindings of one number", () => {
    const { peer } = judgePeer(suite, claim, nothing, NOW);
    const judge = () => judgePeer(suite, later(1), { known: peer, given: undefined }, NOW);
    expect(judge).toThrow(expect.objectContaining({ code: "E_MEMBER_KEY" }));
  });

  test.each([
    ["another member's binding", { member: client.member }],
    ["another role", { role: "client" as const }],
    ["another name's statement", { name: client.name }],
    ["a binding signed by somebody else", { binding: client.binding }],
    ["another name's owner", { nameStatement: client.nameStatement }],
  ])("is refused with %s", (_what, change) => {
    expect(() => judgePeer(suite, { ...claim, ...change }, nothing, NOW)).toThrow();
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
    expect(judgePeer(suite, { ...claim, binding }, nothing, NOW + 9).firstContact).toBe(true);
    expect(() => judgePeer(suite, { ...claim, binding }, nothing, NOW + 10)).toThrow("expired");
  });
});

describe("host keys", () => {
  const host = "mygateway.device.np";
  const { peer } = judgePeer(suite, claim, nothing, NOW);
  const key = () => parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey)).blob;
  const ecdsa = (x: number) =>
    concat(
      sshString("ecdsa-sha2-nistp256"),
      sshString("nistp256"),
      sshString(Uint8Array.of(4, ...new Uint8Array(64).fill(x))),
    );
  const [first, second] = [key(), key()];
  const pinned = judgeHostKeys(suite, host, peer, device.member, [first]).peer;

  test("are pinned at the first connect and match afterwards", () => {
    expect(memberOf(pinned, device.member)?.hostKeys).toEqual([parsePublicKeyLine(ed25519LineOf(first)).line]);
    expect(judgeHostKeys(suite, host, pinned, device.member, [first]).peer).toEqual(pinned);
  });

  test("that changed are refused, with both fingerprints and the way to accept exactly the new one", () => {
    const judge = () => judgeHostKeys(suite, host, pinned, device.member, [second]);
    expect(judge).toThrow(fingerprint(suite, first));
    expect(judge).toThrow(fingerprint(suite, second));
    expect(judge).toThrow(
      expect.objectContaining({
        code: "E_HOST_KEY",
        next: expect.stringContaining(`sshnp trust accept ${host} ${fingerprint(suite, second)}`) as string,
      }),
    );
    const known = withAccepted(pinned, fingerprint(suite, second));
    const accepted = judgeHostKeys(suite, host, known, device.member, [second]).peer;
    expect(judgeHostKeys(suite, host, accepted, device.member, [second]).peer.accepted).toEqual([]);
    expect(() => judgeHostKeys(suite, host, accepted, device.member, [first])).toThrow("HOST KEY CHANGED");
    expect(() => judgeHostKeys(suite, host, known, device.member, [key()])).toThrow("HOST KEY CHANGED");
  });

  test("may grow by a type, and may not trade one type for another", () => {
    const grown = judgeHostKeys(suite, host, pinned, device.member, [first, ecdsa(1)]).peer;
    expect(memberOf(grown, device.member)?.hostKeys).toHaveLength(2);
    expect(() => judgeHostKeys(suite, host, grown, device.member, [first, ecdsa(2)])).toThrow("HOST KEY CHANGED");
    expect(() => judgeHostKeys(suite, host, pinned, device.member, [ecdsa(1)])).toThrow("HOST KEY CHANGED");
  });

  test("that do not parse are refused", () => {
    expect(() => judgeHostKeys(suite, host, peer, device.member, [concat(first, Uint8Array.of(0))])).toThrow();
  });
});

function ed25519LineOf(blob: Uint8Array): string {
  return `ssh-ed25519 ${Buffer.from(hex(blob), "hex").toString("base64")}`;
}
