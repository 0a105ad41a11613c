import { describe, expect, it } from "vitest";
import { noiseVectors, vectorsFolder } from "./noise-vectors.ts";
import { seal } from "./primitives.ts";
import { runOneWay } from "./x.ts";

describe.skipIf(vectorsFolder === undefined)("the oracle of the one-way pattern X", () => {
  it("makes every message of the published vectors", () => {
    const vectors = noiseVectors("Noise_X_25519_ChaChaPoly_SHA256");
    expect(vectors).not.toHaveLength(0);
    for (const vector of vectors) {
      const [first, ...transport] = vector.messages;
      const sealed = runOneWay({
        initiatorStatic: bytes(vector.init_static),
        responderStatic: bytes(vector.resp_static),
        initiatorEphemeral: bytes(vector.init_ephemeral),
        prologue: bytes(vector.init_prologue),
        payload: bytes(first?.payload),
      });
      expect(hex(sealed.message)).toBe(first?.ciphertext);
      expect(hex(sealed.handshakeHash)).toBe(vector.handshake_hash);

      expect(transport).not.toHaveLength(0);
      const later = transport.map((message, counter) =>
        seal(sealed.initiatorToResponderKey, counter, new Uint8Array(0), bytes(message.payload)),
      );
      expect(later.map(hex)).toEqual(transport.map((message) => message.ciphertext));
    }
  });
});

function bytes(text: string | undefined): Uint8Array {
  if (text === undefined) throw new Error("the vector lacks a field");
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString("hex");
}
