import { readFileSync } from "node:fs";

/** Version of this package. */
export const VERSION: string = readVersion();

function readVersion(): string {
  // One level up from the sources, two from what is built of them.
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as { version: string }).version;
    } catch {
      // The other one, then.
    }
  }
  return "0.0.0";
}
