import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { concat, fromHex, hex, utf8 } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { NOISE_MESSAGE_BYTES } from "../../protocol/limits.ts";
import type { HandshakeState } from "../../protocol/noise/handshake-state.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { parties } from "../support/handshakes.ts";
import { SUITES } from "../support/suites.ts";

vi.setConfig({ testTimeout: 60_000 }); // noble needs seconds on a busy machine

const NOTHING = new Uint8Array(0);
const HELLO = utf8("hello");
const ANSWER = utf8("answer");

describe.each(SUITES)("a session handshake on the $name suite", (suite) => {
  const { initiatorKey, responderKey, strangerKey, sessionInitiator, sessionResponder } = parties(suite);

  /** Both sides after both messages. */
  function finished(): {
    initiator: HandshakeState;
    responder: HandshakeState;
    message1: Uint8Array;
    message2: Uint8Array;
  } {
    const [initiator, responder] = [sessionInitiator(), sessionResponder()];
    const message1 = initiator.writeMessage(HELLO);
    expect(responder.readMessage(message1)).toEqual(HELLO);
    const message2 = responder.writeMessage(ANSWER);
    expect(initiator.readMessage(message2)).toEqual(ANSWER);
    return { initiator, responder, message1, message2 };
  }

  const { message1, message2 } = finished();

  /** An initiator that waits for message 2. */
  function waiting(): HandshakeState {
    const initiator = sessionInitiator();
    expect(initiator.writeMessage(HELLO)).toEqual(message1);
    return initiator;
  }

  test("gives both sides the same keys, hash and exports, and messages of the known size", () => {
    const { initiator, responder } = finished();
    expect(message1.length).toBe(1296 + HELLO.length);
    expect(message2.length).toBe(1152 + ANSWER.length);
    const [ours, theirs] = [initiator.split(), responder.split()];
    expect(ours.initiatorToResponder).toEqual(theirs.initiatorToResponder);
    expect(ours.responderToInitiator).toEqual(theirs.responderToInitiator);
    expect(ours.handshakeHash).toEqual(theirs.handshakeHash);
    expect(ours.export("resume")).toEqual(theirs.export("resume"));
    const secrets = [
      ours.initiatorToResponder,
      ours.responderToInitiator,
      ours.handshakeHash,
      ours.export("resume"),
      ours.export("other"),
    ];
    expect(new Set(secrets.map((secret) => hex(secret))).size).toBe(secrets.length);
    for (const secret of secrets) expect(secret.length).toBe(32);
  });

  test("tells the responder who the initiator is with message 1", () => {
    const responder = sessionResponder();
    expect(responder.remoteStaticKey).toBeUndefined();
    responder.readMessage(message1);
    expect(responder.remoteStaticKey?.equals(initiatorKey.publicKey)).toBe(true);
    expect(sessionInitiator().remoteStaticKey?.equals(responderKey.publicKey)).toBe(true);
  });

  test("binds exports to the label, and nothing else to it", () => {
    const [initiator, responder] = [sessionInitiator({ label: "test/1" }), sessionResponder()];
    responder.readMessage(initiator.writeMessage(HELLO));
    initiator.readMessage(responder.writeMessage(ANSWER));
    const [ours, theirs] = [initiator.split(), responder.split()];
    expect(ours.initiatorToResponder).toEqual(theirs.initiatorToResponder);
    expect(ours.export("resume")).not.toEqual(theirs.export("resume"));
  });

  // noble takes milliseconds for what OpenSSL does in microseconds, and the handshake is the same code.
  const step = suite.name === "native" ? 1 : 16;

  test("refuses message 1 with a bit flipped, in every byte", () => {
    for (let index = 0; index < message1.length; index += step) {
      const responder = sessionResponder();
      expect(() => responder.readMessage(flipRandomBit(message1, index)), `byte ${index}`).toThrow(PeerError);
      expect(() => responder.writeMessage(ANSWER)).toThrow("broken invariant");
    }
  });

  test("refuses message 2 with a bit flipped, in every byte", () => {
    for (let index = 0; index < message2.length; index += step) {
      const initiator = waiting();
      expect(() => initiator.readMessage(flipRandomBit(message2, index)), `byte ${index}`).toThrow(PeerError);
      expect(() => initiator.split()).toThrow("broken invariant");
    }
  });

  test("refuses truncated and extended messages", () => {
    const cuts = [0, 1, 31, 32, 33, 47, 48, 1231, 1232, 1279, 1280, 1285, 1300];
    for (const length of cuts) {
      expect(() => sessionResponder().readMessage(message1.subarray(0, length)), `${length} bytes`).toThrow(PeerError);
    }
    for (const length of [0, 1, 31, 32, 1135, 1136, 1151, 1152, message2.length - 1]) {
      expect(() => waiting().readMessage(message2.subarray(0, length)), `${length} bytes`).toThrow(PeerError);
    }
    expect(() => sessionResponder().readMessage(concat(message1, Uint8Array.of(0)))).toThrow(PeerError);
    expect(() => waiting().readMessage(concat(message2, Uint8Array.of(0)))).toThrow(PeerError);
  });

  test("refuses another prologue", () => {
    for (const prologue of [NOTHING, Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3, 0)]) {
      expect(() => sessionResponder({ prologue }).readMessage(message1)).toThrow(PeerError);
    }
  });

  test("refuses another psk with message 2, and does not use it before", () => {
    const responder = sessionResponder({ psk: new Uint8Array(32) });
    expect(responder.readMessage(message1)).toEqual(HELLO);
    const answer = responder.writeMessage(ANSWER);
    expect(() => waiting().readMessage(answer)).toThrow(PeerError);
  });

  test("refuses a responder whose static key is not the expected one", () => {
    expect(() => sessionResponder({ staticKey: strangerKey }).readMessage(message1)).toThrow(PeerError);
    const misled = sessionInitiator({ remoteStaticKey: strangerKey.publicKey });
    expect(() => sessionResponder().readMessage(misled.writeMessage(HELLO))).toThrow(PeerError);
  });

  test("refuses an answer by somebody who only knows the initiator's and the responder's public keys", () => {
    const impostor = sessionResponder({ staticKey: strangerKey });
    const forged = sessionInitiator({ staticKey: strangerKey, remoteStaticKey: strangerKey.publicKey });
    impostor.readMessage(forged.writeMessage(HELLO));
    const answer = impostor.writeMessage(ANSWER);
    expect(() => waiting().readMessage(answer)).toThrow(PeerError);
  });

  test("gives a thief of the responder's key, who forges message 1, no way to read message 2", () => {
    const victim = initiatorKey.publicKey;
    const thief = pretendingToBe(victim, responderKey);
    // The thief can do ss, with the responder's private key; se in message 2 needs the victim's.
    const dh: typeof suite.dh = (own, other) =>
      suite.dh(own, own === thief && other.equals(responderKey.publicKey) ? victim : other);
    const forger = sessionInitiator({ suite: { ...suite, dh }, staticKey: thief, random: otherRandom });
    const responder = sessionResponder();
    expect(responder.readMessage(forger.writeMessage(HELLO))).toEqual(HELLO);
    expect(responder.remoteStaticKey?.equals(victim)).toBe(true);
    const answer = responder.writeMessage(ANSWER);
    expect(() => forger.readMessage(answer)).toThrow(PeerError);
  });

  test("refuses its own message reflected, and messages of the other turn", () => {
    expect(() => waiting().readMessage(message1)).toThrow(PeerError);
    expect(() => sessionResponder().readMessage(message2)).toThrow(PeerError);
    const sameKeys = sessionResponder({ staticKey: initiatorKey });
    expect(() => sameKeys.readMessage(message1)).toThrow(PeerError);
  });

  test("refuses an answer to another handshake of the same parties", () => {
    const other = sessionInitiator({ random: otherRandom });
    other.writeMessage(HELLO);
    expect(() => other.readMessage(message2)).toThrow(PeerError);
  });

  test.each([
    ["of small order", "0100000000000000000000000000000000000000000000000000000000000000"],
    ["of order 8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"],
    ["that is not canonical", "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
    ["with its top bit set", "0900000000000000000000000000000000000000000000000000000000000080"],
  ])("refuses an ephemeral key %s", (_name, encoding) => {
    const key = fromHex(encoding);
    expect(() => sessionResponder().readMessage(concat(key, message1.subarray(32)))).toThrow(PeerError);
    expect(() => waiting().readMessage(concat(key, message2.subarray(32)))).toThrow(PeerError);
  });

  test("refuses a static key of small order, however well it is encrypted", () => {
    const zero = Object.create(X25519PublicKey.prototype, { bytes: { value: new Uint8Array(32) } }) as X25519PublicKey;
    const attacker = sessionInitiator({ staticKey: pretendingToBe(zero, strangerKey) });
    const responder = sessionResponder();
    expect(() => responder.readMessage(attacker.writeMessage(HELLO))).toThrow(PeerError);
    expect(responder.remoteStaticKey).toBeUndefined();
  });

  test("refuses a KEM key with a coefficient of q or more, when it has to answer it", () => {
    const attacker = sessionInitiator({
      kem: {
        ...mlKem768,
        keyPair: (seed) => {
          const pair = mlKem768.keyPair(seed);
          pair.publicKey.set([0x01, 0x0d], 600); // coefficient 400 = 0xd01 = 3329 = q
          return pair;
        },
      },
    });
    const responder = sessionResponder();
    responder.readMessage(attacker.writeMessage(HELLO));
    expect(() => responder.writeMessage(ANSWER)).toThrow(PeerError);
    expect(() => responder.writeMessage(ANSWER)).toThrow("broken invariant");
  });

  test("carries as much as Noise's bound leaves, and refuses more before any cryptography", () => {
    const room = NOISE_MESSAGE_BYTES - 1296;
    const full = sessionInitiator().writeMessage(new Uint8Array(room));
    expect(full.length).toBe(NOISE_MESSAGE_BYTES);
    expect(sessionResponder().readMessage(full).length).toBe(room);
    expect(() => sessionInitiator().writeMessage(new Uint8Array(room + 1))).toThrow("broken invariant");
    expect(() => sessionResponder().readMessage(new Uint8Array(NOISE_MESSAGE_BYTES + 1))).toThrow(PeerError);
  });

  test("asserts its order", () => {
    expect(() => sessionInitiator().readMessage(message2)).toThrow("broken invariant");
    expect(() => sessionResponder().writeMessage(NOTHING)).toThrow("broken invariant");
    expect(() => sessionInitiator().split()).toThrow("broken invariant");
    expect(() => waiting().split()).toThrow("broken invariant");
    expect(() => waiting().writeMessage(NOTHING)).toThrow("broken invariant");
    const { initiator, responder } = finished();
    expect(() => initiator.writeMessage(NOTHING)).toThrow("broken invariant");
    expect(() => responder.readMessage(message1)).toThrow("broken invariant");
    initiator.split();
    expect(() => initiator.split()).toThrow("broken invariant");
    expect(() => initiator.readMessage(message2)).toThrow("broken invariant");
  });

  test("asserts what its pattern needs, no more and no less", () => {
    const { sender, recipient } = parties(suite);
    expect(() => sessionResponder({ psk: new Uint8Array(31) })).toThrow("broken invariant");
    expect(() => sessionResponder({ remoteStaticKey: initiatorKey.publicKey })).toThrow("broken invariant");
    expect(() => sender({ psk: new Uint8Array(32) })).toThrow("broken invariant");
    expect(() => sender({ kem: mlKem768 })).toThrow("broken invariant");
    expect(() => recipient({ remoteStaticKey: initiatorKey.publicKey })).toThrow("broken invariant");
  });

  test("never shows a secret as text", () => {
    const { initiator, responder } = finished();
    const result = responder.split();
    const secrets = [result.initiatorToResponder, result.responderToInitiator, result.export("resume")];
    const texts = [inspect(initiator, { depth: null, showHidden: true }), JSON.stringify([initiator, result])];
    texts.push(inspect(result, { depth: null, showHidden: true }));
    for (const secret of [...secrets, initiatorKey.secretBytes()]) {
      for (const text of texts) {
        expect(text).not.toContain(hex(secret));
        expect(text).not.toContain([...secret.subarray(0, 6)].join(", "));
        expect(text).not.toContain([...secret.subarray(0, 6)].join(","));
      }
    }
    expect(JSON.stringify(result)).toContain(hex(result.handshakeHash));
  });

  function otherRandom(length: number): Uint8Array {
    return suite.sha512(utf8("other randomness")).subarray(0, length);
  }
});

