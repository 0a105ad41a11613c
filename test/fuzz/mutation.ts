import { concat, utf8 } from "../../keys/bytes.ts";
import type { Random } from "./random.ts";

/** What a mutation may put in: words and bytes that mean something to the parser. */
export type Dictionary = readonly Uint8Array[];

/** For every text: what grammars, terminals, JSON and UTF-8 stumble over. */
export const TEXT_WORDS: Dictionary = words(
  ..."@ # : / . , = - _ * % $ ~ ; | & < > ( ) [ ] { } ' \" \\ ` ! ? + 0 00 -1 65535 65536 4294967296 1e3 1.0 -0 NaN".split(
    " ",
  ),
  ..."null true false [] {} [[ ]] \\u0000 \\ud800 \\u0061 \\n \\/".split(" "),
  '"__proto__":{"polluted":true},',
  '{"__proto__":{"polluted":true}}',
  '"constructor":{"prototype":{"polluted":true}},',
  "__proto__",
  "constructor",
  "toString",
  '"v":1,',
  " ",
  "  ",
  "\t",
  "\n",
  "\r\n",
  "\0",
  "\u007f",
  "\u0085",
  "\u00e9",
  "e\u0301",
  "\u2028",
  "\u202e",
  "\ufeff",
  "\ufffd",
  "\u{1f511}",
  "--",
  "-o",
  "-l",
  "${HOME}",
  "%h",
);

/** Numbers at the borders of lengths, counts and codes. */
const EDGES = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0xffffff, 0x7fffffff, 0x80000000, 0xffffffff,
];

const LONGEST = 256 * 1024;

/**
 * An input for a parser: a valid sample, most often with one to four things done to it, now and then bytes of no meaning.
 * `samples` must not be empty.
 */
export function mutated(random: Random, samples: readonly Uint8Array[], dictionary: Dictionary): Uint8Array {
  const kind = random.below(64);
  if (kind === 0) return random.bytes(random.below(random.pick([4, 32, 300, 2000])));
  let bytes = random.pick(samples);
  if (kind <= 4) return bytes;
  for (let count = 1 + random.below(random.pick([1, 1, 2, 4])); count > 0; count--) {
    bytes = once(random, bytes, samples, dictionary);
  }
  return bytes.length > LONGEST ? bytes.subarray(0, LONGEST) : bytes;
}

function once(random: Random, bytes: Uint8Array, samples: readonly Uint8Array[], dictionary: Dictionary): Uint8Array {
  const { length } = bytes;
  const at = random.below(length + 1);
  const span = Math.min(length - at, 1 + random.below(random.pick([1, 4, 16, 200])));
  const kinds = dictionary.length > 0 ? 14 : 12;
  switch (random.below(kinds)) {
    case 0: // a bit flipped
      return changed(bytes, at, (byte) => byte ^ (1 << random.below(8)));
    case 1: // a byte of interest, or any
      return changed(bytes, at, () => (random.below(2) === 0 ? random.pick(EDGES) : random.next()));
    case 2: // a byte one more or less, as a length or a count would be
      return changed(bytes, at, (byte) => byte + (random.below(2) === 0 ? 1 : -1));
    case 3: // cut off
      return bytes.subarray(0, at);
    case 4: // longer
      return concat(
        bytes,
        random.below(2) === 0 ? new Uint8Array(1 + random.below(40)) : random.bytes(1 + random.below(40)),
      );
    case 5: {
      // the head of one and the tail of another
      const other = random.pick(samples);
      return concat(bytes.subarray(0, at), other.subarray(random.below(other.length + 1)));
    }
    case 6:
    case 7: // a field of one, two, three, four or eight bytes at its edges
      return withInteger(random, bytes, at);
    case 8: {
      // a piece repeated, a few times or many
      const times = 1 + random.below(random.pick([1, 1, 2, 2, 3, 3, 8, 8, 70, 300]));
      const piece = bytes.subarray(at, at + span);
      return concat(bytes.subarray(0, at), ...Array.from({ length: times }, () => piece), bytes.subarray(at));
    }
    case 9: {
      // two pieces swapped
      const from = Math.min(at, length - span);
      const middle = from + Math.floor(span / 2);
      return concat(
        bytes.subarray(0, from),
        bytes.subarray(middle, from + span),
        bytes.subarray(from, middle),
        bytes.subarray(from + span),
      );
    }
    case 10: // a piece taken out
      return concat(bytes.subarray(0, at), bytes.subarray(at + span));
    case 11: // bytes put in
      return concat(bytes.subarray(0, at), random.bytes(span), bytes.subarray(at));
    case 12: // a word put in
      return concat(bytes.subarray(0, at), random.pick(dictionary), bytes.subarray(at));
    default: // a word put over what was there
      return concat(bytes.subarray(0, at), random.pick(dictionary), bytes.subarray(at + span));
  }
}

function changed(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(change(0));
  const copy = bytes.slice();
  const place = Math.min(at, bytes.length - 1);
  copy[place] = change(copy[place] ?? 0);
  return copy;
}

/** Big-endian, as all of ours are and SSH's. */
function withInteger(random: Random, bytes: Uint8Array, at: number): Uint8Array {
  const size = random.pick([1, 2, 2, 3, 4, 8]);
  const copy = bytes.slice();
  const from = Math.max(0, Math.min(at, bytes.length - size));
  let now = 0;
  for (let i = from; i < from + size; i++) now = now * 256 + (copy[i] ?? 0);
  const left = Math.max(0, bytes.length - from - size);
  let value = random.pick([
    random.pick(EDGES),
    256 ** size - 1,
    256 ** size - 2,
    now + 1,
    Math.max(0, now - 1),
    left,
    left + 1,
  ]);
  for (let i = from + size - 1; i >= from; i--) {
    if (i < copy.length) copy[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return copy;
}

/** Pieces of `bytes` with borders anywhere, empty pieces and single bytes included. */
export function pieces(random: Random, bytes: Uint8Array): Uint8Array[] {
  const cut: Uint8Array[] = [];
  const longest = random.pick([1, 3, 16, 300, 70_000]);
  for (let at = 0; at < bytes.length; ) {
    // Many single bytes of a long input would be all that a run is busy with.
    const length = cut.length > 200 ? bytes.length - at : random.below(longest + 1);
    cut.push(bytes.subarray(at, at + length));
    at += length;
  }
  return cut;
}

export function words(...texts: readonly string[]): Uint8Array[] {
  return texts.map((text) => utf8(text));
}
