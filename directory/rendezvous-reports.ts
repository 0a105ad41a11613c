import { EventEmitter, once } from "node:events";
import { RENDEZVOUS_REPORT_GAP_MS, RENDEZVOUS_REPORTS } from "../protocol/limits.ts";
import { NameLimiter } from "./rate-limit.ts";
import type { ReportRecord } from "./records.ts";
import type { Store } from "./store.ts";

/** Reports of rendezvous as they come: how often each may, how they are kept, and who waits for the next. */
export class RendezvousReports {
  readonly #store: Pick<Store, "putReport">;
  readonly #rates = new NameLimiter<string>({ perSecond: 1000 / RENDEZVOUS_REPORT_GAP_MS, burst: RENDEZVOUS_REPORTS });
  readonly #kept = new EventEmitter();

  constructor(store: Pick<Store, "putReport">) {
    this.#store = store;
  }

  /** Whether one of that name may come now. `now`: ms. */
  mayCome(name: string, now: number): boolean {
    return this.#rates.take(name, now);
  }

  /** Keeps one for the next start of the directory. @throws {UnavailableError} E_STORAGE. */
  async keep(name: string, report: ReportRecord | undefined): Promise<void> {
    try {
      if (report !== undefined) await this.#store.putReport(name, report);
    } finally {
      this.#kept.emit(`report ${name}`);
    }
  }

  /** Waits until the next one is kept or cannot be. @throws the signal's reason. */
  async next(name: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    await once(this.#kept, `report ${name}`, { signal });
  }
}

/** The later one of two. */
export function newestReport(one: ReportRecord | undefined, other: ReportRecord | undefined): ReportRecord | undefined {
  return one === undefined || (other !== undefined && other.time > one.time) ? other : one;
}
