import { Command } from "commander";
import { type NameAccount, successionOf } from "../../protocol/name-account.ts";
import { policyText } from "../../protocol/owner-statements.ts";
import { clientNames } from "../../protocol/policy/client-names.ts";
import { NO_POLICY, policyDiffLines } from "../../protocol/policy/diff-lines.ts";
import type { Policy } from "../../protocol/policy/policy.ts";
import { refuseFailedTests, runPolicyTests, testLines } from "../../protocol/policy/policy-tests.ts";
import { SecurityError, SetupError } from "../errors.ts";
import { signText } from "../owner-signer.ts";
import { printData } from "../print-data.ts";
import { printable } from "../print-error.ts";
import { minute } from "../table.ts";
import { demandYes } from "./ask-yes.ts";
import { type OwnerOptions, ownerOptions, type OwnerWork, withOwner } from "./owner-work.ts";
import { orphanedPolicy, policyOf, readPolicyFile } from "./policy-file.ts";
import { say } from "./say.ts";

interface ApplyOptions extends OwnerOptions {
  readonly yes?: boolean;
}

/** `sshnp-keys policy` */
export function policyCommand(): Command {
  return new Command("policy")
    .description("Say, as the owner of a name, who may reach its devices, for what, and when.")
    .addHelpText(
      "after",
      `
A policy is a YAML text of yours; docs/policy.md has the language. Nothing is permitted but what a grant in it permits. You sign
it, and the devices check that themselves, so nobody in between can grant anything.

Examples:
  sshnp-keys policy test acme.yaml
  sshnp-keys policy diff @acme acme.yaml
  sshnp-keys policy apply @acme acme.yaml
  sshnp-keys policy show @acme > acme.yaml`,
    )
    .addCommand(testCommand())
    .addCommand(diffCommand())
    .addCommand(applyCommand())
    .addCommand(showCommand());
}

function testCommand(): Command {
  return new Command("test")
    .description("Check a policy and run its tests, a line each. Needs no keys and no directory.")
    .argument("<file>", "the policy")
    .addHelpText("after", "\nExit status: 0 all tests pass, 65 one fails or the text is no policy.")
    .action((file: string) => test(file));
}

function diffCommand(): Command {
  return ownerOptions(new Command("diff"))
    .description("Show which access a policy would give, take or move in time.")
    .argument("<name>", "the name, such as @acme")
    .argument("<file>", "the policy")
    .addHelpText(
      "after",
      `
A line for each difference to the policy of now: + access that is new, - access that is gone, ~ other times, or another owner.

Exit status: 0 no difference in access, 1 there is one, others with a message.`,
    )
    .action((name: string, file: string, options: OwnerOptions) =>
      withOwner(name, options, (work) => diff(work, file)),
    );
}

