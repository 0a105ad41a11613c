import { UNREAD_ANSWERS } from "../protocol/limits.ts";
import type { ResponseStream } from "./response-stream.ts";

/**
 * Answers that go on only as their readers read. They are no work any more, so what bounds that does not bound them, and each
 * holds what its reader has not taken yet: of more than UNREAD_ANSWERS the one that has waited first is cut.
 */
export class UnreadAnswers {
  /** The oldest first. */
  readonly #answers = new Set<Pick<ResponseStream, "cut" | "onClose">>();

  get size(): number {
    return this.#answers.size;
  }

  /** Counts one from its first wait to its end. */
  add(answer: Pick<ResponseStream, "cut" | "onClose">): void {
    if (this.#answers.has(answer)) return;
    this.#answers.add(answer);
    answer.onClose(() => this.#answers.delete(answer));
    const [oldest] = this.#answers;
    if (this.#answers.size > UNREAD_ANSWERS) oldest?.cut();
  }
}
