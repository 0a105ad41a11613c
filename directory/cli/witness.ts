import type { Command } from "commander";
import { SetupError, SshnpError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { minute, table } from "../../keys/table.ts";
import { WITNESS_URL_BYTES } from "../../protocol/limits.ts";
import { parseWitness } from "../../protocol/log/cosignature.ts";
import { isRendezvousName } from "../../protocol/statements.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { DATA, type DataOptions, keysOption, storeOption } from "./data-options.ts";
import { withAdministration } from "./open-administration.ts";

/** `sshnp-directory witness add`, `ls`, `remove` */
export function addWitnessCommands(program: Command): void {
  const group = program.command("witness").description("Name those who cosign the log, list and remove them.");
  group
    .command("add")
    .argument("<name>", "1 to 32 of a-z, 0-9 and hyphen, such as w1")
    .argument("<url>", "where it is: http(s)://HOST:PORT, above its /add-checkpoint")
    .argument("<key>", "its verifier key, NAME+hash+base64")
    .description("Ask a witness for cosignatures from now on.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .addHelpText(
      "after",
      `
Any witness that speaks C2SP tlog-witness will do: one of sshnp-rendezvous witness or sshnp-rendezvous run --witness prints
its key when it starts, on the second line. A witness on a machine of whoever runs the directory tells the ends nothing.
The ends demand witnesses by themselves, with --witness KEY and --witnesses K.

Example:
  sshnp-directory witness add w1 http://witness.example.org:7802 sshnp-witness-...+...+... --data np`,
    )
    .action((name: string, url: string, key: string, options: DataOptions) => addWitness(name, url, key, options));
  group
    .command("ls")
    .description("List the witnesses, when they cosigned last, and why they do not.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .action((options: DataOptions) => listWitnesses(options));
  group
    .command("remove")
    .argument("<name>", "as in witness ls")
    .description("Ask a witness no more.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addOption(keysOption())
    .action((name: string, options: DataOptions) => removeWitness(name, options));
}

async function addWitness(name: string, url: string, verifierKey: string, options: DataOptions): Promise<void> {
  demandName(name);
  const isUrl = /^https?:\/\/[^\s?#]+$/.test(url) && url.length <= WITNESS_URL_BYTES && URL.canParse(url);
  if (!isUrl) {
    throw new SetupError("E_USAGE", `${quoted(url)} is not where a witness could be.`, {
      next: "It reads http://HOST:PORT or https://HOST/PATH.",
    });
  }
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  try {
    parseWitness(suite, verifierKey);
  } catch (cause) {
    if (!(cause instanceof SshnpError)) throw cause;
    throw new SetupError("E_USAGE", `${quoted(verifierKey)} is not the verifier key of a witness.`, {
      next: "Copy it as the witness prints it: NAME+hash+base64. `sshnp-rendezvous witness-key --data DIR` does.",
      cause,
    });
  }
  await withAdministration(options, (administration) => administration.addWitness(name, { url, verifierKey }));
  process.stderr.write(`${name} is asked for cosignatures; sshnp-directory witness ls tells how it answers.\n`);
}

async function listWitnesses(options: DataOptions): Promise<void> {
  const all = await withAdministration(options, (administration) => administration.witnesses());
  if (all.length === 0) {
    process.stderr.write("No witness is asked. Name one: sshnp-directory witness add NAME URL KEY\n");
    return;
  }
  const rows = all.map(({ name, url, verifierKey, cosigned, failure }) => [
    name,
    failure ?? (cosigned === undefined ? "not asked yet" : "cosigns"),
    cosigned === undefined ? "" : String(cosigned.size),
    cosigned === undefined ? "" : minute(cosigned.time),
    url,
    verifierKey,
  ]);
  process.stdout.write(table([["NAME", "STATE", "SIZE", "COSIGNED", "URL", "KEY"], ...rows]));
}

async function removeWitness(name: string, options: DataOptions): Promise<void> {
  demandName(name);
  const wasThere = await withAdministration(options, (administration) => administration.removeWitness(name));
  if (wasThere) return;
  throw new SetupError("E_USAGE", `There is no witness ${name}.`, { next: "sshnp-directory witness ls lists them." });
}

function demandName(name: string): void {
  if (isRendezvousName(name)) return;
  throw new SetupError("E_USAGE", `${quoted(name)} is not a name for a witness.`, {
    next: "It is 1 to 32 of a-z, 0-9 and hyphen, such as w1.",
  });
}
