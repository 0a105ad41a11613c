import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import {
  WITNESS_AGAIN_MS,
  WITNESS_PATIENCE_MS,
  WITNESS_RETRY_MOST_MS,
  WITNESS_RETRY_MS,
} from "../../protocol/limits.ts";
import type { SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { parseWitness } from "../../protocol/log/cosignature.ts";
import type { Log } from "../log/log.ts";
import type { WitnessRecord } from "../records.ts";
import { type AskedWitness, askWitness, WitnessDisagrees } from "./ask-witness.ts";

export interface CosignerOptions {
  readonly suite: CipherSuite;
  readonly statementLog: Pick<Log, "checkpoint" | "consistency" | "withCosignatures">;
  /** ms since 1970 UTC. */
  readonly now: () => number;
  readonly log: Logger;
  /**
   * Told that a witness which answers for the first time has cosigned what this log is no continuation of: the store may
   * be an old one, so the directory must not go on.
   */
  readonly onOlder: (error: WitnessDisagrees) => void;
}

/** How it stands with a witness. */
export interface WitnessStanding {
  /** When it cosigned last, ms since 1970 UTC, and which size. */
  readonly cosigned: { readonly time: number; readonly size: number } | undefined;
  /** Why it did not the last time it was asked. */
  readonly failure: string | undefined;
}

interface Asking extends AskedWitness {
  readonly record: WitnessRecord;
  readonly stop: AbortController;
  /** Settles when it has been asked for the first time. */
  first: Promise<void>;
  standing: WitnessStanding;
  /** Whether it answered when it was asked last: then proofs wait for it. */
  isLive: boolean;
  /** Ends a wait between two questions. */
  wake: () => void;
}

/**
 * Asks the witnesses for cosignatures of the log's newest checkpoint: each by itself and one at a time, after each append and
 * every WITNESS_AGAIN_MS. One that does not answer is asked less and less often, and nobody waits for it.
 */
export class Cosigner implements AsyncDisposable {
  readonly #options: CosignerOptions;
  readonly #asked = new Map<string, Asking>();
  readonly #running = new Set<Promise<void>>();
  /** The newest checkpoint and what settles once it has the cosignatures that are to be expected. */
  #round: { readonly checkpoint: SignedCheckpoint; readonly missing: Set<string>; settle: () => void } | undefined;
  #settled: Promise<void> | undefined;

  constructor(options: CosignerOptions) {
    this.#options = options;
  }

  /** Asks these and no others from now on. What is known of those that stay is kept. */
  use(witnesses: readonly (readonly [string, WitnessRecord])[]): void {
    const wanted = new Map(witnesses);
    for (const [name, { record, stop }] of this.#asked) {
      const same = wanted.get(name);
      if (same?.url === record.url && same.verifierKey === record.verifierKey) continue;
      stop.abort();
      this.#asked.delete(name);
      this.#strike(name);
    }
    for (const [name, record] of wanted) if (!this.#asked.has(name)) this.#start(name, record);
  }

  /** Resolves when all have been asked once, whatever came of it, or the signal comes. */
  async askedOnce(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([Promise.all([...this.#asked.values()].map(({ first }) => first)), aborted]);
  }

  standing(name: string): WitnessStanding {
    return this.#asked.get(name)?.standing ?? { cosigned: undefined, failure: undefined };
  }

  /** A checkpoint follows another. */
  grown(checkpoint: SignedCheckpoint): void {
    this.#round?.settle();
    const live = [...this.#asked.values()].filter(({ isLive }) => isLive);
    if (live.length > 0) {
      this.#settled = new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer);
          if (this.#round?.checkpoint === checkpoint) this.#round = undefined;
          resolve();
        };
        const timer = setTimeout(settle, WITNESS_PATIENCE_MS).unref();
        this.#round = { checkpoint, missing: new Set(live.map(({ name }) => name)), settle };
      });
    }
    for (const { wake } of this.#asked.values()) wake();
  }

  /** What to wait for before proofs under this checkpoint go out, WITNESS_PATIENCE_MS at most; undefined: nothing. */
  pending({ size, root }: SignedCheckpoint): Promise<void> | undefined {
    const { checkpoint } = this.#round ?? {};
    if (checkpoint === undefined || checkpoint.size !== size || !equalBytes(checkpoint.root, root)) return undefined;
    return this.#settled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { stop } of this.#asked.values()) stop.abort();
    this.#round?.settle();
    await Promise.all(this.#running);
  }

  #start(name: string, record: WitnessRecord): void {
    const { suite, log } = this.#options;
    const asking: Asking = {
      ...{ name, url: record.url, record, witness: parseWitness(suite, record.verifierKey) },
      stop: new AbortController(),
      first: Promise.resolve(),
      standing: { cosigned: undefined, failure: undefined },
      isLive: false,
      wake: ignore,
    };
    this.#asked.set(name, asking);
    asking.first = this.#ask(asking);
    const running = asking.first
      .then(() => this.#keepAsking(asking))
      .catch((error: unknown) => {
        if (!asking.stop.signal.aborted) log.error({ err: error, witness: name }, "a witness is asked no more");
      });
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  async #keepAsking(asking: Asking): Promise<void> {
    const { statementLog } = this.#options;
    const { signal } = asking.stop;
    let retry = WITNESS_RETRY_MS;
    while (!signal.aborted) {
      const isNewest = asking.isLive && asking.standing.cosigned?.size === statementLog.checkpoint.size;
      // A new checkpoint wakes one that answers; one that does not is left alone until its time has come.
      if (isNewest) await this.#sleep(asking, WITNESS_AGAIN_MS, true);
      else if (!asking.isLive) await this.#sleep(asking, retry, false);
      if (signal.aborted) return;
      await this.#ask(asking);
      retry = asking.isLive ? WITNESS_RETRY_MS : Math.min(2 * retry, WITNESS_RETRY_MOST_MS);
    }
  }

  async #sleep(asking: Asking, ms: number, isWakeable: boolean): Promise<void> {
    const woken = new AbortController();
    asking.wake = isWakeable ? () => woken.abort() : ignore;
    const signal = AbortSignal.any([asking.stop.signal, woken.signal]);
    await delay(ms, undefined, { signal, ref: false }).catch(ignore);
    asking.wake = ignore;
  }

  /** Never rejects. */
  async #ask(asking: Asking): Promise<void> {
    const { suite, statementLog, now, log, onOlder } = this.#options;
    const { checkpoint } = statementLog;
    const { name, stop, standing } = asking;
    const known = standing.cosigned?.size ?? 0;
    try {
      const lines = await askWitness(suite, statementLog, checkpoint, asking, known, stop.signal);
      await statementLog.withCosignatures(checkpoint, lines);
      if (standing.failure !== undefined) log.info({ witness: name }, "a witness cosigns again");
      asking.standing = { cosigned: { time: now(), size: checkpoint.size }, failure: undefined };
      asking.isLive = true;
    } catch (error) {
      if (stop.signal.aborted) return;
      const failure = error instanceof Error ? error.message : String(error);
      if (standing.failure !== failure) log.warn({ witness: name, reason: failure }, "a witness does not cosign");
      asking.standing = { ...standing, failure };
      asking.isLive = false;
      // One that has cosigned since the start cannot know of anything that an old backup lacks.
      if (error instanceof WitnessDisagrees && standing.cosigned === undefined) onOlder(error);
    } finally {
      if (this.#round?.checkpoint.size === checkpoint.size || !asking.isLive) this.#strike(name);
    }
  }

  /** Nothing more is to be expected of it in this round. */
  #strike(name: string): void {
    const round = this.#round;
    if (round === undefined) return;
    round.missing.delete(name);
    if (round.missing.size === 0) round.settle();
  }
}

function ignore(): void {}
