import { equalBytes, hex } from "../../keys/bytes.ts";
import { PeerError, UnavailableError } from "../../keys/errors.ts";
import { SESSION_CACHE, SESSION_CACHE_SHARE } from "../limits.ts";

/**
 * The device's answers by session id: the same id with the same msg1 gets the same answer, other bytes are refused.
 * A full cache refuses new sessions and evicts none, so that nobody can push an answer out and replay its request; and
 * one client fills a share of it at most, so that nobody can shut the others out.
 */
export class AnswerCache<Answer> {
  readonly #entries = new Map<
    string,
    { readonly request: Uint8Array; readonly client: string; readonly answer: Answer; readonly until: number }
  >();
  readonly #counts = new Map<string, number>();

  /**
   * The answer given before to exactly this request, or undefined when the session id is new.
   * `request` is the SHA-256 of prologue and msg1.
   * @throws {PeerError} E_PROTOCOL when the id came with other bytes before.
   */
  recall(sid: Uint8Array, request: Uint8Array): Answer | undefined {
    const entry = this.#entries.get(hex(sid));
    if (entry === undefined) return undefined;
    if (!equalBytes(entry.request, request)) throw new PeerError("E_PROTOCOL", "a session id was used twice");
    return entry.answer;
  }

  /** Makes room for one more of this client's. @throws {UnavailableError} E_BUSY when there is none. */
  admit(client: string, now: number): void {
    if (this.#entries.size >= SESSION_CACHE || this.#countOf(client) >= SESSION_CACHE_SHARE) this.#forgetPast(now);
    if (this.#entries.size >= SESSION_CACHE || this.#countOf(client) >= SESSION_CACHE_SHARE) {
      throw new UnavailableError("E_BUSY", "too many sessions at once");
    }
  }

  /** Remembers an answer until `until` (ms, of the clock that {@link admit} is given). */
  remember(sid: Uint8Array, request: Uint8Array, client: string, answer: Answer, until: number): void {
    this.#entries.set(hex(sid), { request, client, answer, until });
    this.#counts.set(client, this.#countOf(client) + 1);
  }

  #countOf(client: string): number {
    return this.#counts.get(client) ?? 0;
  }

  #forgetPast(now: number): void {
    for (const [sid, { client, until }] of this.#entries) {
      if (now < until) continue;
      this.#entries.delete(sid);
      const left = this.#countOf(client) - 1;
      if (left === 0) this.#counts.delete(client);
      else this.#counts.set(client, left);
    }
  }
}
