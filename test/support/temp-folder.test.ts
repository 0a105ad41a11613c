import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "./temp-folder.ts";

test("a temporary folder is private, and gone with all it holds when it is disposed of", async () => {
  let path: string;
  {
    await using folder = await temporaryFolder();
    path = folder.path;
    expect(statSync(path).mode & 0o777).toBe(0o700);
    writeFileSync(join(path, "file"), "text");
  }
  expect(existsSync(path)).toBe(false);
});
