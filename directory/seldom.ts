import type { Logger } from "pino";
import { SshnpError } from "../keys/errors.ts";
import { BROKER_FAILURES_MS } from "../protocol/limits.ts";
import { logFailure } from "./log-failure.ts";

/**
 * Logs failures that come in great numbers, for as many devices as there are: of those with one code, or that are no errors of ours,
 * the first one and then one in BROKER_FAILURES_MS, each with how many before it were not logged.
 */
export function seldom(log: Pick<Logger, "error" | "warn">, text: string): (error: unknown) => void {
  const kinds = new Map<string, { readonly at: number; unsaid: number }>();
  return (error) => {
    const kind = error instanceof SshnpError ? error.code : "fault";
    const last = kinds.get(kind);
    const now = performance.now();
    if (last !== undefined && now - last.at < BROKER_FAILURES_MS) {
      last.unsaid += 1;
      return;
    }
    const unsaid = last?.unsaid ?? 0;
    kinds.set(kind, { at: now, unsaid: 0 });
    logFailure(log, error, text, unsaid > 0 ? { unsaid } : {});
  };
}
