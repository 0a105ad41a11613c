import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as limits from "../../protocol/limits.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/limits.md"), "utf8");
const rows = text
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );

test("docs/limits.md has every limit of protocol/limits.ts with its value, and no other", () => {
  const documented = rows.map(([name = "", value]) => [name.slice(1, -1), Number(value)]);
  expect(new Set(documented.map(([name]) => name)).size).toBe(documented.length);
  expect(Object.fromEntries(documented)).toEqual({ ...limits });
});

test("each limit has its unit, its reason, and what happens at it", () => {
  for (const row of rows) {
    expect(row, row[0]).toHaveLength(5);
    expect(
      row.filter((cell) => cell === ""),
      row[0],
    ).toEqual([]);
  }
});
