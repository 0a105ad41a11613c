import { isDeepStrictEqual } from "node:util";
import type * as fc from "fast-check";
import { hex } from "../../keys/bytes.ts";
import type { CipherSuite, Kem } from "../../keys/cipher-suite.ts";
import { type Dictionary, pieces, TEXT_WORDS } from "./mutation.ts";
import type { Random } from "./random.ts";

/** One row of the table: what is fuzzed, and which exports that is. */
export interface Parser {
  readonly name: string;
  /** `FILE#EXPORT` as exported-parsers.ts finds them. */
  readonly covers: readonly string[];
  /** Words to mutate with; those of texts for {@link textParser}. */
  readonly dictionary?: Dictionary;
  /** Which share of the inputs it gets where another row covers the same exports with the rest; 1 unless said. */
  readonly share?: number;
  /** Why the shares of all rows that cover an export need not make a whole one. */
  readonly because?: string;
  /** Its samples say whatever a peer may, so not all of them are taken. */
  readonly mayRefuseSamples?: boolean;
  /** It has an answer to everything and refuses nothing. */
  readonly isTotal?: boolean;
  /** One in so many inputs runs with the true primitives; 500 unless said. */
  readonly nativeEvery?: number;
  /** The parser with what is signed or sealed around its inputs. */
  readonly make: (primitives: Primitives) => Subject | Promise<Subject>;
}

export interface Primitives {
  readonly suite: CipherSuite;
  readonly kem: Kem;
}

export interface Subject {
  /** Valid inputs. Most of them are accepted. */
  readonly samples: fc.Arbitrary<Uint8Array>;
  /**
   * Gives one input to the parser; false when it is refused without an error. An SshnpError is a refusal as well,
   * everything else a failure.
   */
  take(input: Uint8Array, random: Random): boolean | Promise<boolean>;
  readonly dictionary?: Dictionary;
}

/** A promise that a parser did not keep. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** A parser of bytes. What `parse` gives as undefined or false is refused. */
export function bytesParser<T>(options: {
  readonly samples: fc.Arbitrary<Uint8Array>;
  readonly parse: (bytes: Uint8Array) => T;
  /** The matching encoder: there is one form for one meaning, so it must print the input. */
  readonly print?: (value: Exclude<T, undefined | false>) => Uint8Array;
  /** What else must hold of whatever is accepted. */
  readonly holds?: (value: Exclude<T, undefined | false>, bytes: Uint8Array) => boolean;
}): Subject {
  const { samples, parse, print, holds } = options;
  return {
    samples,
    take: (input) => {
      const value = parse(input);
      if (value === undefined || value === false) return false;
      const accepted = value as Exclude<T, undefined | false>;
      const printed = print?.(accepted);
      if (printed !== undefined && Buffer.compare(printed, input) !== 0) {
        throw new Broken(`what was accepted is printed as ${hex(printed)}`);
      }
      if (holds?.(accepted, input) === false) throw new Broken("what was accepted is not as promised");
      return true;
    },
  };
}

/** A parser of text. */
export function textParser<T>(options: {
  readonly samples: fc.Arbitrary<string>;
  readonly parse: (text: string) => T;
  readonly print?: (value: Exclude<T, undefined | false>) => string;
  readonly holds?: (value: Exclude<T, undefined | false>, text: string) => boolean;
  readonly words?: Dictionary;
}): Subject {
  const { samples, parse, print, holds, words = [] } = options;
  return {
    samples: samples.map((text) => new Uint8Array(Buffer.from(text))),
    dictionary: [...TEXT_WORDS, ...words],
    take: (input) => {
      const text = textOf(input);
      const value = parse(text);
      if (value === undefined || value === false) return false;
      const accepted = value as Exclude<T, undefined | false>;
      const printed = print?.(accepted);
      if (printed !== undefined && printed !== text) {
        throw new Broken(`what was accepted, ${JSON.stringify(text)}, is printed as ${JSON.stringify(printed)}`);
      }
      if (holds?.(accepted, text) === false) throw new Broken(`${JSON.stringify(text)} is accepted, not as promised`);
      return true;
    },
  };
}

/** What came out of a byte stream: values in order, and how it ended. */
export interface StreamOutcome {
  readonly values: readonly unknown[];
  /** `more` when it would go on, the code of a refusal, or the parser's own word. */
  readonly end: string;
}

/**
 * A parser of a byte stream. Borders between chunks must mean nothing: whatever they are, the same values come out and
 * the same end; values ahead of a refusal may be lost with it when they came in one chunk.
 */
export function streamParser(options: {
  readonly samples: fc.Arbitrary<Uint8Array>;
  readonly run: (chunks: readonly Uint8Array[]) => StreamOutcome | Promise<StreamOutcome>;
  readonly isAccepted: (outcome: StreamOutcome) => boolean;
}): Subject {
  const { samples, run, isAccepted } = options;
  const judge = (whole: StreamOutcome, cut: StreamOutcome): boolean => {
    const kept = whole.end.startsWith("E_") ? cut.values.slice(0, whole.values.length) : cut.values;
    if (whole.end !== cut.end || !isDeepStrictEqual(kept, whole.values)) {
      throw new Broken(`in one chunk ${summary(whole)}, in several ${summary(cut)}`);
    }
    return isAccepted(whole);
  };
  return {
    samples,
    take: (input, random) => {
      const whole = run([input]);
      const cut = run(pieces(random, input));
      if (whole instanceof Promise || cut instanceof Promise) {
        return Promise.all([whole, cut]).then(([one, other]) => judge(one, other));
      }
      return judge(whole, cut);
    },
  };
}

/** UTF-8 as a lenient decoder reads it: what is none becomes U+FFFD. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

function summary({ values, end }: StreamOutcome): string {
  return `${values.length} values and "${end}"`;
}
