import { cpus, release, totalmem } from "node:os";
import { writeFile } from "node:fs/promises";
import { accounts } from "./accounts.ts";
import { type Bench, runBench } from "./bench.ts";
import { brokerDevices } from "./broker-devices.ts";
import { carrying } from "./carrying.ts";
import { connecting } from "./connect.ts";
import { connects, connectsByDevices, connectsByStore } from "./connects.ts";
import { endToEnd } from "./end-to-end.ts";
import { herd } from "./herd.ts";
import { idleDaemon } from "./idle-daemon.ts";
import { idleDevices } from "./idle-devices.ts";
import { idleTraffic } from "./idle-traffic.ts";
import { log } from "./log.ts";
import { longLine } from "./long-line.ts";
import { openssh } from "./openssh.ts";
import { revocation } from "./revocation.ts";
import { soak } from "./soak.ts";
import { startUp } from "./start-up.ts";
import { meetsTarget } from "./table.ts";

/** The parts by name, in the order in which they run. */
export const PARTS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  "start-up": startUp,
  openssh,
  carrying,
  "end-to-end": endToEnd,
  connect: connecting,
  "long-line": longLine,
  "idle-daemon": idleDaemon,
  "idle-devices": idleDevices,
  herd,
  "idle-traffic": idleTraffic,
  "broker-devices": brokerDevices,
  connects,
  "connects-by-store": connectsByStore,
  "connects-by-devices": connectsByDevices,
  accounts,
  revocation,
  log,
  soak,
};

export interface BenchOptions {
  /** Names of {@link PARTS}. */
  readonly only: readonly string[];
  readonly seconds: number;
  readonly devices: number;
  readonly people: number;
  /** A file for the rows as JSON. */
  readonly json: string;
  readonly signal: AbortSignal;
}

/** Runs the parts, prints the table on stdout, and writes the JSON. */
export async function bench({ only, seconds, devices, people, json, signal }: BenchOptions): Promise<void> {
  const parts = Object.entries(PARTS).filter(([name]) => only.length === 0 || only.includes(name));
  const machine = {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  };
  const print = (line: string): void => void process.stdout.write(`${line.trimEnd()}\n`);
  print(`${machine.cores} x ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}\n`);
  const rows = await runBench(
    parts.map(([name, run]) => ({ name, run })),
    { seconds, devices, people, signal, print },
  );
  for (const { name, note } of rows) if (note !== undefined) print(`\n${name}: ${note}`);
  const results = rows.map((row) => ({ ...row, meetsTarget: meetsTarget(row) }));
  await writeFile(json, `${JSON.stringify({ date: new Date().toISOString(), machine, rows: results }, null, 2)}\n`);
}
