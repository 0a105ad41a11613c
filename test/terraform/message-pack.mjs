/* MessagePack, as far as terraform's values need to be looked at: an object is a map with all of its attributes. */
import { Buffer } from "node:buffer";

export const [NIL, UNKNOWN] = [Buffer.of(0xc0), Buffer.of(0xd4, 0, 0)];
export const packed = (value) =>
  typeof value === "boolean"
    ? Buffer.of(value ? 0xc3 : 0xc2)
    : typeof value === "number"
      ? Buffer.of(0xcd, value >> 8, value & 255)
      : Array.isArray(value)
        ? Buffer.concat([Buffer.of(0xdc, 0, value.length), ...value.map(packed)])
        : Buffer.concat([Buffer.of(0xdb, 0, 0, value.length >> 8, value.length & 255), Buffer.from(value)]);

/** A value of whatever type, behind its type. */
export const ofAnyType = (type, value) => {
  const json = Buffer.from(JSON.stringify(type));
  return Buffer.concat([Buffer.of(0x92, 0xc4, json.length), json, value]);
};

/** Where the value ends that begins there. */
function endOf(value, at) {
  const first = value[at];
  const many = (count, from) => Array.from({ length: count }).reduce((end) => endOf(value, end), from);
  if (first < 0x80 || first >= 0xe0 || (first >= 0xc0 && first <= 0xc3)) return at + 1;
  if (first < 0x90) return many(2 * (first & 15), at + 1);
  if (first < 0xa0) return many(first & 15, at + 1);
  if (first < 0xc0) return at + 1 + (first & 31);
  const size = { 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xc7: 1, 0xc8: 2 }[first];
  if (size !== undefined)
    return at + 1 + size + value.readUIntBE(at + 1, size) + (first === 0xc7 || first === 0xc8 ? 1 : 0);
  const fixed = {
    0xca: 4,
    0xcb: 8,
    0xcc: 1,
    0xcd: 2,
    0xce: 4,
    0xcf: 8,
    0xd0: 1,
    0xd1: 2,
    0xd2: 4,
    0xd3: 8,
    0xd4: 2,
    0xd5: 3,
    0xd6: 5,
    0xd7: 9,
    0xd8: 17,
  };
  if (fixed[first] !== undefined) return at + 1 + fixed[first];
  const [bytesOfCount, each] = { 0xdc: [2, 1], 0xdd: [4, 1], 0xde: [2, 2], 0xdf: [4, 2] }[first];
  return many(each * value.readUIntBE(at + 1, bytesOfCount), at + 1 + bytesOfCount);
}

export function objectOf(value) {
  const all = new Map();
  let at = value[0] < 0xc0 ? 1 : value[0] === 0xde ? 3 : 5;
  while (at < value.length) {
    const keyEnd = endOf(value, at);
    const valueEnd = endOf(value, keyEnd);
    const key = value
      .subarray(at, keyEnd)
      .toString("latin1")
      .replace(/^[\xa0-\xbf]|^\xd9[\s\S]|^\xda[\s\S]{2}/, "");
    all.set(key, value.subarray(keyEnd, valueEnd));
    at = valueEnd;
  }
  return all;
}

export function encoded(all) {
  const parts = [...all].map(([key, value]) => Buffer.concat([packed(key), value]));
  return Buffer.concat([Buffer.of(0xde, all.size >> 8, all.size & 255), ...parts]);
}
