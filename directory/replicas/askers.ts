import { hex } from "../../keys/bytes.ts";
import { DEVICE_ANSWER_MS, MESSAGE2_BYTES } from "../../protocol/limits.ts";
import type { Answer } from "../../protocol/messages/session-request.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import type { Clock } from "../clock.ts";
import type { Party } from "../presence.ts";

/** Which other directory has had this one ask a device, by the session's id. */
export class Askers {
  readonly #clock: Pick<Clock, "monotonic">;
  /** By the id in hex; `until` when the answer may come (monotonic ms). */
  readonly #askers = new Map<string, { readonly to: string; readonly device: string; readonly until: number }>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** `to`: the directory that asks, in hex. */
  note(sid: Uint8Array, to: string, device: Party): void {
    const until = this.#clock.monotonic() + DEVICE_ANSWER_MS;
    this.#askers.delete(hex(sid)); // the newest comes last
    this.#askers.set(hex(sid), { to, device: bindingSubject(device), until });
  }

  /** Whether an answer to this is awaited. */
  has(sid: Uint8Array): boolean {
    return this.#askers.has(hex(sid));
  }

  /** Who is to have a device's first answer; undefined for any other. */
  take(device: Party, answer: Answer): string | undefined {
    const sid = hex(answer.sid);
    const asker = this.#askers.get(sid);
    if (asker?.device !== bindingSubject(device)) return undefined;
    if ("message2" in answer && answer.message2.length > MESSAGE2_BYTES) return undefined;
    this.#askers.delete(sid);
    return asker.to;
  }

  sweep(): void {
    const now = this.#clock.monotonic();
    for (const [sid, { until }] of this.#askers) {
      if (now < until) return; // the oldest come first
      this.#askers.delete(sid);
    }
  }
}
