import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { PeerError, SetupError, UnavailableError } from "../../keys/errors.ts";
import type { SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import type { Witness } from "../../protocol/log/cosignature.ts";
import { parseConflict, printAddCheckpoint, takeCosignature } from "../../protocol/log/witness.ts";
import type { Log } from "../log/log.ts";
import { postCheckpoint } from "./post-checkpoint.ts";

/** A witness as the directory asks it. */
export interface AskedWitness {
  readonly name: string;
  readonly url: string;
  readonly witness: Witness;
}

/** What a witness has cosigned does not fit this log. Whether it is the log or the witness, only people can tell. */
export class WitnessDisagrees extends SetupError {
  constructor(name: string, how: string) {
    super("E_LOG", `The witness ${name} ${how}.`, {
      next:
        "This store comes from an old backup, it seems: put back the newest copy of the whole data folder. To go on all the " +
        "same, run once with --accept-older-log. If it is the witness that is wrong: " +
        `sshnp-directory witness remove ${name}`,
    });
  }
}

/**
 * The witness's cosignature lines for the log's checkpoint. `knownSize`: what it is believed to have cosigned last, 0 when
 * nothing is known; it says itself when it is another.
 * @throws {WitnessDisagrees} E_LOG; {UnavailableError} E_TIMEOUT; {PeerError} E_PROTOCOL; {SecurityError} E_WITNESS.
 */
export async function askWitness(
  suite: CipherSuite,
  log: Pick<Log, "consistency">,
  checkpoint: SignedCheckpoint,
  { name, url, witness }: AskedWitness,
  knownSize: number,
  signal: AbortSignal,
): Promise<string[]> {
  let oldSize = Math.min(knownSize, checkpoint.size);
  // Another one that asks it may come in between, so that it moves on while it is asked.
  for (let attempt = 0; attempt < 3; attempt++) {
    const proof = await log.consistency(oldSize, checkpoint.size);
    const question = printAddCheckpoint({ oldSize, proof, checkpoint: checkpoint.text });
    const { status, body } = await postCheckpoint(url, question, signal);
    switch (status) {
      case 200:
        return takeCosignature(suite, checkpoint, body, witness);
      case 409: {
        const size = parseConflict(body);
        if (size > checkpoint.size) {
          throw new WitnessDisagrees(
            name,
            `has cosigned ${size} entries of this log, of which ${checkpoint.size} are here`,
          );
        }
        if (size === oldSize) throw new WitnessDisagrees(name, `has cosigned another log of ${size} entries`);
        oldSize = size;
        break;
      }
      case 422:
        throw new WitnessDisagrees(name, `has cosigned ${oldSize} entries that are not those of this log`);
      case 404:
        throw new PeerError("E_PROTOCOL", "It does not know this log: it is to be given this directory's address.");
      case 503:
      case 429:
        throw new UnavailableError("E_BUSY", "It is busy.");
      default:
        throw new PeerError("E_PROTOCOL", `It answers with status ${status}.`);
    }
  }
  throw new UnavailableError("E_BUSY", "Others move it on while it is asked.");
}
