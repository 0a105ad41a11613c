import { utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { PeerError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { encodePutStatements } from "../../protocol/messages/put-statements.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import type { NewestClaim, ProvedHeads } from "./log-follower.ts";
import { askUntilAnswered } from "./told-to-wait.ts";

/** What putting statements needs of a DirectoryClient. */
interface Directory {
  readonly suite: CipherSuite;
  readonly checkpointSize: number;
  keyList(options: { readonly signal: AbortSignal }): Promise<unknown>;
  request(
    sender: X25519PrivateKey,
    message: { readonly type: number; readonly body: Uint8Array },
    options: { readonly signal: AbortSignal },
  ): Promise<Frame>;
  acceptProof(proof: Uint8Array): ProvedHeads;
}

/**
 * Gives the directory statements that an owner, or a delegation of his, has signed, and demands proof that they are the
 * newest in its log: who only says that he has taken them has not. At most 16, all taken or none. When the directory takes no
 * more of the name for now, they are sent again when it does.
 * @throws what the directory refused with; {SecurityError} E_LOG, E_WITNESS; as DirectoryClient.request.
 */
export async function putStatements(
  directory: Directory,
  sender: X25519PrivateKey,
  statements: readonly SignedText[],
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  await directory.keyList({ signal }); // the checkpoint seen before is signed with a key in it
  const body = encodePutStatements({ checkpointSize: directory.checkpointSize, statements });
  const put = { type: REQUEST.putStatements, body };
  const frame = await askUntilAnswered(() => directory.request(sender, put, { signal }), { signal });
  demandLogged(directory, frame, statements);
}

/** Demands of the answer to statements that they are logged as the newest. @throws {SecurityError} E_LOG; {PeerError}. */
export function demandLogged(
  directory: Pick<Directory, "suite" | "acceptProof">,
  frame: Frame,
  statements: readonly SignedText[],
): void {
  if (frame.type !== "logged") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
  const newest = new Map(statements.map((one) => [subjectOf(one), directory.suite.sha256(utf8(one.text))]));
  const claims: NewestClaim[] = statements.map((one) => {
    const subject = subjectOf(one);
    return { subject, newest: newest.get(subject) };
  });
  directory.acceptProof(frame.proof).demand(claims);
}
