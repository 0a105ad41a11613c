import {
  type DelegationAccount,
  type MemberAccount,
  type NameAccount,
  successionOf,
} from "../../protocol/name-account.ts";
import { revocationText } from "../../protocol/owner-statements.ts";
import { bindingText } from "../../protocol/statements.ts";
import { SetupError } from "../errors.ts";
import { quoted } from "../names.ts";
import { type OwnerSigner, signText } from "../owner-signer.ts";
import { minute } from "../table.ts";
import { demandYes } from "./ask-yes.ts";
import type { OwnerWork } from "./owner-work.ts";
import { say } from "./say.ts";

/**
 * Revokes a fleet token. Unless it is to cascade, the owner first signs for each member that the token was given for and has
 * made by then, so that they go on, when a person who has seen their names agrees to it or `isAgreed`. Whatever else the token
 * has made, or the directory says that it has, ends with it.
 */
export async function revokeDelegation(
  work: OwnerWork,
  id: string,
  options: { readonly isCascade: boolean; readonly isAgreed: boolean; readonly reason: string },
): Promise<void> {
  const { isCascade, isAgreed, reason } = options;
  const account = await work.account();
  const { subject, ...newest } = delegationOf(work, account, id).newest;
  const signer = await work.signer();
  work.demandOwner(account, signer);
  if (newest.kind === "revocation") return say(`Delegation ${id} is revoked already.`);
  const staying = isCascade ? [] : account.members.filter((one) => one.delegation === id && one.condition === "active");
  if (staying.length > 0) {
    say(`Delegation ${id} has made, and the owner signs for, so that they go on: ${namesOf(staying)}.`);
    if (!isAgreed) await demandYes(work, "these bindings", UNASKED);
    await adopt(work, signer, staying);
  }
  const text = revocationText(work.random, {
    ...{ subject, ...successionOf(newest) },
    ...{ issued: work.directory.directoryTime, expires: null, reason },
  });
  await work.put([await signText(signer, text)]);
  say(`Delegation ${id} is revoked: its token lets nobody in any more.`);
  if (isCascade) return say("The members that it made end with it.");
  say(`Members that it made and that go on: ${staying.length}.`);
  const before = new Set(account.members.map(({ member }) => member));
  const ended = (await work.account()).members.filter((one) => one.delegation === id && !before.has(one.member));
  if (ended.length === 0) return;
  say(
    `Made meanwhile, and ended with it: ${namesOf(ended)}. For one that is yours: sshnp-keys unrevoke ${work.name} MEMBER`,
  );
}

/** Signs, as the owner, for members that a delegation has made. */
async function adopt(work: OwnerWork, signer: OwnerSigner, members: readonly MemberAccount[]): Promise<void> {
  const issued = work.directory.directoryTime;
  const bindings = [];
  for (const { binding, newest } of members) {
    const text = bindingText(work.random, { ...binding.statement, ...successionOf(newest), issued });
    bindings.push(await signText(signer, text));
  }
  await work.put(bindings);
}

function namesOf(members: readonly MemberAccount[]): string {
  return members.map(({ member }) => member).join(", ");
}

const UNASKED =
  "Look at their names above, and give --yes. With --cascade they all end; one of them alone: sshnp-keys revoke.";

function delegationOf({ name }: OwnerWork, { delegations }: NameAccount, id: string): DelegationAccount {
  const found = delegations.find(({ delegation }) => delegation.statement.id === id);
  if (found !== undefined) return found;
  const ids = delegations.map(({ delegation: { statement } }) => `${statement.id} (${minute(statement.issued)})`);
  throw new SetupError("E_USAGE", `${name} has no delegation ${quoted(id)}.`, {
    next: ids.length === 0 ? "It has none." : `It has ${ids.slice(0, 8).join(", ")}.`,
  });
}
