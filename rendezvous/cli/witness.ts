import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { pino } from "pino";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { isWildcard } from "../../keys/wildcard.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { WITNESS_URL_BYTES } from "../../protocol/limits.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { parseListen } from "../host-port.ts";
import { serveWitness } from "../witness/service.ts";
import { Witness } from "../witness/witness.ts";
import { newLog } from "./run.ts";

interface WitnessOptions {
  readonly data: string;
  readonly listen: string;
  readonly public?: string;
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
    .option("--public <url>", "how directories reach it, if not at --listen: http(s)://HOST:PORT")
    .option("-v, --verbose", "log every decision")
    .addHelpText(
      "after",
      `
Once it serves, the first line of stdout is its URL and the second its verifier key; whoever runs the directory adds it with
both: sshnp-directory witness add NAME URL KEY --data DIR. It answers POST /add-checkpoint as
C2SP tlog-witness has it. A witness says something only if whoever runs the directory does not run it, too.

Example:
  sshnp-rendezvous witness --data witness --listen 0.0.0.0:7802 --public http://witness.example.org:7802 --directory 'http://np.example.org:7800#SHA256:...'`,
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
  const publicUrl = options.public === undefined ? undefined : parsePublicUrl(options.public);
  if (publicUrl === undefined && isWildcard(listen.host)) {
    throw new SetupError("E_USAGE", `Nobody can reach ${options.listen} under that name.`, {
      next: "Say how directories reach it: --public http://HOST:PORT",
    });
  }
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  process.stdout.on("error", ignore); // whoever started this may be gone; the logs are not
  await serveWitness(
    {
      ...{ suite, random, listen, directories, data: options.data },
      log: newLog(options),
      onServing: (url, key) => process.stdout.write(`${publicUrl ?? url}\n${key}\n`),
    },
    { signal: stop.signal },
  );
}

/** As `sshnp-directory witness add` takes it. */
function parsePublicUrl(text: string): string {
  if (/^https?:\/\/[^\s?#]+$/.test(text) && text.length <= WITNESS_URL_BYTES && URL.canParse(text)) return text;
  throw new SetupError("E_USAGE", `--public ${quoted(text)} is not where a witness could be.`, {
    next: "It reads http://HOST:PORT or https://HOST/PATH.",
  });
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
