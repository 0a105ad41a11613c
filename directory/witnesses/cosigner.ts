import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import {
  WITNESS_AGAIN_MS,
  WITNESS_BUSY_MS,
  WITNESS_GAP_MS,
  WITNESS_PATIENCE_MS,
  WITNESS_RETRY_MOST_MS,
  WITNESS_RETRY_MS,
} from "../../protocol/limits.ts";
import { UnavailableError } from "../../keys/errors.ts";
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
}

/** How it stands with a witness. */
export interface WitnessStanding {
  /** When it cosigned last, ms since 1970 UTC, and which size. */
  readonly cosigned: { readonly time: number; readonly size: number } | undefined;
  /** Why it did not the last time it was asked. */
  readonly failure: string | undefined;
}

/** What came of a question; why not, where the witness says that the log is not what it has cosigned. */
type Outcome = "cosigned" | "busy" | "failed" | WitnessDisagrees;

interface Asking extends AskedWitness {
  readonly record: WitnessRecord;
  readonly stop: AbortController;
  /** Settles when it has been asked for the first time, with what came of it. */
  first: Promise<Outcome>;
  standing: WitnessStanding;
  /** Whether it answered within WITNESS_PATIENCE_MS when it was asked last: then proofs wait for it. */
  isLive: boolean;
  /** Ends a wait between two questions. */
  wake: () => void;
}

interface Round {
  /** Live witnesses that have not answered for this checkpoint. */
  readonly missing: Set<string>;
  /** To be called when none is missing. */
  readonly waiting: (() => void)[];
  readonly timer: NodeJS.Timeout;
}

/**
 * Asks the witnesses for cosignatures of the log's newest checkpoint: each by itself and one at a time, after each append and
 * every WITNESS_AGAIN_MS, with WITNESS_GAP_MS between two questions to one of them. One that does not answer is asked less and less often; nobody waits for it, nor for one that is slow.
 */
