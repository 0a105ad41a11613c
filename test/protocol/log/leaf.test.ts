import { expect, test } from "vitest";
import { encodeLeaf, parseLeaf } from "../../../protocol/log/leaf.ts";

const refused = expect.objectContaining({ code: "E_PROTOCOL" });
const hash = new Uint8Array(32).fill(7);

test("a leaf is 33 bytes, its type first, and read as it was written", () => {
  expect(encodeLeaf({ type: "statement", hash })).toEqual(Uint8Array.of(1, ...hash));
  expect(encodeLeaf({ type: "heads", hash })).toEqual(Uint8Array.of(2, ...hash));
  for (const type of ["statement", "heads"] as const)
    expect(parseLeaf(encodeLeaf({ type, hash }))).toEqual({ type, hash });
});

test("a leaf about an audit names the directory whose it is", () => {
  const leaf = { type: "audit", directory: new Uint8Array(8).fill(9), hash } as const;
  expect(encodeLeaf(leaf)).toEqual(Uint8Array.of(3, ...leaf.directory, ...hash));
  expect(parseLeaf(encodeLeaf(leaf))).toEqual(leaf);
  for (const length of [40, 42]) expect(() => parseLeaf(new Uint8Array(length).fill(3))).toThrow(refused);
  for (const directory of [new Uint8Array(7), new Uint8Array(9)]) {
    expect(() => encodeLeaf({ ...leaf, directory })).toThrow(RangeError);
  }
});

test("what is no leaf is refused", () => {
  for (const type of [0, 3, 4, 255]) expect(() => parseLeaf(Uint8Array.of(type, ...hash))).toThrow(refused);
  for (const length of [0, 1, 32, 34]) expect(() => parseLeaf(new Uint8Array(length).fill(1))).toThrow(refused);
  for (const length of [0, 31, 33]) {
    expect(() => encodeLeaf({ type: "heads", hash: new Uint8Array(length) })).toThrow(RangeError);
  }
});
