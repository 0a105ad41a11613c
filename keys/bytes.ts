import { PeerError } from "./errors.ts";

const textEncoder = new TextEncoder();
const strictTextDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}

/** Text of strictly valid UTF-8. @throws {PeerError} E_PROTOCOL on any other byte sequence. */
export function utf8Text(bytes: Uint8Array): string {
  try {
    return strictTextDecoder.decode(bytes);
  } catch (cause) {
    throw new PeerError("E_PROTOCOL", "text is not valid UTF-8", { cause });
  }
}

/** One array with all `parts` in order. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Whether both hold the same bytes; takes the same time wherever they differ. Lengths are not secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

const HEX_DIGITS = "0123456789abcdef";
const asciiDecoder = new TextDecoder("latin1");

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  // Decoded at once: ten times as fast as joining strings, and what is put together with + stays in pieces in memory.
  const digits = new Uint8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    digits[2 * i] = HEX_DIGITS.charCodeAt(byte >> 4);
    digits[2 * i + 1] = HEX_DIGITS.charCodeAt(byte & 15);
  }
  return asciiDecoder.decode(digits);
}

/** Bytes of lower-case hex, exactly `length` of them where given. @throws {PeerError} on anything else. */
export function fromHex(text: string, length?: number): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text) || (length !== undefined && text.length !== 2 * length)) {
    throw new PeerError("E_PROTOCOL", "not lower-case hex of the expected length");
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (nibble(text, 2 * i) << 4) | nibble(text, 2 * i + 1);
  return bytes;
}

function nibble(digits: string, at: number): number {
  const code = digits.charCodeAt(at);
  return code < 0x3a ? code - 0x30 : code - 0x57; // 0 to 9, a to f
}

/** Standard base64 with padding (RFC 4648 section 4). */
export function base64(bytes: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    // Spread would walk through an iterator, which takes eight times as long.
    binary += Reflect.apply(String.fromCharCode, undefined, bytes.subarray(i, i + 8192));
  }
  return btoa(binary);
}

/**
 * Bytes of canonical base64 with padding: what it accepts, {@link base64} prints back identically.
 * @throws {PeerError} on anything else, or when there are not exactly `length` bytes (where given).
 */
export function fromBase64(text: string, length?: number): Uint8Array {
  if (text.length % 4 !== 0 || !BASE64.test(text)) throw new PeerError("E_PROTOCOL", "not canonical base64");
  const binary = atob(text);
  if (length !== undefined && binary.length !== length) {
    throw new PeerError("E_PROTOCOL", "not base64 of the expected length");
  }
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** With a length of whole groups of four. The last character ahead of the padding has no bits that say nothing. */
const BASE64 = /^[A-Za-z0-9+/]*(?:[AQgw]==|[AEIMQUYcgkosw048]=)?$/;

/** Fields, each preceded by its length as u16 big-endian: the one way in which fields are ever joined for hashing. */
export function prefixed16(...fields: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  for (const field of fields) writer.bytes16(field);
  return writer.done();
}

/** What integers of so many bytes are below, those of 8 being safe integers; a power costs as much as the rest of writing one. */
const BEYOND = [1, 2 ** 8, 2 ** 16, 2 ** 24, 2 ** 32];

/** Writes big-endian integers and length-prefixed fields; {@link done} returns them as one array. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.#integer(value, 1);
  }
  u16(value: number): this {
    return this.#integer(value, 2);
  }
  u24(value: number): this {
    return this.#integer(value, 3);
  }
  u32(value: number): this {
    return this.#integer(value, 4);
  }
  /** A u64 from a safe integer (times in ms, counts). */
  u64(value: number): this {
    return this.#integer(value, 8);
  }
  /** The bytes alone, with no length before them. */
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }
  bytes8(bytes: Uint8Array): this {
    return this.u8(bytes.length).raw(bytes);
  }
  bytes16(bytes: Uint8Array): this {
    return this.u16(bytes.length).raw(bytes);
  }
  bytes32(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }
  text8(text: string): this {
    return this.bytes8(utf8(text));
  }
  text16(text: string): this {
    return this.bytes16(utf8(text));
  }
  done(): Uint8Array {
    return concat(...this.#parts);
  }

  #integer(value: number, size: number): this {
    if (!Number.isSafeInteger(value) || value < 0 || value >= (BEYOND[size] ?? Infinity)) {
      throw new RangeError(`not an unsigned integer of ${size} bytes`);
    }
    const bytes = new Uint8Array(size);
    for (let i = size - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
    return this.raw(bytes);
  }
}

/**
 * Reads big-endian integers and length-prefixed fields, checking bounds first.
 * Every method throws {PeerError} E_PROTOCOL when the bytes do not suffice; {@link end} when some are left over.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    // A Buffer's slice() would share memory where a Uint8Array's copies.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#integer(1);
  }
  u16(): number {
    return this.#integer(2);
  }
  u24(): number {
    return this.#integer(3);
  }
  u32(): number {
    return this.#integer(4);
  }
  /** A u64 that must be a safe integer. */
  u64(): number {
    const value = this.#integer(8);
    if (!Number.isSafeInteger(value)) throw new PeerError("E_PROTOCOL", "integer is out of range");
    return value;
  }
  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    if (length > this.remaining) throw new PeerError("E_PROTOCOL", "message is shorter than its fields");
    const view = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return view;
  }
  bytes8(): Uint8Array {
    return this.raw(this.u8());
  }
  bytes16(): Uint8Array {
    return this.raw(this.u16());
  }
  bytes32(): Uint8Array {
    return this.raw(this.u32());
  }
  text8(): string {
    return utf8Text(this.bytes8());
  }
  text16(): string {
    return utf8Text(this.bytes16());
  }
  /** A u16-prefixed field that must hold exactly `length` bytes. */
  exactly16(length: number): Uint8Array {
    const field = this.bytes16();
    if (field.length !== length) throw new PeerError("E_PROTOCOL", "field has the wrong length");
    return field;
  }
  /** All that is left. */
  rest(): Uint8Array {
    return this.raw(this.remaining);
  }
  /** Demands that nothing is left. */
  end(): void {
    if (this.remaining !== 0) throw new PeerError("E_PROTOCOL", "message is longer than its fields");
  }

  #integer(size: number): number {
    let value = 0;
    for (const byte of this.raw(size)) value = value * 256 + byte;
    return value;
  }
}
