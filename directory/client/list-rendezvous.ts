import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import { TICKET_ENTRIES } from "../../protocol/limits.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { type RendezvousStatement, verifyRendezvousStatement } from "../../protocol/statements.ts";
import { answerFrames, type MessageSender, outOfTurn } from "./answer-frames.ts";

/** What listing rendezvous needs of a DirectoryClient. */
interface Directory extends MessageSender {
  readonly suite: CipherSuite;
  keyList(options: { readonly signal: AbortSignal }): Promise<VerifiedKeyList>;
}

/**
 * The rendezvous that a ticket would name now, each as the directory's root key has signed it; none when none is up.
 * @throws what the directory refused with; {SecurityError} E_STATEMENT when the root key did not sign one; {PeerError} E_PROTOCOL.
 */
export async function listRendezvous(
  directory: Directory,
  sender: X25519PrivateKey,
  { signal }: { readonly signal: AbortSignal },
): Promise<RendezvousStatement[]> {
  const { root } = await directory.keyList({ signal });
  const all: RendezvousStatement[] = [];
  const message = { type: REQUEST.listRendezvous, body: new Uint8Array(0) };
  for await (const { statement } of answerFrames(directory, "rendezvous", sender, message, { signal })) {
    if (all.length === TICKET_ENTRIES) throw outOfTurn();
    all.push(verifyRendezvousStatement(directory.suite, statement, root).statement);
  }
  return all;
}
