import { Command } from "commander";
import { REVOCATION_REASON_BYTES } from "../../protocol/limits.ts";
import { revocationText } from "../../protocol/owner-statements.ts";
import { type MemberAccount, type NameAccount, successionOf } from "../../protocol/name-account.ts";
import { bindingText } from "../../protocol/statements.ts";
import { utf8 } from "../bytes.ts";
import { DeniedError, SetupError } from "../errors.ts";
import { parseMember } from "../names.ts";
import { parseSshsig } from "../sshsig.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { type OwnerSigner, signText } from "../owner-signer.ts";
import { demandYes } from "./ask-yes.ts";
import { DELETED } from "./deleted.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { revokeDelegation } from "./revoke-delegation.ts";
import { say } from "./say.ts";
import { minute } from "../table.ts";

interface RevokeOptions extends OwnerOptions {
  readonly delegation?: string;
  readonly cascade?: boolean;
  readonly reason?: string;
  readonly yes?: boolean;
}

/** `sshnp-keys revoke` */
export function revokeCommand(): Command {
  return ownerOptions(new Command("revoke"))
    .description("Say, as the owner of a name, that a member of it counts no more, or a fleet token.")
    .argument("<name>", "the name, such as @acme")
    .argument("[member]", "the member, such as laptop-client")
    .option("--delegation <id>", "a fleet token instead of a member, by its ID in sshnp-keys list")
    .option("--cascade", "with it, what the token has made")
    .option("--yes", "do not ask whether what the token has made is to go on")
    .option("--reason <text>", "why, for whoever is refused and whoever reads the log", "")
    .addHelpText(
      "after",
      `
The member's sessions end within seconds, and it begins no new ones, whatever the directory wants: every device and client
demands proof from the log that nothing newer was said about whom it talks to. unrevoke takes it back.

With --delegation no machine is let in with that token any more. Those that it let in go on: their names are shown, and the owner
signs for each of them anew, first, if you agree. With --cascade they end with the token.

Examples:
  sshnp-keys revoke @acme laptop-client --reason 'stolen on 29 November'
  sshnp-keys revoke @device gw7 --owner-key agent:SHA256:...
  sshnp-keys revoke @device --delegation 0123456789abcdef --cascade --reason 'leaked'`,
    )
    .action((name: string, member: string | undefined, options: RevokeOptions) =>
      withOwner(name, options, async (work) => {
        const { delegation, cascade, yes, reason = "" } = options;
        if ((member === undefined) === (delegation === undefined)) throw oneOfBoth(name);
        if (utf8(reason).length > REVOCATION_REASON_BYTES) throw tooLong();
        if (member !== undefined) await revoke(work, member, reason);
        else {
          const choices = { isCascade: cascade === true, isAgreed: yes === true, reason };
          await revokeDelegation(work, delegation ?? "", choices);
        }
      }),
    );
}

/** `sshnp-keys unrevoke` */
export function unrevokeCommand(): Command {
  return ownerOptions(new Command("unrevoke"))
    .description("Take back a revocation: the member counts again, with the keys that it had.")
    .argument("<name>", "the name, such as @acme")
    .argument("<member>", "the member, such as laptop-client")
    .option("--yes", "do not ask, where the owner of now has not signed those keys himself")
    .addHelpText(
      "after",
      `
Where a fleet token or an owner key of before has signed the keys, whoever has that may have put his own in their place, so they are
shown and asked for first: on the machine sshnp-keys show NAME says which it has.`,
    )
    .action((name: string, member: string, options: OwnerOptions & { readonly yes?: boolean }) =>
      withOwner(name, options, (work) => unrevoke(work, member, { isAgreed: options.yes === true })),
    );
}

export async function revoke(work: OwnerWork, memberText: string, reason: string): Promise<void> {
  const { account, member } = await memberOf(work, memberText);
  const { name } = work;
  const isToBeHidden = reason === DELETED && member.revocation?.statement.reason !== DELETED;
  if (member.condition === "revoked" && !isToBeHidden) {
    return say(
      `${member.member} of ${name} is revoked already, since ${minute(member.revocation?.statement.issued ?? 0)}.`,
    );
  }
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const text = revocationText(work.random, {
    ...{ subject: member.newest.subject, ...successionOf(member.newest) },
    ...{ issued: work.directory.directoryTime, expires: null, reason },
  });
  await work.put([await signText(signer, text)]);
  say(
    `${member.member} of ${name} is revoked. Its sessions end now; to take that back: sshnp-keys unrevoke ${name} ${member.member}`,
  );
}

async function unrevoke(
  work: OwnerWork,
  memberText: string,
  { isAgreed }: { readonly isAgreed: boolean },
): Promise<void> {
  const { account, member } = await memberOf(work, memberText);
  const { name } = work;
  if (member.condition === "active") return say(`${member.member} of ${name} is not revoked.`);
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const { statement } = member.binding;
  if (!isAgreed) await demandOwnKeys(work, member, signer);
  const issued = work.directory.directoryTime;
  const lasts = statement.expires === null ? null : issued + (statement.expires - statement.issued);
  const text = bindingText(work.random, {
    ...statement,
    ...successionOf(member.newest),
    ...{ issued, expires: lasts },
  });
  await work.put([await signText(signer, text)]);
  say(`${member.member} of ${name} counts again.`);
}

/**
 * Has a person look at keys that not the owner key of now has signed: whoever had the one before, or a fleet token, may have put
 * his own in their place. @throws {SetupError} E_USAGE, E_INTERRUPTED when nobody agrees.
 */
export async function demandOwnKeys(
  work: OwnerWork,
  { member, binding }: MemberAccount,
  signer: OwnerSigner,
): Promise<void> {
  const { publicKey: bound } = parseSshsig(binding.signed.signature);
  if (bound.line === signer.line) return;
  const key = fingerprint(work.suite, parsePublicKeyLine(ed25519Line(binding.statement.ed25519)).blob);
  const by = fingerprint(work.suite, bound.blob);
  say(`Not the owner key of now, but the key ${by} has signed that ${member} has the key`);
  say(`  ${key}`);
  const next = `Compare it with sshnp-keys show ${work.name} on ${member}, then give --yes.`;
  await demandYes(work, `that ${member} counts with it`, next);
}

function tooLong(): SetupError {
  return new SetupError("E_USAGE", `A reason has at most ${REVOCATION_REASON_BYTES} bytes.`, {
    next: "Say it shorter.",
  });
}

function oneOfBoth(name: string): SetupError {
  return new SetupError("E_USAGE", "Either a member or a fleet token is to be revoked.", {
    next: `Give a member, or --delegation ID. Both are shown by: sshnp-keys list ${name}`,
  });
}

/** A member of the name, and all that stands on it. @throws {DeniedError} E_UNKNOWN_NAME when there is none. */
export async function memberOf(
  work: OwnerWork,
  memberText: string,
): Promise<{ readonly account: NameAccount; readonly member: MemberAccount }> {
  const wanted = parseMember(memberText);
  const account = await work.account();
  const member = account.members.find((one) => one.member === wanted);
  if (member !== undefined) return { account, member };
  throw new DeniedError("E_UNKNOWN_NAME", `${work.name} has no member ${wanted}.`, {
    next: `Its members: sshnp-keys list ${work.name}`,
  });
}
