import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { concat, dh, hash, hkdf2, hkdf3, mac, publicKey, seal, utf8 } from "./primitives.ts";

/** Everything both ends know and draw. All private keys are X25519, 32 bytes. */
export type HandshakeInput = {
  readonly initiatorStatic: Uint8Array;
  readonly responderStatic: Uint8Array;
  readonly initiatorEphemeral: Uint8Array;
  readonly responderEphemeral: Uint8Array;
  /** d || z of FIPS 203, 64 bytes: the initiator's. Unused without `hfs`. */
  readonly kemSeed: Uint8Array;
  /** m of FIPS 203, 32 bytes: the responder's. Unused without `hfs`. */
  readonly kemRandomness: Uint8Array;
  /** 32 bytes. */
  readonly psk: Uint8Array;
  readonly prologue: Uint8Array;
  readonly payload1: Uint8Array;
  readonly payload2: Uint8Array;
  /** Without it the handshake is plain `Noise_IKpsk2_25519_ChaChaPoly_SHA256`. */
  readonly hfs: boolean;
  /** The protocol label that exports are bound to, for example `sshnp/1`. */
  readonly label: string;
};

export type HandshakeOutput = {
  readonly message1: Uint8Array;
  readonly message2: Uint8Array;
  /** 32 bytes: h after message 2. */
  readonly handshakeHash: Uint8Array;
  /** HMAC(HMAC(ck, label || " export"), name || h): 32 bytes. */
  readonly chainingKeyExport: (name: string) => Uint8Array;
  readonly initiatorToResponderKey: Uint8Array;
  readonly responderToInitiatorKey: Uint8Array;
};

/**
 * One whole handshake, both ends at once, written out from the texts and sharing nothing with the project's own Noise:
 * Noise revision 34, its psk modifier (section 9) and "KEM-based Hybrid Forward Secrecy for Noise" revision 1.
 *
 *     <- s
 *     ...
 *     -> e, es, e1, s, ss
 *     <- e, ee, ekem1, se, psk
 */
export function runHandshake(input: HandshakeInput): HandshakeOutput {
  const first = writeMessage1(input);
  const second = writeMessage2(input, first);
  const [initiatorToResponderKey, responderToInitiatorKey] = hkdf2(second.ck, new Uint8Array(0));
  return {
    message1: first.message,
    message2: second.message,
    handshakeHash: second.h,
    chainingKeyExport: (name) => mac(mac(second.ck, utf8(`${input.label} export`)), utf8(name), second.h),
    initiatorToResponderKey,
    responderToInitiatorKey,
  };
}

/** A message and what stands after it: chaining key and handshake hash. */
type Written = { readonly message: Uint8Array; readonly ck: Uint8Array; readonly h: Uint8Array };

function writeMessage1(input: HandshakeInput): Written {
  const ephemeral = publicKey(input.initiatorEphemeral);
  const responderStatic = publicKey(input.responderStatic);

  // Both names are longer than 32 bytes, so h begins as their hash.
  let h = hash(
    utf8(input.hfs ? "Noise_IKhfs+psk2_25519+MLKEM768_ChaChaPoly_SHA256" : "Noise_IKpsk2_25519_ChaChaPoly_SHA256"),
  );
  let ck = h;
  let k: Uint8Array;
  h = hash(h, input.prologue);
  h = hash(h, responderStatic);

  // e, which is also mixed into the key because there is a psk
  h = hash(h, ephemeral);
  [ck] = hkdf2(ck, ephemeral);

  // es
  [ck, k] = hkdf2(ck, dh(input.initiatorEphemeral, responderStatic));

  // e1
  let sealedEncapsulationKey: Uint8Array = new Uint8Array(0);
  if (input.hfs) {
    sealedEncapsulationKey = seal(k, 0, h, ml_kem768.keygen(input.kemSeed).publicKey);
    h = hash(h, sealedEncapsulationKey);
  }

  // s: e1 brought no new key, so after it this is the second use of k
  const sealedStatic = seal(k, input.hfs ? 1 : 0, h, publicKey(input.initiatorStatic));
  h = hash(h, sealedStatic);

  // ss
  [ck, k] = hkdf2(ck, dh(input.initiatorStatic, responderStatic));

  const sealedPayload = seal(k, 0, h, input.payload1);
  h = hash(h, sealedPayload);

  return { message: concat(ephemeral, sealedEncapsulationKey, sealedStatic, sealedPayload), ck, h };
}

function writeMessage2(input: HandshakeInput, first: Written): Written {
  const ephemeral = publicKey(input.responderEphemeral);
  let { ck, h } = first;
  let k: Uint8Array;

  // e, mixed into the key as before
  h = hash(h, ephemeral);
  [ck] = hkdf2(ck, ephemeral);

  // ee
  [ck, k] = hkdf2(ck, dh(input.responderEphemeral, publicKey(input.initiatorEphemeral)));

  // ekem1
  let sealedCiphertext: Uint8Array = new Uint8Array(0);
  if (input.hfs) {
    const encapsulationKey = ml_kem768.keygen(input.kemSeed).publicKey;
    const encapsulated = ml_kem768.encapsulate(encapsulationKey, input.kemRandomness);
    sealedCiphertext = seal(k, 0, h, encapsulated.cipherText);
    h = hash(h, sealedCiphertext);
    [ck] = hkdf2(ck, encapsulated.sharedSecret);
  }

  // se
  [ck] = hkdf2(ck, dh(input.responderEphemeral, publicKey(input.initiatorStatic)));

  // psk
  const [pskChainingKey, pskHash, pskKey] = hkdf3(ck, input.psk);
  ck = pskChainingKey;
  h = hash(h, pskHash);
  k = pskKey;

  const sealedPayload = seal(k, 0, h, input.payload2);
  h = hash(h, sealedPayload);

  return { message: concat(ephemeral, sealedCiphertext, sealedPayload), ck, h };
}
