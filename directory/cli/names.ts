import type { Command } from "commander";
import { activationKey } from "../../keys/activation-key.ts";
import { hex } from "../../keys/bytes.ts";
import { parseName } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { readAddress } from "../data-folder.ts";
import { DATA, type DataOptions, keysOption, storeOption } from "./data-options.ts";
import { withAdministration } from "./open-administration.ts";
import { random } from "./random.ts";
import { minute, table } from "../../keys/table.ts";

/** `sshnp-directory name add`, `sshnp-directory names` */
export function addNameCommands(program: Command): void {
  program
    .command("name")
    .description("Make names.")
    .addHelpText(
      "after",
      `
No command removes a name: the log, which only grows, says whose it is, and nobody else ever gets it. What is under it is removed by
its owner, member by member: sshnp-keys delete NAME MEMBER. More in docs/operating.md`,
    )
    .command("add")
    .argument("<@name>", "@ and 1 to 32 of a-z, 0-9 and hyphen, such as @acme")
    .description("Make a name and a one-time secret with which it is activated.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .addHelpText(
      "after",
      `
The secret (64 hex digits) goes to stdout and is kept nowhere: the directory has a public key of it alone.
The command line to use it goes to stderr. A name that is not activated yet gets a new secret; the old one is void.
It works while the directory runs and while it does not.

Examples:
  sshnp-directory name add @acme --data np
  sshnp-directory name add @acme --data np > secret.txt`,
    )
    .action((name: string, options: DataOptions) => addName(name, options));
  program
    .command("names")
    .description("List the names and their members.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .action((options: DataOptions) => listNames(options));
}

async function addName(text: string, options: DataOptions): Promise<void> {
  const name = parseName(text);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  await withAdministration(options, async (administration, folder) => {
    const bytes = random(32);
    const { publicKey } = activationKey(suite, Secret.fromBytes(bytes), name);
    const result = await administration.addName(name, publicKey);
    const secret = hex(bytes);
    process.stdout.write(`${secret}\n`);
    if (result === "again") process.stderr.write(`${name} had a secret that was not used; it is void now.\n`);
    const address = (await readAddress(folder)) ?? "ADDRESS";
    process.stderr.write(
      `To activate ${name}, on the machine that is to have its keys (for a device, with -d MEMBER):\n`,
    );
    process.stderr.write(`  sshnp-keys activate -a ${name} -c ${secret} --directory '${address}'\n`);
  });
}

async function listNames(options: DataOptions): Promise<void> {
  const names = await withAdministration(options, (administration) => administration.names());
  const rows = names.map(({ name, added, isActivated, members }) => [
    name,
    isActivated ? "activated" : "waiting",
    minute(added),
    members.map(({ member, role, isOnline }) => `${member} (${role}${isOnline ? ", online" : ""})`).join(", "),
  ]);
  if (rows.length === 0) process.stderr.write("There are no names yet. Make one: sshnp-directory name add @acme\n");
  else process.stdout.write(table([["NAME", "STATE", "ADDED", "MEMBERS"], ...rows]));
}
