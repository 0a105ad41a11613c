import type { Command } from "commander";
import { activationKey } from "../../keys/activation-key.ts";
import { hex } from "../../keys/bytes.ts";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import { isRendezvousName } from "../../protocol/statements.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { readAddress } from "../data-folder.ts";
import { DATA, type DataOptions, keysOption, storeOption } from "./data-options.ts";
import { withAdministration } from "./open-administration.ts";
import { random } from "./random.ts";
import { minute, table } from "../../keys/table.ts";
import type { RendezvousSummary } from "../rendezvous-standing.ts";

/** `sshnp-directory rendezvous add`, `ls`, `remove` */
export function addRendezvousCommands(program: Command): void {
  const group = program.command("rendezvous").description("Make, list and remove rendezvous.");
  group
    .command("add")
    .argument("<name>", "1 to 32 of a-z, 0-9 and hyphen, such as rz1")
    .description("Make a rendezvous and a one-time secret with which it registers.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .addHelpText(
      "after",
      `
The secret (64 hex digits) goes to stdout and is kept nowhere; the command line to use it goes to stderr.

Example:
  sshnp-directory rendezvous add rz1 --data np`,
    )
    .action((name: string, options: DataOptions) => addRendezvous(name, options));
  group
    .command("ls")
    .description("List the rendezvous: whether each is up or drains, its legs of those that it takes, its region.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .action((options: DataOptions) => listRendezvous(options));
  group
    .command("remove")
    .argument("<name>", "as `ls` has it")
    .description("Name a rendezvous in no new ticket, and take no word of it any more.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .addHelpText(
      "after",
      `
Sessions that it carries go on. It comes back only with a new secret: sshnp-directory rendezvous add NAME

Example:
  sshnp-directory rendezvous remove rz1 --data np`,
    )
    .action((name: string, options: DataOptions) => removeRendezvous(name, options));
}

async function addRendezvous(name: string, options: DataOptions): Promise<void> {
  if (!isRendezvousName(name)) {
    throw new SetupError("E_USAGE", `${quoted(name)} is not a name for a rendezvous.`, {
      next: "It is 1 to 32 of a-z, 0-9 and hyphen, such as rz1.",
    });
  }
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  await withAdministration(options, async (administration, folder) => {
    const bytes = random(32);
    const { publicKey } = activationKey(suite, Secret.fromBytes(bytes), RENDEZVOUS_ACTIVATION);
    const result = await administration.addRendezvous(name, publicKey);
    const secret = hex(bytes);
    process.stdout.write(`${secret}\n`);
    if (result === "again") process.stderr.write(`${name} had a secret that was not used; it is void now.\n`);
    const address = (await readAddress(folder)) ?? "ADDRESS";
    process.stderr.write("To start it, with the address that others reach it at:\n");
    process.stderr.write(
      `  sshnp-rendezvous run --data ${name} --directory '${address}' -c ${secret} --listen 0.0.0.0:7801 --public HOST:7801\n`,
    );
  });
}

async function listRendezvous(options: DataOptions): Promise<void> {
  const all = await withAdministration(options, (administration) => administration.rendezvous());
  const rows = all.map((one) => [
    one.name,
    stateOf(one),
    one.isUp ? `${one.legs}/${one.most}` : "",
    one.region,
    one.reported === undefined ? "" : minute(one.reported),
    one.addresses.join(" "),
  ]);
  if (rows.length === 0) {
    process.stderr.write("There is no rendezvous yet. Make one: sshnp-directory rendezvous add rz1\n");
  } else {
    process.stdout.write(table([["NAME", "STATE", "LEGS", "REGION", "REPORTED", "ADDRESSES"], ...rows]));
  }
}

function stateOf({ isActivated, isUp, isDraining, reported }: RendezvousSummary): string {
  if (!isActivated) return "not activated";
  if (isUp) return isDraining ? "draining" : "up";
  return reported === undefined ? "never up" : "down";
}

async function removeRendezvous(name: string, options: DataOptions): Promise<void> {
  const wasThere =
    isRendezvousName(name) &&
    (await withAdministration(options, (administration) => administration.removeRendezvous(name)));
  if (wasThere) return void process.stderr.write(`${name} is removed. Sessions that it carries go on.\n`);
  throw new SetupError("E_USAGE", `There is no rendezvous ${quoted(name)}.`, {
    next: "`sshnp-directory rendezvous ls --data DIR` lists them.",
  });
}
