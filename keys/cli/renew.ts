import { Command } from "commander";
import { CLIENT_BINDING_MS, OWN_END_NEAR_MS } from "../../protocol/limits.ts";
import { type MemberAccount, successionOf } from "../../protocol/name-account.ts";
import { bindingText } from "../../protocol/statements.ts";
import { SetupError } from "../errors.ts";
import { signText } from "../owner-signer.ts";
import { minute } from "../table.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { demandOwnKeys, memberOf } from "./revoke.ts";
import { say } from "./say.ts";

/** `sshnp-keys renew` */
export function renewCommand(): Command {
  return ownerOptions(new Command("renew"))
    .description("Let clients count for another year, with the keys that they have.")
    .argument("<name>", "the name, such as @acme")
    .argument("[member]", "a client; all whose year is over or ends within 30 days, unless given")
    .option("--yes", "do not ask, where the owner of now has not signed those keys himself")
    .addHelpText(
      "after",
      `
A client's keys count for a year, so that what is forgotten ends. sshnp says so from 30 days ahead. Whoever is revoked stays
revoked. Nothing is to be done on the client's machine. Whom a fleet token has made is shown and asked for first.

Examples:
  sshnp-keys renew @acme
  sshnp-keys renew @acme laptop-client`,
    )
    .action((name: string, member: string | undefined, options: OwnerOptions & { readonly yes?: boolean }) =>
      withOwner(name, options, (work) => renew(work, member, { isAgreed: options.yes === true })),
    );
}

async function renew(
  work: OwnerWork,
  memberText: string | undefined,
  { isAgreed }: { readonly isAgreed: boolean },
): Promise<void> {
  const { name } = work;
  const account = await work.account();
  const now = work.directory.directoryTime;
  const chosen =
    memberText === undefined
      ? account.members.filter((one) => isRenewable(one) && endOf(one) < now + OWN_END_NEAR_MS)
      : [(await memberOf(work, memberText)).member];
  for (const one of chosen) if (!isRenewable(one)) throw notRenewable(name, one);
  if (chosen.length === 0) return say(`No client of ${name} ends within 30 days.`);
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const expires = now + CLIENT_BINDING_MS;
  for (const one of chosen) {
    if (!isAgreed) await demandOwnKeys(work, one, signer);
    const fields = { ...one.binding.statement, ...successionOf(one.newest), issued: now, expires };
    await work.put([await signText(signer, bindingText(work.random, fields))]);
    say(`${one.member} of ${name} counts until ${minute(expires)}.`);
  }
}

function isRenewable({ condition, binding }: MemberAccount): boolean {
  return (condition === "active" || condition === "expired") && binding.statement.expires !== null;
}

function endOf({ binding }: MemberAccount): number {
  return binding.statement.expires ?? Infinity;
}

function notRenewable(name: string, { member, condition, binding }: MemberAccount): SetupError {
  const isForever = binding.statement.expires === null;
  return new SetupError("E_USAGE", `${member} of ${name} ${isForever ? "does not end" : `is ${condition}`}.`, {
    next: isForever ? "Nothing is to be done." : `To let it count again: sshnp-keys unrevoke ${name} ${member}`,
  });
}
