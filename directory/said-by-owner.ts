import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { parseSshsig } from "../keys/sshsig.ts";
import { verifyChainOf } from "../protocol/owner-chain.ts";
import type { Party } from "./presence.ts";
import { memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";

/**
 * Tells of a member by its subject whether the owner of now has signed for it, or for what made it.
 * @throws {UnavailableError} E_STORAGE.
 */
export async function saidByOwnerOf(
  { suite, store }: { readonly suite: CipherSuite; readonly store: Store },
  name: Name,
): Promise<(subject: string) => Promise<boolean>> {
  const statements = (await store.name(name))?.statements ?? [];
  if (statements.length === 0) return () => Promise.resolve(false);
  const { owner } = verifyChainOf(suite, name, statements);
  return async (subject) => {
    const standing = await memberStanding(store, partyOf(subject));
    if (standing === undefined) return false;
    const { member, delegation, delegationRevocation } = standing.statements;
    return parseSshsig((delegationRevocation ?? delegation ?? member).signature).publicKey.line === owner;
  };
}

/** Whom a member's subject names. */
export function partyOf(subject: string): Party {
  const [name, member] = subject.split("/") as [Name, MemberName];
  return { name, member };
}
