// Whether dist/ and man/ were built from the sources as they are: their hash lies in dist/ since the build came to its end.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** All that decides what is built; folders with what is in them. */
const SOURCES = [
  ...["keys", "protocol", "directory", "rendezvous", "sshnpd", "sshnp", "scripts/words"],
  ...["scripts/build.mjs", "package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json"],
];
const HASH_FILE = "dist/sources.sha256";

/** @param {string} root @returns {boolean} */
export function isBuilt(root) {
  const file = join(root, HASH_FILE);
  return existsSync(file) && existsSync(join(root, "man")) && readFileSync(file, "utf8") === hashOfSources(root);
}

/** @param {string} root @param {string} hash of the sources when the build began */
export function noteBuilt(root, hash) {
  writeFileSync(join(root, HASH_FILE), hash);
}

/** @param {string} root @returns {string} */
export function hashOfSources(root) {
  const hash = createHash("sha256");
  for (const path of SOURCES.flatMap((source) => filesBelow(root, source))) {
    const bytes = readFileSync(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

/** @returns {string[]} the path itself when it is a file */
function filesBelow(root, path) {
  if (/\.\w+$/.test(path)) return [path];
  return readdirSync(join(root, path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted();
}
