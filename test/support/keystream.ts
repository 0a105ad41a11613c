import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { finished, pipeline } from "node:stream/promises";

const CHUNK_BYTES = 256 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** Bytes that do not compress and never come twice, made faster than a disk writes them; `length` in whole chunks of 256 KiB. */
export function* keystream(length: number): Generator<Buffer> {
  const cipher = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16));
  for (let left = length; left > 0; left -= CHUNK_BYTES) yield cipher.update(ZEROS);
}

/** Writes a file of such bytes and returns their SHA-256 in hex. */
export async function writeKeystream(path: string, length: number): Promise<string> {
  const hash = createHash("sha256");
  const file = createWriteStream(path);
  for (const chunk of keystream(length)) {
    hash.update(chunk);
    if (!file.write(chunk)) await once(file, "drain");
  }
  file.end();
  await finished(file);
  return hash.digest("hex");
}

/** The SHA-256 of a file in hex. */
export async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), hash);
  return hash.digest("hex");
}
