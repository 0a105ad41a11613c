/** The span in which a wait ends, ms: that of the first, the longest, and what it is at least where one doubles from too little. */
export interface RetrySpans {
  readonly first: number;
  readonly limit: number;
  readonly least?: number;
}

/**
 * Milliseconds until the next attempt after `failures` in a row: at `random`, from 0 to 1, of a span that doubles with each of
 * them. Whoever is one of many gives each time another number (full jitter); 1 is the end of the span.
 */
export function retryDelay(failures: number, random: number, { first, limit, least = 0 }: RetrySpans): number {
  return Math.floor(random * Math.max(least, Math.min(limit, first * 2 ** Math.min(failures, 32))));
}
