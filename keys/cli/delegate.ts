import { Command } from "commander";
import { DELEGATION_USES } from "../../protocol/limits.ts";
import { delegationText } from "../../protocol/owner-statements.ts";
import { hex } from "../bytes.ts";
import { delegationKey, printFleetToken } from "../enrolment-secrets.ts";
import { SetupError } from "../errors.ts";
import { quoted } from "../names.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { ownerArgument } from "../owner-card.ts";
import { signText } from "../owner-signer.ts";
import { printData } from "../print-data.ts";
import { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import { minute } from "../table.ts";
import { parsePattern, parseRole } from "./applicants.ts";
import { parseDuration } from "./duration.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { say } from "./say.ts";

interface DelegateOptions extends OwnerOptions {
  readonly role: string;
  readonly pattern: string;
  readonly uses: string;
  readonly expires: string;
}

/** `sshnp-keys delegate` */
export function delegateCommand(): Command {
  return ownerOptions(new Command("delegate"))
    .description("Make a fleet token, with which machines become members of a name by themselves.")
    .argument("<name>", "the name, such as @acme")
    .requiredOption("--role <role>", "client or device")
    .requiredOption("--pattern <pattern>", "what they are called: a member, or how it begins: 'gw-*'")
    .option("--uses <count>", "how many machines", "1")
    .option("--expires <time>", "how long it is good, at most 365d", "30d")
    .addHelpText(
      "after",
      `
The token is printed once, on stdout; whoever has it makes such members, so keep it as a password is kept. It makes first
bindings only: it replaces no key, revokes nothing and makes no other token. That it makes no more members than --uses is the
directory's promise, and the log shows whether it is kept. To end it: sshnp-keys revoke @acme --delegation ID

Examples:
  sshnp-keys delegate @device --role device --pattern 'gw-*' --uses 1000 --expires 30d > fleet-token`,
    )
    .action((name: string, options: DelegateOptions) => withOwner(name, options, (work) => delegate(work, options)));
}

async function delegate(work: OwnerWork, options: DelegateOptions): Promise<void> {
  const { suite, random, name, directory } = work;
  const role = parseRole(options.role);
  const pattern = parsePattern(options.pattern);
  const uses = parseUses(options.uses);
  const lasts = parseDuration("--expires", options.expires, 365 * 24 * 60 * 60_000);
  const account = await work.account();
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const token = Secret.fromBytes(random(32));
  const id = hex(random(8));
  const issued = directory.directoryTime;
  const text = delegationText(random, {
    ...{ name, id, role, pattern, uses },
    key: delegationKey(suite, token, name).publicKey,
    ...{ seq: 1, prev: null, issued, expires: issued + lasts },
  });
  await work.put([await signText(signer, text)]);
  const owner = ownerArgument(name, fingerprint(suite, parsePublicKeyLine(signer.line).blob));
  const device = role === "device" ? " -d" : "";
  say(
    `Delegation ${id}: ${uses} ${role}${uses === 1 ? "" : "s"} ${pattern} until ${minute(issued + lasts)}. On each of them:`,
  );
  say(`  sshnp-keys enroll ${owner} NAME${device} --token FILE --directory ${shellWord(directory.address.text)}`);
  await printData(`${printFleetToken(token)}\n`);
}

function parseUses(text: string): number {
  const uses = /^[1-9][0-9]{0,6}$/.test(text) ? Number(text) : Number.NaN;
  if (uses <= DELEGATION_USES) return uses;
  throw new SetupError("E_USAGE", `--uses ${quoted(text)} is not a number of machines.`, {
    next: "It is a number from 1 to 1000000.",
  });
}
