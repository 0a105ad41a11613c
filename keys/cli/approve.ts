import { setTimeout as pause } from "node:timers/promises";
import { Command, Option } from "commander";
import { asBase32 } from "../base32.ts";
import {
  CODE_CHARACTERS,
  DENIAL_NAMESPACE,
  denialProof,
  enrolmentCode,
  type PendingEnrolment,
  verifyOneTimePassword,
} from "../../protocol/enrolment.ts";
import { CLIENT_BINDING_MS, ENROLMENT_MS, ENROLMENT_WATCH_MS } from "../../protocol/limits.ts";
import { encodeEnrolmentDenial } from "../../protocol/messages/enrolment.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import type { NameAccount } from "../../protocol/name-account.ts";
import { isOfPattern } from "../../protocol/owner-statements.ts";
import { bindingSubject, firstBinding } from "../../protocol/statements.ts";
import { DeniedError, SecurityError, SetupError, UnavailableError } from "../errors.ts";
import { parseMember, quoted, type Role } from "../names.ts";
import { signText } from "../owner-signer.ts";
import { minute } from "../table.ts";
import { isTerminal } from "../terminal.ts";
import { parsePattern, parseRole } from "./applicants.ts";
import { askLine } from "./ask-line.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { say } from "./say.ts";
import { usePassword } from "./used-passwords.ts";

interface ApproveOptions extends OwnerOptions {
  readonly code?: string;
  readonly auto?: string;
  readonly role?: string;
  readonly watch?: boolean;
}

/** `sshnp-keys approve` */
export function approveCommand(): Command {
  return ownerOptions(new Command("approve"))
    .description("Let a machine in that has asked to become a member of a name.")
    .argument("<name>", "the name, such as @acme")
    .argument("[member]", "the member, as sshnp-keys list shows it")
    .option("--code <code>", "the code that the new machine shows; without it, it is asked for")
    .addOption(new Option("--auto <pattern>", "all that wait and are called so: 'gw-*'").conflicts("code"))
    .option("--role <role>", "with --auto, which role: device, unless it is said, or client")
    .option("--watch", "with --auto, go on for those to come, until Ctrl-C")
    .addHelpText(
      "after",
      `
The code is of the new machine's name, role and keys, 80 bits: where both sides show the same one, nobody stands in between.
--auto compares none. It lets in who has asked with a one-time password of the owner's, which the directory never sees: devices
alone, unless --role client is given, and one machine for each password.

Examples:
  sshnp-keys approve @acme laptop2 --code 7k3f-9qzm-x2hc-b5w1
  sshnp-keys approve @device --auto 'gw-*' --watch`,
    )
    .action((name: string, member: string | undefined, options: ApproveOptions) => {
      if ((member === undefined) === (options.auto === undefined)) throw oneOfBoth(name);
      if (member !== undefined) {
        if (options.watch === true || options.role !== undefined) throw autoAlone(name, member);
        return withOwner(name, options, (work) => approve(work, member, options.code));
      }
      const pattern = parsePattern(options.auto ?? "");
      const role = parseRole(options.role ?? "device");
      return withOwner(name, options, (work) =>
        approveAll(work, { pattern, role, isWatching: options.watch === true }),
      );
    });
}

/** `sshnp-keys deny` */
export function denyCommand(): Command {
  return ownerOptions(new Command("deny"))
    .description("Turn a machine away that has asked to become a member of a name.")
    .argument("<name>", "the name, such as @acme")
    .argument("<member>", "the member, as sshnp-keys list shows it")
    .action((name: string, member: string, options: OwnerOptions) =>
      withOwner(name, options, async (work) => {
        const account = await work.account();
        await deny(work, account, await pendingOf(work, account, member));
      }),
    );
}

/** Turns an applicant away. @throws as DirectoryClient.request. */
export async function deny(work: OwnerWork, account: NameAccount, pending: PendingEnrolment): Promise<void> {
  const { name, member, x25519, ed25519 } = pending;
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const proof = denialProof(work.directory.address.fingerprint, pending);
  const ownerSignature = await signer.sign(DENIAL_NAMESPACE, proof);
  await usePassword(work, pending, "deny", earliest(work));
  await work.tell(REQUEST.denyEnrolment, encodeEnrolmentDenial({ name, member, x25519, ed25519, ownerSignature }));
  say(`${member} of ${name} is turned away. Its one-time password is used up.`);
}

async function approve(work: OwnerWork, memberText: string, option: string | undefined): Promise<void> {
  const given = option === undefined ? undefined : parseCode(option);
  const account = await work.account();
  const pending = await pendingOf(work, account, memberText);
  const { name, member, role, requested } = pending;
  const code = enrolmentCode(work.suite, pending);
  if (given === undefined) {
    if (!isTerminal()) throw noCode(name, member);
    say(`${member} asks to become a ${role} of ${name}, since ${minute(requested)}.`);
  }
  const shown = given ?? parseCode(await askLine("Type the code that the new machine shows: ", work.signal));
  if (shown !== code) {
    throw new SecurityError(
      "E_MEMBER_KEY",
      `The code is not that of ${member} here: it was mistyped, or the keys are others. Nothing was signed.`,
      {
        next: `Look again at the new machine, and type it again. If it stays so, somebody stands in between: sshnp-keys deny ${name} ${member}`,
      },
    );
  }
  const refusal = await admit(work, account, pending);
  if (refusal !== undefined) throw refusal;
}

interface Wanted {
  readonly pattern: string;
  readonly role: Role;
  readonly isWatching: boolean;
}

