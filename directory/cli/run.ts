import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import type { Command } from "commander";
import { type Logger, pino } from "pino";
import { aborted } from "../../keys/aborted.ts";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { openFilesAtMost } from "../../keys/open-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { isWildcard } from "../../keys/wildcard.ts";
import { SPARE_FILES } from "../../protocol/limits.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { serveAdministration } from "../admin-socket.ts";
import { administer } from "../administration.ts";
import { demandBroker } from "../client/read-broker-place.ts";
import type { DirectoryBroker } from "../broker-links.ts";
import { openStore, rememberStore, writeAddress } from "../data-folder.ts";
import type { DirectoryWatch } from "../directory-metrics.ts";
import { type OwnRendezvous, startOwnRendezvous } from "../own-rendezvous.ts";
import { type Directory, startDirectory } from "../server.ts";
import { type DataOptions, keysFolder, keysOption, storeOption } from "./data-options.ts";
import { Drain } from "./drain.ts";
import { type HostPort, parseHostPort } from "./host-port.ts";
import { LogLines } from "./log-lines.ts";
import { random } from "./random.ts";
import { logFailure } from "../log-failure.ts";

interface RunOptions extends DataOptions {
  readonly listen: string;
  readonly public?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly rendezvous?: string;
  readonly acceptOlderLog?: boolean;
  readonly metrics?: string;
  readonly drainSeconds: string;
  readonly verbose?: boolean;
  readonly mqtt?: string;
  readonly mqttCa?: string;
  readonly mqttCert?: string;
  readonly mqttKey?: string;
  readonly mqttUser?: string;
  readonly mqttPasswordFile?: string;
  readonly mqttNoVerify?: boolean;
}

/** `sshnp-directory run` */
export function addRunCommand(program: Command): void {
  program
    .command("run")
    .description("Serve a directory until SIGTERM or Ctrl-C. Its address is the first line of stdout, once it serves.")
    .requiredOption("--data <folder>", "keys, store and audit; made at the first start, of mode 0700")
    .addOption(storeOption())
    .addOption(keysOption())
    .option("--listen <host:port>", "where to listen; port 0 takes a free one", "127.0.0.1:7800")
    .option("--public <url>", "how others reach it, if not at --listen: http(s)://HOST:PORT")
    .option("--tls-cert <file>", "certificate chain (PEM), to serve HTTPS; nothing rests on it")
    .option("--tls-key <file>", "its private key (PEM)")
    .option("--rendezvous <host:port>", "also run a rendezvous, which others reach at this address")
    .option("--accept-older-log", "go on from an old backup, once; whoever has seen the newer log refuses it then")
    .option("--mqtt <url>", "a broker at which devices may wait: mqtts://HOST[:PORT] (docs/mqtt.md)")
    .option("--mqtt-ca <file>", "who may vouch for the broker (PEM), if not those that Node knows")
    .option("--mqtt-cert <file>", "the directory's own certificate there (PEM)")
    .option("--mqtt-key <file>", "its private key (PEM)")
    .option("--mqtt-user <name>", "the directory's user name there")
    .option("--mqtt-password-file <file>", "the password of --mqtt-user")
    .option("--mqtt-no-verify", "take whatever certificate the broker shows")
    .option("--metrics <host:port>", "serve metrics and what /readyz knows there, in plain HTTP (docs/monitoring.md)")
    .option(
      "--drain-seconds <seconds>",
      "on SIGTERM or Ctrl-C: for how long /readyz says so ahead of the end; the second ends it at once",
      "0",
    )
    .option("-v, --verbose", "log every decision")
    .addHelpText(
      "after",
      `
The address holds the fingerprint of the directory's root key; give it to everybody who is to use the directory.
The log goes to stderr, what was done for whom to audit.ndjson in the data folder.

Examples:
  sshnp-directory run --data np
  sshnp-directory run --data np --listen 0.0.0.0:7800 --public http://np.example.org:7800 --rendezvous np.example.org:7801`,
    )
    .action((options: RunOptions) => run(options));
}

