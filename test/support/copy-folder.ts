import { execFileSync } from "node:child_process";

/** Copies a folder with all in it, modes included, to a path that is not there; cpSync leaves those out in Node 22. */
export function copyFolder(from: string, to: string): void {
  execFileSync("cp", ["--archive", "--no-target-directory", from, to]);
}
