import { getHeapStatistics } from "node:v8";
import { setImmediate } from "node:timers/promises";
import * as fc from "fast-check";
import { EXIT_STATUS, SshnpError } from "../../keys/errors.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { type Dictionary, mutated } from "./mutation.ts";
import { quickKem, quickSuite } from "./quick-suite.ts";
import { Random } from "./random.ts";
import { Broken, type Parser, type Primitives, type Subject } from "./subject.ts";

export interface FuzzRun {
  readonly seed: number;
  /** Number of the first input; each depends on the seed, the parser and its number alone. */
  readonly from: number;
  readonly inputs: number;
  /** Ends after so many already, if until then the heap has grown too little to become too large by `inputs`. */
  readonly enough: number;
  /** `mixed`: one in `nativeEvery` inputs runs with the true primitives. */
  readonly suite: "mixed" | "native";
}

export interface FuzzResult {
  readonly inputs: number;
  readonly accepted: number;
  readonly milliseconds: number;
  readonly failure: FuzzFailure | undefined;
}

export interface FuzzFailure {
  /** Undefined when it is no single input's. */
  readonly index: number | undefined;
  readonly reason: string;
  /** As short as it could be made. */
  readonly input: Uint8Array | undefined;
  /** Its length as it was met. */
  readonly length: number;
}

/** Told what is about to be parsed, so that somebody outside can say what hangs. */
export type Watch = (index: number, input: Uint8Array) => void;

/** Least time of three tries that one input may take. The largest inputs are 256 KiB. */
const INPUT_MS = 250;
/** What one input may leave on the heap before anything is collected, beside 32 bytes for each of its own. */
const INPUT_HEAP_BYTES = 4 * 1024 * 1024;
/** What a run may add to the heap from its first tenth to its end, after collection. */
const RUN_HEAP_BYTES = 8 * 1024 * 1024;
/** Of the share of it that falls to the inputs there were: what grows less is no leak, though the collector's noise hides some. */
const ENOUGH_OF_SHARE = 0.5;
const SAMPLES = 48;
/** Between two looks at the heap. */
const HEAP_EVERY = 61;
const SHRINK_TRIES = 3000;
const SHRINK_MS = 3000;

/** Fuzzes one parser, up to its first failure. */
export async function fuzz(parser: Parser, run: FuzzRun, watch: Watch = () => {}): Promise<FuzzResult> {
  const started = performance.now();
  const lane = await Lane.open(parser, run);
  let accepted = 0;
  let baseline: number | undefined;
  const result = (inputs: number, failure?: FuzzFailure): FuzzResult => {
    return { inputs, accepted, milliseconds: performance.now() - started, failure };
  };
  const tenth = Math.floor(run.inputs / 10);
  for (let done = 0; done < run.inputs; done++) {
    if (done === tenth) baseline = collectedHeap();
    if (done === run.enough && baseline !== undefined) {
      const share = (RUN_HEAP_BYTES * (done - tenth)) / (run.inputs - tenth);
      if ((await growthSince(baseline, ENOUGH_OF_SHARE * share)) <= ENOUGH_OF_SHARE * share) {
        return result(done, unlikely(parser, run, done, accepted));
      }
    }
    const index = run.from + done;
    const input = lane.input(index);
    watch(index, input);
    let outcome = lane.take(index, input, done % HEAP_EVERY === 0);
    if (outcome instanceof Promise) outcome = await outcome;
    if (outcome === "accepted") accepted++;
    else if (outcome !== "refused") {
      const shrunk = await lane.shrink(index, input, watch);
      return result(done + 1, { index, reason: shrunk.reason ?? outcome, input: shrunk.input, length: input.length });
    }
  }
  const growth = await growthSince(baseline ?? collectedHeap(), RUN_HEAP_BYTES);
  if (growth > RUN_HEAP_BYTES) return result(run.inputs, { ...NO_INPUT, reason: `it keeps ${growth} bytes of memory` });
  return result(run.inputs, unlikely(parser, run, run.inputs, accepted));
}

const NO_INPUT = { index: undefined, input: undefined, length: 0 };

/** What is wrong when nearly nothing was accepted, or everything. */
function unlikely(parser: Parser, run: FuzzRun, inputs: number, accepted: number): FuzzFailure | undefined {
  if (run.inputs < 10_000) return undefined;
  if (accepted < inputs / 100) {
    return { ...NO_INPUT, reason: `only ${accepted} of ${inputs} inputs were accepted` };
  }
  if (accepted === inputs && parser.isTotal !== true) return { ...NO_INPUT, reason: "every input was accepted" };
  return undefined;
}

/** Gives one given input to a parser, as number `index` of `run`. What is wrong with it, or undefined. */
export async function replay(
  parser: Parser,
  run: FuzzRun,
  index: number,
  input: Uint8Array,
): Promise<string | undefined> {
  const lane = await Lane.open(parser, run);
  const outcome = await lane.take(index, input, true);
  return outcome === "accepted" || outcome === "refused" ? undefined : outcome;
}

/** `accepted`, `refused`, or what is wrong. */
type Outcome = string;

