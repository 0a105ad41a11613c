import { type DirectoryClient, listDevices } from "../directory/client.ts";
import { DeniedError, SshnpError } from "../keys/errors.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import { SUGGESTION_MS } from "../protocol/limits.ts";
import { nearest } from "../protocol/policy/nearest.ts";
import { type Attempt, commandFor } from "./attempt.ts";

/**
 * An error about a device that is not there, with the one that was probably meant, of those that the directory lists for this
 * client; as it is where none is like it or the list does not come in SUGGESTION_MS. Only a failure costs the question.
 */
export async function withSuggestion(
  error: DeniedError,
  attempt: Attempt,
  {
    directory,
    sender,
    signal,
  }: { readonly directory: DirectoryClient; readonly sender: X25519PrivateKey; readonly signal: AbortSignal },
): Promise<DeniedError> {
  const { name, member } = attempt.device;
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(SUGGESTION_MS)]);
    const devices = await listDevices(directory, sender, name, { signal: patience });
    const word = nearest(
      member,
      devices.map((device) => device.member),
    );
    const meant = devices.find((device) => device.member === word)?.member;
    if (meant === undefined) return error;
    return new DeniedError("E_UNKNOWN_NAME", `${error.message} Did you mean ${meant}?`, {
      next: `Then: ${commandFor({ ...attempt, device: { name, member: meant } })}   All that you may see: sshnp ls ${attempt.client} ${name}`,
    });
  } catch (cause) {
    if (cause instanceof SshnpError || signal.aborted || isTimeout(cause)) return error;
    throw cause;
  }
}

function isTimeout(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === "TimeoutError";
}
