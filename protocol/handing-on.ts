import type { RandomBytes } from "../keys/cipher-suite.ts";
import type { TextToSign } from "../keys/signed-text.ts";
import { type DelegationAccount, type MemberAccount, type NameAccount, successionOf } from "./name-account.ts";
import { delegationText, policyText, revocationText } from "./owner-statements.ts";
import { isExpired } from "./statement-fields.ts";
import { bindingText } from "./statements.ts";

/** Owner keys as OpenSSH public key lines, and the time of the directory in ms. */
export interface HandingOn {
  readonly from: string;
  readonly to: string;
  readonly issued: number;
}

/**
 * What the owner key `to` must say again, so that whatever counts by the word of `from` goes on to count when a rotation has
 * handed the name on: the policy, delegations, bindings with their keys and their own end, and the revocations of members,
 * who are to be told that they are revoked and nothing else. The account may be of before the rotation or of any time after
 * it; what `to` has signed already is not among them. In the order in which most depends on them.
 */
export function handOn(random: RandomBytes, account: NameAccount, handing: HandingOn): TextToSign[] {
  return [
    ...policyOf(random, account, handing),
    ...account.delegations
      .filter((delegation) => goesOn(delegation, handing))
      .map((delegation) => delegationAnew(random, delegation, handing)),
    ...account.members.flatMap((member) => memberAnew(random, account, member, handing)),
  ];
}

/** The last policy by `from`, whatever an owner key of before has signed behind it. An end of its own counts nowhere. */
function policyOf(random: RandomBytes, { policy: known }: NameAccount, { from, issued }: HandingOn): TextToSign[] {
  if (known?.signer !== from) return [];
  const { policy, newest } = known;
  return [policyText(random, { ...policy.statement, ...successionOf(newest), issued, expires: null })];
}

function goesOn({ delegation, newest }: DelegationAccount, { from, issued }: HandingOn): boolean {
  return newest.kind === "delegation" && newest.signer === from && !isExpired(delegation.statement, issued);
}

function delegationAnew(
  random: RandomBytes,
  { delegation, newest }: DelegationAccount,
  handing: HandingOn,
): TextToSign {
  return delegationText(random, { ...delegation.statement, ...successionOf(newest), issued: handing.issued });
}

function memberAnew(
  random: RandomBytes,
  { delegations }: NameAccount,
  { binding, newest, revocation, delegation: id }: MemberAccount,
  { from, to, issued }: HandingOn,
): TextToSign[] {
  if (newest.signer === to) return [];
  const next = { ...successionOf(newest), issued };
  if (revocation !== undefined) return [revocationText(random, { ...revocation.statement, ...next })];
  if (isExpired(binding.statement, issued)) return [];
  const anew = [bindingText(random, { ...binding.statement, ...next })];
  if (newest.signer === from) return anew;
  // What a delegation was not given for counts at no end, and does not come to count by this.
  if (newest.signed !== binding.signed) return [];
  const made = delegations.find(({ delegation }) => delegation.statement.id === id);
  if (made?.newest.kind !== "delegation" || (made.newest.signer !== from && made.newest.signer !== to)) return [];
  // A delegation that goes on carries what it has made; one past its end cannot be said again, but its members can.
  return isExpired(made.delegation.statement, issued) ? anew : [];
}
