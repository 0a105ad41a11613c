import { SshnpError } from "../keys/errors.ts";
import type { ChannelEnd } from "../protocol/channel/bind-channel.ts";

/** How a session ended, for the log. */
export interface EndFields {
  readonly end: "closed" | "broken off" | "failed";
  readonly [field: string]: unknown;
}

export function endFields(end: ChannelEnd): EndFields {
  switch (end.how) {
    case "closed":
      return { end: "closed", by: end.by, code: end.code };
    case "truncated":
      return { end: "broken off", reason: end.cause?.message };
    case "failed":
      return end.error instanceof SshnpError
        ? { end: "failed", reason: end.error.message }
        : { end: "failed", err: end.error };
  }
}
