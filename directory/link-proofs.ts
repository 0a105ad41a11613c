import { encodeLogProof, type LogProof } from "../protocol/log/proof.ts";

/**
 * Messages with log proofs to one device. They go out in the order in which they were asked for, each proved from the
 * checkpoint of the one before, for a device takes them in that order and demands that the log grows from one to the next.
 */
export class LinkProofs {
  /** Size of the newest checkpoint that the device has. */
  #seen: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(seen: number) {
    this.#seen = seen;
  }

  /** Size of the newest checkpoint that the device has. */
  get seen(): number {
    return this.#seen;
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
