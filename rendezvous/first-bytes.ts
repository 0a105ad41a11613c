import { equalBytes, utf8 } from "../keys/bytes.ts";
import { LEG_PREFIX } from "../protocol/leg-hello.ts";

/** What a connection is, by the first bytes that came on it: a leg, or HTTP with one of these methods. */
export function kindOf(
  first: Uint8Array,
  methods: readonly ("GET" | "POST")[],
): "leg" | "http" | "unknown" | "undecided" {
  if (first[0] === LEG_PREFIX) return "leg";
  const method = methods
    .map((name) => BEGINNINGS[name])
    .find((bytes) => {
      const length = Math.min(first.length, bytes.length);
      return equalBytes(first.subarray(0, length), bytes.subarray(0, length));
    });
  if (method === undefined) return "unknown";
  return first.length >= method.length ? "http" : "undecided";
}

const BEGINNINGS = { GET: utf8("GET "), POST: utf8("POST ") };
