import { createHash, createPublicKey, verify } from "node:crypto";

/**
 * Reads a whole log over HTTP, knowing nothing of us but the layouts of C2SP tlog-tiles, tlog-checkpoint and signed-note, and
 * RFC 6962: everything is held against the checkpoint, which is held against the key.
 */
export async function readLog(base: URL, origin: string, publicKey: Uint8Array): Promise<ReadLog> {
  const get = async (path: string, type: string): Promise<Buffer> => {
    const response = await fetch(new URL(path, base));
    if (response.status !== 200) throw new Error(`${path}: status ${response.status}`);
    if (response.headers.get("content-type") !== type)
      throw new Error(`${path}: ${response.headers.get("content-type")}`);
    return Buffer.from(await response.arrayBuffer());
  };
  const note = (await get("checkpoint", "text/plain; charset=utf-8")).toString();
  const [, text = "", body = "", signatures = ""] = /^(([^]*)\n)\n([^]*\n)$/.exec(note) ?? [];
  const lines = body.split("\n");
  if (lines.length !== 3 || lines[0] !== origin) throw new Error(`not a checkpoint of ${origin}: ${note}`);
  if (!isSigned(text, signatures, origin, publicKey)) throw new Error("the checkpoint is not signed");
  const size = Number(lines[1]);
  const root = Buffer.from(lines[2] ?? "", "base64");

  const levels: Buffer[][] = [];
  for (let level = 0; 256 ** level <= size; level++) {
    const hashes: Buffer[] = [];
    for (const path of tiles(level, Math.floor(size / 256 ** level))) {
      const tile = await get(path, "application/octet-stream");
      for (let at = 0; at < tile.length; at += 32) hashes.push(tile.subarray(at, at + 32));
    }
    levels.push(hashes);
  }
  const leaves: Buffer[] = [];
  for (const path of tiles("entries", size)) {
    const bundle = await get(path, "application/octet-stream");
    for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at)) {
      leaves.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)));
    }
  }
  const tree = new Tree(leaves.map((leaf) => sha256(Buffer.of(0), leaf)));
  if (leaves.length !== size) throw new Error(`${leaves.length} entries of ${size}`);
  for (const [level, hashes] of levels.entries()) {
    const width = 256 ** level;
    if (hashes.length !== Math.floor(size / width)) throw new Error(`${hashes.length} hashes of level ${level}`);
    for (const [at, hash] of hashes.entries()) {
      if (!hash.equals(tree.root(at * width, (at + 1) * width)))
        throw new Error(`a wrong hash ${at} of level ${level}`);
    }
  }
  if (!tree.root(0, size).equals(root)) throw new Error("the entries are not those of the checkpoint");
  // Every entry is under the root by now; of a large log some are also found by the proof that belongs to them.
  const step = Math.ceil(size / 1500);
  for (const [index, leaf] of leaves.entries()) {
    if (index % step > 0 && index !== size - 1) continue;
    if (!isIncluded(sha256(Buffer.of(0), leaf), index, size, tree.path(index, 0, size), root)) {
      throw new Error(`entry ${index} is not in the tree`);
    }
  }
  return { size, root, leaves };
}

export interface ReadLog {
  readonly size: number;
  readonly root: Buffer;
  readonly leaves: readonly Buffer[];
}

function isSigned(text: string, signatures: string, name: string, publicKey: Uint8Array): boolean {
  const id = sha256(Buffer.from(`${name}\n`), Buffer.of(1), publicKey).subarray(0, 4);
  const key = createPublicKey({
    key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKey]),
    format: "der",
    type: "spki",
  });
  return signatures.split("\n").some((line) => {
    const [dash, of, value = ""] = line.split(" ");
    const bytes = Buffer.from(value, "base64");
    const isOfKey = dash === "\u2014" && of === name && bytes.subarray(0, 4).equals(id);
    return isOfKey && verify(null, Buffer.from(text), key, bytes.subarray(4));
  });
}

/** The paths of the tiles with `count` hashes or entries in all. */
function tiles(level: number | "entries", count: number): string[] {
  return Array.from({ length: Math.ceil(count / 256) }, (_, index) => {
    const width = Math.min(256, count - index * 256);
    let name = String(index % 1000).padStart(3, "0");
    for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
      name = `x${String(rest % 1000).padStart(3, "0")}/${name}`;
    }
    return `tile/${level}/${name}${width === 256 ? "" : `.p/${width}`}`;
  });
}

/** The tree over these leaf hashes as RFC 6962 section 2.1 defines it. */
class Tree {
  readonly #leaves: readonly Buffer[];
  readonly #roots = new Map<string, Buffer>();

  constructor(leaves: readonly Buffer[]) {
    this.#leaves = leaves;
  }

  root(begin: number, end: number): Buffer {
    if (end - begin === 1) return this.#leaves[begin] ?? Buffer.alloc(0);
    const known = this.#roots.get(`${begin} ${end}`);
    if (known !== undefined) return known;
    const middle = begin + largestPowerBelow(end - begin);
    const root = sha256(Buffer.of(1), this.root(begin, middle), this.root(middle, end));
    this.#roots.set(`${begin} ${end}`, root);
    return root;
  }

  path(index: number, begin: number, end: number): Buffer[] {
    if (end - begin === 1) return [];
    const middle = begin + largestPowerBelow(end - begin);
    return index < middle
      ? [...this.path(index, begin, middle), this.root(middle, end)]
      : [...this.path(index, middle, end), this.root(begin, middle)];
  }
}

/** RFC 9162 section 2.1.3.2. */
function isIncluded(leaf: Buffer, index: number, size: number, path: readonly Buffer[], root: Buffer): boolean {
  let [fn, sn, hash] = [BigInt(index), BigInt(size - 1), leaf];
  for (const sibling of path) {
    if (sn === 0n) return false;
    if ((fn & 1n) === 1n || fn === sn) {
      hash = sha256(Buffer.of(1), sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      hash = sha256(Buffer.of(1), hash, sibling);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && hash.equals(root);
}

function largestPowerBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
