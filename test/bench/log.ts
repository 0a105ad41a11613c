import { randomBytes, randomInt } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Log } from "../../directory/log/log.ts";
import { encodeLogProof, parseLogProof, verifyLogProof, verifySubject } from "../../protocol/log/proof.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import type { Bench } from "./bench.ts";
import { median } from "./table.ts";

const ORIGIN = "sshnp-directory/bench";
/** Of each device of the fleet, so that the usual fleet gives a hundred thousand subjects and a million leaves. */
const SUBJECTS = 20;
const LEAVES = 200;
const AT_ONCE = 5000;
const ROUNDS = 300;
/** What a connect asks for. */
const ASKED = 6;

/** What a statement costs the directory that logs it, and what its proof costs whoever makes it and whoever verifies it. */
export async function log(bench: Bench): Promise<void> {
  const { devices, signal, row, seconds } = bench;
  const subjects = devices * SUBJECTS;
  const path = join(bench.folder, "log");
  const privateKey = Ed25519PrivateKey.parse(suite, new Uint8Array(randomBytes(32)));
  let database = await LevelDatabase.open(path);
  let written = await Log.open({ suite, database, privateKey, origin: ORIGIN });
  const hashes = new Map<number, Uint8Array>();
  const entryOn = (subject: number) => {
    const hash = new Uint8Array(randomBytes(32));
    hashes.set(subject, hash);
    return { subject: nameOf(subject), hash };
  };

  bench.log(`logging ${devices * LEAVES} statements on ${subjects} subjects`);
  for (let first = 0; first < subjects; first += AT_ONCE) {
    signal.throwIfAborted();
    const count = Math.min(AT_ONCE, subjects - first);
    await written.append(
      Array.from({ length: count }, (_, at) => entryOn(first + at)),
      [],
    );
  }
  while (written.checkpoint.size < devices * LEAVES) {
    signal.throwIfAborted();
    const some = Array.from({ length: 50 }, () => randomInt(subjects));
    await written.append(
      Array.from({ length: AT_ONCE }, (_, at) => entryOn(some[at % some.length] ?? 0)),
      [],
    );
  }

  // As after a restart: nothing is kept of what was just written but by the system.
  await database.close();
  database = await LevelDatabase.open(path);
  written = await Log.open({ suite, database, privateKey, origin: ORIGIN });
  const { size } = written.checkpoint;
  const of = `of ${size} leaves, ${subjects} subjects`;
  const trust = { log: { origin: ORIGIN, publicKey: privateKey.publicKey }, witnesses: [], needed: 0, maxAge: 0 };
  const [bytes, cold, cached, verifying]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    signal.throwIfAborted();
    const asked = Array.from({ length: ASKED }, () => randomInt(subjects));
    const since = 1 + randomInt(size);
    const names = asked.map((subject) => nameOf(subject));
    const make = async (times: number[]) => {
      const begin = performance.now();
      const proof = encodeLogProof(await written.proof(names, since));
      times.push(performance.now() - begin);
      return proof;
    };
    const proof = await make(cold);
    await make(cached);
    bytes.push(proof.length);
    const last = { ...written.checkpoint, size: since, root: await written.rootAt(since) };
    const begin = performance.now();
    const parsed = parseLogProof(proof);
    const heads = verifyLogProof(suite, parsed, trust, last, Date.now());
    for (const [at, subject] of asked.entries()) {
      const mapProof = parsed.subjects[at];
      if (mapProof === undefined) throw new Error("a proof is missing");
      verifySubject(suite, heads, names[at] ?? "", hashes.get(subject), mapProof);
    }
    verifying.push(performance.now() - begin);
  }
  const proof = { better: "lower", peers: [] } as const;
  row({
    ...proof,
    name: `proof of ${ASKED} subjects, and since when`,
    unit: "KB",
    ours: median(bytes) / 1000,
    note: of,
  });
  row({ ...proof, name: "making it", unit: "ms", ours: median(cold), note: "with nothing of it in our memory" });
  row({ ...proof, name: "making it again", unit: "ms", ours: median(cached) });
  row({ ...proof, name: "verifying it", unit: "ms", ours: median(verifying) });
  row({ ...proof, name: "the log on disk", unit: "MB", ours: (await bytesIn(path)) / 1e6, note: of });

  for (const count of [1, 64]) {
    const end = performance.now() + seconds * 1000;
    const begin = performance.now();
    let appends = 0;
    for (; performance.now() < end; appends++) {
      signal.throwIfAborted();
      await written.append(
        Array.from({ length: count }, () => entryOn(randomInt(subjects))),
        [],
      );
    }
    const rate = (appends * count * 1000) / (performance.now() - begin);
    const name = `statements logged, ${count} at once`;
    row({ name, unit: "1/s", better: "higher", ours: rate, peers: [], note: "each time acknowledged by the disk" });
  }
  await database.close();
}

function nameOf(subject: number): string {
  return `@fleet/device-${subject}`;
}

async function bytesIn(folder: string): Promise<number> {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
