import { inTime } from "../in-time.ts";

/** What is wrong with a part, in words of our own; undefined: nothing. */
export type Finding =
  | undefined
  /** The work is done all the same, with less than there should be. */
  | { readonly degraded: string }
  /** This process cannot do its work. */
  | { readonly failed: string };

export interface Check {
  /** The part, in one word. */
  readonly name: string;
  /** Bounded in time by whoever waits for it. */
  readonly look: () => Finding | Promise<Finding>;
}

export interface CheckResult {
  readonly name: string;
  readonly status: "ok" | "degraded" | "failed";
  readonly reason?: string;
}

export interface Standing {
  readonly status: "ready" | "degraded" | "not ready";
  readonly checks: readonly CheckResult[];
}

/**
 * What a service needs to do its work. Whoever is in charge of a part adds its check. Anybody may ask as often as he likes: the
 * parts are looked at once a second at most.
 */
export class Readiness {
  readonly #checks: Check[] = [];
  /** Looks that have not ended. */
  readonly #looking = new Map<Check, Promise<Finding>>();
  #newest: { readonly standing: Promise<Standing>; readonly since: number } | undefined;

  add(...checks: readonly Check[]): void {
    this.#checks.push(...checks);
    this.#newest = undefined;
  }

  /** Looks at all parts, each for LOOK_MS at most; or says what was found within the last second. Never rejects. */
  look(): Promise<Standing> {
    const now = performance.now();
    if (this.#newest === undefined || now - this.#newest.since >= AGAIN_MS) {
      this.#newest = { standing: this.#look(), since: now };
    }
    return this.#newest.standing;
  }

  async #look(): Promise<Standing> {
    const checks = await Promise.all(this.#checks.map((check) => this.#lookInTime(check)));
    const has = (status: CheckResult["status"]): boolean => checks.some((check) => check.status === status);
    return { status: has("failed") ? "not ready" : has("degraded") ? "degraded" : "ready", checks };
  }

  async #lookInTime(check: Check): Promise<CheckResult> {
    const { name } = check;
    try {
      const found = await inTime(this.#lookOnce(check), LOOK_MS, () => ({ failed: "does not answer in time" }));
      if (found === undefined) return { name, status: "ok" };
      return "failed" in found
        ? { name, status: "failed", reason: found.failed }
        : { name, status: "degraded", reason: found.degraded };
    } catch {
      return { name, status: "failed", reason: "cannot be looked at" };
    }
  }

  /** A part that hangs is waited for once, or what waits there would grow with every question. */
  #lookOnce(check: Check): Promise<Finding> {
    const under = this.#looking.get(check);
    if (under !== undefined) return under;
    const look = Promise.resolve()
      .then(() => check.look())
      .finally(() => this.#looking.delete(check));
    this.#looking.set(check, look);
    return look;
  }
}

/** A database that hangs is told as such before whoever asks has given up: balancers wait for 5 s or so. */
const LOOK_MS = 2000;
const AGAIN_MS = 1000;
