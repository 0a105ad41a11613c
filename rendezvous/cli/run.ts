import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { type Logger, pino } from "pino";
import { readCramSecret } from "../../keys/cram-secret.ts";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { shellWord } from "../../keys/shell-word.ts";
import {
  type DirectoryAddress,
  directoryInEnvironment,
  parseDirectoryAddress,
} from "../../protocol/directory-address.ts";
import { DRAIN_SECONDS, DRAIN_SECONDS_MOST, EXCERPT_BYTES } from "../../protocol/limits.ts";
import { isRegion } from "../../protocol/region.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { parseListen, publicAddresses } from "../host-port.ts";
import type { RendezvousWatch } from "../rendezvous-metrics.ts";
import { serveRendezvous } from "../service.ts";

interface RunOptions {
  readonly data: string;
  readonly directory?: string;
  readonly cramSecret?: string;
  readonly cramFile?: string;
  readonly listen: string;
  readonly public?: string;
  readonly excerpt: string;
  readonly verbose?: boolean;
  readonly witness?: boolean;
  readonly region: string;
  readonly drainSeconds: string;
  readonly metrics?: string;
}

/** `sshnp-rendezvous run` */
export function addRunCommand(program: Command): void {
  program
    .command("run")
    .description("Serve legs until SIGTERM or Ctrl-C. Its address is the first line of stdout, once it serves.")
    .requiredOption("--data <folder>", "its keys and what it remembers; made at the first start, of mode 0700")
    .option("--directory <address>", "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY)")
    .option("-c, --cram-secret <secret>", "the one-time secret, the first time; - reads it from stdin")
    .option("--cram-file <file>", "read the secret from a file (else SSHNP_CRAM)")
    .option("--listen <host:port>", "where to listen; port 0 takes a free one", "127.0.0.1:7801")
    .option(
      "--public <host:port,...>",
      "how both ends reach it, if not at --listen: each over TCP and WebSocket, or with a transport, as in wss://HOST:PORT",
    )
    .option(
      "--excerpt <bytes>",
      `log the first bytes of each direction too (0 to ${EXCERPT_BYTES}): a demonstration aid`,
      "0",
    )
    .option("--region <name>", "where it stands, as in eu-west: a-z, 0-9 and -, at most 32", "")
    .option(
      "--drain-seconds <seconds>",
      `on the first SIGTERM or Ctrl-C: how long sessions may go on (0 to ${DRAIN_SECONDS_MOST}); the second ends it at once`,
      String(DRAIN_SECONDS),
    )
    .option("--metrics <host:port>", "serve metrics and what /readyz knows there, in plain HTTP (docs/monitoring.md)")
    .option("--witness", "cosign the directory's log, too; the verifier key is the second line of stdout")
    .option("-v, --verbose", "log every decision, IP addresses included")
    .addHelpText(
      "after",
      `
The secret comes from whoever runs the directory: sshnp-directory rendezvous add NAME --data DIR
Once activated it needs none, and serves after a restart even while the directory is away.
One port takes legs over TCP and WebSocket, GET /healthz and /readyz, and with --witness POST /add-checkpoint. The log goes to stderr, a line of JSON for each session.

Examples:
  sshnp-rendezvous run --data rz --directory 'http://np.example.org:7800#SHA256:...' -c SECRET --listen 0.0.0.0:7801 --public np.example.org:7801
  sshnp-rendezvous run --data rz --directory 'http://np.example.org:7800#SHA256:...' --listen 0.0.0.0:7801 --public np.example.org:7801`,
    )
    .action((options: RunOptions) => run(options));
}

async function run(options: RunOptions): Promise<void> {
  const directory = givenDirectory(options);
  const listen = parseListen(options.listen);
  publicAddresses(options.public, { ...listen, port: listen.port || 1 }); // to refuse what is wrong before anything is done
  const excerptBytes = parseExcerpt(options.excerpt);
  const drainSeconds = parseDrainSeconds(options.drainSeconds);
  const { region } = options;
  if (!isRegion(region)) {
    throw new SetupError("E_USAGE", `--region ${quoted(region)} is not the name of a region.`, {
      next: "It is 1 to 32 of a-z, 0-9 and -, as in eu-west.",
    });
  }
  let isServing = false;
  const secret = await readCramSecret(options, process.env);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const stop = new AbortController();
  const drain = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => (drainSeconds === 0 || drain.signal.aborted || !isServing ? stop : drain).abort());
  }
  process.stdout.on("error", ignore); // whoever started this may be gone; the sessions are not
  const { signal } = stop;
  try {
    await serveRendezvous(
      {
        ...{ suite, directory, secret, listen, excerptBytes, data: options.data, publicAt: options.public },
        random: (length) => new Uint8Array(randomBytes(length)),
        log: newLog(options),
        watch: options.metrics === undefined ? undefined : await watchRendezvous(options.metrics),
        isWitness: options.witness ?? false,
        region,
        drain: { signal: drain.signal, seconds: drainSeconds },
        // The directory's own rendezvous has one on stdin at each start, in case that it is needed.
        onUnusedSecret: options.cramSecret === "-" ? undefined : () => tellUnused(options.data),
        onServing: (address, key) => {
          isServing = true;
          process.stdout.write(`${address}\n${key === undefined ? "" : `${key}\n`}`);
        },
      },
      { signal },
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function tellUnused(data: string): void {
  process.stderr.write(
    `sshnp-rendezvous: The secret is not used: the rendezvous in ${shellWord(data)} is activated already. A second one needs a folder of its own: --data FOLDER\n`,
  );
}

async function watchRendezvous(at: string): Promise<RendezvousWatch> {
  const { RendezvousWatch } = await import("../rendezvous-metrics.ts");
  return new RendezvousWatch(at);
}

function givenDirectory({ directory }: RunOptions): DirectoryAddress {
  const given = directory === undefined ? directoryInEnvironment(process.env) : directory || undefined;
  if (given !== undefined) return typeof given === "string" ? parseDirectoryAddress(given) : given;
  throw new SetupError("E_USAGE", "No directory is given.", {
    next: "Give --directory or SSHNP_DIRECTORY; `sshnp-directory address --data DIR` prints the address.",
  });
}

function parseExcerpt(text: string): number {
  const bytes = Number(text);
  if (/^\d+$/.test(text) && bytes <= EXCERPT_BYTES) return bytes;
  throw new SetupError("E_USAGE", `--excerpt ${quoted(text)} is not a number of bytes.`, {
    next: `It is 0 to ${EXCERPT_BYTES}.`,
  });
}

function parseDrainSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds <= DRAIN_SECONDS_MOST) return seconds;
  throw new SetupError("E_USAGE", `--drain-seconds ${quoted(text)} is not a number of seconds.`, {
    next: `It is 0 to ${DRAIN_SECONDS_MOST}.`,
  });
}

/** Lines of JSON on stderr. */
export function newLog({ verbose }: { readonly verbose?: boolean }): Logger {
  const destination = pino.destination({ dest: 2, sync: true });
  destination.on("error", ignore); // as for stdout
  return pino(
    { level: verbose === true ? "debug" : "info", base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination,
  );
}

function ignore(): void {}
