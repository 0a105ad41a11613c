import { encodeLogProof } from "../protocol/log/proof.ts";
import type { Log } from "./log/log.ts";

/**
 * Messages with log proofs to one device. They go out in the order in which they were asked for, each proved from the
 * checkpoint of the one before, for a device takes them in that order and demands that the log grows from one to the next.
 */
export class LinkProofs {
  readonly #log: Pick<Log, "proof">;
  /** Size of the newest checkpoint that the device has. */
  #seen: number;
  #turn: Promise<void> = Promise.resolve();

  constructor(log: Pick<Log, "proof">, seen: number) {
    this.#log = log;
    this.#seen = seen;
  }

  /** Gives `send` an encoded proof of `subjects`, when it is its turn. @throws {UnavailableError} E_STORAGE. */
  send(subjects: readonly string[], send: (proof: Uint8Array) => void): Promise<void> {
    const turn = this.#turn.then(() => this.#prove(subjects, send));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #prove(subjects: readonly string[], send: (proof: Uint8Array) => void): Promise<void> {
    const proof = await this.#log.proof(subjects, this.#seen);
    send(encodeLogProof(proof));
    this.#seen = Number(proof.checkpoint.split("\n")[1]);
  }
}
