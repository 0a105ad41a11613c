import { runHandshake } from "./ikhfs-psk2.ts";
import { concat, hash, seal, utf8 } from "./primitives.ts";

/** A transport message: its place in the list is its nonce. All fields are hex. */
export type GoldenTransportMessage = { readonly ad: string; readonly plaintext: string; readonly ciphertext: string };

/** What goes into one handshake, hex. The fields are those of HandshakeInput. */
export type GoldenInput = {
  readonly initiatorStatic: string;
  readonly responderStatic: string;
  readonly initiatorEphemeral: string;
  readonly responderEphemeral: string;
  readonly kemSeed: string;
  readonly kemRandomness: string;
  readonly psk: string;
  readonly prologue: string;
  readonly payload1: string;
  readonly payload2: string;
};

/** One handshake and three transport messages each way; all fields but the name are hex. */
export type GoldenCase = GoldenInput & {
  readonly name: string;
  readonly message1: string;
  readonly message2: string;
  readonly handshakeHash: string;
  readonly initiatorToResponderKey: string;
  readonly responderToInitiatorKey: string;
  /** Export(`exportName`) under `label`. */
  readonly exported: string;
  readonly initiatorToResponder: readonly GoldenTransportMessage[];
  readonly responderToInitiator: readonly GoldenTransportMessage[];
};

/** The content of `test/vectors/ikhfs-psk2.json`. */
export type GoldenFile = {
  readonly protocolName: string;
  readonly label: string;
  readonly exportName: string;
  readonly cases: readonly GoldenCase[];
};

/** The golden cases as text of the file that holds them: the same bytes at every call. */
export function goldenText(): string {
  return `${JSON.stringify(goldenFile(), null, 2)}\n`;
}

/** The golden cases, made by the oracle from seeds that are SHA-256 of a label and a counter. */
export function goldenFile(): GoldenFile {
  return {
    protocolName: "Noise_IKhfs+psk2_25519+MLKEM768_ChaChaPoly_SHA256",
    label,
    exportName,
    cases: shapes.map(goldenCase),
  };
}

const label = "sshnp/1";
const exportName = "resume";

type Shape = {
  readonly name: string;
  readonly psk: "zero" | "random";
  /** Lengths in bytes. */
  readonly prologue: number;
  readonly payload1: number;
  readonly payload2: number;
};

const shapes: readonly Shape[] = [
  { name: "zero psk, everything empty", psk: "zero", prologue: 0, payload1: 0, payload2: 0 },
  { name: "psk, everything empty", psk: "random", prologue: 0, payload1: 0, payload2: 0 },
  { name: "zero psk, short payloads", psk: "zero", prologue: 7, payload1: 1, payload2: 1 },
  { name: "psk, short payloads", psk: "random", prologue: 7, payload1: 1, payload2: 1 },
  { name: "zero psk, middling payloads", psk: "zero", prologue: 300, payload1: 250, payload2: 900 },
  { name: "psk, middling payloads", psk: "random", prologue: 300, payload1: 250, payload2: 900 },
  { name: "zero psk, large first payload", psk: "zero", prologue: 300, payload1: 4096, payload2: 0 },
  { name: "psk, large second payload", psk: "random", prologue: 300, payload1: 0, payload2: 4096 },
  { name: "zero psk, long prologue", psk: "zero", prologue: 4096, payload1: 0, payload2: 0 },
  { name: "psk, long prologue, large payloads", psk: "random", prologue: 4096, payload1: 4096, payload2: 4096 },
];

function goldenCase(shape: Shape, index: number): GoldenCase {
  const draw = (field: string, length: number): Uint8Array => derive(`case ${index} ${field}`, length);
  const input = {
    initiatorStatic: draw("initiator static", 32),
    responderStatic: draw("responder static", 32),
    initiatorEphemeral: draw("initiator ephemeral", 32),
    responderEphemeral: draw("responder ephemeral", 32),
    kemSeed: draw("kem seed", 64),
    kemRandomness: draw("kem randomness", 32),
    psk: shape.psk === "zero" ? new Uint8Array(32) : draw("psk", 32),
    prologue: draw("prologue", shape.prologue),
    payload1: draw("payload 1", shape.payload1),
    payload2: draw("payload 2", shape.payload2),
  };
  const output = runHandshake({ ...input, hfs: true, label });

  const transport = (direction: string, key: Uint8Array): GoldenTransportMessage[] =>
    [
      { ad: 3, plaintext: 0 },
      { ad: 0, plaintext: 1 },
      { ad: 16, plaintext: 200 },
    ].map((lengths, counter) => {
      const ad = draw(`${direction} ad ${counter}`, lengths.ad);
      const plaintext = draw(`${direction} plaintext ${counter}`, lengths.plaintext);
      return { ad: hex(ad), plaintext: hex(plaintext), ciphertext: hex(seal(key, counter, ad, plaintext)) };
    });

  return {
    name: shape.name,
    initiatorStatic: hex(input.initiatorStatic),
    responderStatic: hex(input.responderStatic),
    initiatorEphemeral: hex(input.initiatorEphemeral),
    responderEphemeral: hex(input.responderEphemeral),
    kemSeed: hex(input.kemSeed),
    kemRandomness: hex(input.kemRandomness),
    psk: hex(input.psk),
    prologue: hex(input.prologue),
    payload1: hex(input.payload1),
    payload2: hex(input.payload2),
    message1: hex(output.message1),
    message2: hex(output.message2),
    handshakeHash: hex(output.handshakeHash),
    initiatorToResponderKey: hex(output.initiatorToResponderKey),
    responderToInitiatorKey: hex(output.responderToInitiatorKey),
    exported: hex(output.chainingKeyExport(exportName)),
    initiatorToResponder: transport("initiator to responder", output.initiatorToResponderKey),
    responderToInitiator: transport("responder to initiator", output.responderToInitiatorKey),
  };
}

/** SHA-256 of "ikhfs-psk2 LABEL COUNTER" for counter 0, 1, ... one after the other, cut to `length` bytes. */
function derive(seedLabel: string, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, counter) =>
    hash(utf8(`ikhfs-psk2 ${seedLabel} ${counter}`)),
  );
  return concat(...blocks).slice(0, length);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
