import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SshnpError } from "../../keys/errors.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { BROKER_AHEAD } from "../../protocol/limits.ts";
import { openMessage } from "../../protocol/sealed-message.ts";
import { linkCount, type LinkMessage, type LinkSealer } from "../link-sealing.ts";

/** One hello by a broker, and what is said over it. */
export interface Epoch {
  /** 16 bytes. */
  readonly epoch: Uint8Array;
  readonly order: BrokerOrder<LinkMessage>;
  /** Seals what the device says, once the directory has welcomed it. */
  sealer: LinkSealer | undefined;
}

/** The directory's word over one of these hellos, and its count; undefined for everything else, for anybody may have put it there. */
export function openAtBroker(
  suite: CipherSuite,
  keys: { readonly device: X25519PrivateKey; readonly directory: readonly X25519PublicKey[] },
  epochs: readonly Epoch[],
  bytes: Uint8Array,
): { readonly epoch: Epoch; readonly count: number; readonly message: LinkMessage } | undefined {
  try {
    const message = openMessage(suite, [keys.device], bytes);
    if (message === "unknown-recipient" || message.freshness.kind !== "nonce") return undefined;
    const { nonce } = message.freshness;
    if (!keys.directory.some((key) => key.equals(message.sender))) return undefined;
    const epoch = epochs.find((each) => equalBytes(each.epoch, nonce));
    return epoch && { epoch, count: linkCount(message.id), message };
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    return undefined;
  }
}

/**
 * Puts the messages of one hello in their order, each once: they are counted from 1 without a gap, so that one that a broker
 * keeps, repeats or sends late is known as that.
 */
export class BrokerOrder<Message> {
  readonly #ahead = new Map<number, Message>();
  #last = 0;
  #isLost = false;

  /** Whether later messages wait for one that is missing. */
  get hasGap(): boolean {
    return this.#ahead.size > 0;
  }

  /**
   * Takes one that came; gives those whose turn it is, or "lost" when too many wait for one that is missing. That is said once:
   * what comes then is of no use, until the next hello.
   */
  take(count: number, message: Message): readonly Message[] | "lost" {
    if (this.#isLost || count <= this.#last || this.#ahead.has(count)) return [];
    this.#ahead.set(count, message);
    const due: Message[] = [];
    for (let next = this.#ahead.get(this.#last + 1); next !== undefined; next = this.#ahead.get(this.#last + 1)) {
      this.#ahead.delete(++this.#last);
      due.push(next);
    }
    if (this.#ahead.size <= BROKER_AHEAD) return due;
    this.#isLost = true;
    this.#ahead.clear();
    return "lost";
  }
}
