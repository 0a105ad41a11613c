import { chmod, mkdir, readdir, readFile } from "node:fs/promises";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { slope } from "./soak.ts";
import { HEADER, meetsTarget, type Row, rowLines } from "./table.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Small, and too short to tell anything but that the tools work. */
const SMALL = ["--devices", "20", "--people", "8"];

interface Results {
  readonly date: string;
  readonly machine: object;
  readonly rows: readonly (Omit<Row, "ours"> & { readonly ours: number | null; readonly meetsTarget?: boolean })[];
}

/** Runs a tool as people do; its rows, which it has printed as a table, and written as JSON. */
async function rowsOf(part: string, seconds: number): Promise<ReadonlyMap<string, number>> {
  await using folder = await temporaryFolder();
  const [json, temporary] = [join(folder.path, "results.json"), join(folder.path, "tmp")];
  await mkdir(temporary);
  await chmod(folder.path, 0o711); // PostgreSQL comes through as another user
  const words = ["--only", part, ...SMALL, "--seconds", `${seconds}`, "--json", json];
  const { code, stdout, stderr } = await runProcess(process.execPath, [join(ROOT, "scripts/bench.mjs"), ...words], {
    env: { HOME: folder.path, PATH: process.env["PATH"] ?? "", TMPDIR: temporary },
    timeoutMs: 110_000,
  });
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^bench: /m)]);
  expect(await readdir(temporary)).toEqual([]); // nothing is left behind

  const { date, machine, rows: written } = JSON.parse(await readFile(json, "utf8")) as Results;
  // JSON has null for what is no number: how long connects took where none came about while devices were away.
  const rows = written.map((row) => ({ ...row, ours: row.ours ?? Number.NaN }));
  expect(Date.parse(date)).toBeLessThanOrEqual(Date.now());
  expect(machine).toMatchObject({ cores: cpus().length, node: process.version, kernel: release() });
  for (const row of rows) {
    expect(row).toMatchObject({ unit: expect.any(String), better: expect.stringMatching(/^(?:higher|lower)$/) });
    expect([row.name, Number.isFinite(row.ours) || row.name.includes("connects meanwhile")]).toEqual([row.name, true]);
    expect(row.meetsTarget).toBe(meetsTarget(row));
  }
  const [first, ...table] = stdout.split("\n");
  expect(first).toMatch(new RegExp(`^${cpus().length} x .*, Linux .*, Node ${process.version}$`));
  const lines = [HEADER, ...rows.flatMap(rowLines)].map((line) => line.trimEnd());
  const notes = rows.flatMap(({ name, note }) => (note === undefined ? [] : ["", `${name}: ${note}`]));
  expect(table).toEqual([...lines, ...notes, ""]);
  return new Map(rows.map(({ name, ours }) => [name, ours]));
}

// The longest first: some run at a time.
test.concurrent("connects are compared by store, with one directory and with two", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("connects-by-store", 0.5);
  expect([...rows.keys()]).toEqual([
    "connects, one directory on PostgreSQL",
    "connects, two directories on PostgreSQL",
    "the same, p99, one on PostgreSQL",
    "directory's CPU for 1,000, one on PostgreSQL",
  ]);
  expect([...rows.values()].slice(0, 3).every((value) => value > 0)).toBe(true);
});

test.concurrent("connects are made, counted and timed", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("connects", 1);
  expect(rows.get("connects, 20 devices, as fast as they go")).toBeGreaterThan(0);
  expect(rows.get("the same, p99")).toBeGreaterThan(0);
  for (const who of ["directory", "rendezvous", "the ends"]) {
    expect(
      [...rows].find(([name]) => name.startsWith(`${who}'`) && name.endsWith("CPU for 1,000 connects"))?.[1],
    ).toBeGreaterThan(0);
  }
});

test.concurrent("a mixed load ends by itself and tells what has grown", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("soak", 3);
  expect([...rows.keys()].filter((name) => name.endsWith("slope"))).toHaveLength(4);
  expect(rows.get("soak, connects, p50")).toBeGreaterThan(0);
});

test.concurrent("the traffic of idle links is counted, of metered ones too", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("idle-traffic", 0.1);
  expect([...rows.keys()]).toEqual([
    "idle device, traffic in a day, both ways",
    "idle device, --metered, traffic in a day, both ways",
  ]);
  expect([...rows.values()].every((value) => value >= 0)).toBe(true);
});

test.concurrent("devices come to a broker, and are called there", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("broker-devices", 0.2);
  expect(rows.get("connects with devices at a broker, p99")).toBeGreaterThan(0);
});

test.concurrent("idle devices are weighed beside an idle ssh -R", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("idle-devices", 0.2);
  expect([...rows.keys()].slice(0, 4)).toEqual([
    "directory, RSS for each of 20 idle devices",
    "of it live JavaScript heap",
    "of it live buffers outside the heap",
    "RSS after that collection",
  ]);
});

test.concurrent("a herd comes back from a kill, from a planned restart, and over a long line", {
  timeout: 120_000,
}, async () => {
  const rows = await rowsOf("herd", 1);
  for (const name of [
    "herd of 20, 50 % linked again",
    "herd of 20, 95 % linked again",
    "herd of 20, all linked again",
    "herd, slowest echo of a live session",
    "planned restart of 20, all linked again",
    "herd of 20 at 200 ms, all linked again",
  ]) {
    expect([name, rows.get(name)]).toEqual([name, expect.any(Number)]);
  }
});

test.concurrent("what a connect costs is compared by how many devices wait", { timeout: 120_000 }, async () => {
  const rows = await rowsOf("connects-by-devices", 0.5);
  expect([...rows.keys()]).toEqual(["directory's CPU for 1,000 connects, 20 devices"]);
});

test("the slope of what grows evenly is by how much it grows in an hour", () => {
  const looks = Array.from({ length: 50 }, (_, i) => ({ at: 7 * i, rss: 1000 + 14 * i, files: 30 }));
  expect(slope(looks, ({ rss }) => rss)).toBeCloseTo(2 * 3600);
  expect(slope(looks, ({ files }) => files)).toBeCloseTo(0);
});
