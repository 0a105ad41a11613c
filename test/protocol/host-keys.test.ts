import { describe, expect, test } from "vitest";
import { concat } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, fingerprint, parsePublicKeyBlob, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { type MemberPin, withAccepted } from "../../keys/peer.ts";
import { judgeHostKeys } from "../../protocol/host-keys.ts";
import { judgePeer } from "../../protocol/peers.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { cast, NOW, repeatableRandom, statementsOf } from "./fixtures.ts";

const HOST = "mygateway.device.np";
const { device } = cast(suite);
const random = repeatableRandom("host keys");
const { member: met } = judgePeer(
  suite,
  {
    name: device.name,
    member: device.member,
    role: "device",
    statements: statementsOf(device),
  },
  { known: { owner: undefined, member: undefined }, given: undefined },
  NOW,
).pins;

const ed25519 = () => parsePublicKeyLine(ed25519Line(Ed25519PrivateKey.generate(suite, random).publicKey)).blob;
const ecdsa = (x: number) =>
  concat(
    sshString("ecdsa-sha2-nistp256"),
    sshString("nistp256"),
    sshString(Uint8Array.of(4, ...new Uint8Array(64).fill(x))),
  );
const [first, second, third] = [ed25519(), ed25519(), ed25519()];
const of = (blob: Uint8Array) => fingerprint(suite, blob);
const lines = (...blobs: readonly Uint8Array[]) => blobs.map((blob) => parsePublicKeyBlob(blob).line);

const judge = (pin: MemberPin, ...presented: readonly Uint8Array[]) => judgeHostKeys(suite, HOST, pin, presented);
const accepting = (pin: MemberPin, ...blobs: readonly Uint8Array[]) =>
  blobs.reduce((before, blob) => withAccepted(before, of(blob)), pin);
const changed = expect.objectContaining({ code: "E_HOST_KEY" });

describe("host keys", () => {
  test("are all pinned at the first connect and match afterwards, in whatever order", () => {
    const pin = judge(met, first, ecdsa(1));
    expect(pin).toEqual({ ...met, hostKeys: lines(first, ecdsa(1)) });
    expect(judge(pin, ecdsa(1), first)).toEqual(pin);
    expect(judge(met, first, first).hostKeys).toEqual(lines(first));
  });

  test("that changed are refused, with both fingerprints and the way to accept exactly the new one", () => {
    const pin = judge(met, first);
    expect(() => judge(pin, second)).toThrow(of(first));
    expect(() => judge(pin, second)).toThrow(of(second));
    expect(() => judge(pin, second)).toThrow(
      expect.objectContaining({
        code: "E_HOST_KEY",
        next: expect.stringContaining(`sshnp trust accept ${HOST} ${of(second)} `) as string, // no dot to be copied with it
      }),
    );
    const accepted = judge(accepting(pin, second), second);
    expect(accepted).toEqual({ ...met, hostKeys: lines(second) });
    expect(() => judge(accepted, first)).toThrow(changed);
    expect(() => judge(accepting(pin, second), third)).toThrow(changed);
  });

  test("that all changed are all told, and let in one by one", () => {
    const pin = judge(met, first, ecdsa(1));
    const message = `. Pinned ${of(first)} and ${of(ecdsa(1))}, the device now presents ${of(second)} and ${of(ecdsa(2))}. Not`;
    const commands = [second, ecdsa(2)].map((blob) => `sshnp trust accept ${HOST} ${of(blob)}`).join(" && ");
    expect(() => judge(pin, second, ecdsa(2))).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(message) as string,
        next: expect.stringContaining(commands) as string,
      }),
    );
    expect(judge(accepting(pin, second, ecdsa(2)), second, ecdsa(2))).toEqual({
      ...met,
      hostKeys: lines(second, ecdsa(2)),
    });
  });

  test("that were not accepted do not come in with one that was", () => {
    const pin = judge(met, first, ecdsa(1));
    expect(() => judge(accepting(pin, second), second, ecdsa(2))).toThrow(of(ecdsa(2)));
    expect(() => judge(accepting(pin, second), second, third)).toThrow(of(third));
    expect(judge(accepting(pin, second), second, ecdsa(1)).hostKeys.toSorted()).toEqual(
      lines(second, ecdsa(1)).toSorted(),
    );
  });

  test("stay pinned while they are not presented, so that no other comes in their place", () => {
    const pin = judge(met, first, ecdsa(1));
    const without = judge(pin, ecdsa(1));
    expect(without).toEqual(pin);
    expect(() => judge(without, ecdsa(1), second)).toThrow(changed);
    expect(() => judge(without, second)).toThrow(changed);
  });

  test("of a type that is not pinned are left out beside a pinned one, and come in when accepted", () => {
    const pin = judge(met, ecdsa(1));
    expect(judge(pin, ecdsa(1), second)).toEqual(pin);
    expect(judge(accepting(pin, second), ecdsa(1), second)).toEqual({ ...met, hostKeys: lines(ecdsa(1), second) });
    expect(judge(accepting(pin, second), second)).toEqual({ ...met, hostKeys: lines(ecdsa(1), second) });
  });

  test("of a type that is not pinned are refused alone", () => {
    expect(() => judge(judge(met, first), ecdsa(1))).toThrow(
      `Pinned ${of(first)}, the device now presents ${of(ecdsa(1))}.`,
    );
  });

  test("that were accepted ahead of the first of them are the only ones let in", () => {
    expect(() => judge(accepting(met, first), second)).toThrow(changed);
    expect(judge(accepting(met, first), ecdsa(1), first)).toEqual({ ...met, hostKeys: lines(first) });
  });

  test("two of one type: one is as good as the other, and a third is not", () => {
    const pin = judge(met, first, second);
    expect(judge(pin, second)).toEqual(pin);
    expect(() => judge(pin, first, third)).toThrow(changed);
    expect(judge(accepting(pin, third), first, third)).toEqual({ ...met, hostKeys: lines(first, third) });
  });

  test("that do not parse are refused", () => {
    expect(() => judge(met, concat(first, Uint8Array.of(0)))).toThrow();
  });
});
