import { isoTime } from "./iso-time.ts";

/** Rows of text as columns of equal width, two spaces apart, one line each; for people. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** `2026-11-22 10:41 UTC`, of a time in ms of whatever size, as {@link isoTime} has it. */
export function minute(time: number): string {
  return `${isoTime(time).slice(0, 16).replace("T", " ")} UTC`;
}
