// npm run demo: a whole sshnp system on this machine, with throw-away data, that shows what it does and what it does not
// see. With a terminal it ends in a shell on the "device"; without one it exits 0. Everything is gone afterwards.
import "./node-version.mjs";
import { constants } from "node:os";
import { join } from "node:path";
import { isBuilt } from "./built.mjs";
import { Cast } from "./demo/cast.mjs";
import { perform } from "./demo/performance.mjs";
import { remark, say, title } from "./demo/stage.mjs";
import { run } from "./run.mjs";
import { root, SetUpError, setUp } from "./set-up.mjs";

const stop = new AbortController();
let endedBy;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    endedBy ??= name;
    stop.abort();
  });
}
// Whoever reads what is printed may be gone: `npm run demo | head`, a terminal that is closed.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => stop.abort());

const cast = new Cast(root, stop.signal);
try {
  await setUp({ commands: ["ss", "ssh", "sshd"], signal: stop.signal });
  if (!isBuilt(root)) {
    process.stderr.write("set-up: compiling\n");
    await run(process.execPath, [join(root, "scripts/build.mjs")], { signal: stop.signal });
  }
  cast.begin();
  await perform(cast);
  if (process.stdin.isTTY && process.stdout.isTTY) {
    await openShell();
  }
} catch (error) {
  process.exitCode = 1;
  if (error instanceof SetUpError) process.stderr.write(`${error.message}\n`);
  else if (!stop.signal.aborted) process.stderr.write(`\nThe demo failed: ${error.message}\n${cast.logs()}`);
} finally {
  await cast.end();
}
if (endedBy !== undefined) {
  process.exitCode = 128 + constants.signals[endedBy];
  process.stderr.write("\nInterrupted. Everything that was started is ended and removed.\n");
}
if (process.exitCode === undefined) {
  title("All processes are stopped, and their data is removed");
  say("Next: README.md, section Use.");
}

async function openShell() {
  const hasTerminals = await cast.hasTerminals();
  title("A shell on the device. Leave it with exit or Ctrl-D");
  if (hasTerminals) return await cast.shell([]);
  remark("Without a terminal of its own: /dev/pts is mounted so that only root's SSH server gives out terminals here.");
  await cast.shell(["-T", "exec sh -i"]);
}
