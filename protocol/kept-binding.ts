import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { parseSshsig } from "../keys/sshsig.ts";
import { type Binding, verifyBinding } from "./statements.ts";

/**
 * A binding of this member as a file of this machine's keeps it. Who may sign it was judged before it was kept, so any
 * signer is taken that the signature names and verifies for. To show it, never to decide by it.
 * @throws {SecurityError} E_STATEMENT when it does not verify, or is of another member; {PeerError} E_PROTOCOL.
 */
export function readKeptBinding(
  suite: CipherSuite,
  { name, member }: { readonly name: Name; readonly member: MemberName },
  signed: SignedText,
): Binding {
  const signer = parseSshsig(signed.signature).publicKey.line;
  const { statement } = verifyBinding(suite, signed, signer);
  if (statement.name === name && statement.member === member) return statement;
  throw new SecurityError("E_STATEMENT", `a binding of another member was kept for ${member} of ${name}`);
}
