import type { MemberName, Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { MemberStatements } from "../protocol/member-statements.ts";
import { delegationSubject } from "../protocol/owner-statements.ts";
import { kindOf } from "../protocol/statement-fields.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { ReadNewest } from "./proved.ts";
import type { MemberRecord } from "./records.ts";
import type { Store } from "./store.ts";

/** How a member stands, and what shows it. */
export interface MemberStanding {
  readonly record: MemberRecord;
  readonly statements: MemberStatements;
  /** What the log must prove of them, in their order; of a delegation what stands about it, its revocation included. */
  readonly newest: readonly ReadNewest[];
  /** Whether its owner has revoked it, or the delegation that made it. */
  readonly isRevoked: boolean;
}

/** How a member of an activated name stands now; undefined when there is none. @throws {UnavailableError} E_STORAGE. */
export async function memberStanding(
  store: Store,
  party: { readonly name: Name; readonly member: MemberName },
): Promise<MemberStanding | undefined> {
  const [record, name] = await Promise.all([store.member(party), store.name(party.name)]);
  if (record === undefined || name === undefined || name.statements.length === 0) return undefined;
  const made = record.delegation === undefined ? undefined : await store.delegation(party.name, record.delegation);
  const isRevoked = isRevocation(record.newest) || (made !== undefined && isRevocation(made.newest));
  // A revocation is the owner's own word, whoever made the member.
  const delegation = isRevocation(record.newest) ? undefined : made?.delegation;
  const newest: ReadNewest[] = [
    { subject: party.name, newest: name.statements.at(-1) },
    { subject: bindingSubject(party), newest: record.newest },
  ];
  if (delegation !== undefined && record.delegation !== undefined) {
    newest.push({ subject: delegationSubject({ name: party.name, id: record.delegation }), newest: made?.newest });
  }
  const delegationRevocation =
    delegation !== undefined && made !== undefined && isRevocation(made.newest) ? made.newest : undefined;
  const statements = { names: name.statements, member: record.newest, delegation, delegationRevocation };
  return { record, statements, newest, isRevoked };
}

/** Whether a member is revoked by what was said of its delegation, so that nothing on itself shows it. */
export function isRevokedWithout({ isRevoked, record }: MemberStanding): boolean {
  return isRevoked && !isRevocation(record.newest);
}

/** Whether a member is revoked, by its record alone. @throws {UnavailableError} E_STORAGE. */
export async function isRevokedRecord(
  store: Pick<Store, "delegation">,
  name: Name,
  { newest, delegation }: Pick<MemberRecord, "newest" | "delegation">,
): Promise<boolean> {
  if (isRevocation(newest)) return true;
  const made = delegation === undefined ? undefined : await store.delegation(name, delegation);
  return made !== undefined && isRevocation(made.newest);
}

function isRevocation(signed: SignedText): boolean {
  return kindOf(signed) === "revocation";
}
