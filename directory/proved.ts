import { utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { LogProof } from "../protocol/log/proof.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { Log } from "./log/log.ts";

/** What was read as the newest statement on a subject; undefined: that there is none. */
export interface ReadNewest {
  readonly subject: string;
  readonly newest: Pick<SignedText, "text"> | undefined;
}

/** What is said of statements, and which of them the log must prove, in this order. */
export interface Said {
  readonly newest: readonly ReadNewest[];
}

interface Services {
  readonly suite: Pick<CipherSuite, "sha256">;
  readonly statementLog: Pick<Log, "proof" | "proves">;
}

/** A log that grows between so many readings and their proofs is given up on. */
const READINGS = 3;

/**
 * What `read` gives, with a proof by the log from size `since()` on: read again when a statement came in between, for it would
 * look like a lie under the newer checkpoint. A refusal needs no proof; E_BUSY
 * is one, when each time something came in between. @throws {UnavailableError} E_STORAGE.
 */
export async function proved<What extends Said>(
  { suite, statementLog }: Services,
  since: () => number,
  read: () => Promise<What | RefusalCode>,
): Promise<{ readonly said: What; readonly proof: LogProof } | RefusalCode> {
  for (let reading = 0; reading < READINGS; reading++) {
    const said = await read();
    if (typeof said === "string") return said;
    const subjects = said.newest.map(({ subject }) => subject);
    const proof = await statementLog.proof(subjects, since());
    const hashes = said.newest.map(({ newest }) => newest && suite.sha256(utf8(newest.text)));
    if (statementLog.proves(proof, subjects, hashes)) return { said, proof };
  }
  return "E_BUSY";
}
