import { auditLineOf } from "./line.ts";
import type { TextLine } from "./read-lines.ts";

/** With which line of which directory a file begins; undefined: with none. */
export type FirstLine = { readonly directory: string; readonly n: number } | undefined;

/** The first line of an audit among these. */
export async function firstOf(lines: AsyncIterable<TextLine>): Promise<FirstLine> {
  for await (const { text } of lines) {
    const line = auditLineOf(text);
    if (line !== undefined) return { directory: line.directory, n: line.n };
  }
  return undefined;
}

/** The files of each directory in the order of their lines, those without lines last. */
export function filesInOrder(files: readonly { readonly path: string; readonly first: FirstLine }[]): string[] {
  const key = ({ first }: { readonly first: FirstLine }): string =>
    first === undefined ? "~" : `${first.directory} ${String(first.n).padStart(16, "0")}`;
  return files.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)).map(({ path }) => path);
}
