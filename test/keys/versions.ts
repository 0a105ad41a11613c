/** A file of several pages that shows which version it is and whether it is whole. */
export function bigVersion(version: number): Uint8Array {
  return new TextEncoder().encode(`${version}\n`.repeat(20_000));
}

/** The version of which `bytes` are the whole; undefined when they are not. */
export function wholeVersion(bytes: Uint8Array): number | undefined {
  const version = Number.parseInt(new TextDecoder().decode(bytes.subarray(0, 20)), 10);
  return Buffer.compare(bytes, bigVersion(version)) === 0 ? version : undefined;
}