export class Cosigner implements AsyncDisposable {
  readonly #options: CosignerOptions;
  readonly #asked = new Map<string, Asking>();
  readonly #running = new Set<Promise<void>>();
  /** What proofs wait for, by the size of the checkpoint. */
  readonly #rounds = new Map<number, Round>();

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
      this.#strike(name, Infinity);
    }
    for (const [name, record] of wanted) if (!this.#asked.has(name)) this.#start(name, record);
  }

  /**
   * Resolves when all have been asked once, or the signal comes; with what one of them says that has cosigned what this log is
   * no continuation of: the store may be an old one. Later, nobody's word has the directory stop: answers are not authenticated.
   */
  async askedOnce(signal: AbortSignal): Promise<WitnessDisagrees | undefined> {
    const aborted = new Promise<Outcome>((resolve) => {
      if (signal.aborted) resolve("failed");
      signal.addEventListener("abort", () => resolve("failed"), { once: true });
    });
    const outcomes = await Promise.all([...this.#asked.values()].map(({ first }) => Promise.race([first, aborted])));
    return outcomes.find((outcome) => outcome instanceof WitnessDisagrees);
  }

  standing(name: string): WitnessStanding {
    return this.#asked.get(name)?.standing ?? { cosigned: undefined, failure: undefined };
  }

  /** How it stands with all of them. */
  get standings(): readonly WitnessStanding[] {
    return Array.from(this.#asked.values(), ({ standing }) => standing);
  }

  /** A checkpoint follows another. */
  grown(): void {
    for (const { wake } of this.#asked.values()) wake();
  }

  /**
   * What to wait for before proofs under this checkpoint go out: that every live witness has answered for it, or for one that
   * continues it; WITNESS_PATIENCE_MS at most, after which those that have not are live no more. Undefined: nothing.
   */
  pending({ size }: Pick<SignedCheckpoint, "size">): Promise<void> | undefined {
    const known = this.#rounds.get(size);
    if (known !== undefined) return new Promise((settle) => known.waiting.push(settle));
    const live = [...this.#asked.values()].filter(({ isLive }) => isLive);
    const missing = new Set(
      live.filter(({ standing }) => (standing.cosigned?.size ?? 0) < size).map(({ name }) => name),
    );
    if (missing.size === 0) return undefined;
    return new Promise((settle) => {
      const timer = setTimeout(() => this.#giveUp(missing), WITNESS_PATIENCE_MS).unref();
      this.#rounds.set(size, { missing, waiting: [settle], timer });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { stop } of this.#asked.values()) stop.abort();
    for (const name of this.#asked.keys()) this.#strike(name, Infinity);
    await Promise.all(this.#running);
  }

  #start(name: string, record: WitnessRecord): void {
    const { suite, log } = this.#options;
    const asking: Asking = {
      ...{ name, url: record.url, record, witness: parseWitness(suite, record.verifierKey) },
      stop: new AbortController(),
      first: Promise.resolve("failed"),
      standing: { cosigned: undefined, failure: undefined },
      isLive: false,
      wake: ignore,
    };
    this.#asked.set(name, asking);
    asking.first = this.#ask(asking);
    const running = asking.first
      .then((outcome) => this.#keepAsking(asking, outcome))
      .catch((error: unknown) => {
        if (!asking.stop.signal.aborted) log.error({ err: error, witness: name }, "a witness is asked no more");
      });
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  async #keepAsking(asking: Asking, first: Outcome): Promise<void> {
    const { statementLog } = this.#options;
    const { signal } = asking.stop;
    let outcome = first;
    let retry = WITNESS_RETRY_MS;
    while (!signal.aborted) {
      if (outcome === "cosigned") {
        retry = WITNESS_RETRY_MS;
        await this.#sleep(asking, WITNESS_GAP_MS, false);
        // A new checkpoint wakes it; one that does not answer is left alone until its time has come.
        const isNewest = asking.standing.cosigned?.size === statementLog.checkpoint.size;
        if (isNewest) await this.#sleep(asking, WITNESS_AGAIN_MS, true);
      } else if (outcome === "busy") {
        await this.#sleep(asking, WITNESS_BUSY_MS, false);
      } else {
        await this.#sleep(asking, retry, false);
        retry = Math.min(2 * retry, WITNESS_RETRY_MOST_MS);
      }
      if (signal.aborted) return;
      outcome = await this.#ask(asking);
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
  async #ask(asking: Asking): Promise<Outcome> {
    const { suite, statementLog, now, log } = this.#options;
    const { checkpoint } = statementLog;
    const { name, stop, standing } = asking;
    const known = standing.cosigned?.size ?? 0;
    let isSlow = false;
    const slow = setTimeout(() => {
      isSlow = true;
      this.#giveUp([name]);
    }, WITNESS_PATIENCE_MS).unref();
    try {
      const lines = await askWitness(suite, statementLog, checkpoint, asking, known, stop.signal);
      await statementLog.withCosignatures(checkpoint, lines);
      if (standing.failure !== undefined) log.info({ witness: name }, "a witness cosigns again");
      asking.standing = { cosigned: { time: now(), size: checkpoint.size }, failure: undefined };
      asking.isLive = !isSlow;
      this.#strike(name, asking.isLive ? checkpoint.size : Infinity);
      return "cosigned";
    } catch (error) {
      if (stop.signal.aborted) return "failed";
      const failure = error instanceof Error ? error.message : String(error);
      if (standing.failure !== failure) log.warn({ witness: name, reason: failure }, "a witness does not cosign");
      asking.standing = { ...standing, failure };
      // It answers soon: who waits for it goes on waiting.
      if (asking.isLive && error instanceof UnavailableError && error.code === "E_BUSY") return "busy";
      this.#giveUp([name]);
      return error instanceof WitnessDisagrees ? error : "failed";
    } finally {
      clearTimeout(slow);
    }
  }

  /** Nobody waits for these until they answer in time again. */
  #giveUp(names: Iterable<string>): void {
    for (const name of [...names]) {
      const asking = this.#asked.get(name);
      if (asking !== undefined) asking.isLive = false;
      this.#strike(name, Infinity);
    }
  }

  /** Nothing more is to be expected of it for checkpoints up to that size. */
  #strike(name: string, size: number): void {
    for (const [of, { missing, waiting, timer }] of this.#rounds) {
      if (of > size) continue;
      missing.delete(name);
      if (missing.size > 0) continue;
      clearTimeout(timer);
      this.#rounds.delete(of);
      for (const settle of waiting) settle();
    }
  }
}

function ignore(): void {}
