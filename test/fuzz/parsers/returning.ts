import * as fc from "fast-check";
import { retryAfter, returnReason, toldRetryAfter, toldReturn } from "../../../directory/returning.ts";
import { words } from "../mutation.ts";
import { type Parser, textParser } from "../subject.ts";

/** What a directory, or whoever is in between, says of when to come back. */
export const RETURN_PARSERS: readonly Parser[] = [
  {
    name: "reason of a link's close",
    covers: ["directory/returning.ts#toldReturn"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc.nat(60_000).map(returnReason),
        parse: (text) => toldReturn(text) ?? "none",
        holds: (ms) => ms === "none" || (Number.isInteger(ms) && ms >= 0 && ms < 1e9),
        words: words("back in ", " ms", "-1", "1e3", "Infinity"),
      }),
  },
  {
    name: "Retry-After",
    covers: ["directory/returning.ts#toldRetryAfter"],
    isTotal: true,
    make: () =>
      textParser({
        samples: fc.nat(60_000).map(retryAfter),
        parse: (text) => toldRetryAfter(text),
        holds: (ms) => Number.isInteger(ms) && ms >= 0 && ms < 1e7,
        words: words("Fri, 31 Dec 1999 23:59:59 GMT", "-1", "1e3", "0x10"),
      }),
  },
];