describe.each(SUITES)("a one-way message on the $name suite", (suite) => {
  const { initiatorKey, strangerKey, sender, recipient } = parties(suite);
  const message = sender().writeMessage(HELLO);

  test("tells the recipient who sent it, and both export the same", () => {
    const [from, to] = [sender(), recipient()];
    expect(to.readMessage(from.writeMessage(HELLO))).toEqual(HELLO);
    expect(to.remoteStaticKey?.equals(initiatorKey.publicKey)).toBe(true);
    expect(message.length).toBe(96 + HELLO.length);
    expect(to.split().export("response")).toEqual(from.split().export("response"));
  });

  test("exports the same without transport keys, and is over then", () => {
    const [from, to, other] = [sender(), recipient(), recipient()];
    const sent = from.writeMessage(HELLO);
    for (const each of [to, other]) each.readMessage(sent);
    expect(to.splitToExport("response")).toEqual(other.split().export("response"));
    expect(() => to.splitToExport("response")).toThrow("broken invariant");
    expect(() => to.split()).toThrow("broken invariant");
    expect(() => sender().splitToExport("response")).toThrow("broken invariant");
  });

  test("is opened by whoever it is sealed to, however often the same sender seals to others", () => {
    const other = recipient({ staticKey: strangerKey });
    expect(recipient().readMessage(sender().writeMessage(HELLO))).toEqual(HELLO);
    expect(other.readMessage(sender({ remoteStaticKey: strangerKey.publicKey }).writeMessage(HELLO))).toEqual(HELLO);
    expect(recipient().readMessage(sender().writeMessage(HELLO))).toEqual(HELLO);
    // The same key of the recipient's, other ones of the senders'.
    const fromStranger = recipient();
    expect(fromStranger.readMessage(sender({ staticKey: strangerKey }).writeMessage(HELLO))).toEqual(HELLO);
    expect(fromStranger.remoteStaticKey?.equals(strangerKey.publicKey)).toBe(true);
    expect(() => other.readMessage(sender().writeMessage(HELLO))).toThrow();
  });

  test("is refused with a bit flipped in any byte, truncated or extended", () => {
    for (let index = 0; index < message.length; index++) {
      expect(() => recipient().readMessage(flipRandomBit(message, index)), `byte ${index}`).toThrow(PeerError);
    }
    for (let length = 0; length < message.length; length++) {
      expect(() => recipient().readMessage(message.subarray(0, length)), `${length} bytes`).toThrow(PeerError);
    }
    expect(() => recipient().readMessage(concat(message, Uint8Array.of(0)))).toThrow(PeerError);
  });

  test("is refused by another recipient, under another prologue, and where there is no second message", () => {
    expect(() => recipient({ staticKey: strangerKey }).readMessage(message)).toThrow(PeerError);
    expect(() => recipient({ prologue: NOTHING }).readMessage(message)).toThrow(PeerError);
    const done = recipient();
    done.readMessage(message);
    expect(() => done.readMessage(message)).toThrow("broken invariant");
    expect(() => done.writeMessage(NOTHING)).toThrow("broken invariant");
  });
});

/** A random bit, so that in time every one is tried; the message of a failed assertion names the byte. */
function flipRandomBit(message: Uint8Array, index: number): Uint8Array {
  const flipped = new Uint8Array(message);
  flipped[index] = (flipped[index] ?? 0) ^ (1 << Math.floor(Math.random() * 8));
  return flipped;
}

/** What an attacker's static key can be: one public key shown, another private key used. */
function pretendingToBe(shown: X25519PublicKey, used: X25519PrivateKey): X25519PrivateKey {
  return Object.create(X25519PrivateKey.prototype, {
    publicKey: { value: shown },
    secretBytes: { value: () => used.secretBytes() },
  }) as X25519PrivateKey;
}
