import * as fc from "fast-check";
import { PeerError } from "../../keys/errors.ts";
import { bytesParser, type Parser, streamParser } from "./subject.ts";
import { serve } from "./thread.ts";

/* Parsers that keep none of the promises, each in its own way, and one that does: so the fuzzer itself can be tried. */

const kept: unknown[] = [];
const samples = fc.uint8Array({ minLength: 20, maxLength: 20 });
const row = (name: string, parse: (bytes: Uint8Array) => unknown, print?: (value: unknown) => Uint8Array): Parser => ({
  name,
  covers: [],
  make: () => bytesParser({ samples, parse, ...(print && { print }) }),
});

function refuseShort(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 20) throw new PeerError("E_PROTOCOL", "too short");
  return bytes;
}

serve([
  row("good", refuseShort, (value) => value as Uint8Array),
  row("throws", (bytes) => {
    if (bytes.includes(0x42)) throw new TypeError("0x42 is not expected");
    return refuseShort(bytes);
  }),
  row("two forms", refuseShort, (value) => (value as Uint8Array).map((byte) => (byte === 0x42 ? 0x43 : byte))),
  row("hangs", (bytes) => {
    while (bytes.includes(0x42));
    return refuseShort(bytes);
  }),
  row("slow", (bytes) => {
    const end = performance.now() + (bytes.includes(0x42) ? 400 : 0);
    while (performance.now() < end);
    return refuseShort(bytes);
  }),
  row("allocates", (bytes) => {
    kept[0] = new Uint8Array(((bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)) * 256);
    return refuseShort(bytes);
  }),
  row("leaks", (bytes) => {
    kept.push(new Uint8Array(2000));
    return refuseShort(bytes);
  }),
  row("creeps", (bytes) => {
    kept.push(Array.from({ length: 16 }, () => 0)); // some 170 bytes, of which fewer inputs than all are not too much
    return refuseShort(bytes);
  }),
  row("pollutes", (bytes) => {
    if (bytes.includes(0x42)) Object.assign(Object.prototype, { polluted: true });
    return refuseShort(bytes);
  }),
  row("refuses all", () => undefined),
  {
    name: "minds borders",
    covers: [],
    make: () =>
      streamParser({
        samples,
        run: (chunks) => ({ values: [chunks[0]?.[0]], end: chunks.length > 2 ? "E_PROTOCOL" : "more" }),
        isAccepted: () => true,
      }),
  },
]);
