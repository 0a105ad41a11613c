// Node of another major version, and npm where it is asked for, unpacked from the npm registry's packages of them.
import { chmodSync, mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.mjs";

/**
 * Unpacks the newest Node of a major version, and npm 11, into a folder as its archive has them: bin/ and lib/.
 * @param {number} major
 * @param {string} folder made here
 * @param {{ signal: AbortSignal }} options
 * @throws {SetUpError} when the registry does not have it or does not answer
 */
export async function unpackNode(major, folder, { signal }) {
  mkdirSync(join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "lib/node_modules"), { recursive: true });
  await unpack(`node-${process.platform}-${process.arch}@${major}`, join(folder, "node"), signal);
  renameSync(join(folder, "node/bin/node"), join(folder, "bin/node"));
  chmodSync(join(folder, "bin/node"), 0o755);
  await unpack("npm@11", join(folder, "lib/node_modules/npm"), signal);
  for (const name of ["npm", "npx"]) {
    const script = `lib/node_modules/npm/bin/${name}-cli.js`;
    chmodSync(join(folder, script), 0o755);
    symlinkSync(join("..", script), join(folder, "bin", name));
  }
}

async function unpack(spec, folder, signal) {
  mkdirSync(folder);
  await run("npm", ["pack", "--silent", "--pack-destination", folder, spec], { signal });
  const [archive] = readdirSync(folder);
  await run("tar", ["-xzf", join(folder, archive), "-C", folder, "--strip-components=1"], { signal });
}
