import { Command } from "commander";
import { issuedOf, type NameAccount, type Past } from "../../protocol/name-account.ts";
import { isoTime } from "../iso-time.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { printData } from "../print-data.ts";
import { printableJson } from "../printable-json.ts";
import { signedTextToJson } from "../signed-text.ts";
import { minute, table } from "../table.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";

interface LogOptions extends OwnerOptions {
  readonly json?: boolean;
}

/** `sshnp-keys log` */
export function logCommand(): Command {
  return ownerOptions(new Command("log"))
    .description("Show every statement that the directory has about a name, its members and its policy, oldest first.")
    .argument("<name>", "the name, such as @acme")
    .option("--json", "as JSON, with the statements themselves, which ssh-keygen -Y verify checks")
    .addHelpText(
      "after",
      `
Each statement follows the one before on its subject, and is signed by who spoke for the name then; the newest of each
subject is proved by the log. What you did not do yourself, somebody did in your place.`,
    )
    .action((name: string, options: LogOptions) => withOwner(name, options, (work) => log(work, options)));
}

async function log(work: OwnerWork, { json }: LogOptions): Promise<void> {
  const account = await work.account();
  await printData(json === true ? printableJson(toJson(work, account)) : toTable(work, account));
}

function toTable({ suite }: OwnerWork, { history }: NameAccount): string {
  const rows = history.map((past) => {
    const signer = fingerprint(suite, parsePublicKeyLine(past.signer).blob);
    return [minute(issuedOf(past)), past.subject, `${past.seq}`, past.kind, signer.slice(0, SHORT)];
  });
  return table([["ISSUED", "SUBJECT", "NO", "WHAT", "SIGNED BY"], ...rows]);
}

function toJson({ suite, name }: OwnerWork, { history, chain }: NameAccount): object {
  const owner = fingerprint(suite, parsePublicKeyLine(chain.owner).blob);
  return { v: 1, name, owner, statements: history.map((past) => pastJson(suite, past)) };
}

function pastJson(suite: OwnerWork["suite"], past: Past): object {
  const { subject, seq, kind, signer, signed } = past;
  const by = fingerprint(suite, parsePublicKeyLine(signer).blob);
  return { issued: isoTime(issuedOf(past)), subject, seq, kind, signedBy: by, ...signedTextToJson(signed) };
}

/** As much of a fingerprint as tells a few keys apart. */
const SHORT = "SHA256:".length + 12;
