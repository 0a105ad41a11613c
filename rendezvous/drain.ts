import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { aborted } from "../keys/aborted.ts";
import { DRAIN_LEAST_MS } from "../protocol/limits.ts";
import { reasonOf } from "./reason-of.ts";
import type { RendezvousServer } from "./server.ts";

/** How a rendezvous ends that is asked to. */
export interface Drain {
  /** Asks it to. */
  readonly signal: AbortSignal;
  /** How long sessions may go on, at most. */
  readonly seconds: number;
  /** How long legs are waited for whose tickets are out, within that; DRAIN_LEAST_MS when not given. */
  readonly leastMs?: number;
}

/**
 * Returns when it was asked to drain and all sessions are over, those included whose tickets were out when the directory was told;
 * or when the time for that is over, or `signal` comes. Both times count from when it was asked, whether the directory answers or
 * not: whoever is told in vain, or late, is served meanwhile all the same. No `report` is under way any more then.
 */
export async function whenDrained(
  server: Pick<RendezvousServer, "whenQuiet" | "sessions">,
  { signal: drain, seconds, leastMs = DRAIN_LEAST_MS }: Drain,
  {
    report,
    log,
    signal,
  }: {
    readonly report: (signal: AbortSignal) => Promise<void>;
    readonly log: Logger;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  await aborted(AbortSignal.any([drain, signal]));
  if (signal.aborted || seconds === 0) return;
  log.info({ seconds }, "rendezvous drains");
  const over = new AbortController();
  const limit = AbortSignal.any([signal, over.signal, AbortSignal.timeout(seconds * 1000)]);
  const told = report(limit).catch((error: unknown) => {
    if (!limit.aborted) log.warn(reasonOf(error), "the directory is not told that this rendezvous drains");
  });
  try {
    await delay(leastMs, undefined, { signal: limit });
    await server.whenQuiet(limit);
  } catch {
    if (server.sessions > 0) log.warn("sessions are cut: they have not ended in time");
  } finally {
    over.abort();
    await told;
  }
}
