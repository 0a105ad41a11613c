import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, hex } from "../../../keys/bytes.ts";
import { PeerError } from "../../../keys/errors.ts";
import { type ChannelRecord, encodeRecord } from "../../../protocol/channel/record.ts";
import { RecordOpener } from "../../../protocol/channel/record-opener.ts";
import { RecordSealer } from "../../../protocol/channel/record-sealer.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { recorded } from "./pair.ts";

const KEY = new Uint8Array(32).fill(7);
const OTHER_KEY = new Uint8Array(32).fill(8);
const HUNDRED: readonly ChannelRecord[] = Array.from({ length: 100 }, (_, i) =>
  i % 3 === 0
    ? { type: "ping", value: BigInt(i) }
    : { type: "data", stream: i, bytes: new Uint8Array(1 + ((i * 37) % 60)).fill(i) },
);
const SEALED = sealAll(HUNDRED);

test("any cut of the bytes gives the same records", () => {
  const records: ChannelRecord[] = [
    ...HUNDRED.slice(0, 20),
    { type: "data", stream: 1, bytes: new Uint8Array(65_536).fill(1) },
    ...HUNDRED.slice(0, 5),
    { type: "data", stream: 2, bytes: new Uint8Array(65_536).fill(2) },
  ];
  const bytes = concat(...sealAll(records));
  const expected = records.map(plaintext);
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(40), fc.nat(70_000)), { maxLength: 400 }), (cuts) => {
      expect(openAll(new RecordOpener(nativeSuite.aead(KEY)), chunks(bytes, cuts)).opened).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test("byte by byte gives the same records", () => {
  const { opened, error } = openAll(new RecordOpener(nativeSuite.aead(KEY)), chunks(concat(...SEALED), [], 1));
  expect(error).toBeUndefined();
  expect(opened).toEqual(HUNDRED.map(plaintext));
});

test("plaintexts keep their bytes while later records are read", () => {
  const opener = new RecordOpener(nativeSuite.aead(KEY));
  const plaintexts: Uint8Array[] = [];
  for (const chunk of chunks(concat(...SEALED), [], 11)) {
    opener.push(chunk);
    for (let text = opener.next(); text !== undefined; text = opener.next()) plaintexts.push(text);
    chunk.fill(0xee);
  }
  expect(plaintexts.map(hex)).toEqual(HUNDRED.map(plaintext));
});

test("any flipped bit of a hundred records is refused, and nothing behind it is opened", () => {
  const accepted: string[] = [];
  for (const [number, record] of SEALED.entries()) {
    const following = SEALED[number + 1] ?? new Uint8Array(0);
    for (let bit = 0; bit < 8 * record.length; bit++) {
      const { opened, error } = openAll(new RecordOpener(nativeSuite.aead(KEY), number), [
        flip(record, bit),
        following,
      ]);
      // A length that grew may still wait for bytes that never come; everything else is known at once.
      const refused = error instanceof PeerError || (bit < 24 && error === undefined);
      if (!refused || opened.length > 0) accepted.push(`record ${number}, bit ${bit}`);
    }
  }
  expect(accepted).toEqual([]);
});

test("a length that was made longer swallows what follows, and is then refused", () => {
  const swallowing = flip(SEALED[0] ?? KEY, 8 + 7); // 256 bytes more
  const { opened, error } = openAll(new RecordOpener(nativeSuite.aead(KEY)), [swallowing, ...SEALED.slice(1)]);
  expect(opened).toEqual([]);
  expect(error).toBeInstanceOf(PeerError);
});

describe("the records before a fault are opened, and none from it on, when an attacker", () => {
  test.each<[string, (records: readonly Uint8Array[], at: number) => readonly Uint8Array[]]>([
    ["drops a record", (records, at) => records.toSpliced(at, 1)],
    ["repeats a record", (records, at) => records.toSpliced(at, 0, records[at - 1] ?? KEY)],
    ["swaps two records", (records, at) => records.toSpliced(at, 2, records[at + 1] ?? KEY, records[at] ?? KEY)],
    ["inserts garbage", (records, at) => records.toSpliced(at, 0, Uint8Array.of(0, 0, 20, ...new Uint8Array(20)))],
    ["inserts an empty record", (records, at) => records.toSpliced(at, 0, Uint8Array.of(0, 0, 0))],
    [
      "inserts a record of another key",
      (records, at) => records.toSpliced(at, 0, sealAll(HUNDRED, OTHER_KEY)[at] ?? KEY),
    ],
    [
      "goes on with another session",
      (records, at) => [...records.slice(0, at), ...sealAll(HUNDRED, OTHER_KEY).slice(at)],
    ],
    ["cuts a tag off", (records, at) => records.with(at, (records[at] ?? KEY).slice(0, -16))],
    ["joins two records under one header", (records, at) => joined(records, at)],
  ])("%s", (_, attack) => {
    for (const at of [1, 2, 50, 97]) {
      const { opened, error } = openAll(new RecordOpener(nativeSuite.aead(KEY)), attack(SEALED, at));
      expect(opened).toEqual(HUNDRED.slice(0, at).map(plaintext));
      expect(error).toMatchObject({ name: "PeerError", code: "E_PROTOCOL" });
    }
  });
});

describe("a length of", () => {
  test.each([0, 1, 15, 16, 65_601, 65_602, 0xffffff])(
    "%i is refused as soon as its three bytes are there",
    (length) => {
      const header = Uint8Array.of(length >> 16, length >> 8, length);
      for (const size of [1, 3]) {
        const opener = new RecordOpener(nativeSuite.aead(KEY));
        expect(openAll(opener, chunks(header, [], size)).error).toMatchObject({ code: "E_PROTOCOL" });
      }
    },
  );

  test.each([17, 65_557, 65_600])("%i is read", (length) => {
    // Sealed without the sealer, which never makes the largest: no record is that long.
    const header = Uint8Array.of(length >> 16, length >> 8, length);
    const text = new Uint8Array(length - 16).fill(5);
    const bytes = concat(header, nativeSuite.aead(KEY).seal(0n, header, text));
    for (const size of [1000, 70_000]) {
      const { opened, error } = openAll(new RecordOpener(nativeSuite.aead(KEY)), chunks(bytes, [], size));
      expect(error).toBeUndefined();
      expect(opened).toEqual([hex(text)]);
    }
  });
});

test("after a failure nothing is opened, not even the true record", () => {
  const opener = new RecordOpener(nativeSuite.aead(KEY));
  const [first = KEY] = SEALED;
  expect(openAll(opener, [flip(first, 100)]).error).toBeInstanceOf(PeerError);
  const again = openAll(opener, [first]);
  expect(again.opened).toEqual([]);
  expect(again.error).toBeInstanceOf(PeerError);
});

test("a key seals and opens 2^32 records and no more", () => {
  const last = 2 ** 32 - 1;
  const record: ChannelRecord = { type: "end", stream: 1 };
  const sealer = new RecordSealer(nativeSuite.aead(KEY), last);
  const opener = new RecordOpener(nativeSuite.aead(KEY), last);
  expect(openAll(opener, [concat(...sealer.seal(record))]).opened).toEqual([plaintext(record)]);
  expect(sealer.spent).toBe(true);
  expect(() => sealer.seal(record)).toThrow(expect.objectContaining({ code: "E_TRUNCATED" }));
  const header = Uint8Array.of(0, 0, 21);
  const beyond = nativeSuite.aead(KEY).seal(BigInt(last) + 1n, header, concat(...encodeRecord(record)));
  expect(openAll(opener, [concat(header, beyond)])).toMatchObject({ opened: [], error: { code: "E_PROTOCOL" } });
});

test("no nonce is used twice in 20,000 records", () => {
  const sealer = new RecordSealer(recorded(nativeSuite.aead(KEY)));
  for (let i = 0; i < 20_000; i++) sealer.seal({ type: "end", stream: 1 });
});

function sealAll(records: readonly ChannelRecord[], key = KEY): Uint8Array[] {
  const sealer = new RecordSealer(nativeSuite.aead(key));
  return records.map((record) => concat(...sealer.seal(record)));
}

function plaintext(record: ChannelRecord): string {
  return hex(concat(...encodeRecord(record)));
}

/** What comes out until the bytes end or something is refused. */
function openAll(opener: RecordOpener, pieces: Iterable<Uint8Array>): { opened: string[]; error: unknown } {
  const opened: string[] = [];
  try {
    for (const piece of pieces) {
      opener.push(piece);
      for (let text = opener.next(); text !== undefined; text = opener.next()) opened.push(hex(text));
    }
    return { opened, error: undefined };
  } catch (error) {
    return { opened, error };
  }
}

/** `bytes` in copies of these lengths, then of `rest` bytes each. */
function chunks(bytes: Uint8Array, lengths: readonly number[], rest = bytes.length): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (let i = 0; offset < bytes.length; i++) {
    const length = lengths[i] ?? rest;
    pieces.push(bytes.slice(offset, offset + length));
    offset += length;
  }
  return pieces;
}

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7)));
}

function joined(records: readonly Uint8Array[], at: number): Uint8Array[] {
  const body = concat((records[at] ?? KEY).subarray(3), (records[at + 1] ?? KEY).subarray(3));
  return [...records.slice(0, at), concat(Uint8Array.of(0, body.length >> 8, body.length), body)];
}
