import type { HandshakePattern } from "./handshake-pattern.ts";

/**
 * IK (Noise rev 34 section 7.5) with hybrid forward secrecy (HFS draft) and a psk at the end of the second message
 * (Noise rev 34 section 9.4): the handshake of a session.
 */
export const IKhfsPsk2: HandshakePattern = {
  protocolName: "Noise_IKhfs+psk2_25519+MLKEM768_ChaChaPoly_SHA256",
  preMessages: { initiator: [], responder: ["s"] },
  messages: [
    ["e", "es", "e1", "s", "ss"],
    ["e", "ee", "ekem1", "se", "psk"],
  ],
};
