import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hex, utf8 } from "../../../keys/bytes.ts";
import {
  encodeEntryBundle,
  encodeTile,
  parseEntryBundle,
  parseTile,
  parseTilePath,
  printTilePath,
  TILE_WIDTH,
  type Tile,
  tileNodes,
  tileRoot,
  tileWidth,
} from "../../../protocol/log/tiles.ts";
import { leafHash } from "../../../protocol/log/tree.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { NaiveTree } from "./naive-tree.ts";

const suite = nativeSuite;
const refused = expect.objectContaining({ code: "E_PROTOCOL" });

describe("the path of a tile", () => {
  test.each<[string, Tile]>([
    ["tile/0/000", { level: 0, index: 0, width: 256 }],
    ["tile/0/x001/x234/067", { level: 0, index: 1_234_067, width: 256 }],
    ["tile/1/000.p/17", { level: 1, index: 0, width: 17 }],
    ["tile/2/000.p/1", { level: 2, index: 0, width: 1 }],
    ["tile/0/273.p/112", { level: 0, index: 273, width: 112 }],
    ["tile/0/x001/000.p/255", { level: 0, index: 1000, width: 255 }],
    ["tile/entries/x001/x234/067", { level: "entries", index: 1_234_067, width: 256 }],
    ["tile/entries/000.p/9", { level: "entries", index: 0, width: 9 }],
    ["tile/6/000.p/31", { level: 6, index: 0, width: 31 }],
  ])("%s is parsed and printed", (path, tile) => {
    expect(parseTilePath(path)).toEqual(tile);
    expect(printTilePath(tile)).toBe(path);
  });

  test("is printed and parsed back for any tile of a tree of safe size", () => {
    const level = fc.constantFrom<Tile["level"]>(0, 1, 2, 3, 4, "entries");
    const tile = fc.record({ level, index: fc.nat(7000), width: fc.integer({ min: 1, max: 256 }) });
    const deep = fc.record({
      level: fc.constantFrom<Tile["level"]>(0, "entries"),
      index: fc.maxSafeNat().map((index) => Math.floor(index / 512)),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(fc.oneof(tile, deep), (value) => {
        expect(parseTilePath(printTilePath(value))).toEqual(value);
      }),
    );
  });

  test.each([
    "",
    "tile",
    "/tile/0/000",
    "tile/0/000/",
    "tile/0/0",
    "tile/0/0000",
    "tile/00/000",
    "tile/01/000",
    "tile/7/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/entries/x000/001",
    "tile/0/x000/001",
    "tile/0/001/002",
    "tile/0/x001/x002",
    "tile/0/x1/002",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/01",
    "tile/0/000.p/",
    "tile/0/000.p",
    "tile/0/000.p/1/",
    "tile/0/000 ",
    "tile/0/000\n",
    "tile/data/000",
    "TILE/0/000",
    "tile/0/../000",
    "tile/0/٠٠٠",
    "tile/0/x999/x999/x999/x999/x999/999",
    `tile/0/${"x999/".repeat(10_000)}999`,
    "tile/6/000",
    "tile/6/000.p/32",
    "tile/6/001.p/1",
  ])("%j is none", (path) => {
    expect(() => parseTilePath(path)).toThrow(refused);
  });

  test("is not printed for what is no tile", () => {
    const tile = { level: 0, index: 0, width: 1 } as const;
    for (const spoiled of [
      { width: 0 },
      { width: 257 },
      { width: 1.5 },
      { index: -1 },
      { index: 0.5 },
      { index: 2 ** 46 },
      { level: -1 },
      { level: 7 },
      { level: 0.5 },
    ]) {
      expect(() => printTilePath({ ...tile, ...spoiled })).toThrow(RangeError);
    }
  });
});

test("a tree of 70,000 leaves has the tiles that C2SP tlog-tiles counts", () => {
  const widths = (level: Tile["level"]): number[] =>
    Array.from({ length: 275 }, (_, index) => tileWidth({ level, index }, 70_000)).filter((width) => width > 0);
  expect(widths(0)).toEqual([...Array.from({ length: 273 }, () => 256), 112]);
  expect(widths("entries")).toEqual(widths(0));
  expect(widths(1)).toEqual([256, 17]);
  expect(widths(2)).toEqual([1]);
  expect(widths(3)).toEqual([]);
  expect([tileWidth({ level: 0, index: 0 }, 256), tileWidth({ level: 1, index: 0 }, 256)]).toEqual([256, 1]);
  expect(tileWidth({ level: 0, index: 0 }, 0)).toBe(0);
});

describe("a tile", () => {
  const leaves = Array.from({ length: 600 }, (_, index) => utf8(`leaf ${index}`));
  const naive = new NaiveTree(leaves);
  const hashesOf = (tile: Tile): Uint8Array[] =>
    tileNodes(tile).map(({ level, index }) => naive.root(index * 2 ** level, (index + 1) * 2 ** level));

  test("holds the nodes of every eighth level, from its index on", () => {
    expect(tileNodes({ level: 0, index: 2, width: 3 })).toEqual([
      { level: 0, index: 512 },
      { level: 0, index: 513 },
      { level: 0, index: 514 },
    ]);
    expect(tileNodes({ level: 1, index: 0, width: 2 })).toEqual([
      { level: 8, index: 0 },
      { level: 8, index: 1 },
    ]);
    expect(tileNodes({ level: "entries", index: 1, width: 1 })).toEqual([{ level: 0, index: 256 }]);
  });

  test("that is full makes the hash in the tile above it, and with any bit flipped it does not", () => {
    const above = hashesOf({ level: 1, index: 0, width: 2 });
    for (const index of [0, 1]) {
      const hashes = hashesOf({ level: 0, index, width: TILE_WIDTH });
      expect(hex(tileRoot(suite, hashes))).toBe(hex(above[index] as Uint8Array));
      for (const at of [0, 1, 100, 255]) {
        const hash = hashes[at] as Uint8Array;
        const flipped = hashes.with(at, hash.with(at % 32, (hash[at % 32] ?? 0) ^ 1));
        expect(hex(tileRoot(suite, flipped))).not.toBe(hex(above[index] as Uint8Array));
      }
    }
    expect(() => tileRoot(suite, hashesOf({ level: 0, index: 2, width: 88 }))).toThrow(RangeError);
    expect(() => tileRoot(suite, [])).toThrow(RangeError);
  });

  test("is read as it was written, with as many hashes as its path says", () => {
    for (const width of [1, 88, 256]) {
      const hashes = hashesOf({ level: 0, index: 0, width });
      const bytes = encodeTile(hashes);
      expect(bytes).toHaveLength(32 * width);
      expect(parseTile(bytes, width).map(hex)).toEqual(hashes.map(hex));
      for (const spoiled of [bytes.subarray(1), Uint8Array.of(...bytes, 0), bytes.subarray(32), new Uint8Array(0)]) {
        expect(() => parseTile(spoiled, width)).toThrow(refused);
      }
    }
    for (const width of [0, 257, 0.5]) expect(() => parseTile(new Uint8Array(0), width)).toThrow(RangeError);
    for (const hashes of [[], Array.from({ length: 257 }, () => new Uint8Array(32)), [new Uint8Array(31)]]) {
      expect(() => encodeTile(hashes)).toThrow(RangeError);
    }
  });
});

describe("a bundle of leaves", () => {
  test("is read as it was written, and its leaves are those of the tile of hashes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 256 }), (leaves) => {
        expect(parseEntryBundle(encodeEntryBundle(leaves), leaves.length)).toEqual(leaves);
      }),
    );
    const [leaf] = parseEntryBundle(Uint8Array.of(0, 1, 65), 1);
    expect(hex(leafHash(suite, leaf as Uint8Array))).toBe(hex(new NaiveTree([utf8("A")]).root(0, 1)));
  });

  test("is refused when it is cut, has more, or fewer than its path says", () => {
    const bytes = encodeEntryBundle([utf8("one"), utf8("two")]);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseEntryBundle(bytes.subarray(0, length), 2)).toThrow(refused);
    }
    for (const width of [1, 3]) expect(() => parseEntryBundle(bytes, width)).toThrow(refused);
    expect(() => parseEntryBundle(bytes, 257)).toThrow(RangeError);
    expect(() => encodeEntryBundle([])).toThrow(RangeError);
    expect(() => encodeEntryBundle([new Uint8Array(65_536)])).toThrow(RangeError);
  });
});
