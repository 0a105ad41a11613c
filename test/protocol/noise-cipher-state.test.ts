import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8 } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { CipherState } from "../../protocol/noise/cipher-state.ts";
import { SUITES } from "../support/suites.ts";

const NOTHING = new Uint8Array(0);
const LAST = 2n ** 64n - 2n;

describe.each(SUITES)("a CipherState on the $name suite", (suite) => {
  const key = new Uint8Array(32).fill(6);
  const fresh = (nonce?: bigint): CipherState => new CipherState(suite.aead(key), nonce);

  test("counts its successes, and no failure moves its nonce", () => {
    const garbage = fc.record({ kind: fc.constant("garbage" as const), bytes: fc.uint8Array({ maxLength: 60 }) });
    const genuine = fc.record({ kind: fc.constant("genuine" as const), bytes: fc.uint8Array({ maxLength: 60 }) });
    fc.assert(
      fc.property(fc.array(fc.oneof(garbage, genuine), { maxLength: 30 }), (messages) => {
        const [sender, receiver] = [fresh(), fresh()];
        let count = 0n;
        for (const { kind, bytes } of messages) {
          if (kind === "garbage") expect(() => receiver.decryptWithAd(NOTHING, bytes)).toThrow(PeerError);
          else expect(receiver.decryptWithAd(NOTHING, sender.encryptWithAd(NOTHING, bytes))).toEqual(bytes);
          if (kind === "genuine") count++;
          expect([sender.nonce, receiver.nonce]).toEqual([count, count]);
        }
      }),
    );
  });

  test("does not open a message twice, nor one out of order", () => {
    const [sender, receiver] = [fresh(), fresh()];
    const [first, second] = [sender.encryptWithAd(NOTHING, utf8("1")), sender.encryptWithAd(NOTHING, utf8("2"))];
    expect(() => receiver.decryptWithAd(NOTHING, second)).toThrow(PeerError);
    expect(receiver.decryptWithAd(NOTHING, first)).toEqual(utf8("1"));
    expect(() => receiver.decryptWithAd(NOTHING, first)).toThrow(PeerError);
    expect(receiver.decryptWithAd(NOTHING, second)).toEqual(utf8("2"));
  });

  test("uses the nonce 2^64 - 2, and refuses 2^64 - 1 instead of wrapping around", () => {
    const [sender, receiver] = [fresh(LAST), fresh(LAST)];
    const sealed = sender.encryptWithAd(utf8("ad"), utf8("last"));
    expect(receiver.decryptWithAd(utf8("ad"), sealed)).toEqual(utf8("last"));
    for (const exhausted of [sender, receiver, fresh(LAST + 1n)]) {
      expect(exhausted.nonce).toBe(LAST + 1n);
      expect(() => exhausted.encryptWithAd(NOTHING, NOTHING)).toThrow("broken invariant");
      expect(() => exhausted.decryptWithAd(NOTHING, sealed)).toThrow("broken invariant");
      expect(exhausted.nonce).toBe(LAST + 1n);
    }
  });

  test("garbage just before the end does not push the nonce over it", () => {
    const receiver = fresh(LAST);
    for (let i = 0; i < 3; i++) expect(() => receiver.decryptWithAd(NOTHING, new Uint8Array(40))).toThrow(PeerError);
    expect(receiver.decryptWithAd(NOTHING, fresh(LAST).encryptWithAd(NOTHING, utf8("x")))).toEqual(utf8("x"));
  });
});
