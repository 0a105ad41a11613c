// npm run bare [-- demo | test [VITEST ARGUMENTS]]: `npm run demo` and `npm test` in a bare debian:bookworm-slim container that
// has Node 20 and npm unpacked and nothing else, from a fresh clone of what is committed. With podman behind the program
// that CONTAINER_ENGINE names, else with docker.
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { run } from "./run.mjs";
import { root, SetUpError } from "./set-up.mjs";
import { unpackNode } from "./unpack-node.mjs";

const IMAGE = "docker.io/library/debian:bookworm-slim";
const { CONTAINER_ENGINE, NODE_EXTRA_CA_CERTS, SSHNP_VECTORS } = process.env;
const engine = CONTAINER_ENGINE ? [CONTAINER_ENGINE, "podman"] : ["docker"];

const [which, ...rest] = process.argv.slice(2);
const commands = { demo: ["npm", "run", "demo"], test: ["npm", "test", ...(rest.length > 0 ? ["--", ...rest] : [])] };
if (which !== undefined && !(which in commands)) {
  process.stderr.write("Usage: npm run bare [-- demo | test [VITEST ARGUMENTS]]\n");
  process.exit(2);
}

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => stop.abort());

const folder = mkdtempSync(join(tmpdir(), "sshnp-bare-"));
try {
  process.stderr.write("bare: unpacking Node 20\n");
  await unpackNode(20, join(folder, "node"), { signal: stop.signal });
  for (const name of which === undefined ? ["demo", "test"] : [which]) {
    const clone = join(folder, name);
    await run("git", ["clone", "--quiet", "--no-local", root, clone], { signal: stop.signal });
    process.stderr.write(`bare: ${commands[name].join(" ")}\n`);
    if ((await runInContainer(name, clone)) !== 0) {
      process.exitCode = 1;
      break;
    }
  }
} catch (error) {
  if (!(error instanceof SetUpError) && !stop.signal.aborted) throw error;
  if (!stop.signal.aborted) process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  if (stop.signal.aborted) process.exitCode = 130;
  rmSync(folder, { recursive: true, force: true });
}

/** @returns {Promise<number | null>} the command's exit status */
async function runInContainer(name, clone) {
  const container = `${basename(folder)}-${name}`.toLowerCase();
  const volumes = [`${join(folder, "node")}:/opt/node:ro`, `${clone}:/sshnp`];
  const env = ["PATH=/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
  if (NODE_EXTRA_CA_CERTS) {
    volumes.push(`${NODE_EXTRA_CA_CERTS}:/opt/authorities.pem:ro`);
    env.push("NODE_EXTRA_CA_CERTS=/opt/authorities.pem");
  }
  if (SSHNP_VECTORS) {
    volumes.push(`${SSHNP_VECTORS}:/opt/vectors:ro`);
    env.push("SSHNP_VECTORS=/opt/vectors");
  }
  const options = [
    ...["--rm", "--init", "--name", container, "--network", "host", "--workdir", "/sshnp"],
    ...volumes.flatMap((volume) => ["--volume", volume]),
    ...env.flatMap((variable) => ["--env", variable]),
  ];
  const [file, ...words] = [...engine, "run", ...options, IMAGE, ...commands[name]];
  const child = spawn(file, words, { detached: true, stdio: ["ignore", "inherit", "inherit"] });
  const end = () => spawn(engine[0], [...engine.slice(1), "rm", "--force", container], { stdio: "ignore" });
  stop.signal.addEventListener("abort", end, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      child.on("error", () =>
        reject(new SetUpError(`${file} cannot be run. Install Docker, or name an engine: CONTAINER_ENGINE`)),
      );
      child.on("close", resolve);
    });
  } finally {
    stop.signal.removeEventListener("abort", end);
  }
}
