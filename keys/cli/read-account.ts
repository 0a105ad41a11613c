import { type DirectoryClient, readStatements } from "../../directory/client.ts";
import { judgeNameAccount, type NameAccount } from "../../protocol/name-account.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { SecurityError } from "../errors.ts";
import type { Name } from "../names.ts";
import type { SignedText } from "../signed-text.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import type { X25519PrivateKey } from "../x25519.ts";

/** An owner key that is handed on while it is read has it read again. */
const READINGS = 3;

/**
 * All that stands about a name, as the directory gives and proves it: what is the newest, and what there was up to that.
 * `ownerSignature`: empty when the sender is a member. @throws as readStatements and judgeNameAccount.
 */
export async function readAccount(
  suite: CipherSuite,
  directory: DirectoryClient,
  sender: X25519PrivateKey,
  { name, ownerSignature }: { readonly name: Name; readonly ownerSignature: Uint8Array },
  { signal }: { readonly signal: AbortSignal },
): Promise<NameAccount> {
  const read = (what: "newest" | "history") =>
    readStatements(directory, sender, { name, what, ownerSignature }, { signal });
  for (let reading = 1; ; reading++) {
    const newest = await read("newest");
    const history = upTo(newest, await read("history"));
    try {
      return judgeNameAccount(suite, name, { newest, history }, directory.directoryTime);
    } catch (error) {
      const isWithheld = error instanceof SecurityError && error.code === "E_STATEMENT";
      if (!isWithheld || reading === READINGS) throw error;
    }
  }
}

/** The past without what was said behind the newest, after that was read; it comes with the oldest of each subject first. */
function upTo(newest: readonly SignedText[], history: readonly SignedText[]): SignedText[] {
  const last = new Map(newest.map((signed) => [subjectOf(signed), signed.text]));
  return history.filter((signed) => {
    const subject = subjectOf(signed);
    const text = last.get(subject);
    if (text === signed.text) last.delete(subject);
    return text !== undefined;
  });
}
