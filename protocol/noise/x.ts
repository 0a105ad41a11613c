import type { HandshakePattern } from "./handshake-pattern.ts";

/** Noise rev 34 section 7.4, one-way: to a known recipient, the sender's static key encrypted along. */
export const X: HandshakePattern = {
  protocolName: "Noise_X_25519_ChaChaPoly_SHA256",
  preMessages: { initiator: [], responder: ["s"] },
  messages: [["e", "es", "s", "ss"]],
};
