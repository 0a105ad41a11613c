import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { pino } from "pino";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { parseListen } from "../host-port.ts";
import { serveWitness } from "../witness/service.ts";
import { Witness } from "../witness/witness.ts";
import { newLog } from "./run.ts";

interface WitnessOptions {
  readonly data: string;
  readonly listen: string;
  readonly directory: readonly string[];
  readonly verbose?: boolean;
}

/** `sshnp-rendezvous witness`, `sshnp-rendezvous witness-key` */
export function addWitnessCommands(program: Command): void {
  program
    .command("witness")
    .description("Be a witness of logs and nothing else, until SIGTERM or Ctrl-C.")
    .requiredOption("--data <folder>", "its key and what it has cosigned; made at the first start, of mode 0700")
    .requiredOption("--directory <address...>", "the directories whose logs it cosigns: http(s)://HOST:PORT#SHA256:...")
    .option("--listen <host:port>", "where to listen; port 0 takes a free one", "127.0.0.1:7802")
    .option("-v, --verbose", "log every decision")
    .addHelpText(
      "after",
      `
Once it serves, the first line of stdout is its URL and the second its verifier key. It answers POST /add-checkpoint as
C2SP tlog-witness has it. A witness says something only if whoever runs the directory does not run it, too.

Example:
  sshnp-rendezvous witness --data witness --listen 0.0.0.0:7802 --directory 'http://np.example.org:7800#SHA256:...'`,
    )
    .action((options: WitnessOptions) => witness(options));
  program
    .command("witness-key")
    .description("Print the verifier key of a witness; its key is made if it is not there yet.")
    .requiredOption("--data <folder>", "its data folder")
    .action((options: Pick<WitnessOptions, "data">) => witnessKey(options));
}

async function witness(options: WitnessOptions): Promise<void> {
  const directories = options.directory.map((address) => parseDirectoryAddress(address));
  const listen = parseListen(options.listen);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  process.stdout.on("error", ignore); // whoever started this may be gone; the logs are not
  await serveWitness(
    {
      ...{ suite, random, listen, directories, data: options.data },
      log: newLog(options),
      onServing: (url, key) => process.stdout.write(`${url}\n${key}\n`),
    },
    { signal: stop.signal },
  );
}

async function witnessKey({ data }: Pick<WitnessOptions, "data">): Promise<void> {
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const log = pino({ level: "silent" });
  const { verifierKey } = await Witness.open({ suite, random, data, now: Date.now, log });
  process.stdout.write(`${verifierKey}\n`);
}

function random(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}

function ignore(): void {}
