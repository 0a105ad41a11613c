import { encodeLogProof, type LogProof } from "../protocol/log/proof.ts";
import type { Log } from "./log/log.ts";

/**
 * Messages with log proofs to one device. They go out in the order in which they were asked for, each proved from the
 * checkpoint of the one before, for a device takes them in that order and demands that the log grows from one to the next.
 */
export class LinkProofs {
  readonly #log: Pick<Log, "proof">;
  /** Size of the newest checkpoint that the device has. */
  #seen: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(log: Pick<Log, "proof">, seen: number) {
    this.#log = log;
    this.#seen = seen;
  }

  /** Size of the newest checkpoint that the device has. */
  get seen(): number {
    return this.#seen;
  }

  /** Gives `send` an encoded proof of `subjects`, when it is its turn. @throws {UnavailableError} E_STORAGE. */
  send(subjects: readonly string[], send: (proof: Uint8Array) => void): Promise<void> {
    return this.inTurn(async () => send(this.sent(await this.#log.proof(subjects, this.#seen))));
  }

  /** Runs what reads, proves from {@link seen} on and sends, when it is its turn. @throws what `action` throws. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** A proof that goes out now, encoded: what comes next is proved from its checkpoint on. */
  sent(proof: LogProof): Uint8Array {
    this.#seen = Number(proof.checkpoint.split("\n")[1]);
    return encodeLogProof(proof);
  }
}
