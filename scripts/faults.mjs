// npm run faults [-- --rounds N]: power cuts, dead lines, restarts, sleep and bad lines, in network namespaces of their own,
// and how long it takes each time until `sshnp` works again. Progress goes to stderr, a table of the times to stdout.
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root, SetUpError, setUp } from "./set-up.mjs";
import { removeLeftovers } from "./test-leftovers.mjs";

const HELP = `npm run faults [-- OPTIONS]

Breaks what can break between a device, the services and a client, and measures how long it takes until sshnp works
again: power cuts, half-open links, other addresses, restarts, a minute of sleep, loss and latency. Real processes, in
network namespaces of their own; nothing outside is touched. Needs root, /dev/net/tun and Debian's socat. About five
minutes with 20 rounds.

  --rounds N    how often each fault happens (20); those that take a minute each happen 3 or 4 times at most
  --only TEXT   only the scenarios whose name matches, as vitest's -t: "power", "services", "lines", "slept"
  --help        this text

Exit status: 0 all promises kept, 1 some round missed its limit or failed, 2 usage, 130 interrupted.
`;
const COMMANDS = ["ip", "ss", "socat", "ssh", "sshd"];

const interrupted = new AbortController();
let child;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    process.exitCode = 128 + constants.signals[name];
    interrupted.abort();
    child?.kill(name);
  });
}

const options = readOptions();
if (options !== undefined) {
  const folder = mkdtempSync(join(tmpdir(), "sshnp-faults-"));
  try {
    const isKept = await main(options, folder);
    process.exitCode ??= isKept ? 0 : 1;
  } catch (error) {
    if (!interrupted.signal.aborted) {
      if (!(error instanceof SetUpError)) throw error;
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    }
  } finally {
    removeLeftovers(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @returns {{ rounds: number, only: string | undefined } | undefined} undefined when there is nothing more to do */
function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: "string", default: "20" },
        only: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return undefined;
    }
    if (!/^[1-9][0-9]{0,3}$/.test(values.rounds)) throw new Error("--rounds takes a number from 1 to 9999.");
    return { rounds: Number(values.rounds), only: values.only };
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${HELP}`);
    process.exitCode = 2;
    return undefined;
  }
}

/** @returns {Promise<boolean>} whether every round kept its promise */
async function main({ rounds, only }, folder) {
  const { signal } = interrupted;
  await setUp({ commands: COMMANDS, signal });
  signal.throwIfAborted();
  if ((await runNode(["scripts/build.mjs"], {})) !== 0) throw new SetUpError("The build failed.");
  signal.throwIfAborted();

  const report = join(folder, "report.ndjson");
  const env = {
    TMPDIR: folder,
    SSHNP_TEST_RUN: folder,
    SSHNP_FAULT_ROUNDS: String(rounds),
    SSHNP_FAULT_REPORT: report,
  };
  const words = ["node_modules/vitest/vitest.mjs", "run", "test/faults", ...(only === undefined ? [] : ["-t", only])];
  const status = await runNode(words, env);
  signal.throwIfAborted();
  if (!existsSync(report)) {
    process.stderr.write("Nothing was measured: is this root, with /dev/net/tun and network namespaces?\n");
    return false;
  }
  const rows = readFileSync(report, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  process.stdout.write(table(rows));
  return status === 0 && rows.every((row) => kept(row) === row.times.length);
}

function runNode(words, env) {
  child = spawn(process.execPath, words, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", 2, 2] });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** A failed round has no time: null. */
function kept({ limitMs, times }) {
  return times.filter((ms) => ms !== null && ms <= limitMs).length;
}

function table(rows) {
  const seconds = (ms) => (ms === null || ms === undefined ? "failed" : `${(ms / 1000).toFixed(2)} s`);
  const cells = rows.map((row) => {
    const sorted = row.times.map((ms) => ms ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
    const at = (part) => {
      const ms = sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
      return seconds(Number.isFinite(ms) ? ms : null);
    };
    const score = `${kept(row)} of ${row.times.length}`;
    return [
      row.fault,
      at(0.5),
      at(1),
      seconds(row.limitMs),
      kept(row) === row.times.length ? score : `${score}  MISSED`,
    ];
  });
  const head = ["fault", "p50", "max", "limit", "kept"];
  const all = [head, ...cells];
  const widths = head.map((_, i) => Math.max(...all.map((line) => line[i].length)));
  const format = (line) =>
    line.map((cell, i) => (i === 0 || i === 4 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return `\n${all.map((line) => format(line).trimEnd()).join("\n")}\n`;
}
