import type { CipherSuite, Kem, RandomBytes } from "../../keys/cipher-suite.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { type HandshakeOptions, HandshakeState } from "../../protocol/noise/handshake-state.ts";
import { IKhfsPsk2 } from "../../protocol/noise/ikhfs-psk2.ts";
import { X } from "../../protocol/noise/x.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";

/** Bytes that repeat from run to run: a counter, hashed. */
export function countedRandom(suite: CipherSuite, seed: number): RandomBytes {
  let counter = 0;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const block = suite.sha256(Uint8Array.of(seed, counter++));
      bytes.set(block.subarray(0, length - at), at);
    }
    return bytes;
  };
}

/** Two parties with fixed keys, whose every handshake gives the same bytes; single options can be put wrong. */
export function parties(suite: CipherSuite): {
  readonly initiatorKey: X25519PrivateKey;
  readonly responderKey: X25519PrivateKey;
  readonly strangerKey: X25519PrivateKey;
  readonly sessionInitiator: (wrong?: Partial<HandshakeOptions>) => HandshakeState;
  readonly sessionResponder: (wrong?: Partial<HandshakeOptions>) => HandshakeState;
  readonly sender: (wrong?: Partial<HandshakeOptions>) => HandshakeState;
  readonly recipient: (wrong?: Partial<HandshakeOptions>) => HandshakeState;
} {
  const initiatorKey = X25519PrivateKey.generate(suite, countedRandom(suite, 1));
  const responderKey = X25519PrivateKey.generate(suite, countedRandom(suite, 2));
  const strangerKey = X25519PrivateKey.generate(suite, countedRandom(suite, 3));
  const kem: Kem = mlKem768;
  const both = { suite, prologue: Uint8Array.of(1, 2, 3), label: "test/0" };
  const session = { ...both, pattern: IKhfsPsk2, kem, psk: new Uint8Array(32).fill(0x55) };
  const sealed = { ...both, pattern: X };
  const initiator = { staticKey: initiatorKey, remoteStaticKey: responderKey.publicKey };
  const responder = { staticKey: responderKey };
  return {
    initiatorKey,
    responderKey,
    strangerKey,
    sessionInitiator: (wrong) =>
      HandshakeState.initiator({ ...session, ...initiator, random: countedRandom(suite, 4), ...wrong }),
    sessionResponder: (wrong) =>
      HandshakeState.responder({ ...session, ...responder, random: countedRandom(suite, 5), ...wrong }),
    sender: (wrong) => HandshakeState.initiator({ ...sealed, ...initiator, random: countedRandom(suite, 6), ...wrong }),
    recipient: (wrong) =>
      HandshakeState.responder({ ...sealed, ...responder, random: countedRandom(suite, 7), ...wrong }),
  };
}
