import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { DirectoryClient } from "../directory/client.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { DeniedError, SecurityError, SetupError } from "../keys/errors.ts";
import type { Secret } from "../keys/secret.ts";
import type { DirectoryAddress } from "../protocol/directory-address.ts";
import type { KeyList, VerifiedKeyList } from "../protocol/key-list.ts";
import {
  FIRST_REPORT_MS,
  KEY_LIST_MARGIN_MS,
  REPORT_MS,
  REPORT_RETRY_MS,
  REPORT_TIMEOUT_MS,
} from "../protocol/limits.ts";
import { DataFolder } from "./data-folder.ts";
import { type Drain, whenDrained } from "./drain.ts";
import { type HostPort, publicAddresses } from "./host-port.ts";
import { KeyListRefresh } from "./key-list-refresh.ts";
import type { RendezvousWatch } from "./rendezvous-metrics.ts";
import { reasonOf } from "./reason-of.ts";
import { activateRendezvous, rendezvousActivationKey, reportRendezvous } from "./registration.ts";
import { takeDataFolder } from "./running-lock.ts";
import { RendezvousServer } from "./server.ts";
import { Witness } from "./witness/witness.ts";

export interface ServiceOptions {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  /** Path of the data folder. */
  readonly data: string;
  readonly directory: DirectoryAddress;
  /** Needed before the first activation alone. */
  readonly secret: Secret | undefined;
  readonly listen: HostPort;
  /** HOST:PORT by which the ends reach it, when that is not where it listens. */
  readonly publicAt: string | undefined;
  readonly excerptBytes: number;
  /** As isRegion() has it; empty: not said. */
  readonly region?: string;
  /** Asks it to drain; undefined: `signal` ends it at once. */
  readonly drain?: Drain;
  readonly log: Logger;
  /** Counts what it does, and serves that. */
  readonly watch?: RendezvousWatch | undefined;
  /** Whether it is a witness of its directory's log, too. */
  readonly isWitness?: boolean;
  /** Called when a secret is given that is not needed, and is not the one that was used. */
  readonly onUnusedSecret?: (() => void) | undefined;
  /** Called once legs are served; `address` is the first of those that the directory knows. */
  readonly onServing: (address: string, witnessKey: string | undefined) => void;
}

/**
 * Serves legs until the signal comes. A rendezvous that has been activated before serves at once, whether its directory
 * answers or not; it only waits a moment for it, so that the directory's next ticket knows this start.
 * @throws {SetupError} E_NOT_ACTIVATED without an activation and a secret, E_RUNNING, E_USAGE, those of the data folder;
 * {DeniedError} when the directory refuses; as {@link DirectoryClient.request} while it is activated.
 */
