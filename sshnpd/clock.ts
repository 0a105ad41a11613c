import type { Clock } from "../protocol/channel/bind-channel.ts";

/** The machine's clock that does not run backwards. */
export const CLOCK: Clock = {
  now: () => performance.now(),
  after: (milliseconds, action) => {
    const timer = setTimeout(action, milliseconds);
    return () => clearTimeout(timer);
  },
};
