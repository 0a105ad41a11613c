import type { CipherSuite, Kem, RandomBytes } from "../../keys/cipher-suite.ts";
import { equalBytes } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { LABEL } from "../label.ts";
import type { HandshakeResult } from "../noise/handshake-result.ts";
import { HandshakeState } from "../noise/handshake-state.ts";
import { IKhfsPsk2 } from "../noise/ikhfs-psk2.ts";
import { ticketHash } from "../ticket.ts";
import { type AnswerPayload, encodeRequestPayload, parseAnswerPayload, type RequestPayload } from "./payloads.ts";
import { encodePrologue, type Prologue } from "../messages/prologue.ts";

/** psk of a new session: the slot is there so that resumption runs through the same code. */
export const NEW_SESSION_PSK: Uint8Array = new Uint8Array(32);

/** The client's half of one session handshake: msg1 out, msg2 in. */
export class SessionInitiator {
  /** 16 bytes. */
  readonly sid: Uint8Array;
  /** Signs this session's leg hellos, at both ends. */
  readonly legKey: Ed25519PrivateKey;
  /** The prologue's bytes. */
  readonly prologue: Uint8Array;
  readonly message1: Uint8Array;
  readonly #suite: CipherSuite;
  readonly #noise: HandshakeState;

  constructor(
    primitives: { readonly suite: CipherSuite; readonly kem: Kem; readonly random: RandomBytes },
    keys: { readonly client: X25519PrivateKey; readonly device: X25519PublicKey },
    session: Pick<Prologue, "client" | "device" | "service" | "login"> & Pick<RequestPayload, "sshKey" | "checkpoint">,
  ) {
    const { suite, kem, random } = primitives;
    this.#suite = suite;
    this.sid = random(16);
    this.legKey = Ed25519PrivateKey.generate(suite, random);
    this.prologue = encodePrologue({ ...session, sid: this.sid, legKey: this.legKey.publicKey });
    this.#noise = HandshakeState.initiator({
      pattern: IKhfsPsk2,
      suite,
      kem,
      random,
      prologue: this.prologue,
      staticKey: keys.client,
      remoteStaticKey: keys.device,
      psk: NEW_SESSION_PSK,
      label: LABEL,
    });
    // -> e, es, e1, s, ss
    this.message1 = this.#noise.writeMessage(
      encodeRequestPayload({
        legSeed: this.legKey.secretBytes(),
        checkpoint: session.checkpoint,
        sshKey: session.sshKey,
      }),
    );
  }

  /**
   * Reads the device's answer, a refusal included. `ticket` is the one that the directory gave this client.
   * @throws {PeerError} E_PROTOCOL when msg2 is not the true device's answer to this msg1.
   * @throws {SecurityError} E_TICKET when the directory gave the device another ticket.
   */
  readMessage2(message2: Uint8Array, ticket: Uint8Array): { payload: AnswerPayload; keys: HandshakeResult } {
    // <- e, ee, ekem1, se, psk
    const payload = parseAnswerPayload(this.#noise.readMessage(message2));
    if (!equalBytes(payload.ticketHash, ticketHash(this.#suite, ticket))) {
      throw new SecurityError("E_TICKET", "The directory gave the two ends different tickets.");
    }
    return { payload, keys: this.#noise.split() };
  }
}
