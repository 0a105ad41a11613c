// The set-up that `npm test` and `npm run demo` do by themselves: npm packages and Debian packages. Node alone runs it.
import "./node-version.mjs";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installDebianPackages } from "./debian-packages.mjs";
import { run, SetUpError } from "./run.mjs";

export { SetUpError };

/** The root folder of the repository. */
export const root = join(import.meta.dirname, "..");

/**
 * Makes sure that the npm packages of the lock file and the given commands are there. Silent when nothing is missing;
 * one line on stderr for each thing that takes long.
 * @param {{ commands: string[], signal: AbortSignal }} options commands: names from debian-packages.mjs
 * @throws {SetUpError} with a text for people: what is missing and the command that installs it
 */
export async function setUp({ commands, signal }) {
  await installDebianPackages(commands, { signal });
  if (!npmPackagesAreThere()) {
    process.stderr.write("set-up: installing the npm packages (npm ci)\n");
    await run("npm", ["ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund"], { cwd: root, signal });
  }
}

/** True when node_modules holds what the lock file names, packages for other platforms left out. */
function npmPackagesAreThere() {
  const wanted = readPackages("package-lock.json");
  const installed = readPackages("node_modules/.package-lock.json");
  if (wanted === undefined || installed === undefined) return false;
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === "") return true;
    if (!(path in installed)) return optional === true;
    return installed[path].version === version && installed[path].integrity === integrity;
  });
}

function readPackages(lockFile) {
  try {
    return JSON.parse(readFileSync(join(root, lockFile), "utf8")).packages;
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw new SetUpError(`${lockFile} cannot be read (${error.message}). Run: npm install`);
  }
}
