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
  const { name } = attempt.device;
  const byName = withPinnedName(error, attempt, keys);
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(SUGGESTION_MS)]);
    const devices = await listDevices(directory, sender, name, { signal: patience });
    const members = devices.map((device) => device.member);
    const all = `   All that you may see: sshnp ls ${attempt.client} ${name}`;
    return withNearest(error, attempt, "member", members, all) ?? byName;
  } catch (cause) {
    if (cause instanceof SshnpError || signal.aborted || isTimeout(cause)) return byName;
    throw cause;
  }
}

function withPinnedName(error: DeniedError, attempt: Attempt, keys: string): DeniedError {
  const names = knownDevices(keys).map((device) => device.name);
  if (names.includes(attempt.device.name)) return error; // the name is right
  return withNearest(error, attempt, "name", names) ?? error;
}

/** The error with the one of `known` that is most like what was asked for as `part` of the device; undefined: none is. */
function withNearest<Part extends "name" | "member">(
  error: DeniedError,
  attempt: Attempt,
  part: Part,
  known: readonly Attempt["device"][Part][],
  more = "",
): DeniedError | undefined {
  const meant = nearest(attempt.device[part], known);
  if (meant === undefined) return undefined;
  const device = { ...attempt.device, [part]: meant };
  return new DeniedError("E_UNKNOWN_NAME", `${error.message} Did you mean ${meant}?`, {
    next: `Then: ${commandFor({ ...attempt, device })}${more}`,
  });
}

function isTimeout(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === "TimeoutError";
}
