import { Command } from "commander";
import type { MemberAccount, NameAccount } from "../../protocol/name-account.ts";
import { isoTime } from "../iso-time.ts";
import { memberFingerprints } from "../member-fingerprints.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { printData } from "../print-data.ts";
import { printableJson } from "../printable-json.ts";
import { minute, table } from "../table.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";

interface ListOptions extends OwnerOptions {
  readonly json?: boolean;
}

/** `sshnp-keys list` */
export function listCommand(): Command {
  return ownerOptions(new Command("list"))
    .description("List the members of a name, as the log proves them to stand now.")
    .argument("<name>", "the name, such as @acme")
    .option("--json", "as JSON, with fingerprints")
    .action((name: string, options: ListOptions) => withOwner(name, options, (work) => list(work, options)));
}

async function list(work: OwnerWork, { json }: ListOptions): Promise<void> {
  const account = await work.account();
  await printData(json === true ? printableJson(toJson(work, account)) : toTable(account));
}

function toTable({ members }: NameAccount): string {
  const rows = members.map(({ member, binding, condition, newest, revocation }) => {
    const { role, issued, expires } = binding.statement;
    const since = revocation === undefined ? issued : revocation.statement.issued;
    return [member, role, condition, minute(since), expires === null ? "never" : minute(expires), `${newest.seq}`];
  });
  return table([["MEMBER", "ROLE", "STATE", "SINCE", "EXPIRES", "STATEMENTS"], ...rows]);
}

function toJson({ suite, name }: OwnerWork, { chain, members }: NameAccount): object {
  const owner = fingerprint(suite, parsePublicKeyLine(chain.owner).blob);
  return { v: 1, name, owner, members: members.map((member) => memberJson(suite, member)) };
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
