import { concat, utf8 } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";

/**
 * HKDF-SHA256 (RFC 5869): `length` bytes from `secret`. An empty `salt` counts as none.
 * @throws {RangeError} when more than 255 blocks of 32 bytes are asked for (section 2.3).
 */
export function hkdfSha256(
  suite: Pick<CipherSuite, "hmacSha256">,
  secret: Uint8Array,
  { salt, info, length }: { readonly salt: Uint8Array; readonly info: Uint8Array | string; readonly length: number },
): Uint8Array {
  if (length > 255 * HASH_BYTES) throw new RangeError("HKDF gives at most 255 blocks");
  const infoBytes = typeof info === "string" ? utf8(info) : info;
  const key = suite.hmacSha256(salt.length === 0 ? new Uint8Array(HASH_BYTES) : salt, secret);
  const blocks: Uint8Array[] = [];
  for (let number = 1; blocks.length * HASH_BYTES < length; number++) {
    blocks.push(suite.hmacSha256(key, blocks.at(-1) ?? new Uint8Array(0), infoBytes, Uint8Array.of(number)));
  }
  return concat(...blocks).subarray(0, length);
}

const HASH_BYTES = 32;