async function run(options: RunOptions): Promise<void> {
  const at = parseHostPort(options.listen, "--listen");
  const rendezvousAt = options.rendezvous === undefined ? undefined : parseHostPort(options.rendezvous, "--rendezvous");
  const publicUrl = options.public === undefined ? undefined : parsePublicUrl(options.public);
  if (publicUrl === undefined && isWildcard(at.host)) {
    throw new SetupError("E_USAGE", `Nobody can reach ${options.listen} under that name.`, {
      next: "Say how others reach it: --public http://HOST:PORT",
    });
  }
  if (rendezvousAt !== undefined && options.store !== undefined) {
    throw new SetupError("E_USAGE", "--rendezvous and --store do not go together.", {
      next: "Directories that share a store have rendezvous of their own: sshnp-directory rendezvous add, sshnp-rendezvous run.",
    });
  }
  const tls = await readTls(options);
  demandBroker(options);
  const broker = options.mqtt === undefined ? undefined : await readBroker(options.mqtt, options);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const log = newLog(options);
  const stop = new AbortController();
  const drain = new Drain(options.drainSeconds, () => stop.abort(INTERRUPTED));

  const folder = await PrivateFolder.openOrCreate(options.data);
  const watch = options.metrics === undefined ? undefined : await watchDirectory(options.metrics);
  await using store = await openStore(folder, {
    ...{ url: options.store, signal: stop.signal, observe: watch?.observe },
    evenIfLeft: options.acceptOlderLog ?? false,
  });
  const maxConnections = connectionLimit();
  await using directory = await startDirectory({
    ...{
      suite,
      random,
      folder,
      keysFolder: await keysFolder(options, folder),
      store,
      listen: at,
      tls,
      maxConnections,
      log,
    },
    acceptOlderLog: options.acceptOlderLog ?? false,
    beforeServing: async () => {
      if (options.store !== undefined) await rememberStore(folder, options.store);
    },
    observer: watch?.observer,
    broker,
  });
  directory.readiness.add({
    name: "draining",
    look: () => (drain.isDraining ? { failed: "the directory ends" } : undefined),
  });
  await using _metrics = await watch?.serve(directory, log);
  const local = `${tls === undefined ? "http" : "https"}://${urlHost(at.host)}:${directory.port}`;
  const address = `${publicUrl ?? local}#${directory.keyring.fingerprint}`;
  await writeAddress(folder, address);
  // Only now: a start that comes to nothing changes nothing.
  if (options.store === undefined) await rememberStore(folder, undefined);
  await using _administration = await serveAdministration(
    folder,
    administer({ ...directory, store }, directory.presence),
  );
  await using _rendezvous = await ownRendezvous(rendezvousAt, {
    directory,
    at,
    tls,
    folder,
    suite,
    log,
    signal: stop.signal,
  });
  directory.audit.write({ event: "started", address });
  log.info({ address }, "directory serves");
  drain.serving();
  process.stdout.on("error", ignore).write(`${address}\n`);
  await aborted(stop.signal);
  log.info("directory ends");
  await directory.anchorAudit().catch((error: unknown) => logFailure(log, error, "audit failed"));
  if (stop.signal.reason !== INTERRUPTED) throw stop.signal.reason;
}

async function watchDirectory(at: string): Promise<DirectoryWatch> {
  const { DirectoryWatch } = await import("../directory-metrics.ts");
  return new DirectoryWatch(at);
}

function newLog({ verbose }: RunOptions): Logger {
  const destination = pino.destination({ dest: 2, sync: true });
  destination.on("error", ignore); // whoever read it may be gone; the directory is not
  return pino(
    { level: verbose === true ? "debug" : "info", base: null, timestamp: pino.stdTimeFunctions.isoTime },
    new LogLines(destination),
  );
}

async function ownRendezvous(
  publicAt: HostPort | undefined,
  {
    directory,
    at,
    tls,
    ...rest
  }: {
    readonly directory: Directory;
    readonly at: HostPort;
    readonly tls: unknown;
    readonly folder: PrivateFolder;
    readonly suite: Parameters<typeof startOwnRendezvous>[0]["suite"];
    readonly log: Logger;
    readonly signal: AbortSignal;
  },
): Promise<OwnRendezvous | undefined> {
  if (publicAt === undefined) return undefined;
  // It talks to us on this machine, whatever name and proxy the others use.
  const near = isWildcard(at.host) ? (at.host.includes(":") ? "::1" : "127.0.0.1") : at.host;
  const scheme = tls === undefined ? "http" : "https";
  const address = `${scheme}://${urlHost(near)}:${directory.port}#${directory.keyring.fingerprint}`;
  const { registry } = directory;
  return await startOwnRendezvous({ ...rest, random, registry, address, listenHost: at.host, publicAt });
}

async function readBroker(url: string, options: RunOptions): Promise<DirectoryBroker> {
  const { readBrokerPlace } = await import("../client.ts");
  const place = await readBrokerPlace(url, options);
  const { mqttUser: user, mqttPasswordFile: file } = options;
  if (user === undefined || file === undefined) {
    if (user === file) return place;
    throw new SetupError("E_USAGE", "--mqtt-user and --mqtt-password-file go together.", {
      next: "Give both or neither.",
    });
  }
  return { ...place, login: { user, password: (await readPem(file)).replace(/\r?\n$/, "") } };
}

async function readTls(options: RunOptions): Promise<{ readonly cert: string; readonly key: string } | undefined> {
  const { tlsCert, tlsKey } = options;
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new SetupError("E_USAGE", "--tls-cert and --tls-key go together.", { next: "Give both or neither." });
  }
  return { cert: await readPem(tlsCert), key: await readPem(tlsKey) };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SetupError("E_USAGE", `Cannot read ${shellWord(file)}.`, { next: "Check its path and mode.", cause });
  }
}

function parsePublicUrl(text: string): string {
  if (!/^https?:\/\/[a-z0-9.:[\]-]+(?:\/[a-z0-9._~/-]*)?$/i.test(text) || !URL.canParse(text)) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not how others can reach a directory.`, {
      next: "It reads http://HOST:PORT or https://HOST:PORT, with nothing after it.",
    });
  }
  return text.replace(/\/$/, "");
}

function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

/** As many connections as the process may have files, less those it needs itself. */
function connectionLimit(): number {
  return Math.max(64, openFilesAtMost() - SPARE_FILES);
}

const INTERRUPTED = new SetupError("E_INTERRUPTED", "Interrupted.");

function ignore(): void {}
