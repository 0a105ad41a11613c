import { concat, dh, hash, hkdf2, publicKey, seal, utf8 } from "./primitives.ts";

/** Everything both ends know and draw. All private keys are X25519, 32 bytes. */
export type OneWayInput = {
  readonly initiatorStatic: Uint8Array;
  readonly responderStatic: Uint8Array;
  readonly initiatorEphemeral: Uint8Array;
  readonly prologue: Uint8Array;
  readonly payload: Uint8Array;
};

export type OneWayOutput = {
  readonly message: Uint8Array;
  /** 32 bytes: h after the message. */
  readonly handshakeHash: Uint8Array;
  /** First key of Split; one-way patterns use no other (Noise revision 34, section 7.4). */
  readonly initiatorToResponderKey: Uint8Array;
};

/**
 * `Noise_X_25519_ChaChaPoly_SHA256` written out from Noise revision 34, sharing nothing with the project's own Noise:
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss
 */
export function runOneWay(input: OneWayInput): OneWayOutput {
  const ephemeral = publicKey(input.initiatorEphemeral);
  const responderStatic = publicKey(input.responderStatic);

  // The name has 31 bytes, so h begins as the name and one zero byte.
  let h = concat(utf8("Noise_X_25519_ChaChaPoly_SHA256"), Uint8Array.of(0));
  let ck = h;
  let k: Uint8Array;
  h = hash(h, input.prologue);
  h = hash(h, responderStatic);

  // e
  h = hash(h, ephemeral);

  // es
  [ck, k] = hkdf2(ck, dh(input.initiatorEphemeral, responderStatic));

  // s
  const sealedStatic = seal(k, 0, h, publicKey(input.initiatorStatic));
  h = hash(h, sealedStatic);

  // ss
  [ck, k] = hkdf2(ck, dh(input.initiatorStatic, responderStatic));

  const sealedPayload = seal(k, 0, h, input.payload);
  h = hash(h, sealedPayload);

  const [initiatorToResponderKey] = hkdf2(ck, new Uint8Array(0));
  return { message: concat(ephemeral, sealedStatic, sealedPayload), handshakeHash: h, initiatorToResponderKey };
}
