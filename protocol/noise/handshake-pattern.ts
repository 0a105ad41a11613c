/**
 * What a party does for one part of a handshake message: the tokens of Noise rev 34 (sections 7.1 and 9.1),
 * and `e1`, `ekem1` of the Hybrid Forward Secrecy draft (sections 4 and 5), whose KEM is ML-KEM-768.
 */
export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk" | "e1" | "ekem1";

/** A handshake as data. The initiator writes the first message, then the parties take turns; one message makes it one-way. */
export interface HandshakePattern {
  /** The full protocol name (Noise rev 34 section 8): it begins the transcript. */
  readonly protocolName: string;
  /** Whose static key the other side knows beforehand (Noise rev 34 section 7.1). */
  readonly preMessages: { readonly initiator: readonly ["s"?]; readonly responder: readonly ["s"?] };
  /** The tokens of each message, in order. */
  readonly messages: readonly (readonly Token[])[];
}
