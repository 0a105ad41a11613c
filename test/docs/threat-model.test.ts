import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

test("every attack that the threat model refers to is a test that is there", () => {
  const text = readFileSync(join(root, "docs/threat-model.md"), "utf8");
  const named = [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path ?? "");
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("every threat has a defence and an attack", () => {
  const text = readFileSync(join(root, "docs/threat-model.md"), "utf8");
  const [, table = ""] = text.split("## Threats, defences, tests");
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| threat"));
  expect(rows.length).toBeGreaterThan(20);
  for (const row of rows) expect(row.split(" | ").at(-1), row).toMatch(/`test\//);
});
