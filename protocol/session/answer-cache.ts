import { equalBytes, hex } from "../../keys/bytes.ts";
import { PeerError, UnavailableError } from "../../keys/errors.ts";
import { SESSION_CACHE } from "../limits.ts";

/**
 * The device's answers by session id: the same id with the same msg1 gets the same answer, other bytes are refused.
 * A full cache refuses new sessions and evicts none, so that nobody can push an answer out and replay its request.
 */
export class AnswerCache<Answer> {
  readonly #entries = new Map<
    string,
    { readonly request: Uint8Array; readonly answer: Answer; readonly until: number }
  >();

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

  /** Makes room, forgetting what is past its time. @throws {UnavailableError} E_BUSY when there is none. */
  admit(now: number): void {
    if (this.#entries.size < SESSION_CACHE) return;
    for (const [sid, entry] of this.#entries) if (now >= entry.until) this.#entries.delete(sid);
    if (this.#entries.size >= SESSION_CACHE) throw new UnavailableError("E_BUSY", "too many sessions at once");
  }

  /** Remembers an answer until `until` (ms, of the clock that {@link admit} is given). */
  remember(sid: Uint8Array, request: Uint8Array, answer: Answer, until: number): void {
    this.#entries.set(hex(sid), { request, answer, until });
  }
}
