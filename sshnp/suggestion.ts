import { type DirectoryClient, listDevices } from "../directory/client.ts";
import { DeniedError, SshnpError } from "../keys/errors.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import { SUGGESTION_MS } from "../protocol/limits.ts";
import { nearest } from "../protocol/policy/nearest.ts";
import { type Attempt, commandFor } from "./attempt.ts";
import { knownDevices } from "./pinned-devices.ts";

/**
 * An error about a device that is not there, with the one that was probably meant, of those that the directory lists for this
 * client, or else of those with a name like it that this machine has pinned; as it is where none is like it or the list does not
 * come in SUGGESTION_MS. Only a failure costs the question. `keys`: the keys folder.
 */
export async function withSuggestion(
  error: DeniedError,
  attempt: Attempt,
  {
    directory,
    sender,
    keys,
    signal,
  }: {
    readonly directory: DirectoryClient;
    readonly sender: X25519PrivateKey;
    readonly keys: string;
    readonly signal: AbortSignal;
  },
): Promise<DeniedError> {
  const { name, member } = attempt.device;
  const byName = withPinnedName(error, attempt, keys);
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(SUGGESTION_MS)]);
    const devices = await listDevices(directory, sender, name, { signal: patience });
    const word = nearest(
      member,
      devices.map((device) => device.member),
    );
    const meant = devices.find((device) => device.member === word)?.member;
    if (meant === undefined) return byName;
    return new DeniedError("E_UNKNOWN_NAME", `${error.message} Did you mean ${meant}?`, {
      next: `Then: ${commandFor({ ...attempt, device: { name, member: meant } })}   All that you may see: sshnp ls ${attempt.client} ${name}`,
    });
  } catch (cause) {
    if (cause instanceof SshnpError || signal.aborted || isTimeout(cause)) return byName;
    throw cause;
  }
}

function withPinnedName(error: DeniedError, attempt: Attempt, keys: string): DeniedError {
  const { name, member } = attempt.device;
  const devices = knownDevices(keys);
  if (devices.some((device) => device.name === name)) return error; // the name is right
  const word = nearest(
    name,
    devices.map((device) => device.name),
  );
  const meant = devices.find((device) => device.name === word)?.name;
  if (meant === undefined) return error;
  return new DeniedError("E_UNKNOWN_NAME", `${error.message} Did you mean ${meant}?`, {
    next: `Then: ${commandFor({ ...attempt, device: { name: meant, member } })}`,
  });
}

function isTimeout(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === "TimeoutError";
}
