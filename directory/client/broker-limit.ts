import { UnavailableError } from "../../keys/errors.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import type { BrokerLinkOptions } from "./broker-end.ts";

/** How long there is until then (ms, monotonic); what is begun gets 100 ms at least. */
export function leftUntil(until: number): number {
  return Math.max(100, Math.ceil(until - performance.now()));
}

/**
 * The directory's key list, which belongs to the time that a link by the broker may take: the WebSocket waits for its end.
 * @throws {UnavailableError} E_DIRECTORY when it is not there by then; as DirectoryClient.keyList.
 */
export async function keyListWithin(
  { client, signal }: Pick<BrokerLinkOptions, "client" | "signal">,
  until: number,
): Promise<VerifiedKeyList> {
  const limit = AbortSignal.timeout(leftUntil(until));
  try {
    return await client.keyList({ signal: AbortSignal.any([signal, limit]) });
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    throw new UnavailableError("E_DIRECTORY", "The directory's key list was not to be had in time.", {
      next: "The WebSocket to the directory is tried. Check that the directory answers.",
      cause: error,
    });
  }
}
