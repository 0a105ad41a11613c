import { Command } from "commander";
import { oneTimePasswordText } from "../../protocol/enrolment.ts";
import { PASSWORD_MS } from "../../protocol/limits.ts";
import { encodePutPassword } from "../../protocol/messages/enrolment.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { newOneTimePassword, passwordKey, printOneTimePassword } from "../enrolment-secrets.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { ownerArgument } from "../owner-card.ts";
import { signText } from "../owner-signer.ts";
import { printData } from "../print-data.ts";
import { shellWord } from "../shell-word.ts";
import { minute } from "../table.ts";
import { parsePattern, parseRole } from "./applicants.ts";
import { parseDuration } from "./duration.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { say } from "./say.ts";

interface OtpOptions extends OwnerOptions {
  readonly role?: string;
  readonly member?: string;
  readonly expires: string;
}

/** `sshnp-keys otp` */
export function otpCommand(): Command {
  return ownerOptions(new Command("otp"))
    .description("Make a one-time password with which one machine may ask to become a member of a name.")
    .argument("<name>", "the name, such as @acme")
    .option("--role <role>", "for a client or for a device alone")
    .option("--member <pattern>", "for this member alone, or those that begin so: 'gw-*'")
    .option("--expires <time>", "how long it is good, at most 30d", "1h")
    .addHelpText(
      "after",
      `
It admits nobody: whoever asks with it waits, at most 48 hours, until the owner approves. The password goes to stdout, and the
line to type on the new machine to stderr. The directory sees a public key alone, which the owner signs: it can make none.

Examples:
  sshnp-keys otp @acme
  sshnp-keys otp @device --role device --member 'gw-*' --expires 2d`,
    )
    .action((name: string, options: OtpOptions) => withOwner(name, options, (work) => makePassword(work, options)));
}

async function makePassword(work: OwnerWork, options: OtpOptions): Promise<void> {
  const { suite, random, name, directory } = work;
  const role = options.role === undefined ? null : parseRole(options.role);
  const pattern = options.member === undefined ? null : parsePattern(options.member);
  const lasts = parseDuration("--expires", options.expires, PASSWORD_MS);
  const account = await work.account();
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const password = newOneTimePassword(random);
  const key = passwordKey(suite, password, name).publicKey;
  const issued = directory.directoryTime;
  const expires = issued + lasts;
  const signed = await signText(signer, oneTimePasswordText(random, { name, key, role, pattern, issued, expires }));
  await work.tell(REQUEST.putPassword, encodePutPassword(signed));
  const owner = ownerArgument(name, fingerprint(suite, parsePublicKeyLine(signer.line).blob));
  const member = pattern === null || pattern.endsWith("*") ? "NAME" : pattern;
  const chosen = member === "NAME" ? ", with a NAME of your choice" : "";
  const line = (device: string): string =>
    `  sshnp-keys enroll ${owner} ${member}${device} --otp - --directory ${shellWord(directory.address.text)}`;
  say(`Good for one machine until ${minute(expires)}. There${chosen}, for a ${role ?? "client"}:`);
  say(line(role === "device" ? " -d" : ""));
  if (role === null) {
    say("or, for a device:");
    say(line(" -d"));
  }
  say(`Then here: sshnp-keys approve ${name} ${member}`);
  await printData(`${printOneTimePassword(password)}\n`);
}
