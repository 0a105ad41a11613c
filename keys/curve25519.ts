/**
 * Whether 32 little-endian bytes are the canonical encoding of an element of GF(2^255 - 19): below the prime, top bit clear.
 * X25519's u (RFC 7748 section 5) and Ed25519's y (RFC 8032 section 5.1.2) are such elements.
 */
export function isFieldElement(bytes: Uint8Array): boolean {
  const top = bytes[31] ?? 0xff;
  if (bytes.length !== 32 || top > 0x7f) return false;
  if (top < 0x7f) return true;
  for (let i = 30; i >= 1; i--) if (bytes[i] !== 0xff) return true;
  return (bytes[0] ?? 0xff) < 0xed;
}
