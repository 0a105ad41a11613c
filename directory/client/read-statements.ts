import { utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { STATEMENTS_READ } from "../../protocol/limits.ts";
import { encodeReadStatements, type Reading } from "../../protocol/messages/read-statements.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { answerFrames, type MessageSender, outOfTurn } from "./answer-frames.ts";
import type { ProvedHeads } from "./log-follower.ts";
import { askUntilAnswered } from "./told-to-wait.ts";

/** What reading statements needs of a DirectoryClient. */
interface Directory extends MessageSender {
  readonly suite: CipherSuite;
  readonly checkpointSize: number;
  keyList(options: { readonly signal: AbortSignal }): Promise<unknown>;
  acceptProof(proof: Uint8Array): ProvedHeads;
}

/** What is asked for, and by which right: as a member of the name, or with its owner's signature. */
export interface StatementsQuestion {
  readonly name: Name;
  readonly what: Reading;
  /** Empty when the sender is a member. */
  readonly ownerSignature: Uint8Array;
}

/**
 * The statements on a name. Those that are to be the newest are proved to be; those of the past are for their reader to
 * hold against each other. Who signed them is not verified here. While another answer to this sender is under way, it waits.
 * @throws what the directory refused with; {SecurityError} E_LOG, E_WITNESS; {PeerError} E_PROTOCOL, also for too many.
 */
export async function readStatements(
  directory: Directory,
  sender: X25519PrivateKey,
  question: StatementsQuestion,
  { signal }: { readonly signal: AbortSignal },
): Promise<SignedText[]> {
  return await askUntilAnswered(() => readOnce(directory, sender, question, signal), { signal });
}

async function readOnce(
  directory: Directory,
  sender: X25519PrivateKey,
  question: StatementsQuestion,
  signal: AbortSignal,
): Promise<SignedText[]> {
  await directory.keyList({ signal }); // the checkpoint seen before is signed with a key in it
  const body = encodeReadStatements({ ...question, checkpointSize: directory.checkpointSize });
  const message = { type: REQUEST.readStatements, body };
  const all: SignedText[] = [];
  for await (const { statements, proof } of answerFrames(directory, "statements", sender, message, { signal })) {
    if (all.length + statements.length > STATEMENTS_READ) throw outOfTurn();
    if (question.what === "newest" && statements.length > 0) {
      const claims = statements.map((one) => ({
        subject: subjectOf(one),
        newest: directory.suite.sha256(utf8(one.text)),
      }));
      directory.acceptProof(proof).demand(claims);
    }
    all.push(...statements);
  }
  return all;
}