export async function serveRendezvous(
  options: ServiceOptions,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { suite, random, directory, secret, log, region = "" } = options;
  const drain = options.drain ?? { signal: new AbortController().signal, seconds: 0 };
  using _lock = await takeDataFolder(options.data);
  const folder = await DataFolder.open(options.data, directory, { suite, random });
  const keyList = await folder.readKeyList();
  const isActivated = keyList !== undefined && (await folder.isActivated(keyList.root));
  if (!isActivated && secret === undefined) throw notActivated();

  const { data } = options;
  const witness =
    options.isWitness === true ? await Witness.open({ suite, random, data, now: Date.now, log }) : undefined;
  witness?.resume(directory.fingerprint);
  let remembered: Promise<void> | undefined;
  const client = new DirectoryClient({
    ...{ address: directory, suite, random, keyList },
    onKeyList: (list) => {
      refresh.note(list.list);
      remembered = remember(folder, list, log);
    },
    warn: (text) => log.warn(text),
  });
  const boot = random(16);
  const refresh = new KeyListRefresh({ client, log, signal, onKeyList: (list) => use(list) });
  await using server = await RendezvousServer.start({
    ...{ suite, key: folder.keys.ed25519.publicKey, boot, log, witness, observer: options.watch?.observer },
    listen: options.listen,
    now: () => ({ time: client.directoryTime, monotonic: performance.now() }),
    askForKeys: () => refresh.ask(),
    excerptBytes: options.excerptBytes,
  });
  const use = (list: KeyList): void => {
    server.useKeyList(list);
    try {
      witness?.follow(directory.fingerprint, list);
    } catch (error) {
      log.error({ err: error }, "the directory's log is not followed"); // which ends nobody's session
    }
  };
  if (keyList !== undefined) refresh.note(keyList.list);
  const addresses = publicAddresses(options.publicAt, { ...options.listen, port: server.port });

  let isSecretUsed = false;
  const activate = async (oneTime: Secret): Promise<void> => {
    await client.keyList({ signal });
    isSecretUsed = true;
    await remembered; // without it an activation does not count at the next start, and the secret would be used up
    const registered = await activateRendezvous(client, folder.keys, { secret: oneTime, addresses }, { signal });
    await folder.writeActivation(rendezvousActivationKey(suite, oneTime).publicKey);
    await folder.writeStatement(registered.signed);
    log.info({ rendezvous: registered.statement.rendezvous }, "activated");
  };
  const report = async (ms: number, until: AbortSignal = signal): Promise<void> => {
    const limit = AbortSignal.any([signal, until, AbortSignal.timeout(ms)]);
    const { signed } = await reportRendezvous(
      client,
      folder.keys,
      { boot, legs: server.legs, most: server.most, isDraining: drain.signal.aborted, region, addresses },
      { signal: limit },
    );
    await folder.writeStatement(signed);
  };

  if (!isActivated && secret !== undefined) await activate(secret);
  const directoryState = { isHeard: false };
  server.readiness.add(
    {
      name: "directory",
      look: () => (directoryState.isHeard ? undefined : { degraded: "it does not take the reports" }),
    },
    { name: "draining", look: () => (drain.signal.aborted ? { failed: "the rendezvous ends" } : undefined) },
  );
  await using _metrics = await options.watch?.serve(server, { log, isDraining: () => drain.signal.aborted });
  directoryState.isHeard = await firstReport(
    () => report(FIRST_REPORT_MS),
    secret && (() => activate(secret)),
    log,
    signal,
  );
  if (secret !== undefined && !isSecretUsed) {
    const { publicKey } = rendezvousActivationKey(suite, secret);
    if (await folder.isActivatedByAnother(publicKey)) options.onUnusedSecret?.();
  }
  options.onServing(addresses[0] ?? "", witness?.verifierKey);
  log.info({ addresses }, "rendezvous serves");
  const over = new AbortController();
  const whileServing = AbortSignal.any([signal, over.signal]);
  const reporting = keepReporting(() => report(REPORT_TIMEOUT_MS, whileServing), {
    directoryState,
    refresh,
    log,
    signal: whileServing,
  });
  const telling = (until: AbortSignal): Promise<void> => report(FIRST_REPORT_MS, until);
  await Promise.race([reporting, whenDrained(server, drain, { report: telling, log, signal })]);
  over.abort();
  await reporting;
  log.info("rendezvous ends");
}

/** Whether the directory has taken it. Who is not known there any more may be activated again. */
async function firstReport(
  report: () => Promise<void>,
  activate: (() => Promise<void>) | undefined,
  log: Logger,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await report();
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DeniedError && activate !== undefined) {
      await activate();
      await report();
      return true;
    } else if (error instanceof DeniedError || error instanceof SecurityError) {
      throw error;
    } else {
      log.warn(reasonOf(error), "the directory does not answer; serving without it");
      return false;
    }
  }
}

async function keepReporting(
  report: () => Promise<void>,
  {
    directoryState,
    refresh,
    log,
    signal,
  }: {
    readonly directoryState: { isHeard: boolean };
    readonly refresh: KeyListRefresh;
    readonly log: Logger;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  while (!signal.aborted) {
    // Spread, so that many that were started together do not report together. A directory that comes back may have forgotten
    // when this one was heard last, and names it to nobody before it hears it again.
    const wait = (directoryState.isHeard ? REPORT_MS : REPORT_RETRY_MS) * (0.8 + 0.2 * Math.random());
    await delay(wait, undefined, { signal }).catch(ignore);
    if (signal.aborted) return;
    try {
      await report();
      if (!directoryState.isHeard) log.info("the directory answers again");
      directoryState.isHeard = true;
    } catch (error) {
      if (directoryState.isHeard && !signal.aborted)
        log.warn(reasonOf(error), "the directory does not take the report; serving on");
      directoryState.isHeard = false;
    }
    if ((refresh.list?.expires ?? 0) - Date.now() < KEY_LIST_MARGIN_MS) refresh.ask();
  }
}

async function remember(folder: DataFolder, list: VerifiedKeyList, log: Logger): Promise<void> {
  try {
    await folder.writeKeyList(list);
  } catch (error) {
    log.error(reasonOf(error), "the directory's key list cannot be kept; a restart will need the directory");
  }
}

function notActivated(): SetupError {
  return new SetupError("E_NOT_ACTIVATED", "This rendezvous is not activated, and no secret is given.", {
    next: "Give the secret that `sshnp-directory rendezvous add NAME --data DIR` prints: -c, --cram-file or SSHNP_CRAM.",
  });
}

function ignore(): void {}
