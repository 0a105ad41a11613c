// npm run node-versions [-- MAJOR ... [-- VITEST ARGUMENTS]]: the unit and end-to-end tests on other versions of Node, 22 and
// 24 if none is said. Node comes from the npm registry and is removed afterwards.
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { root, SetUpError } from "./set-up.mjs";
import { unpackNode } from "./unpack-node.mjs";

const TESTS = ["keys", "protocol", "directory", "rendezvous", "sshnpd", "sshnp", "e2e"].map((room) => `test/${room}`);

const given = process.argv.slice(2);
const border = given.includes("--") ? given.indexOf("--") : given.length;
const majors = border === 0 ? [22, 24] : given.slice(0, border).map(Number);
const tests = border === given.length ? TESTS : given.slice(border + 1);
if (majors.some((major) => !Number.isInteger(major) || major < 20)) {
  process.stderr.write("Usage: npm run node-versions [-- MAJOR ... [-- VITEST ARGUMENTS]], such as 22 24\n");
  process.exit(2);
}

const stop = new AbortController();
let child;
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => {
    stop.abort();
    child?.kill(name);
  });
}

const folder = mkdtempSync(join(tmpdir(), "sshnp-node-"));
chmodSync(folder, 0o711); // ordinary users of the tests run it as well
try {
  for (const major of majors) {
    const home = join(folder, String(major));
    await unpackNode(major, home, { signal: stop.signal });
    if (!(await passes(home))) process.exitCode = 1;
    if (stop.signal.aborted) process.exitCode = 130;
    if (process.exitCode !== undefined) break;
  }
} catch (error) {
  if (!(error instanceof SetUpError) && !stop.signal.aborted) throw error;
  if (!stop.signal.aborted) process.stderr.write(`${error.message}\n`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs `npm test` with the Node of that folder, which all processes of the tests then are. */
async function passes(home) {
  const env = { ...process.env, PATH: `${join(home, "bin")}${delimiter}${process.env.PATH}` };
  const node = join(home, "bin/node");
  const program = 'process.stdout.write(`Node ${process.versions.node}: `); await import("./scripts/test.mjs");';
  const words = ["--input-type=module", "-e", program, "--", "scripts/test.mjs", ...tests]; // a program's name comes first
  child = spawn(node, words, { cwd: root, env, stdio: "inherit" });
  return (await new Promise((resolve) => child.on("close", resolve))) === 0;
}