interface Track {
  readonly subject: Subject;
  readonly samples: readonly Uint8Array[];
}

/** One parser with its samples, with either kind of primitives. */
class Lane {
  readonly #parser: Parser;
  readonly #run: FuzzRun;
  readonly #dictionary: Dictionary;
  readonly #native: Track;
  readonly #quick: Track;

  private constructor(parser: Parser, run: FuzzRun, native: Track, quick: Track) {
    this.#parser = parser;
    this.#run = run;
    this.#native = native;
    this.#quick = quick;
    this.#dictionary = parser.dictionary ?? native.subject.dictionary ?? [];
  }

  static async open(parser: Parser, run: FuzzRun): Promise<Lane> {
    const track = async (primitives: Primitives): Promise<Track> => {
      const subject = await parser.make(primitives);
      return { subject, samples: fc.sample(subject.samples, { numRuns: SAMPLES, seed: run.seed }) };
    };
    const native = await track({ suite: nativeSuite, kem: mlKem768 });
    const quick = run.suite === "native" ? native : await track({ suite: quickSuite, kem: quickKem });
    return new Lane(parser, run, native, quick);
  }

  input(index: number): Uint8Array {
    return mutated(this.#random(index), this.#track(index).samples, this.#dictionary);
  }

  take(index: number, input: Uint8Array, measureHeap: boolean): Outcome | Promise<Outcome> {
    const { subject } = this.#track(index);
    const heap = measureHeap ? usedHeap() : undefined;
    const started = performance.now();
    const finish = (outcome: Outcome): Outcome | Promise<Outcome> => {
      const growth = heap === undefined ? 0 : usedHeap() - heap;
      if (growth > INPUT_HEAP_BYTES + 32 * input.length) return `it takes ${growth} bytes of memory`;
      if (isPolluted()) return "it changes the prototype of every object";
      return performance.now() - started > INPUT_MS ? this.#timed(subject, index, input, outcome) : outcome;
    };
    try {
      const accepted = subject.take(input, this.#random(-1 - index));
      if (!(accepted instanceof Promise)) return finish(accepted ? "accepted" : "refused");
      return accepted.then((is) => (is ? "accepted" : "refused"), judged).then(finish);
    } catch (error) {
      return finish(judged(error));
    }
  }

  /** The same failure with less: pieces taken out, halves first, single bytes last. */
  async shrink(
    index: number,
    found: Uint8Array,
    watch: Watch,
  ): Promise<{ input: Uint8Array; reason: string | undefined }> {
    let input = found;
    let reason: string | undefined;
    let size = Math.ceil(input.length / 2);
    let at = 0;
    const end = performance.now() + SHRINK_MS;
    for (let tries = 0; tries < SHRINK_TRIES && size > 0 && performance.now() < end; tries++) {
      if (at >= input.length) {
        size = size === 1 ? 0 : Math.ceil(size / 2);
        at = 0;
        continue;
      }
      const smaller = Buffer.concat([input.subarray(0, at), input.subarray(at + size)]);
      watch(index, smaller);
      const outcome = await this.take(index, smaller, true);
      if (outcome === "accepted" || outcome === "refused") at += size;
      else [input, reason] = [smaller, outcome];
    }
    return { input, reason };
  }

  async #timed(subject: Subject, index: number, input: Uint8Array, outcome: Outcome): Promise<Outcome> {
    let least = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 3 && least > INPUT_MS; attempt++) {
      const started = performance.now();
      try {
        await subject.take(input, this.#random(-1 - index));
      } catch {
        // How it ended is known.
      }
      least = Math.min(least, performance.now() - started);
    }
    return least > INPUT_MS ? `it takes ${Math.round(least)} ms` : outcome;
  }

  #track(index: number): Track {
    return index % (this.#parser.nativeEvery ?? 500) === 7 ? this.#native : this.#quick;
  }

  #random(index: number): Random {
    return new Random(this.#run.seed, this.#parser.name, index);
  }
}

function judged(error: unknown): Outcome {
  if (error instanceof SshnpError) {
    return Object.hasOwn(EXIT_STATUS, error.code) && error.code !== "E_BUG"
      ? "refused"
      : `it refuses with ${error.code}`;
  }
  if (error instanceof Broken) return error.message;
  return error instanceof Error ? `it throws ${error.name}: ${error.message}` : `it throws ${String(error)}`;
}

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype];
const PROPERTIES = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length);
let looks = 0;

function isPolluted(): boolean {
  for (const _ in {}) return true;
  if (++looks % 100 !== 0) return false;
  return PROTOTYPES.some((prototype, i) => Reflect.ownKeys(prototype).length !== PROPERTIES[i]);
}

/** What the heap has more than `baseline`, once all is freed that will be. */
async function growthSince(baseline: number, allowed: number): Promise<number> {
  let growth = collectedHeap() - baseline;
  for (let again = 0; again < 5 && growth > allowed; again++) {
    await setImmediate(); // buffers are freed behind the collector's back
    growth = collectedHeap() - baseline;
  }
  return growth;
}

function usedHeap(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

function collectedHeap(): number {
  // There when the runner asked V8 for it.
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  return usedHeap();
}
