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
  const where = formatRendezvousAddress(address);
  try {
    const { stream } = await connectFirst([{ address }], options);
    stream.on("error", () => {}); // its close tells
    try {
      stream.write(Uint8Array.of(LEG_PREFIX, 0, 0));
      const { status } = await readLegAnswer(stream, options.signal);
      if (status === "closed") throw unreached(`${where} (it takes the connection and says nothing)`);
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
