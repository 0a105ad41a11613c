import { basename } from "node:path";
import { expect, test } from "vitest";
import { TABLE } from "./table.ts";

/** What became of it: the code with which it was refused, and how much evidence the victim has. */
export interface Outcome {
  readonly code: string | undefined;
  readonly evidence?: number;
}

/** Makes a test of each row of this file; the file has the deed to each claim, and no other. */
export function runRows(file: string, deeds: Readonly<Record<string, () => Promise<Outcome>>>): void {
  const rows = TABLE.filter((row) => row.file === basename(file));
  test("the table and this file have the same rows", () => {
    expect(Object.keys(deeds).toSorted()).toEqual(rows.map(({ claim }) => claim).toSorted());
  });
  for (const { adversary, claim, code, evidence } of rows) {
    test(`${adversary}: ${claim}`, async () => {
      const outcome = await deeds[claim]?.();
      expect(outcome).toBeDefined();
      expect({ code: outcome?.code, evidence: (outcome?.evidence ?? 0) > 0 }).toEqual({ code, evidence });
    });
  }
}

/** The code at the end of what a command says, as the last thing it says, and once. */
export function codeIn(stderr: string): string | undefined {
  const codes = stderr.trimEnd().match(/\[E_[A-Z0-9_]+\]/g) ?? [];
  expect(codes.length, stderr).toBeLessThan(2);
  return /\[(E_[A-Z0-9_]+)\]$/.exec(stderr.trimEnd())?.[1];
}
