import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite, Kem, RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { LABEL } from "../label.ts";
import type { HandshakeResult } from "../noise/handshake-result.ts";
import { HandshakeState } from "../noise/handshake-state.ts";
import { IKhfsPsk2 } from "../noise/ikhfs-psk2.ts";
import type { Binding } from "../statements.ts";
import { NEW_SESSION_PSK } from "./initiator.ts";
import { type AnswerPayload, encodeAnswerPayload, parseRequestPayload, type RequestPayload } from "./payloads.ts";
import type { Prologue } from "../messages/prologue.ts";

/** The device's half of one session handshake: msg1 in, one msg2 out. */
export class SessionResponder {
  readonly payload: RequestPayload;
  /** The leg key that msg1 brought; its public half is the prologue's. */
  readonly legKey: Ed25519PrivateKey;
  readonly #noise: HandshakeState;

  /**
   * Opens msg1. It counts only if its static key is the one of `clientBinding`, which the caller verified,
   * and not the device's own.
   * @throws {PeerError} E_PROTOCOL when msg1 cannot be opened with this prologue and key.
   * @throws {SecurityError} E_MEMBER_KEY when it comes from another key than the binding's.
   */
  constructor(
    primitives: { readonly suite: CipherSuite; readonly kem: Kem; readonly random: RandomBytes },
    deviceKey: X25519PrivateKey,
    request: {
      /** The prologue as received and as parsed from those bytes. */
      readonly prologueBytes: Uint8Array;
      readonly prologue: Prologue;
      readonly message1: Uint8Array;
      readonly clientBinding: Binding;
    },
  ) {
    const { suite, kem, random } = primitives;
    this.#noise = HandshakeState.responder({
      pattern: IKhfsPsk2,
      suite,
      kem,
      random,
      prologue: request.prologueBytes,
      staticKey: deviceKey,
      psk: NEW_SESSION_PSK,
      label: LABEL,
    });
    // -> e, es, e1, s, ss
    const payload = this.#noise.readMessage(request.message1);
    const remote = this.#noise.remoteStaticKey;
    if (remote?.equals(request.clientBinding.x25519) !== true || remote.equals(deviceKey.publicKey)) {
      throw new SecurityError("E_MEMBER_KEY", "a session request is not made with the key of its client's binding");
    }
    this.payload = parseRequestPayload(payload);
    this.legKey = Ed25519PrivateKey.parse(suite, this.payload.legSeed);
    if (!equalBytes(this.legKey.publicKey.bytes, request.prologue.legKey.bytes)) {
      throw new SecurityError("E_TICKET", "a session request brings another leg key than it names");
    }
  }

  /** msg2, acceptance and refusal alike, and the keys of the records. To be called once. */
  answer(payload: AnswerPayload): { message2: Uint8Array; keys: HandshakeResult } {
    // <- e, ee, ekem1, se, psk
    const message2 = this.#noise.writeMessage(encodeAnswerPayload(payload));
    return { message2, keys: this.#noise.split() };
  }
}
