import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether one of the folders of PATH has an ssh that can be started. Synchronous: a person waits, and it takes no time. */
export function hasSsh(path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder === "" ? "." : folder, "ssh"), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
