// npm test [-- VITEST ARGUMENTS]: set-up, build, all tests. Progress goes to stderr; the last line of stdout is
// `N passed, N failed, N skipped`. With CI=true a skipped test fails unless test/allowed-skips names it.
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isBuilt } from "./built.mjs";
import { root, SetUpError, setUp } from "./set-up.mjs";
import { removeLeftovers } from "./test-leftovers.mjs";
import { countTests } from "./test-report.mjs";

const COMMANDS =
  "age ansible-playbook curl dbclient dropbear fish git haproxy ip mandoc mosquitto openssl postgres promtool ps rabbitmq-server rsync rsyslogd socat squid ss ssh sshd tmux zsh".split(
    " ",
  );

const interrupted = new AbortController();
let vitest;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    interrupted.abort();
    vitest?.kill(name);
  });
}

// Every temporary file of the run lies in here. Open to pass through, so that ordinary users reach what is theirs.
const folder = mkdtempSync(join(tmpdir(), "sshnp-test-"));
chmodSync(folder, 0o711);
try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof SetUpError) && !interrupted.signal.aborted) throw error;
  if (!interrupted.signal.aborted) process.stderr.write(`${error.message}\n`);
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
} finally {
  removeLeftovers(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function main() {
  const { signal } = interrupted;
  await setUp({ commands: COMMANDS, signal });
  signal.throwIfAborted();
  if (!isBuilt(root) && (await spawnInRoot(["scripts/build.mjs"])) !== 0) throw new SetUpError("The build failed.");
  signal.throwIfAborted();

  const report = join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const status = await spawnInRoot(["node_modules/vitest/vitest.mjs", "run", ...reporters, ...process.argv.slice(2)]);
  signal.throwIfAborted();

  const { passed, failed, skipped } = countTests({
    ...{ report, status, root },
    isWhole: process.argv.length === 2,
  });
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  return failed === 0 ? 0 : 1;
}

/** Runs Node with what it says on our stderr. @returns {Promise<number>} its exit status */
function spawnInRoot(args) {
  // SSHNP_TEST_RUN marks every process of this run, see test-leftovers.mjs.
  const env = { ...process.env, TMPDIR: folder, SSHNP_TEST_RUN: folder };
  vitest = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  return new Promise((resolve, reject) => {
    vitest.on("error", reject);
    vitest.on("close", (code) => resolve(code ?? 1));
  });
}
