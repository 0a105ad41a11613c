import { type DirectoryClient, readStatements } from "../../directory/client.ts";
import { judgeNameAccount, type NameAccount } from "../../protocol/name-account.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { SecurityError } from "../errors.ts";
import type { Name } from "../names.ts";
import type { X25519PrivateKey } from "../x25519.ts";

/** What is said between the two readings looks like something withheld, so it is read again. */
const READINGS = 3;

/**
 * All that stands about a name, as the directory gives and proves it: what there ever was, and then what is the newest.
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
    const history = await read("history");
    const newest = await read("newest");
    try {
      return judgeNameAccount(suite, name, { newest, history }, directory.directoryTime);
    } catch (error) {
      const isWithheld = error instanceof SecurityError && error.code === "E_STATEMENT";
      if (!isWithheld || reading === READINGS) throw error;
    }
  }
}
