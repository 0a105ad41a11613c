import { once } from "node:events";

/** Resolves once `signal` is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

/** Rejects then, with its reason. */
export async function abortOf(signal: AbortSignal): Promise<never> {
  await aborted(signal);
  throw signal.reason;
}
