import { Command } from "commander";
import { parseMember } from "../names.ts";
import { deny } from "./approve.ts";
import { DELETED } from "./deleted.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { revoke } from "./revoke.ts";
import { say } from "./say.ts";

/** `sshnp-keys delete` */
export function deleteCommand(): Command {
  return ownerOptions(new Command("delete"))
    .description(
      "Remove a member: revoke it, or turn away one that waits, and show it no more. unrevoke takes that back.",
    )
    .argument("<name>", "the name, such as @acme")
    .argument("<member>", "the member, such as laptop-client")
    .addHelpText(
      "after",
      `
What was said in the log stays there, so this deletes nothing: it revokes the member, if it is not revoked yet, and sshnp-keys
list leaves it out unless --all is given. Its name stays its own; a new machine needs another one.`,
    )
    .action((name: string, member: string, options: OwnerOptions) =>
      withOwner(name, options, (work) => remove(work, member)),
    );
}

async function remove(work: OwnerWork, memberText: string): Promise<void> {
  const wanted = parseMember(memberText);
  const account = await work.account();
  const pending = (await work.enrolments(account)).find(({ member }) => member === wanted);
  // That it waits is the directory's word, which does not stand in the way of a revocation.
  if (pending === undefined || account.members.some(({ member }) => member === wanted)) {
    await revoke(work, memberText, DELETED);
    say(`sshnp-keys list ${work.name} leaves it out from now on, unless with --all.`);
  }
  if (pending !== undefined) await deny(work, account, pending);
}
