import { describe, expect, test } from "vitest";
import { fromHex, hex } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { CipherState } from "../../protocol/noise/cipher-state.ts";
import { type HandshakeOptions, HandshakeState } from "../../protocol/noise/handshake-state.ts";
import { PATTERNS } from "../support/noise-patterns.ts";
import { hasPublicVectors, readPublicVectors } from "../support/public-vectors.ts";
import { SUITES } from "../support/suites.ts";

type Side = "init" | "resp";

interface Vector extends Partial<Record<`${Side}_${"static" | "ephemeral" | "remote_static"}`, string>> {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly resp_prologue: string;
  readonly init_psks?: readonly string[];
  readonly resp_psks?: readonly string[];
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

const vectors = hasPublicVectors ? (readPublicVectors("noise.json") as { vectors: Vector[] }).vectors : [];

test.skipIf(!hasPublicVectors)("there is a table for every vector", () => {
  expect(vectors.map((vector) => patternName(vector)).toSorted()).toEqual([...PATTERNS.keys()].toSorted());
});

describe.skipIf(!hasPublicVectors).each(SUITES)("the Noise vectors on the $name suite", (suite) => {
  test.each([...PATTERNS.keys()])("%s, both sides, byte for byte", (name) => {
    const pattern = PATTERNS.get(name);
    const matching = vectors.filter((vector) => patternName(vector) === name);
    expect(matching.length).toBeGreaterThan(0);
    if (pattern === undefined) throw new Error("no table");
    for (const vector of matching) {
      const initiator = HandshakeState.initiator({ pattern, ...options(suite, vector, "init") });
      const responder = HandshakeState.responder({ pattern, ...options(suite, vector, "resp") });
      const handshake = vector.messages.slice(0, pattern.messages.length);
      for (const [index, { payload, ciphertext }] of handshake.entries()) {
        const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator];
        expect(hex(writer.writeMessage(fromHex(payload)))).toBe(ciphertext);
        expect(hex(reader.readMessage(fromHex(ciphertext)))).toBe(payload);
      }
      expect(hex(initiator.handshakeHash)).toBe(vector.handshake_hash);

      const [ours, theirs] = [initiator.split(), responder.split()];
      expect(hex(ours.handshakeHash)).toBe(vector.handshake_hash);
      expect(hex(theirs.handshakeHash)).toBe(vector.handshake_hash);
      expect(ours.export("resume")).toEqual(theirs.export("resume"));
      const ciphers = [ours, theirs].map((result) => ({
        toResponder: new CipherState(suite.aead(result.initiatorToResponder)),
        toInitiator: new CipherState(suite.aead(result.responderToInitiator)),
      }));
      const transport = [...vector.messages.entries()].slice(pattern.messages.length);
      expect(transport.length).toBeGreaterThan(0);
      for (const [index, { payload, ciphertext }] of transport) {
        const direction = pattern.messages.length === 1 || index % 2 === 0 ? "toResponder" : "toInitiator";
        const none = new Uint8Array(0);
        expect(ciphers.map((it) => hex(it[direction].encryptWithAd(none, fromHex(payload))))).toEqual([
          ciphertext,
          ciphertext,
        ]);
      }
    }
  });
});

function patternName(vector: Vector): string {
  return vector.protocol_name.split("_")[1] ?? "";
}

function options(suite: CipherSuite, vector: Vector, side: Side): Omit<HandshakeOptions, "pattern"> {
  const unused = "01".repeat(32);
  const remoteStaticKey = vector[`${side}_remote_static`];
  const psk = vector[`${side}_psks`]?.[0];
  return {
    suite,
    prologue: fromHex(vector[`${side}_prologue`]),
    staticKey: X25519PrivateKey.parse(suite, fromHex(vector[`${side}_static`] ?? unused)),
    ...(remoteStaticKey === undefined ? {} : { remoteStaticKey: X25519PublicKey.parse(fromHex(remoteStaticKey)) }),
    ...(psk === undefined ? {} : { psk: fromHex(psk) }),
    random: (length) => fromHex(vector[`${side}_ephemeral`] ?? "", length),
    label: "test",
  };
}
