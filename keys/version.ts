import { createRequire } from "node:module";

/** Version of this package. */
export const VERSION: string = readVersion();

function readVersion(): string {
  // One level up from the sources, two from what is built of them.
  const require = createRequire(import.meta.url);
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      return (require(path) as { version: string }).version;
    } catch {
      // The other one, then.
    }
  }
  return "0.0.0";
}
