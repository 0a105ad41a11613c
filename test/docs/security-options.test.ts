import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

// That each of them has passed, `npm test` says at its end (scripts/test-report.mjs).
test("every option about security is mapped to a test that is there under that name", () => {
  const text = readFileSync(join(root, "docs/security-options.md"), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && line.includes("`test/"));
  expect(rows.length).toBeGreaterThan(15);
  const missing = rows.filter((row) => {
    const [, , , , file = "", name = ""] = row.split("|").map((cell) => cell.trim());
    const path = join(root, file.replaceAll("`", ""));
    return name === "" || !existsSync(path) || !readFileSync(path, "utf8").includes(JSON.stringify(name));
  });
  expect(missing).toEqual([]);
});
