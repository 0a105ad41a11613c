import { expose, type Family, type Sample } from "./exposition.ts";

/** One label with all the values it can have: what is counted can grow, the number of series cannot. */
export interface Label<Value extends string> {
  readonly name: string;
  readonly values: readonly Value[];
}

/** Counts events, of which each has one of the label's values; anything else counts as `other`. */
export interface LabelledCounter {
  add(value: string, amount?: number): void;
}

export interface Counter {
  add(amount?: number): void;
}

/** Values in buckets. */
export interface Histogram {
  observe(value: number): void;
}

export interface LabelledHistogram {
  observe(of: string, value: number): void;
}

/**
 * What a process counts of itself, for Prometheus. An event costs a number or two, whatever has been counted before; a gauge is
 * read when somebody asks. Names end in their base unit; no label holds what a peer has chosen.
 */
export class Metrics {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string): Counter {
    let count = 0;
    this.#declare({ name, help, type: "counter", samples: () => [{ value: count }] });
    return { add: (amount = 1) => void (count += amount) };
  }

  labelledCounter(name: string, help: string, label: Label<string>): LabelledCounter {
    const counts = new Map([...label.values, OTHER].map((value) => [value, 0]));
    const samples = (): Sample[] =>
      Array.from(counts, ([value, count]) => ({ labels: { [label.name]: value }, value: count }));
    this.#declare({ name, help, type: "counter", samples });
    return {
      add: (value, amount = 1) => {
        const known = counts.has(value) ? value : OTHER;
        counts.set(known, (counts.get(known) ?? 0) + amount);
      },
    };
  }

  /** A counter that somebody else keeps, read when it is asked for. */
  counterElsewhere(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#declare({ name, help, type: "counter", samples: () => samplesOf(read()) });
  }

  /** `read` is called for each scrape; undefined: there is nothing to say. */
  gauge(name: string, help: string, read: () => Reading | Promise<Reading>): void {
    this.#declare({ name, help, type: "gauge", samples: async () => samplesOf(await read()) });
  }

  /** `bounds`: the upper bounds of the buckets, ascending, each included in its bucket; one without bound follows. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const buckets = new Buckets(bounds);
    this.#declare({ name, help, type: "histogram", samples: () => buckets.samples({}) });
    return buckets;
  }

  /** One histogram for each value of the label; what has another one is left out. */
  labelledHistogram(name: string, help: string, bounds: readonly number[], label: Label<string>): LabelledHistogram {
    const all = new Map(label.values.map((value) => [value, new Buckets(bounds)]));
    const samples = (): Sample[] => [...all].flatMap(([value, buckets]) => buckets.samples({ [label.name]: value }));
    this.#declare({ name, help, type: "histogram", samples });
    return { observe: (of, value) => all.get(of)?.observe(value) };
  }

  /** All of it, as Prometheus reads it. */
  async text(): Promise<string> {
    return await expose(this.#families.values());
  }

  #declare(family: Family): void {
    if (this.#families.has(family.name)) throw new Error(`broken invariant: ${family.name} is counted once`);
    this.#families.set(family.name, family);
  }
}

class Buckets implements Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    const found = this.#bounds.findIndex((bound) => value <= bound);
    const index = found === -1 ? this.#bounds.length : found;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
  }

  samples(labels: Readonly<Record<string, string>>): Sample[] {
    let count = 0;
    const buckets = [...this.#bounds.map(String), "+Inf"].map((le, index) => {
      count += this.#counts[index] ?? 0;
      return { suffix: "_bucket", labels: { ...labels, le }, value: count };
    });
    return [...buckets, { suffix: "_sum", labels, value: this.#sum }, { suffix: "_count", labels, value: count }];
  }
}

type Reading = number | undefined | readonly Sample[];

/** What is counted under a value that the label does not have. */
const OTHER = "other";

/** Bounds for what takes from a millisecond to half a minute, in seconds. */
export const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Bounds for what people stay in, from a second to a week, in seconds. */
export const STAY_SECONDS = [1, 10, 60, 600, 3600, 14_400, 86_400, 604_800];

function samplesOf(reading: Reading): readonly Sample[] {
  if (reading === undefined) return [];
  return typeof reading === "number" ? [{ value: reading }] : reading;
}