async function approveAll(work: OwnerWork, wanted: Wanted): Promise<void> {
  const { pattern, role, isWatching } = wanted;
  /** Codes of those who were told of as left waiting. */
  const left = new Set<string>();
  let isAway = false;
  if (isWatching) say(`Approving ${role}s ${pattern} of ${work.name} until Ctrl-C.`);
  for (;;) {
    try {
      await approveWaiting(work, wanted, left);
      isAway = false;
    } catch (error) {
      const mayPass = error instanceof UnavailableError && error.code !== "E_AGENT";
      if (!isWatching || !mayPass) throw error;
      if (!isAway) say(`${error.message} It goes on when that has passed.`);
      isAway = true;
    }
    if (!isWatching) return;
    await pause(ENROLMENT_WATCH_MS, undefined, { signal: work.signal }).catch(() => work.signal.throwIfAborted());
  }
}

async function approveWaiting(work: OwnerWork, wanted: Wanted, left: Set<string>): Promise<void> {
  const account = await work.account();
  for (const pending of await work.enrolments(account)) {
    if (!isOfPattern(pending.member, wanted.pattern)) continue;
    const refusal = pending.role === wanted.role ? await admit(work, account, pending) : anotherRole(pending);
    const code = enrolmentCode(work.suite, pending);
    if (refusal !== undefined && !left.has(code)) say(refusal.message);
    left.add(code);
  }
}

/** Signs for a machine that waits, or gives why it may not be let in. */
async function admit(
  work: OwnerWork,
  account: NameAccount,
  pending: PendingEnrolment,
): Promise<DeniedError | undefined> {
  const { name, member, role, x25519, ed25519 } = pending;
  const subject = bindingSubject({ name, member });
  // Of one that is revoked, too: its name stays its own.
  if (account.history.some((past) => past.subject === subject)) return taken(pending);
  // The directory says what time it is, and might say that of a password that was forgotten since.
  if (Date.now() >= verifyOneTimePassword(work.suite, pending.password).expires + ENROLMENT_MS) return ended(pending);
  const signer = await work.signer();
  work.demandOwner(account, signer);
  // Remembered before it is signed: who was let in without a trace could be let in twice.
  if (!(await usePassword(work, pending, "admit", earliest(work)))) return usedUp(pending);
  const issued = work.directory.directoryTime;
  const expires = role === "client" ? issued + CLIENT_BINDING_MS : null;
  const text = firstBinding(work.random, { name, member, role, x25519, ed25519, issued, expires });
  await work.put([await signText(signer, text)]);
  say(`${member} is a ${role} of ${name} now.`);
  return undefined;
}

/** By which a used password is forgotten: a directory that says a later time has none forgotten that may still be shown. */
function earliest({ directory }: OwnerWork): number {
  return Math.min(Date.now(), directory.directoryTime);
}

async function pendingOf(work: OwnerWork, account: NameAccount, memberText: string): Promise<PendingEnrolment> {
  const wanted = parseMember(memberText);
  const pending = (await work.enrolments(account)).find(({ member }) => member === wanted);
  if (pending !== undefined) return pending;
  throw new DeniedError("E_UNKNOWN_NAME", `No ${wanted} waits to become a member of ${work.name}.`, {
    next: `Who does: sshnp-keys list ${work.name}`,
  });
}

/** As {@link enrolmentCode} writes it. @throws {SetupError} E_USAGE on what no machine shows. */
function parseCode(text: string): string {
  try {
    return asBase32(text, CODE_CHARACTERS);
  } catch {
    throw new SetupError("E_USAGE", `A code has ${CODE_CHARACTERS} digits and letters; ${quoted(text)} is none.`, {
      next: "Copy it whole from the new machine: four groups of four, such as 7k3f-9qzm-x2hc-b5w1.",
    });
  }
}

function ended({ name, member }: PendingEnrolment): DeniedError {
  return new DeniedError("E_TOKEN", `The one-time password of ${member} has ended by this machine's clock.`, {
    next: `Is the clock right? Then a new one: sshnp-keys otp ${name}`,
  });
}

function anotherRole({ member, role }: PendingEnrolment): DeniedError {
  return new DeniedError("E_NOT_AUTHORIZED", `${member} is left waiting, for it asks to become a ${role}.`);
}

function taken({ name, member }: PendingEnrolment): DeniedError {
  return new DeniedError("E_MEMBER_TAKEN", `${name} has a ${member} already, so the one that waits is not let in.`, {
    next: `Send it away: sshnp-keys deny ${name} ${member}   It can ask under another name with a new password.`,
  });
}

function usedUp({ name, member }: PendingEnrolment): DeniedError {
  return new DeniedError(
    "E_TOKEN",
    `${member} is not let in: another machine was, or it was sent away, with its one-time password.`,
    {
      next: `The directory should not show it. Send it away: sshnp-keys deny ${name} ${member}`,
    },
  );
}

function noCode(name: string, member: string): SetupError {
  return new SetupError("E_USAGE", "There is no terminal on which the code could be asked for.", {
    next: `Give the one that the new machine shows: sshnp-keys approve ${name} ${member} --code CODE`,
  });
}

function autoAlone(name: string, member: string): SetupError {
  return new SetupError("E_USAGE", "--watch and --role go with --auto, and not with a member.", {
    next: `Leave them out: sshnp-keys approve ${name} ${member}`,
  });
}

function oneOfBoth(name: string): SetupError {
  return new SetupError("E_USAGE", "Either a member or a pattern is to be approved.", {
    next: `Give a member, or --auto PATTERN. Who waits: sshnp-keys list ${name}`,
  });
}
