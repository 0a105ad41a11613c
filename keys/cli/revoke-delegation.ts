import { type DelegationAccount, type NameAccount, successionOf } from "../../protocol/name-account.ts";
import { revocationText } from "../../protocol/owner-statements.ts";
import { bindingText } from "../../protocol/statements.ts";
import { SetupError } from "../errors.ts";
import { quoted } from "../names.ts";
import { signText } from "../owner-signer.ts";
import { minute } from "../table.ts";
import type { OwnerWork } from "./owner-work.ts";
import { say } from "./say.ts";

/**
 * Revokes a fleet token. Unless it is to cascade, the owner first signs for each member that the token has made, so that they
 * go on; and once more for those that were made while he did.
 */
export async function revokeDelegation(
  work: OwnerWork,
  id: string,
  { isCascade, reason }: { readonly isCascade: boolean; readonly reason: string },
): Promise<void> {
  const account = await work.account();
  const known = delegationOf(work, account, id);
  const { subject } = known.newest;
  const signer = await work.signer();
  work.demandOwner(account, signer);
  let adopted = isCascade ? 0 : await adopt(work, account, id);
  if (known.newest.kind === "revocation") {
    say(`Delegation ${id} is revoked already.`);
  } else {
    const text = revocationText(work.random, {
      ...{ subject, ...successionOf(known.newest) },
      ...{ issued: work.directory.directoryTime, expires: null, reason },
    });
    await work.put([await signText(signer, text)]);
    say(`Delegation ${id} is revoked: its token lets nobody in any more.`);
  }
  if (!isCascade) adopted += await adopt(work, await work.account(), id);
  say(isCascade ? "The members that it made end with it." : `Members that it made and that go on: ${adopted}.`);
}

/** Signs, as the owner, for the members that a delegation has made, and gives how many. */
async function adopt(work: OwnerWork, { members }: NameAccount, id: string): Promise<number> {
  const signer = await work.signer();
  const issued = work.directory.directoryTime;
  // Those that are revoked or past their end do not come back by this.
  const own = members.filter(({ delegation, newest, binding: { statement } }) => {
    return delegation === id && newest.kind === "binding" && (statement.expires === null || statement.expires > issued);
  });
  const bindings = [];
  for (const { binding, newest } of own) {
    const text = bindingText(work.random, { ...binding.statement, ...successionOf(newest), issued });
    bindings.push(await signText(signer, text));
  }
  await work.put(bindings);
  return own.length;
}

function delegationOf({ name }: OwnerWork, { delegations }: NameAccount, id: string): DelegationAccount {
  const found = delegations.find(({ delegation }) => delegation.statement.id === id);
  if (found !== undefined) return found;
  const ids = delegations.map(({ delegation: { statement } }) => `${statement.id} (${minute(statement.issued)})`);
  throw new SetupError("E_USAGE", `${name} has no delegation ${quoted(id)}.`, {
    next: ids.length === 0 ? "It has none." : `It has ${ids.slice(0, 8).join(", ")}.`,
  });
}
