/** Where the time comes from; an argument, so that tests can set it. */
export interface Clock {
  /** ms since 1970 UTC: for what others see. */
  now(): number;
  /** ms that no clock setting changes: for durations. */
  monotonic(): number;
  /** Calls `action` every `ms`; returns what ends that. */
  every(ms: number, action: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  every(ms, action) {
    const timer = setInterval(action, ms);
    return () => clearInterval(timer);
  },
};
