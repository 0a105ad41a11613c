// npm run attack [-- --seconds N] [--only NAME] [--at-once N] [--without-times]: every attack of test/attacks for a minute, each against a
// whole system of its own. One line for each as it ends, on stdout; HELP has the rest.
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isBuilt } from "./built.mjs";
import { run } from "./run.mjs";
import { root, SetUpError, setUp } from "./set-up.mjs";
import { removeLeftovers } from "./test-leftovers.mjs";

const HELP = `Usage: npm run attack -- [--seconds N] [--only NAME]... [--at-once N] [--without-times]
       npm run attack -- --list | --help

Attacks whole systems on this machine's loopback, each attack for a minute against one of its own. Prints one line for
each attack on stdout when it has ended: how much the processes grew, how many of 20 honest connects succeeded and how
fast, how many descriptors there were before, at the most and after, and what the attack did. What was not as it must be
stands below it; docs/limits.md has what is required. What begins is told on stderr. Times are judged too, so the machine
should have nothing else to do; all attacks take about ten minutes. Ctrl-C ends and removes all that was started.

  --seconds N      how long each attack takes (60)
  --only NAME      this attack alone; may be repeated
  --at-once N      so many attacks at a time (3)
  --without-times  print how long connects took, but do not judge it: for a machine that does other work, too
  --list           print the names of the attacks
  --help           print this

Exit status: 0 when all were withstood, 1 when one was not or could not be made, 2 for wrong words, 130 after Ctrl-C.

Examples:
  npm run attack -- --only slow-http --seconds 10
  npm run attack -- --only garbage --only frames --at-once 1
`;
const TEST = "test/attacks/attacks.test.ts";
const VITEST = join(root, "node_modules/vitest/vitest.mjs");

const options = readOptions();
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const interrupted = new AbortController();
let endedBy;
const running = new Set();
let begun = 0;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    endedBy ??= name;
    interrupted.abort();
    for (const child of running) child.kill("SIGTERM");
  });
}

const folder = mkdtempSync(join(tmpdir(), "sshnp-attack-"));
chmodSync(folder, 0o711);
try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = 1;
  if (!interrupted.signal.aborted)
    process.stderr.write(`${error instanceof SetUpError ? error.message : error.stack}\n`);
} finally {
  removeLeftovers(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
if (endedBy !== undefined) {
  process.exitCode = 128 + constants.signals[endedBy];
  process.stderr.write("Interrupted. Everything that was started is ended and removed.\n");
}

/** @returns {Promise<number>} the exit status */
async function main() {
  const { signal } = interrupted;
  await setUp({ commands: ["ps", "ss", "ssh", "sshd"], signal });
  const names = await listAttacks();
  if (options.list) {
    process.stdout.write(`${names.join("\n")}\n`);
    return 0;
  }
  const unknown = options.only.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`There is no attack ${unknown.join(", ")}. There are: ${names.join(", ")}\n`);
    return 2;
  }
  if (!isBuilt(root)) {
    process.stderr.write("set-up: compiling\n");
    await run(process.execPath, [join(root, "scripts/build.mjs")], { signal });
  }

  const chosen = options.only.length > 0 ? [...new Set(options.only)] : names;
  process.stderr.write(`${chosen.length} attacks of ${options.seconds} s, ${options.atOnce} at a time\n`);
  const left = [...chosen];
  const failed = [];
  const work = async () => {
    for (let name = left.shift(); name !== undefined && !signal.aborted; name = left.shift()) {
      process.stderr.write(`${name} begins (${++begun} of ${chosen.length})\n`);
      if (!(await attack(name))) failed.push(name);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, work));
  signal.throwIfAborted();
  process.stdout.write(
    `${chosen.length - failed.length} attacks withstood, ${failed.length} not${failed.length > 0 ? `: ${failed.join(", ")}` : ""}\n`,
  );
  return failed.length === 0 ? 0 : 1;
}

/** Runs one attack in a process of its own, and prints its line. @returns {Promise<boolean>} whether it was withstood */
async function attack(name) {
  const outcome = join(folder, `${name}.json`);
  const { seconds, "without-times": withoutTimes } = options;
  const order = JSON.stringify({ only: name, seconds, withTimes: !withoutTimes, outcome });
  const { status, output } = await vitest(["run", TEST], { SSHNP_ATTACK: order });
  if (interrupted.signal.aborted) return false;
  let found;
  try {
    const { line, found: shortcomings } = JSON.parse(readFileSync(outcome, "utf8"));
    process.stdout.write(`${status === 0 ? "ok     " : "FAILED "}${line}\n`);
    found = shortcomings;
  } catch {
    process.stdout.write(`FAILED ${name}: it did not come to its end\n`);
  }
  for (const text of found ?? []) process.stdout.write(`       ${text}\n`);
  if (status !== 0 && (found ?? []).length === 0) process.stdout.write(output);
  return status === 0;
}

async function listAttacks() {
  const { status, output } = await vitest(["list", TEST, "--json"], {});
  interrupted.signal.throwIfAborted();
  if (status !== 0) throw new SetUpError(output);
  const tests = JSON.parse(output.slice(output.indexOf("[")));
  return tests.map(({ name }) => name.replace(/:.*$/, ""));
}

/** Each process of the run is marked by SSHNP_TEST_RUN, see test-leftovers.mjs. */
function vitest(args, env) {
  const child = spawn(process.execPath, [VITEST, ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", TMPDIR: folder, SSHNP_TEST_RUN: folder, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // Ctrl-C comes here, and from here to it
  });
  running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      running.delete(child);
      resolve({ status: code ?? 1, output });
    });
  });
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: "string", default: "60" },
        only: { type: "string", multiple: true, default: [] },
        "at-once": { type: "string", default: "3" },
        "without-times": { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    return {
      ...values,
      seconds: number("--seconds", values.seconds, 3600),
      atOnce: number("--at-once", values["at-once"], 64),
    };
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${HELP}`);
    process.exit(2);
  }
}

function number(option, text, most) {
  if (!/^[1-9][0-9]*$/.test(text) || Number(text) > most)
    throw new Error(`${option} takes a number from 1 to ${most}.`);
  return Number(text);
}
