import type { X25519PublicKey } from "../keys/x25519.ts";
import {
  BROKER_DEVICE_HELLOS_BURST,
  BROKER_DEVICE_HELLOS_PER_SECOND,
  BROKER_REFUSALS_BURST,
  BROKER_REFUSALS_PER_SECOND,
  LINK_MESSAGES_BURST,
  LINK_MESSAGES_PER_SECOND,
} from "../protocol/limits.ts";
import type { OpenedMessage } from "../protocol/sealed-message.ts";
import { LINK } from "../protocol/messages/types.ts";
import { NameLimiter } from "./rate-limit.ts";

/**
 * How often each member is heard at the broker: hellos, which cost most, and what else it says, each with a rate of its own, so that
 * hellos which somebody has kept and brings again keep nothing else from being heard. Answers that are awaited are not counted. All
 * publish to one topic, and who has said something is known once it is opened: from there on, what is beyond the rate costs nothing more.
 */
export class BrokerRates {
  readonly #hellos = new NameLimiter<string>(HELLOS);
  readonly #others = new NameLimiter<string>(OTHERS);
  readonly #refusals = new NameLimiter<string>(REFUSALS);
  readonly #onBeyond: () => void;

  /** `onBeyond` is called for each message that is found to be too much. */
  constructor(onBeyond: () => void) {
    this.#onBeyond = onBeyond;
  }

  /** How many are counted: members only, of which there are as many as the directory has. */
  get size(): number {
    return this.#hellos.size + this.#others.size + this.#refusals.size;
  }

  /** Whether the sender, if it is known here, has said too much. `now` is monotonic. */
  isSpent(message: OpenedMessage, now: number): boolean {
    return !this.#within(!this.#of(message).isSpent(nameOf(message.sender), now));
  }

  /** Counts what a member has said; false when it is too much. */
  take(message: OpenedMessage, now: number): boolean {
    return this.#within(this.#of(message).take(nameOf(message.sender), now));
  }

  /** Counts a hello that is answered with no; false when there are too many, and it is not to be answered. */
  takeRefusal({ sender }: OpenedMessage, now: number): boolean {
    return this.#within(this.#refusals.take(nameOf(sender), now));
  }

  /** Forgets those who may say as much as if they had never come. */
  sweep(now: number): void {
    for (const limiter of [this.#hellos, this.#others, this.#refusals]) limiter.sweep(now);
  }

  #within(isWithin: boolean): boolean {
    if (!isWithin) this.#onBeyond();
    return isWithin;
  }

  #of({ type }: OpenedMessage): NameLimiter<string> {
    return type === LINK.brokerHello ? this.#hellos : this.#others;
  }
}

const HELLOS = { perSecond: BROKER_DEVICE_HELLOS_PER_SECOND, burst: BROKER_DEVICE_HELLOS_BURST };
const OTHERS = { perSecond: LINK_MESSAGES_PER_SECOND, burst: LINK_MESSAGES_BURST };
const REFUSALS = { perSecond: BROKER_REFUSALS_PER_SECOND, burst: BROKER_REFUSALS_BURST };

function nameOf(sender: X25519PublicKey): string {
  return sender.toJSON();
}
