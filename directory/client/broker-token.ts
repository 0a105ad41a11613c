import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { sealMessage } from "../../protocol/sealed-message.ts";

interface Directory {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  /** ms since 1970 UTC. */
  readonly directoryTime: number;
}

/** The password of one connection to a broker, of use for FRESHNESS_MS: base64url of a message that the directory can open. */
export function brokerToken(
  { suite, random, directoryTime: time }: Directory,
  parties: { readonly sender: X25519PrivateKey; readonly recipient: X25519PublicKey },
): string {
  const content = { freshness: { kind: "time", time }, id: random(16), type: LINK.brokerToken } as const;
  const { bytes } = sealMessage(suite, random, parties, { ...content, body: new Uint8Array(0) });
  return Buffer.from(bytes).toString("base64url");
}
