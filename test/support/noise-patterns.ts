import type { HandshakePattern, Token } from "../../protocol/noise/handshake-pattern.ts";
import { IKhfsPsk2 } from "../../protocol/noise/ikhfs-psk2.ts";
import { X } from "../../protocol/noise/x.ts";

type PreMessages = HandshakePattern["preMessages"];

const NONE_KNOWN: PreMessages = { initiator: [], responder: [] };
const RESPONDER_KNOWN: PreMessages = { initiator: [], responder: ["s"] };
const BOTH_KNOWN: PreMessages = { initiator: ["s"], responder: ["s"] };

/** Patterns by the first part of their names, `Noise_` left off: our own X, IKpsk2 from our own IKhfs+psk2, others from the specification. */
export const PATTERNS: ReadonlyMap<string, HandshakePattern> = new Map(
  [
    X,
    withoutHfs(IKhfsPsk2, "IKpsk2"),
    pattern("N", RESPONDER_KNOWN, ["e es"]),
    pattern("K", BOTH_KNOWN, ["e es ss"]),
    pattern("Xpsk1", RESPONDER_KNOWN, ["e es s ss psk"]),
    pattern("NN", NONE_KNOWN, ["e", "e ee"]),
    pattern("NNpsk2", NONE_KNOWN, ["e", "e ee psk"]),
    pattern("NK", RESPONDER_KNOWN, ["e es", "e ee"]),
    pattern("NKpsk2", RESPONDER_KNOWN, ["e es", "e ee psk"]),
    pattern("KK", BOTH_KNOWN, ["e es ss", "e ee se"]),
    pattern("KKpsk2", BOTH_KNOWN, ["e es ss", "e ee se psk"]),
    pattern("XK", RESPONDER_KNOWN, ["e es", "e ee", "s se"]),
    pattern("XX", NONE_KNOWN, ["e", "e ee s es", "s se"]),
    pattern("XXpsk3", NONE_KNOWN, ["e", "e ee s es", "s se psk"]),
    pattern("IK", RESPONDER_KNOWN, ["e es s ss", "e ee se"]),
    pattern("IKpsk1", RESPONDER_KNOWN, ["e es s ss psk", "e ee se"]),
  ].map((it) => [it.protocolName.split("_")[1] ?? "", it]),
);

function pattern(name: string, preMessages: PreMessages, messages: readonly string[]): HandshakePattern {
  return {
    protocolName: `Noise_${name}_25519_ChaChaPoly_SHA256`,
    preMessages,
    messages: messages.map((tokens) => tokens.split(" ") as Token[]),
  };
}

/** The same token table with the KEM's tokens off, under the name that it has then. */
function withoutHfs(hybrid: HandshakePattern, name: string): HandshakePattern {
  const messages = hybrid.messages.map((tokens) => tokens.filter((token) => token !== "e1" && token !== "ekem1"));
  return { ...hybrid, protocolName: `Noise_${name}_25519_ChaChaPoly_SHA256`, messages };
}
