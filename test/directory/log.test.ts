import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { base64, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import type { Operation } from "../../directory/database.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Log, type LogEntry } from "../../directory/log/log.ts";
import { LOG_MAP_PROOFS_KEPT } from "../../protocol/limits.ts";
import { cosign } from "../../protocol/log/cosignature.ts";
import { EMPTY } from "../../protocol/log/map.ts";
import {
  encodeLogProof,
  type LogProof,
  parseLogProof,
  verifyLogProof,
  verifySubject,
} from "../../protocol/log/proof.ts";
import { verifyConsistency } from "../../protocol/log/tree.ts";
import { startBuilt } from "../support/built-module.ts";
import { startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { DoubtfulDisk } from "./doubtful-disk.ts";
import { LogWorld, mapRoot, ORIGIN, textHash, treeRoot } from "./log-world.ts";
import { random, suite } from "./world.ts";

/** Verifies as a stranger would who has just got the proof from the network. */
function heads(world: LogWorld, proof: LogProof, last = undefined as Log["checkpoint"] | undefined) {
  return verifyLogProof(suite, parseLogProof(encodeLogProof(proof)), world.trust, last, Date.now());
}

function entry(subject: string, text: string): LogEntry {
  return { subject, hash: textHash(text) };
}

function row(key: string, value: string): Operation {
  return { type: "put", key, value };
}

test("a new log has one leaf, the root of the empty map, and a checkpoint that says so", async () => {
  await using world = await LogWorld.start();
  const proof = await world.log.proof(["@acme"], 0);
  const verified = heads(world, proof);
  expect(verified.checkpoint.size).toBe(1);
  expect(proof.headsRoot).toEqual(EMPTY);
  verifySubject(suite, verified, "@acme", undefined, proof.subjects[0] ?? expect.fail());
  const { text } = world.log.checkpoint;
  await world.reopen();
  expect(world.log.checkpoint.text).toBe(text);
});

test("a statement is the newest of its subject until the next one, and nothing else is", async () => {
  await using world = await LogWorld.start();
  await world.log.append([entry("@acme", "one"), entry("@other", "two"), entry("@acme", "three")], []);
  const { subjects, ...proof } = await world.log.proof(["@acme", "@other", "@nobody"], 1);
  const verified = heads(world, { subjects, ...proof });
  expect(verified.checkpoint.size).toBe(5);
  const [acme, other, nobody] = subjects;
  if (acme === undefined || other === undefined || nobody === undefined) expect.fail();
  verifySubject(suite, verified, "@acme", textHash("three"), acme);
  verifySubject(suite, verified, "@other", textHash("two"), other);
  verifySubject(suite, verified, "@nobody", undefined, nobody);
  const refused = expect.objectContaining({ code: "E_LOG" });
  expect(() => verifySubject(suite, verified, "@acme", textHash("one"), acme)).toThrow(refused);
  expect(() => verifySubject(suite, verified, "@acme", undefined, acme)).toThrow(refused);
});

test("without entries the operations are written and the log stays as it is", async () => {
  await using world = await LogWorld.start();
  await world.log.append([], [row("x:1", "one")]);
  expect(await world.database.get("x:1")).toBe("one");
  expect(world.log.checkpoint.size).toBe(1);
});

test("appends that overlap are a bug of the caller's, and the first one goes on", async () => {
  await using world = await LogWorld.start();
  const first = world.log.append([entry("@acme", "one")], []);
  await expect(world.log.append([entry("@acme", "two")], [])).rejects.toThrow("broken invariant");
  await first;
  expect(world.log.checkpoint.size).toBe(3);
});

test("any history has the tree, the map and the proofs of its definition, after any restart", async () => {
  const subject = fc.integer({ min: 0, max: 11 }).map((number) => `@acme/m${number}`);
  const change = fc.record({ subject, hash: fc.uint8Array({ minLength: 32, maxLength: 32 }) });
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.array(change, { minLength: 1, maxLength: 9 }) },
    { weight: 1, arbitrary: fc.constant("reopen" as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(), async (steps, choice) => {
      await using world = await LogWorld.start();
      const leaves = [Uint8Array.of(2, ...EMPTY)];
      const newest = new Map<string, Uint8Array>();
      const seen = [world.log.checkpoint];
      for (const entries of steps) {
        if (entries === "reopen") {
          await world.reopen();
          continue;
        }
        await world.log.append(entries, []);
        for (const { subject: of, hash } of entries) {
          leaves.push(Uint8Array.of(1, ...hash));
          newest.set(of, hash);
        }
        const root = mapRoot(Array.from(newest, ([of, hash]) => [textHash(of), hash] as const));
        leaves.push(Uint8Array.of(2, ...root));
        expect(world.log.checkpoint).toMatchObject({ size: leaves.length, root: treeRoot(leaves) });

        const known = seen[choice % seen.length];
        const asked = ["@nobody", ...newest.keys()];
        const proof = await world.log.proof(asked, known?.size ?? 0);
        const verified = heads(world, proof, known);
        for (const [at, of] of asked.entries()) {
          verifySubject(suite, verified, of, newest.get(of), proof.subjects[at] ?? expect.fail());
        }
        const hashes = asked.map((of) => newest.get(of));
        expect(world.log.proves(proof, asked, hashes)).toBe(true);
        for (const at of asked.keys()) {
          for (const other of [textHash("another"), hashes[at] === undefined ? textHash("one") : undefined]) {
            expect(world.log.proves(proof, asked, hashes.with(at, other))).toBe(false);
          }
        }
        seen.push(world.log.checkpoint);
      }
      const newSize = 1 + (choice % leaves.length);
      const oldSize = 1 + ((choice >> 8) % newSize);
      verifyConsistency(suite, {
        ...{ oldSize, oldRoot: treeRoot(leaves.slice(0, oldSize)) },
        ...{ newSize, newRoot: treeRoot(leaves.slice(0, newSize)) },
        proof: await world.log.consistency(oldSize, newSize),
      });
      expect(await world.log.rootAt(newSize)).toEqual(treeRoot(leaves.slice(0, newSize)));
      expect(await world.log.leaves(0, leaves.length)).toEqual(leaves);
    }),
    { numRuns: 40 },
  );
});

test("who asks since a size that the log has not reached is answered from nothing, and refuses that by itself", async () => {
  await using world = await LogWorld.start();
  await world.log.append([entry("@acme", "one")], []);
  const last = world.log.checkpoint;
  expect(await world.log.proof([], last.size)).toMatchObject({ since: last.size, consistency: [] });
  const proof = await world.log.proof([], last.size + 5);
  expect(proof).toMatchObject({ since: 0, consistency: [] });
  expect(() => heads(world, proof, { ...last, size: last.size + 5 })).toThrow(
    expect.objectContaining({ code: "E_LOG" }),
  );
  await expect(world.log.consistency(1, last.size + 1)).rejects.toThrow(RangeError);
  await expect(world.log.rootAt(last.size + 1)).rejects.toThrow(RangeError);
  await expect(world.log.leaves(last.size, 1)).rejects.toThrow(RangeError);
});

test("proofs that are asked for while statements are logged verify, each under the checkpoint it comes with", async () => {
  await using world = await LogWorld.start();
  const names = Array.from({ length: 300 }, (_, at) => `@acme/m${at}`);
  // What each subject's newest statement is, at every size.
  const history = new Map<number, Map<string, Uint8Array>>();
  const newest = new Map<string, Uint8Array>();
  const log = async (entries: readonly LogEntry[]): Promise<void> => {
    for (const { subject, hash } of entries) newest.set(subject, hash);
    history.set(world.log.checkpoint.size + entries.length + 1, new Map(newest));
    await world.log.append(entries, []);
  };
  await log(names.map((name) => entry(name, "first")));
  const over = new AbortController();
  let sizes = new Set<number>();
  const asking = Array.from({ length: 8 }, async (_, asker) => {
    for (let round = 0; !over.signal.aborted; round++) {
      await turn(); // of the loop, as what is asked comes from sockets: what is read is often at hand
      const asked = [0, 1, 2, 3].map((at) => names[(asker * 37 + round * 4 + at) % names.length] ?? "");
      const last = world.log.checkpoint;
      const proof = await world.log.proof(asked, last.size);
      const verified = heads(world, proof, last);
      const then = history.get(verified.checkpoint.size);
      for (const [at, name] of asked.entries()) {
        verifySubject(suite, verified, name, then?.get(name), proof.subjects[at] ?? expect.fail());
      }
      sizes = sizes.add(verified.checkpoint.size);
    }
  });
  for (let round = 0; round < 100; round++) {
    await log([0, 1, 2].map((at) => entry(names[(round * 7 + at) % names.length] ?? "", `round ${round}`)));
  }
  over.abort();
  await Promise.all(asking);
  expect(sizes.size).toBeGreaterThan(20);
});

test("more subjects than proofs are kept for are proved as well, again and again", async () => {
  await using world = await LogWorld.start();
  const names = Array.from({ length: LOG_MAP_PROOFS_KEPT + 100 }, (_, at) => `@acme/m${at}`);
  await world.log.append(
    names.map((name) => entry(name, name)),
    [],
  );
  for (const name of [...names, ...names.toReversed(), ...names]) {
    const proof = await world.log.proof([name], 0);
    verifySubject(suite, proof.headsRoot, name, textHash(name), proof.subjects[0] ?? expect.fail());
  }
});

test("cosignatures of the newest checkpoint stay with it, also after a restart, and not with the next one", async () => {
  await using world = await LogWorld.start();
  await world.log.append([entry("@acme", "one")], []);
  const witness = Ed25519PrivateKey.generate(suite, random);
  const trust = {
    ...{ ...world.trust, needed: 1, maxAge: 60_000 },
    witnesses: [{ name: "witness.example.org", publicKey: witness.publicKey }],
  };
  const signedAt = (seconds: number): string =>
    cosign(suite, witness, "witness.example.org", world.log.checkpoint.text, seconds);
  const old = world.log.checkpoint;
  await world.log.withCosignatures(old, [signedAt(1000)]);
  await world.log.withCosignatures(old, [signedAt(2000)]);
  const timeOf = (proof: LogProof) => verifyLogProof(suite, proof, trust, undefined, 2_000_000).witnessTime;
  expect(timeOf(await world.log.proof([], 0))).toBe(2_000_000);
  await world.reopen();
  expect(timeOf(await world.log.proof([], 0))).toBe(2_000_000);
  const { text } = world.log.checkpoint;
  await expect(world.log.withCosignatures(old, ["no signature"])).rejects.toMatchObject({ code: "E_PROTOCOL" });
  expect(world.log.checkpoint.text).toBe(text);

  const late = signedAt(3000);
  await world.log.append([entry("@acme", "two")], []);
  const next = world.log.checkpoint.text;
  await world.log.withCosignatures(old, [late]);
  expect(world.log.checkpoint.text).toBe(next);
  await world.reopen();
  expect(world.log.checkpoint.text).toBe(next);
});

test("after kill -9 in the midst of appends the log has all that was acknowledged, and the caller's rows are of it", async () => {
  await using home = await temporaryFolder();
  const store = join(home.path, "store");
  const seed = random(32);
  const script = `
    const { LevelDatabase } = await load("directory/level-database.js");
    const { Log } = await load("directory/log/log.js");
    const { Ed25519PrivateKey } = await load("keys/ed25519.js");
    const { nativeSuite: suite } = await load("protocol/suite/native.js");
    const { path, seed, origin } = JSON.parse(argument);
    const database = await LevelDatabase.open(path);
    const privateKey = Ed25519PrivateKey.parse(suite, Buffer.from(seed, "base64"));
    const log = await Log.open({ suite, database, privateKey, origin });
    const text = (value) => new TextEncoder().encode(value);
    for (let number = Number((await database.get("x:count")) ?? 0) + 1; ; number++) {
      const entries = Array.from({ length: 1 + (number % 5) }, (_, at) => ({
        subject: "@acme/m" + ((number * 3 + at) % 50),
        hash: suite.sha256(text("statement " + number + " " + at)),
      }));
      const size = log.checkpoint.size + entries.length + 1;
      await log.append(entries, [
        { type: "put", key: "x:count", value: String(number) },
        { type: "put", key: "x:size", value: String(size) },
      ]);
      console.log("appended " + number);
    }`;
  const argument = JSON.stringify({ path: store, seed: base64(seed), origin: ORIGIN });
  const privateKey = Ed25519PrivateKey.parse(suite, seed);
  let before = 0;
  for (const appends of [1, 7, 30, 90, 2]) {
    await using appending = startBuilt(home, script, argument);
    await appending.line(new RegExp(`^appended ${before + appends}$`));
    const { stdout } = await appending.kill("SIGKILL");
    const acknowledged = Number(/appended (\d+)\n$/.exec(stdout)?.[1]);
    const database = await LevelDatabase.open(store);
    const log = await Log.open({ suite, database, privateKey, origin: ORIGIN });
    const count = Number(await database.get("x:count"));
    expect(count).toBeGreaterThanOrEqual(acknowledged);
    expect(await database.get("x:size")).toBe(String(log.checkpoint.size));
    const newest = new Map<string, Uint8Array>();
    const leaves: Uint8Array[] = [Uint8Array.of(2, ...EMPTY)];
    for (let number = 1; number <= count; number++) {
      for (let at = 0; at < 1 + (number % 5); at++) {
        const hash = textHash(`statement ${number} ${at}`);
        newest.set(`@acme/m${(number * 3 + at) % 50}`, hash);
        leaves.push(Uint8Array.of(1, ...hash));
      }
      leaves.push(Uint8Array.of(2, ...mapRoot(Array.from(newest, ([of, hash]) => [textHash(of), hash] as const))));
    }
    expect(log.checkpoint).toMatchObject({ size: leaves.length, root: treeRoot(leaves) });
    const asked = [...newest.keys()].slice(0, 16);
    const proof = await log.proof(asked, 1);
    for (const [at, of] of asked.entries()) {
      verifySubject(suite, proof.headsRoot, of, newest.get(of), proof.subjects[at] ?? expect.fail());
    }
    await database.close();
    before = count;
  }
});

test.each(["lost", "taken"] as const)(
  "a write that failed and was %s leaves the log as it was for readers, and the next append goes on from what is on disk",
  async (fate) => {
    const disks: DoubtfulDisk[] = [];
    await using world = await LogWorld.start((database) => {
      const disk = new DoubtfulDisk(database);
      disks.push(disk);
      return disk;
    });
    const [disk = expect.fail()] = disks;
    const names = Array.from({ length: 40 }, (_, at) => `@acme/m${at}`);
    const expected = new Map(names.map((name) => [name, textHash("first")]));
    await world.log.append(
      names.map((name) => entry(name, "first")),
      [],
    );
    const before = world.log.checkpoint;
    disk.fails = fate;
    const failing = names.slice(0, 20).map((name) => entry(name, "doubtful"));
    await expect(world.log.append(failing, [row("x:1", "doubtful")])).rejects.toMatchObject({ code: "E_STORAGE" });
    expect(world.log.checkpoint).toBe(before);
    heads(world, await world.log.proof(names.slice(0, 16), before.size), before);

    await world.log.append([entry("@acme/m30", "second")], []);
    if (fate === "taken") for (const { subject, hash } of failing) expected.set(subject, hash);
    expected.set("@acme/m30", textHash("second"));
    expect(await world.database.get("x:1")).toBe(fate === "taken" ? "doubtful" : undefined);
    for (const isReopened of [false, true]) {
      if (isReopened) await world.reopen();
      expect(world.log.checkpoint.size).toBe(fate === "taken" ? before.size + 21 + 2 : before.size + 2);
      for (const name of names) {
        const proof = await world.log.proof([name], before.size);
        const verified = heads(world, proof, before);
        verifySubject(suite, verified, name, expected.get(name), proof.subjects[0] ?? expect.fail());
      }
    }
  },
);

test("a write that failed and is seen by readers first is what they are shown, under its own checkpoint", async () => {
  const disks: DoubtfulDisk[] = [];
  await using world = await LogWorld.start((database) => {
    const disk = new DoubtfulDisk(database);
    disks.push(disk);
    return disk;
  });
  const [disk = expect.fail()] = disks;
  await world.log.append([entry("@acme", "first")], []);
  const before = world.log.checkpoint;
  disk.fails = "taken";
  await expect(world.log.append([entry("@acme", "second")], [])).rejects.toMatchObject({ code: "E_STORAGE" });
  await disk.write("kept", [row("x:1", "somebody else's, for which the database is opened again")]);
  const proof = await world.log.proof(["@acme"], before.size);
  verifySubject(suite, heads(world, proof, before), "@acme", textHash("second"), proof.subjects[0] ?? expect.fail());
  expect(world.log.checkpoint.size).toBe(before.size + 2);
});

/** A container's root may often not. */
const CAN_MOUNT = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

test.runIf(CAN_MOUNT)(
  "on a full disk nothing is logged, what was is proved, and all is well once there is room",
  async () => {
    await using home = await temporaryFolder();
    const disk = join(home.path, "disk");
    await mkdir(disk);
    // A disk of 64 MiB that no other process sees.
    const shell = 'mount -t tmpfs -o size=64m,mode=700 none "$1" && exec "$2" --input-type=module -e "$3" "$1"';
    const dist = JSON.stringify(new URL("../../dist/", import.meta.url).href);
    const script = `
    import { rmSync, writeFileSync } from "node:fs";
    const load = (file) => import(new URL(file, ${dist}));
    const { LevelDatabase } = await load("directory/level-database.js");
    const { Log } = await load("directory/log/log.js");
    const { Ed25519PrivateKey } = await load("keys/ed25519.js");
    const { nativeSuite: suite } = await load("protocol/suite/native.js");
    const { verifySubject } = await load("protocol/log/proof.js");
    const disk = process.argv[1];
    const database = await LevelDatabase.open(disk + "/store");
    const privateKey = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(7));
    const log = await Log.open({ suite, database, privateKey, origin: "${ORIGIN}" });
    const hash = (number) => suite.sha256(new TextEncoder().encode(String(number)));
    let number = 0;
    const append = async () => {
      const next = number + 1;
      const rows = [{ type: "put", key: "x:count", value: String(next) + " ".repeat(20000) }];
      await log.append([{ subject: "@acme", hash: hash(next) }], rows);
      number = next;
    };
    const check = async () => {
      const proof = await log.proof(["@acme"], 1);
      verifySubject(suite, proof.headsRoot, "@acme", hash(number), proof.subjects[0]);
      if (Number(await database.get("x:count")) !== number) throw new Error("the rows are of another time");
      if (log.checkpoint.size !== 1 + 2 * number) throw new Error("the log is of another time");
    };
    for (let i = 0; i < 10; i++) await append();
    try { writeFileSync(disk + "/filler", Buffer.alloc(64 * 1024 * 1024)); } catch (error) { console.log(error.code); }
    const failures = [];
    for (let i = 0; failures.length < 5 && i < 1000; i++) {
      await append().catch((error) => failures.push(error.code));
      await check();
    }
    console.log(failures.join(" "));
    rmSync(disk + "/filler");
    for (let i = 0; i < 10; i++) { await append(); await check(); }
    console.log("well");
    await database.close();`;
    const words = ["--mount", "sh", "-c", shell, "sh", disk, process.execPath, script];
    await using appending = startProcess("unshare", words, { env: { HOME: home.path } });
    const { code, stdout, stderr } = await appending.exit();
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe("ENOSPC\nE_STORAGE E_STORAGE E_STORAGE E_STORAGE E_STORAGE\nwell\n");
  },
);

const strange = (length: number): Uint8Array => new Uint8Array(length).fill(0x5a);

// Each line is a row that is damaged: how its key begins and which of them, and what stands in it then (nothing: it is gone).
const AT_START = [
  ["log:checkpoint", undefined],
  ["log:checkpoint", "no checkpoint"],
  ["log-leaf:0000000000000a", undefined],
  ["log-leaf:0000000000000a", base64(Uint8Array.of(2, ...strange(32)))],
  ["log-leaf:0000000000000a", base64(Uint8Array.of(1, ...strange(32)))],
  ["log-leaf:0000000000000a", base64(Uint8Array.of(9, ...strange(32)))],
  ["log-leaf:0000000000000a", "@"],
  ["log-node:03:00000000000000", undefined],
  ["log-node:03:00000000000000", base64(strange(32))],
  ["log-node:03:00000000000000", base64(strange(31))],
  ["log-map:000", undefined],
  ["log-map:000", base64(Uint8Array.of(3, ...strange(64)))],
  ["log-map:000", ""],
] as const;

test.each(AT_START)("a log whose row %s is %j does not open: it is damaged, and not begun anew", async (key, value) => {
  await using world = await LogWorld.start();
  await world.log.append(
    Array.from({ length: 9 }, (_, at) => entry(`@acme/m${at}`, "one")),
    [],
  );
  expect(world.log.checkpoint.size).toBe(11);
  await world.database.write("acknowledged", [value === undefined ? { type: "del", key } : row(key, value)]);
  await world.close();
  const error = { name: "SetupError", code: "E_STORAGE", message: expect.stringContaining("damaged") };
  await expect(world.open()).rejects.toMatchObject(error);
  await expect(world.open()).rejects.toMatchObject({ next: expect.stringContaining("backup") });
});

test("a log with a checkpoint by another key does not open", async () => {
  await using world = await LogWorld.start();
  await world.close();
  await expect(world.open(Ed25519PrivateKey.generate(suite, random))).rejects.toMatchObject({ code: "E_STORAGE" });
});

test("cosignatures that are damaged are forgotten: they can be had again", async () => {
  await using world = await LogWorld.start();
  const { text } = world.log.checkpoint;
  await world.database.write("acknowledged", [row("log:cosigned", text.replace("\n1\n", "\n2\n"))]);
  await world.reopen();
  expect(world.log.checkpoint.text).toBe(text);
});

test.each([undefined, "", base64(Uint8Array.of(2, ...strange(64))), base64(Uint8Array.of(3, ...strange(64)))])(
  "where the map is damaged (%j) nothing is proved and nothing logged; elsewhere it goes on",
  async (value) => {
    await using world = await LogWorld.start();
    const names = Array.from({ length: 64 }, (_, at) => `@acme/m${at}`);
    await world.log.append(
      names.map((name) => entry(name, "one")),
      [],
    );
    const half = (name: string): boolean => ((textHash(name)[0] ?? 0) & 0x80) === 0;
    const [hurt = "", whole = ""] = [names.find(half), names.find((name) => !half(name))];
    // The left half of the map.
    await world.database.write("acknowledged", [
      value === undefined ? { type: "del", key: "log-map:0010" } : row("log-map:0010", value),
    ]);
    const { text } = world.log.checkpoint;
    const error = { name: "UnavailableError", code: "E_STORAGE", message: expect.stringContaining("damaged") };
    await expect(world.log.proof([whole, hurt], 0)).rejects.toMatchObject(error);
    await expect(world.log.append([entry(hurt, "two")], [row("x:1", "two")])).rejects.toMatchObject(error);
    expect(world.log.checkpoint.text).toBe(text);
    expect(await world.database.get("x:1")).toBeUndefined();

    await world.log.append([entry(whole, "two")], []);
    const proof = await world.log.proof([whole], 0);
    verifySubject(suite, heads(world, proof), whole, textHash("two"), proof.subjects[0] ?? expect.fail());
  },
);

test("an entry is of its subject's text, whatever characters that has", async () => {
  await using world = await LogWorld.start();
  const subjects = ["", "@acme:policy", "rendezvous:rz1", "\u{10ffff}\0é", "x".repeat(10_000)];
  await world.log.append(
    subjects.map((subject) => entry(subject, subject)),
    [],
  );
  const proof = await world.log.proof(subjects, 0);
  for (const [at, subject] of subjects.entries()) {
    verifySubject(
      suite,
      heads(world, proof),
      subject,
      suite.sha256(utf8(subject)),
      proof.subjects[at] ?? expect.fail(),
    );
  }
});
