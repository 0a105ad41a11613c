/* Protocol Buffers, as far as terraform's plugin protocol needs them: numbers, and whatever has a length. */
import { Buffer } from "node:buffer";

const LENGTH = 2;
const EMPTY = Buffer.alloc(0);

export const number = (field, value) => (value === 0 ? EMPTY : Buffer.concat([varint(field << 3), varint(value)]));
export const bytes = (field, ...parts) => {
  const value = Buffer.concat(parts);
  return Buffer.concat([varint((field << 3) | LENGTH), varint(value.length), value]);
};
export const text = (field, value) => bytes(field, Buffer.from(value));

function varint(value) {
  const all = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...all, rest]);
    all.push((rest % 128) | 128);
  }
}

/** The fields of a message that have a length, by their numbers; the last of each. */
export function fieldsOf(message) {
  const fields = new Map();
  let at = 0;
  const next = () => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = message[at++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = next();
    if ((tag & 7) !== LENGTH) next();
    else {
      const length = next();
      fields.set(tag >> 3, message.subarray(at, (at += length)));
    }
  }
  return fields;
}
