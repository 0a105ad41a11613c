import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type GoldenFile, goldenFile, goldenText } from "./generate-golden.ts";
import { type HandshakeInput, runHandshake } from "./ikhfs-psk2.ts";
import { noiseVectors, vectorsFolder } from "./noise-vectors.ts";
import { seal } from "./primitives.ts";

const none = new Uint8Array(0);
const goldenPath = fileURLToPath(new URL("../vectors/ikhfs-psk2.json", import.meta.url));

describe.skipIf(vectorsFolder === undefined)("without its KEM tokens the oracle is Noise_IKpsk2", () => {
  it("and makes every message of the published vectors", () => {
    const vectors = noiseVectors("Noise_IKpsk2_25519_ChaChaPoly_SHA256");
    expect(vectors).not.toHaveLength(0);
    for (const vector of vectors) {
      const [first, second, ...transport] = vector.messages;
      const handshake = runHandshake({
        initiatorStatic: bytes(vector.init_static),
        responderStatic: bytes(vector.resp_static),
        initiatorEphemeral: bytes(vector.init_ephemeral),
        responderEphemeral: bytes(vector.resp_ephemeral),
        kemSeed: none,
        kemRandomness: none,
        psk: bytes(vector.init_psks?.[0]),
        prologue: bytes(vector.init_prologue),
        payload1: bytes(first?.payload),
        payload2: bytes(second?.payload),
        hfs: false,
        label: "",
      });
      expect(hex(handshake.message1)).toBe(first?.ciphertext);
      expect(hex(handshake.message2)).toBe(second?.ciphertext);
      expect(hex(handshake.handshakeHash)).toBe(vector.handshake_hash);

      expect(transport).not.toHaveLength(0);
      const keys = [handshake.initiatorToResponderKey, handshake.responderToInitiatorKey];
      const sealed = transport.map((message, index) =>
        seal(keys[index % 2] ?? none, Math.floor(index / 2), none, bytes(message.payload)),
      );
      expect(sealed.map(hex)).toEqual(transport.map((message) => message.ciphertext));
    }
  });
});

describe("the golden file", () => {
  it("gives all inputs that its outputs need", () => {
    const frozen = readGolden();
    expect(frozen.cases.length).toBeGreaterThanOrEqual(8);
    for (const golden of frozen.cases) {
      const handshake = runHandshake(inputOf(golden, frozen.label));
      expect(golden).toMatchObject({
        message1: hex(handshake.message1),
        message2: hex(handshake.message2),
        handshakeHash: hex(handshake.handshakeHash),
        initiatorToResponderKey: hex(handshake.initiatorToResponderKey),
        responderToInitiatorKey: hex(handshake.responderToInitiatorKey),
        exported: hex(handshake.chainingKeyExport(frozen.exportName)),
      });
    }
  });

  it("never repeats a secret, a hash or a message", () => {
    const outputs = readGolden().cases.flatMap((golden) => [
      golden.message1,
      golden.message2,
      golden.handshakeHash,
      golden.initiatorToResponderKey,
      golden.responderToInitiatorKey,
      golden.exported,
      ...[...golden.initiatorToResponder, ...golden.responderToInitiator].map((message) => message.ciphertext),
    ]);
    expect(new Set(outputs).size).toBe(outputs.length);
  });

  it("holds what the oracle makes, byte for byte", async () => {
    await expect(goldenText()).toMatchFileSnapshot(goldenPath);
  });
});

describe("the hybrid handshake", () => {
  const [golden] = goldenFile().cases;
  if (golden === undefined) throw new Error("no golden case");
  const input = inputOf(golden, "sshnp/1");
  const handshake = runHandshake(input);

  it("carries a sealed encapsulation key in message 1 and a sealed ciphertext in message 2", () => {
    expect(handshake.message1).toHaveLength(32 + (1184 + 16) + (32 + 16) + (input.payload1.length + 16));
    expect(handshake.message2).toHaveLength(32 + (1088 + 16) + (input.payload2.length + 16));
  });

  it.each([
    "initiatorStatic",
    "responderStatic",
    "initiatorEphemeral",
    "responderEphemeral",
    "kemSeed",
    "kemRandomness",
    "psk",
  ] as const)("has other keys, hash and export when %s is another", (field) => {
    const changed = runHandshake({
      ...input,
      [field]: input[field].map((byte, index) => (index === 1 ? byte ^ 1 : byte)),
    });
    expect(changed.handshakeHash).not.toEqual(handshake.handshakeHash);
    expect(changed.initiatorToResponderKey).not.toEqual(handshake.initiatorToResponderKey);
    expect(changed.responderToInitiatorKey).not.toEqual(handshake.responderToInitiatorKey);
    expect(changed.chainingKeyExport("resume")).not.toEqual(handshake.chainingKeyExport("resume"));
  });

  it("leaves the psk out of message 1 and of all but the payload of message 2", () => {
    const changed = runHandshake({ ...input, psk: new Uint8Array(32).fill(1) });
    const payloadStart = 32 + 1088 + 16;
    expect(changed.message1).toEqual(handshake.message1);
    expect(changed.message2.slice(0, payloadStart)).toEqual(handshake.message2.slice(0, payloadStart));
    expect(changed.message2.slice(payloadStart)).not.toEqual(handshake.message2.slice(payloadStart));
  });

  it("binds the prologue into the hash and exports, not into the chaining key's Split", () => {
    const changed = runHandshake({ ...input, prologue: Uint8Array.of(1) });
    expect(changed.handshakeHash).not.toEqual(handshake.handshakeHash);
    expect(changed.chainingKeyExport("resume")).not.toEqual(handshake.chainingKeyExport("resume"));
    expect(changed.initiatorToResponderKey).toEqual(handshake.initiatorToResponderKey);
  });

  it("exports other bytes under another name or another protocol label", () => {
    const relabelled = runHandshake({ ...input, label: "sshnp/2" });
    const exports = [
      handshake.chainingKeyExport("resume"),
      handshake.chainingKeyExport("response"),
      relabelled.chainingKeyExport("resume"),
    ].map(hex);
    expect(new Set(exports).size).toBe(3);
    expect(relabelled.message2).toEqual(handshake.message2);
  });
});

function readGolden(): GoldenFile {
  const golden: GoldenFile = JSON.parse(readFileSync(goldenPath, "utf8"));
  return golden;
}

function inputOf(golden: GoldenFile["cases"][number], label: string): HandshakeInput {
  return {
    initiatorStatic: bytes(golden.initiatorStatic),
    responderStatic: bytes(golden.responderStatic),
    initiatorEphemeral: bytes(golden.initiatorEphemeral),
    responderEphemeral: bytes(golden.responderEphemeral),
    kemSeed: bytes(golden.kemSeed),
    kemRandomness: bytes(golden.kemRandomness),
    psk: bytes(golden.psk),
    prologue: bytes(golden.prologue),
    payload1: bytes(golden.payload1),
    payload2: bytes(golden.payload2),
    hfs: true,
    label,
  };
}

function bytes(text: string | undefined): Uint8Array {
  if (text === undefined) throw new Error("the vector lacks a field");
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString("hex");
}
