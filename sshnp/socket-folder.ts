import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** sun_path of unix(7) has 108 bytes, its final zero included. */
export const MAX_SOCKET_PATH_BYTES = 107;

/**
 * A new folder of mode 0700 for a socket of that name: in the user's runtime folder, else where temporary files go, where the path is
 * short enough.
 */
export function socketFolder(name: string): string {
  for (const parent of [process.env["XDG_RUNTIME_DIR"] ?? "", tmpdir()]) {
    const length = Buffer.byteLength(join(parent, "sshnp-XXXXXX", name));
    if (parent === "" || length > MAX_SOCKET_PATH_BYTES) continue;
    try {
      return mkdtempSync(join(parent, "sshnp-"));
    } catch {
      // The next one, then.
    }
  }
  return mkdtempSync("/tmp/sshnp-");
}
