import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { fromHex, hex } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { CipherState } from "../../protocol/noise/cipher-state.ts";
import { HandshakeState } from "../../protocol/noise/handshake-state.ts";
import { IKhfsPsk2 } from "../../protocol/noise/ikhfs-psk2.ts";
import { X } from "../../protocol/noise/x.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import type { GoldenFile } from "../oracle/generate-golden.ts";
import { type HandshakeInput, runHandshake } from "../oracle/ikhfs-psk2.ts";
import { runOneWay } from "../oracle/x.ts";
import { SUITES } from "../support/suites.ts";

vi.setConfig({ testTimeout: 60_000 }); // noble needs seconds on a busy machine

const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../vectors/ikhfs-psk2.json"), "utf8")) as GoldenFile;

describe.each(SUITES)("Noise on the $name suite", (suite) => {
  test("has the oracle's protocol name", () => {
    expect(golden.protocolName).toBe(IKhfsPsk2.protocolName);
  });

  test.each(golden.cases)("makes the golden session handshake: $name", (it) => {
    const input: HandshakeInput = {
      initiatorStatic: fromHex(it.initiatorStatic),
      responderStatic: fromHex(it.responderStatic),
      initiatorEphemeral: fromHex(it.initiatorEphemeral),
      responderEphemeral: fromHex(it.responderEphemeral),
      kemSeed: fromHex(it.kemSeed),
      kemRandomness: fromHex(it.kemRandomness),
      psk: fromHex(it.psk),
      prologue: fromHex(it.prologue),
      payload1: fromHex(it.payload1),
      payload2: fromHex(it.payload2),
      hfs: true,
      label: golden.label,
    };
    const [initiator, responder] = handshake(suite, input, fromHex(it.message1), fromHex(it.message2));
    for (const result of [initiator.split(), responder.split()]) {
      expect(hex(result.handshakeHash)).toBe(it.handshakeHash);
      expect(hex(result.initiatorToResponder)).toBe(it.initiatorToResponderKey);
      expect(hex(result.responderToInitiator)).toBe(it.responderToInitiatorKey);
      expect(hex(result.export(golden.exportName))).toBe(it.exported);
      for (const direction of ["initiatorToResponder", "responderToInitiator"] as const) {
        const [sender, receiver] = [
          new CipherState(suite.aead(result[direction])),
          new CipherState(suite.aead(result[direction])),
        ];
        for (const { ad, plaintext, ciphertext } of it[direction]) {
          expect(hex(sender.encryptWithAd(fromHex(ad), fromHex(plaintext)))).toBe(ciphertext);
          expect(hex(receiver.decryptWithAd(fromHex(ad), fromHex(ciphertext)))).toBe(plaintext);
        }
      }
    }
  });

  test("makes any session handshake as the oracle does: both sides, byte for byte", () => {
    fc.assert(
      fc.property(anyHandshake(), fc.string(), (input, exportName) => {
        const expected = runHandshake(input);
        const [initiator, responder] = handshake(suite, input, expected.message1, expected.message2);
        for (const result of [initiator.split(), responder.split()]) {
          expect(hex(result.handshakeHash)).toBe(hex(expected.handshakeHash));
          expect(hex(result.initiatorToResponder)).toBe(hex(expected.initiatorToResponderKey));
          expect(hex(result.responderToInitiator)).toBe(hex(expected.responderToInitiatorKey));
          expect(hex(result.export(exportName))).toBe(hex(expected.chainingKeyExport(exportName)));
        }
      }),
      { numRuns: 15 },
    );
  });

  test("makes any one-way message as the oracle does", () => {
    fc.assert(
      fc.property(
        bytes(32),
        bytes(32),
        bytes(32),
        upTo(300),
        upTo(3000),
        (sender, recipient, ephemeral, prologue, payload) => {
          const expected = runOneWay({
            initiatorStatic: sender,
            responderStatic: recipient,
            initiatorEphemeral: ephemeral,
            prologue,
            payload,
          });
          const own = X25519PrivateKey.parse(suite, sender);
          const other = X25519PrivateKey.parse(suite, recipient);
          const both = { suite, pattern: X, prologue, label: "test/0", random: fixed(ephemeral) };
          const from = HandshakeState.initiator({ ...both, staticKey: own, remoteStaticKey: other.publicKey });
          const to = HandshakeState.responder({ ...both, staticKey: other });
          expect(hex(from.writeMessage(payload))).toBe(hex(expected.message));
          expect(to.readMessage(expected.message)).toEqual(payload);
          for (const result of [from.split(), to.split()]) {
            expect(hex(result.handshakeHash)).toBe(hex(expected.handshakeHash));
            expect(hex(result.initiatorToResponder)).toBe(hex(expected.initiatorToResponderKey));
          }
        },
      ),
      { numRuns: 30 },
    );
  });
});

/** Our initiator against the given message 2 and our responder against the given message 1; each must write the other one. */
function handshake(
  suite: CipherSuite,
  input: HandshakeInput,
  message1: Uint8Array,
  message2: Uint8Array,
): [initiator: HandshakeState, responder: HandshakeState] {
  const { psk, prologue, label } = input;
  const both = { suite, pattern: IKhfsPsk2, kem: mlKem768, psk, prologue, label };
  const initiator = HandshakeState.initiator({
    ...both,
    staticKey: X25519PrivateKey.parse(suite, input.initiatorStatic),
    remoteStaticKey: X25519PublicKey.parse(suite.x25519PublicKey(input.responderStatic)),
    random: fixed(input.initiatorEphemeral, input.kemSeed),
  });
  const responder = HandshakeState.responder({
    ...both,
    staticKey: X25519PrivateKey.parse(suite, input.responderStatic),
    random: fixed(input.responderEphemeral, input.kemRandomness),
  });
  expect(hex(initiator.writeMessage(input.payload1))).toBe(hex(message1));
  expect(hex(responder.readMessage(message1))).toBe(hex(input.payload1));
  expect(hex(responder.writeMessage(input.payload2))).toBe(hex(message2));
  expect(hex(initiator.readMessage(message2))).toBe(hex(input.payload2));
  return [initiator, responder];
}

/** A source that gives these and then nothing. */
function fixed(...draws: Uint8Array[]): (length: number) => Uint8Array {
  const left = [...draws];
  return (length) => {
    const next = left.shift();
    expect(next?.length, "bytes drawn").toBe(length);
    return next ?? new Uint8Array(0);
  };
}

function anyHandshake(): fc.Arbitrary<HandshakeInput> {
  return fc.record({
    initiatorStatic: bytes(32),
    responderStatic: bytes(32),
    initiatorEphemeral: bytes(32),
    responderEphemeral: bytes(32),
    kemSeed: bytes(64),
    kemRandomness: bytes(32),
    psk: bytes(32),
    prologue: upTo(500),
    payload1: upTo(3000),
    payload2: upTo(3000),
    hfs: fc.constant(true),
    label: fc.string(),
  });
}

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

function upTo(maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ maxLength });
}
