import { Command } from "commander";
import { enrolmentCode, type PendingEnrolment } from "../../protocol/enrolment.ts";
import type { DelegationAccount, MemberAccount, NameAccount } from "../../protocol/name-account.ts";
import { isoTime } from "../iso-time.ts";
import { memberFingerprints } from "../member-fingerprints.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { printData } from "../print-data.ts";
import { printableJson } from "../printable-json.ts";
import { minute, table } from "../table.ts";
import { DELETED } from "./deleted.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";

interface ListOptions extends OwnerOptions {
  readonly json?: boolean;
  readonly all?: boolean;
}

/** What is shown of a name. */
interface Shown {
  readonly account: NameAccount;
  readonly members: readonly MemberAccount[];
  readonly pending: readonly PendingEnrolment[];
}

/** `sshnp-keys list` */
export function listCommand(): Command {
  return ownerOptions(new Command("list"))
    .description(
      "List the members of a name, as the log proves them to stand now, who waits to be one, and fleet tokens.",
    )
    .argument("<name>", "the name, such as @acme")
    .option("--all", "also members that sshnp-keys delete has hidden")
    .option("--json", "as JSON, with fingerprints")
    .action((name: string, options: ListOptions) => withOwner(name, options, (work) => list(work, options)));
}

async function list(work: OwnerWork, { json, all }: ListOptions): Promise<void> {
  const account = await work.account();
  const members = account.members.filter(
    ({ condition, revocation }) => all === true || condition !== "revoked" || revocation?.statement.reason !== DELETED,
  );
  const shown = { account, members, pending: await work.enrolments(account) };
  await printData(json === true ? printableJson(toJson(work, shown)) : toTables(work, shown));
}

function toTables(work: OwnerWork, { account, members, pending }: Shown): string {
  const parts = [memberTable(members)];
  if (pending.length > 0) parts.push(pendingTable(work, pending));
  if (account.delegations.length > 0) parts.push(delegationTable(account));
  return parts.join("\n");
}

function memberTable(members: readonly MemberAccount[]): string {
  const rows = members.map(({ member, binding, condition, newest, revocation }) => {
    const { role, issued, expires } = binding.statement;
    const since = revocation === undefined ? issued : revocation.statement.issued;
    return [member, role, condition, minute(since), expires === null ? "never" : minute(expires), `${newest.seq}`];
  });
  return table([["MEMBER", "ROLE", "STATE", "SINCE", "EXPIRES", "STATEMENTS"], ...rows]);
}

function pendingTable({ suite, directory }: OwnerWork, pending: readonly PendingEnrolment[]): string {
  const rows = pending.map((one) => {
    return [one.member, one.role, enrolmentCode(suite, one), age(directory.directoryTime - one.requested)];
  });
  return table([["PENDING", "ROLE", "CODE", "WAITS"], ...rows]);
}

function delegationTable(account: NameAccount): string {
  const rows = account.delegations.map((one) => {
    const { id, role, pattern, uses, expires } = one.delegation.statement;
    const end = expires === null ? "never" : minute(expires);
    return [id, role, pattern, `${madeBy(account, one)} of ${uses}`, one.condition, end];
  });
  return table([["DELEGATION", "ROLE", "PATTERN", "USES", "STATE", "EXPIRES"], ...rows]);
}

/** How many members a delegation has made, by the statements themselves. */
function madeBy({ history }: NameAccount, { delegation }: DelegationAccount): number {
  const key = ed25519Line(delegation.statement.key);
  return history.filter(({ kind, signer }) => kind === "binding" && signer === key).length;
}

function age(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}

function toJson({ suite, name }: OwnerWork, { account, members, pending }: Shown): object {
  const owner = fingerprint(suite, parsePublicKeyLine(account.chain.owner).blob);
  return {
    ...{ v: 1, name, owner },
    members: members.map((member) => memberJson(suite, member)),
    pending: pending.map((one) => pendingJson(suite, one)),
    delegations: account.delegations.map((one) => delegationJson(account, one)),
  };
}

function pendingJson(suite: OwnerWork["suite"], one: PendingEnrolment): object {
  const { member, role, requested, x25519, ed25519 } = one;
  const code = enrolmentCode(suite, one);
  return { member, role, code, requested: isoTime(requested), ...memberFingerprints(suite, { x25519, ed25519 }) };
}

function delegationJson(account: NameAccount, one: DelegationAccount): object {
  const { id, role, pattern, uses, issued, expires } = one.delegation.statement;
  return {
    ...{ id, role, pattern, uses, used: madeBy(account, one), condition: one.condition, issued: isoTime(issued) },
    expires: expires === null ? null : isoTime(expires),
  };
}

function memberJson(suite: OwnerWork["suite"], account: MemberAccount): object {
  const { member, condition, binding, newest, revocation, delegation } = account;
  const { role, issued, expires, x25519, ed25519 } = binding.statement;
  return {
    ...{ member, role, condition },
    issued: isoTime(issued),
    expires: expires === null ? null : isoTime(expires),
    statements: newest.seq,
    reason: revocation?.statement.reason ?? null,
    delegation: delegation ?? null,
    ...memberFingerprints(suite, { x25519, ed25519 }),
  };
}
