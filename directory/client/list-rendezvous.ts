import { PeerError } from "../../keys/errors.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import { TICKET_ENTRIES } from "../../protocol/limits.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { type RendezvousStatement, verifyRendezvousStatement } from "../../protocol/statements.ts";
import { refusalError } from "./refusal-error.ts";

/** What listing rendezvous needs of a DirectoryClient. */
interface Directory {
  readonly suite: CipherSuite;
  keyList(options: { readonly signal: AbortSignal }): Promise<VerifiedKeyList>;
  send(
    sender: X25519PrivateKey,
    message: { readonly type: number; readonly body: Uint8Array },
    options: { readonly signal: AbortSignal },
  ): AsyncGenerator<Frame, void, void>;
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
  for await (const frame of directory.send(sender, message, { signal })) {
    if (frame.type === "refused") throw refusalError(frame.code, frame.detail);
    if (frame.type === "done") return all;
    if (frame.type !== "rendezvous" || all.length === TICKET_ENTRIES) break;
    all.push(verifyRendezvousStatement(directory.suite, frame.statement, root).statement);
  }
  throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
}
