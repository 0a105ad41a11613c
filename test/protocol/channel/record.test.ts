import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, hex } from "../../../keys/bytes.ts";
import { PeerError } from "../../../keys/errors.ts";
import { type ChannelRecord, encodeRecord, parseRecord } from "../../../protocol/channel/record.ts";
import { RecordSealer } from "../../../protocol/channel/record-sealer.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { nobleSuite } from "../../../protocol/suite/noble.ts";

interface Golden {
  /** Plaintexts, by the name of the example. */
  readonly plaintexts: Readonly<Record<string, string>>;
  /** The examples `sealed.records`, sealed in order under `sealed.key`. */
  readonly sealed: { readonly key: string; readonly records: readonly string[]; readonly bytes: string };
}

const GOLDEN: Golden = JSON.parse(readFileSync(join(import.meta.dirname, "../golden/records.json"), "utf8"));

const EXAMPLES: Readonly<Record<string, ChannelRecord>> = {
  CONFIRM: { type: "confirm", next: 0 },
  OPEN: { type: "open", stream: 1, window: 4_194_304, service: "ssh" },
  "OPEN of a port": { type: "open", stream: 2, window: 65_536, service: "tcp:127.0.0.1:8080" },
  OPENED: { type: "opened", stream: 1, window: 4_194_304 },
  DATA: { type: "data", stream: 1, bytes: Buffer.from("SSH-2.0-OpenSSH_9.2\r\n") },
  WINDOW: { type: "window", stream: 1, credit: 2_097_152 },
  END: { type: "end", stream: 1 },
  "RESET finished": { type: "reset", stream: 1, code: "finished" },
  "RESET acknowledged": { type: "reset", stream: 1, code: "acknowledged" },
  "RESET refused": { type: "reset", stream: 2, code: "refused" },
  "RESET unreachable": { type: "reset", stream: 2, code: "unreachable" },
  "RESET failed": { type: "reset", stream: 2, code: "failed" },
  "RESET cancelled": { type: "reset", stream: 2, code: "cancelled" },
  "RESET closed": { type: "reset", stream: 2, code: "closed" },
  PING: { type: "ping", value: 0x0102030405060708n },
  PONG: { type: "pong", value: 0x0102030405060708n },
  "CLOSE finished": { type: "close", code: "finished" },
  "CLOSE going-away": { type: "close", code: "going-away" },
  "CLOSE protocol-error": { type: "close", code: "protocol-error" },
  "CLOSE revoked": { type: "close", code: "revoked" },
  "CLOSE failed": { type: "close", code: "failed" },
};

test("there are golden bytes for every example, and no others", () => {
  expect(Object.keys(GOLDEN.plaintexts)).toEqual(Object.keys(EXAMPLES));
});

test.each(Object.entries(EXAMPLES))("%s has its golden bytes, and they parse to it", (name, record) => {
  const golden = GOLDEN.plaintexts[name] ?? "";
  expect(hex(concat(...encodeRecord(record)))).toBe(golden);
  const parsed = parseRecord(fromHex(golden));
  expect(plain(parsed)).toEqual(plain(record));
});

test.each([nativeSuite, nobleSuite])("$name seals the golden session", (suite) => {
  const sealer = new RecordSealer(suite.aead(fromHex(GOLDEN.sealed.key)));
  const records = GOLDEN.sealed.records.map((name) => EXAMPLES[name]).filter((record) => record !== undefined);
  expect(hex(concat(...records.flatMap((record) => sealer.seal(record))))).toBe(GOLDEN.sealed.bytes);
});

describe("what is no record is refused:", () => {
  test.each(Object.entries(GOLDEN.plaintexts))("%s cut short anywhere, or longer by a byte", (name, golden) => {
    const bytes = fromHex(golden);
    const variable = name.startsWith("DATA");
    for (let length = 0; length < (variable ? 6 : bytes.length); length++) refuse(bytes.subarray(0, length));
    if (!variable) refuse(concat(bytes, Uint8Array.of(0)));
  });

  test.each([0, 8, 11, 13, 255])("type %i", (type) => {
    for (const length of [0, 1, 4, 5, 8, 16]) refuse(concat(Uint8Array.of(type), new Uint8Array(length).fill(1)));
  });

  test.each([
    ["DATA without bytes", "0400000001"],
    ["stream 0", "0600000000"],
    ["credit 0", "050000000100000000"],
    ["a window above 2^31", "030000000180000001"],
    ["an unknown RESET code", "070000000107"],
    ["an unknown CLOSE code", "0c05"],
    ["a CONFIRM number beyond 2^53", "010020000000000000"],
    ["a service without a character", "0200000001000100000000"],
    ["a service with a space", "0200000001000100000003732068"],
    ["a service with a control character", "0200000001000100000003730a68"],
    ["a service that is not ASCII", "0200000001000100000003c3a968"],
    ["a service that is not UTF-8", "0200000001000100000003c36868"],
    ["a service of 513 characters", `0200000001000100000201${"73".repeat(513)}`],
    ["DATA of 65,537 bytes", `0400000001${"00".repeat(65_537)}`],
  ])("%s", (_, bytes) => {
    refuse(fromHex(bytes));
  });

  test("any bytes are one record or a PeerError, and a record has no second form", () => {
    fc.assert(
      fc.property(fc.tuple(fc.integer({ min: 0, max: 14 }), fc.uint8Array({ maxLength: 40 })), ([type, body]) => {
        const bytes = concat(Uint8Array.of(type), body);
        let record: ChannelRecord;
        try {
          record = parseRecord(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(PeerError);
          return;
        }
        expect(hex(concat(...encodeRecord(record)))).toBe(hex(bytes));
      }),
      { numRuns: 3000 },
    );
  });
});

function refuse(bytes: Uint8Array): void {
  expect(() => parseRecord(bytes)).toThrow(expect.objectContaining({ name: "PeerError", code: "E_PROTOCOL" }));
}

/** Bytes of any array type compare as hex. */
function plain(record: ChannelRecord): unknown {
  return record.type === "data" ? { ...record, bytes: hex(record.bytes) } : record;
}
