import { SecurityError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { DIRECTORY_CONNECT_MS, KEY_LIST_BYTES, SIGNATURE_BYTES } from "../../protocol/limits.ts";
import { parseSignedText } from "../../protocol/messages/link.ts";
import { exchange, notADirectory, unreachable } from "./http-exchange.ts";

/**
 * The key list that the directory at `base` gives; nothing of it is verified.
 * @throws {UnavailableError} E_DIRECTORY; the signal's reason.
 */
export async function readKeyList(
  base: URL,
  {
    signal,
    isBackground,
    warn,
    onAnswered,
  }: {
    readonly signal: AbortSignal;
    readonly isBackground: boolean;
    readonly warn: (text: string) => void;
    /** Told the address of whoever answers, before anything is verified. */
    readonly onAnswered?: (address: string | undefined) => void;
  },
): Promise<SignedText> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // A list that drips in keeps every single wait alive; the whole must come in time.
  const whole = AbortSignal.any([signal, AbortSignal.timeout(DIRECTORY_CONNECT_MS)]);
  try {
    for await (const chunk of exchange({
      ...{ base, route: "/v1/keys", signal: whole, isBackground, warn },
      ...(onAnswered && { onAnswered }),
    })) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > KEY_LIST_BYTES + SIGNATURE_BYTES + 4) throw notADirectory(base, "too long an answer");
    }
  } catch (error) {
    signal.throwIfAborted();
    throw whole.aborted ? unreachable(base, Object.assign(new Error("too slow"), { code: "ETIMEDOUT" })) : error;
  }
  try {
    return parseSignedText(Buffer.concat(chunks));
  } catch (cause) {
    throw notADirectory(base, "no key list", cause);
  }
}

/** `now` in ms since 1970 UTC. @throws {SecurityError} E_DIRECTORY_LIST. */
export function refuseExpired(expires: number, now: number): void {
  if (now < expires) return;
  throw new SecurityError("E_DIRECTORY_LIST", "The directory gives a key list that has expired.", {
    next: "Somebody may be replaying an old one. Ask whoever runs the directory; sshnp-directory run signs a new one every week.",
  });
}
