import { AUDIT_LINE_BYTES } from "../../protocol/limits.ts";

export interface TextLine {
  /** Without its newline, a character for each byte; cut off where it is longer than any line of an audit. */
  readonly text: string;
  /** In its file, 1 the first. */
  readonly number: number;
  /** Whether it has a newline. */
  readonly isEnded: boolean;
}

/** The lines of a file that comes in chunks. */
export async function* linesOf(chunks: AsyncIterable<unknown>): AsyncGenerator<TextLine, void, void> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) if (chunk instanceof Uint8Array) yield* splitter.take(chunk);
  yield* splitter.end();
}

/** Cuts bytes into lines, wherever the borders between the chunks are. */
export class LineSplitter {
  #rest = "";
  #number = 0;

  /** The lines that end in this chunk. */
  *take(chunk: Uint8Array): Generator<TextLine, void, void> {
    const [first = "", ...others] = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      .toString("latin1")
      .split("\n");
    let text = this.#rest + first;
    for (const next of others) {
      yield this.#line(text, true);
      text = next;
    }
    this.#rest = cut(text);
  }

  /** What comes after the last newline, if anything. */
  *end(): Generator<TextLine, void, void> {
    if (this.#rest !== "") yield this.#line(this.#rest, false);
    this.#rest = "";
  }

  #line(text: string, isEnded: boolean): TextLine {
    this.#number += 1;
    return { text: cut(text), number: this.#number, isEnded };
  }
}

function cut(text: string): string {
  return text.length > AUDIT_LINE_BYTES ? text.slice(0, AUDIT_LINE_BYTES + 1) : text;
}