function applyCommand(): Command {
  return ownerOptions(new Command("apply"))
    .description("Run a policy's tests, show what it changes, ask, sign it and put it in force.")
    .argument("<name>", "the name, such as @acme")
    .argument("<file>", "the policy")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
Devices that are online obey it within seconds: sessions and streams that it does not grant end. Others obey it before they answer
their next request.`,
    )
    .action((name: string, file: string, options: ApplyOptions) =>
      withOwner(name, options, (work) => apply(work, file, options.yes === true)),
    );
}

function showCommand(): Command {
  return ownerOptions(new Command("show"))
    .description("Print the policy of a name, as the log proves it to be the newest.")
    .argument("<name>", "the name, such as @acme")
    .action((name: string, options: OwnerOptions) => withOwner(name, options, show));
}

async function test(file: string): Promise<void> {
  const { policy } = await readPolicyFile(file);
  const results = runPolicyTests(policy);
  await printData(
    testLines(results)
      .map((line) => `${line}\n`)
      .join(""),
  );
  refuseFailedTests(policy);
  const { length } = results;
  say(
    length === 0
      ? "It is a policy, and has no tests."
      : `${length === 1 ? "The test passes" : `All ${length} tests pass`}.`,
  );
}

async function diff(work: OwnerWork, file: string): Promise<void> {
  const { policy } = await readPolicyFile(file);
  const lines = policyDiffLines(await policyOfNow(await work.account()), policy);
  await printData(lines.map((line) => `${line}\n`).join(""));
  if (lines.length > 0) process.exitCode = 1;
}

async function apply(work: OwnerWork, file: string, isAgreed: boolean): Promise<void> {
  const { name } = work;
  const { text, policy } = await readPolicyFile(file);
  refuseFailedTests(policy);
  const account = await work.account();
  const known = account.policy;
  const before = known?.policy.statement;
  if (known?.condition === "active" && before?.policy === text) {
    return say(`The policy of ${name} reads so already, since ${minute(before.issued)}.`);
  }
  for (const line of changeLines(account, await policyOfNow(account), policy)) say(line);
  if (!isAgreed) await demandYes(work, "this policy", "Look at the changes above, and give --yes.");
  const signer = await work.signer();
  work.demandOwner(account, signer);
  const place = known === undefined ? FIRST : successionOf(known.newest);
  const issued = work.directory.directoryTime;
  const statement = policyText(work.random, { name, policy: text, ...place, issued, expires: null });
  await work.put([await signText(signer, statement)]);
  say(
    `Policy number ${place.seq} of ${name} is in force. Devices that are online obey it now, and end what it does not grant; ` +
      "others before they answer their next request.",
  );
}

async function show(work: OwnerWork): Promise<void> {
  const { policy } = await work.account();
  if (policy === undefined) {
    throw new SetupError("E_USAGE", `${work.name} has no policy: each device lets in whom its -m lists.`, {
      next: `To give it one: sshnp-keys policy apply ${work.name} FILE`,
    });
  }
  if (policy.condition === "orphaned") {
    throw new SecurityError("E_STATEMENT", orphanedPolicy(work.name), {
      next: `Put one of yours in its place: sshnp-keys policy apply ${work.name} FILE`,
    });
  }
  const { policy: text, seq, issued } = policy.policy.statement;
  say(`Policy number ${seq} of ${work.name}, of ${minute(issued)}:`);
  const isForPerson = process.stdout.isTTY;
  await printData(isForPerson ? `${text.split("\n").map(printable).join("\n")}\n` : text);
}

/** Where the first statement on a subject stands. */
const FIRST = { seq: 1, prev: null };

/** What counts now, as far as it can be read here. */
async function policyOfNow({ name, policy }: NameAccount): Promise<Policy> {
  if (policy?.condition === "orphaned") say(orphanedPolicy(name));
  if (policy?.condition !== "active") return NO_POLICY;
  try {
    return await policyOf(policy.policy.statement.policy, "never hold");
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`The policy that ${name} has now cannot be read here, and is taken for an empty one. ${error.message}`);
    return NO_POLICY;
  }
}

/** What a person should know before he agrees. */
function changeLines(account: NameAccount, before: Policy, after: Policy): string[] {
  const { name } = account;
  const lines = policyDiffLines(before, after);
  if (lines.length === 0) lines.push("It changes no access.");
  if (account.policy === undefined) {
    lines.push(
      `${name} had no policy: its devices let in whom their -m lists. From now on the policy grants; where a device has -m, a client must be in both.`,
    );
  }
  const unknown = clientNames(after).filter((client) => client !== name && !after.owners.has(client));
  if (unknown.length > 0) {
    lines.push(
      `Each device takes the directory's word, once, for the owner key of ${unknown.join(", ")}; put the fingerprint under "owners" to say it yourself.`,
    );
  }
  const devices = new Set(account.members.map(({ member }) => member as string));
  const named = after.grants.flatMap(({ to }) => to.flatMap((set) => [...set.devices]));
  const missing = [...new Set(named)].filter((device) => !devices.has(device));
  if (missing.length > 0) lines.push(`${name} has no device yet of the name ${missing.join(", ")}.`);
  return lines;
}
