import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { DirectoryClient } from "../directory/client.ts";
import { SshnpError } from "../keys/errors.ts";
import type { KeyList } from "../protocol/key-list.ts";
import { KEY_LIST_GAP_MS, REPORT_TIMEOUT_MS } from "../protocol/limits.ts";

interface Options {
  readonly client: DirectoryClient;
  /** Told of the answer to every {@link KeyListRefresh.ask}: the list of now, or the one from before when there is none. */
  readonly onKeyList: (list: KeyList) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Asks a directory for its key list, but no more often than every KEY_LIST_GAP_MS, however many tickets ask for it. */
export class KeyListRefresh {
  readonly #options: Options;
  #list: KeyList | undefined;
  #isAsking = false;
  #asked = Number.NEGATIVE_INFINITY;

  constructor(options: Options) {
    this.#options = options;
  }

  /** The newest list that is known. */
  get list(): KeyList | undefined {
    return this.#list;
  }

  /** Notes a list that came by another way. */
  note(list: KeyList): void {
    this.#list = list;
    this.#options.onKeyList(list);
  }

  ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    const { client, log, signal, onKeyList } = this.#options;
    try {
      await delay(Math.max(0, this.#asked + KEY_LIST_GAP_MS - performance.now()), undefined, { signal });
      this.#asked = performance.now();
      const limit = AbortSignal.any([signal, AbortSignal.timeout(REPORT_TIMEOUT_MS)]);
      const { list } = await client.fetchKeyList({ signal: limit });
      this.#list = list;
    } catch (error) {
      if (signal.aborted) return;
      const code = error instanceof SshnpError ? error.code : "E_TIMEOUT";
      log.warn({ code }, "no newer key list from the directory");
    } finally {
      this.#isAsking = false;
    }
    if (this.#list !== undefined) onKeyList(this.#list);
  }
}
