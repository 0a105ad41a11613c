import { UnavailableError } from "../keys/errors.ts";
import { LEG_PREFIX } from "../protocol/leg-hello.ts";
import { formatRendezvousAddress, type RendezvousAddress } from "../protocol/rendezvous-address.ts";
import { ConnectError, type ConnectOptions, connectFirst } from "./connect.ts";
import { readLegAnswer } from "./leg-answer.ts";

/**
 * Looks whether a rendezvous answers at an address, by a hello that is none: what refuses it as a rendezvous does is one. So a
 * proxy or firewall that takes every connection is not taken for it.
 * @throws {UnavailableError} E_RENDEZVOUS; the signal's reason when it is aborted.
 */
export async function lookAtRendezvous(address: RendezvousAddress, options: ConnectOptions): Promise<void> {
  await roundTripTo([{ address }], options);
}

/** The same, at the first of its addresses that can be connected to: ms from that word to the answer. @throws likewise. */
export async function roundTripTo(
  places: readonly { readonly address: RendezvousAddress }[],
  options: ConnectOptions,
): Promise<number> {
  try {
    const { stream, place } = await connectFirst(places, options);
    stream.on("error", () => {}); // its close tells
    try {
      const start = performance.now();
      stream.write(Uint8Array.of(LEG_PREFIX, 0, 0));
      const { status } = await readLegAnswer(stream, options.signal);
      if (status === "closed")
        throw unreached(`${formatRendezvousAddress(place.address)} (it takes the connection and says nothing)`);
      return performance.now() - start;
    } finally {
      stream.destroy();
    }
  } catch (cause) {
    if (cause instanceof ConnectError) throw unreached(cause.reasons.join(", "), cause);
    throw cause;
  }
}

function unreached(fact: string, cause?: unknown): UnavailableError {
  return new UnavailableError("E_RENDEZVOUS", fact, { cause });
}
