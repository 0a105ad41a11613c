import type { Logger } from "pino";
import { hex } from "../keys/bytes.ts";
import { splice, type SpliceReport, type SpliceSide } from "./splice.ts";
import type { Stalls } from "./stalls.ts";

interface Options {
  /** How many of the first bytes of each direction the log shows. */
  readonly excerptBytes: number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** A session has ended, so many ms after it began. */
  readonly ended: (ms: number) => void;
}

/** The sessions whose legs are joined, and what they and those before them have carried. */
export class Splices {
  readonly #options: Options;
  readonly #stalls: Stalls;
  readonly #live = new Set<SpliceReport>();
  /** Of the sessions that are over. */
  readonly #carried = { client: 0, device: 0 };

  constructor(stalls: Stalls, options: Options) {
    this.#stalls = stalls;
    this.#options = options;
  }

  get size(): number {
    return this.#live.size;
  }

  /** Bytes that were carried, by the end that sent them. */
  get carried(): { readonly client: number; readonly device: number } {
    const carried = { ...this.#carried };
    for (const report of this.#live) add(carried, report);
    return carried;
  }

  /** Carries between the two until both have closed, which the log tells. */
  join(client: SpliceSide, device: SpliceSide, log: Logger): void {
    const { excerptBytes, now, ended } = this.#options;
    const start = now();
    const report = splice(client, device, {
      ...{ excerptBytes, stalls: this.#stalls },
      onEnd: (final) => {
        this.#live.delete(final);
        add(this.#carried, final);
        const ms = Math.round(now() - start);
        ended(ms);
        log.info({ ...summary(final), ms }, "session ended");
      },
    });
    this.#live.add(report);
  }
}

function add(sum: { client: number; device: number }, { fromClient, fromDevice }: SpliceReport): void {
  sum.client += fromClient.bytes;
  sum.device += fromDevice.bytes;
}

function summary({ fromClient, fromDevice }: SpliceReport): object {
  const bytes = { clientBytes: fromClient.bytes, deviceBytes: fromDevice.bytes };
  if (fromClient.excerpt.length + fromDevice.excerpt.length === 0) return bytes;
  return { ...bytes, clientExcerpt: hex(fromClient.excerpt), deviceExcerpt: hex(fromDevice.excerpt) };
}
