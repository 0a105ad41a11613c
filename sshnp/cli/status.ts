import { Command } from "commander";
import { parseName } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { readDefaults } from "../settings.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { withDestinationOptions } from "./destination-options.ts";
import { type DirectoryFlags, directoryOf } from "./directory-options.ts";
import { untilInterrupted } from "./interruption.ts";
import { runVerb } from "./run-verb.ts";
import { gatherFacts } from "./status/facts.ts";
import { statusJson, statusOf, statusText } from "./status/text.ts";

interface StatusFlags extends DirectoryFlags {
  readonly json?: boolean;
}

/** `sshnp status ...` */
export async function status(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp status")
    .description(
      "Tell who this machine is, how its directory looks, and what sshnp finds here: clients and when their keys end, certificate, clock, " +
        "log, proxies, agent, ssh. Nothing is changed on this machine.",
    )
    .argument("[client]", "@client, to tell of this one alone")
    .option("--json", "as JSON");
  withDestinationOptions(command).action((client: string | undefined, flags: StatusFlags) =>
    untilInterrupted((signal) => tell(client, flags, signal)),
  );
  return await runVerb(command, words);
}

async function tell(client: string | undefined, flags: StatusFlags, signal: AbortSignal): Promise<void> {
  const only = client === undefined ? readDefaults(process.env).client : parseName(client);
  const from = directoryOf(flags);
  PrivateFolder.changeNothing();
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const facts = await gatherFacts(suite, from, only, { signal });
  await printData(flags.json === true ? statusJson(facts) : statusText(facts));
  process.exitCode = statusOf(facts);
}
