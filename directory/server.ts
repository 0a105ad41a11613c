import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Logger } from "pino";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { tellAcceptErrors } from "../keys/accept-errors.ts";
import { listenError } from "../keys/listen-error.ts";
import type { Readiness } from "../keys/metrics/readiness.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import {
  BACKLOG,
  CONNECTIONS_CHECK_MS,
  HEADER_BYTES,
  HEADERS_MS,
  KEEPALIVE_MS,
  REQUEST_MS,
  STRANGER_LOOK_MS,
} from "../protocol/limits.ts";
import { Accounts } from "./accounts/accounts.ts";
import { StatementRates } from "./accounts/statement-rates.ts";
import type { Audit } from "./audit.ts";
import type { Anchor } from "./audit/anchors.ts";
import { openAudit, type OpenedAudit } from "./audit/open.ts";
import { BrokerAccess } from "./broker-access.ts";
import { BrokerLinks, type DirectoryBroker } from "./broker-links.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { DatabaseClock } from "./database-clock.ts";
import type { ConnectObserver } from "./connect-observer.ts";
import { endAll } from "./end-all.ts";
import { Freshness } from "./freshness.ts";
import { directoryReadiness } from "./health.ts";
import { route, type Routes } from "./http-routes.ts";
import { Keyring } from "./keyring.ts";
import { limitConnections } from "./limit-connections.ts";
import { LinkServer } from "./link-server.ts";
import { upgrade } from "./link-upgrade.ts";
import { openGuardedLog } from "./log/checkpoint-file.ts";
import type { Log } from "./log/log.ts";
import { refuseUnfilledStore } from "./log/unfilled-store.ts";
import { NewestKeys } from "./newest-keys.ts";
import { Policies } from "./policies.ts";
import { PostServer } from "./post.ts";
import { Presence } from "./presence.ts";
import { AddressLimiter, type Rate } from "./rate-limit.ts";
import { Recurring } from "./recurring.ts";
import { RendezvousRegistry } from "./rendezvous-registry.ts";
import { replicaHost } from "./replicas/host.ts";
import { Replicas } from "./replicas/replicas.ts";
import { Requests } from "./requests.ts";
import { Sessions } from "./sessions.ts";
import type { Store } from "./store.ts";
import type { Cosigner } from "./witnesses/cosigner.ts";
import { startCosigner } from "./witnesses/start-cosigner.ts";
import { Strangers } from "./strangers.ts";
import { withTls } from "./tls-server.ts";
import { Workload } from "./workload.ts";
import { logFailure } from "./log-failure.ts";

export interface DirectoryOptions {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  /** The data folder: audit, newest checkpoint. */
  readonly folder: PrivateFolder;
  /** That of the private keys, which directories on one store share; the data folder if not said. */
  readonly keysFolder?: PrivateFolder;
  readonly store: Store;
  /** Awaited once the store is known to be the one to go on with, ahead of whoever may have something written into it. */
  readonly beforeServing?: () => Promise<void>;
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM; without it, plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Connections at most, so that files for the rest are left. */
  readonly maxConnections: number;
  /** The MQTT broker at which devices may wait; undefined: there is none. */
  readonly broker?: DirectoryBroker | undefined;
  /** Whether to go on from a store whose log is older than the one that was published. */
  readonly acceptOlderLog?: boolean;
  readonly observer?: ConnectObserver | undefined;
  readonly log: Logger;
  /** By whose time it goes. Undefined: by the database's where directories share one, else by the machine's. */
  readonly clock?: Clock;
  readonly machineClock?: Clock;
  /** Of messages of one name, where it is another than the usual one. */
  readonly senderRate?: Rate;
}

/** A directory that serves. Disposing of it closes links, answers and the port; the store stays open. */
export interface Directory extends AsyncDisposable {
  readonly port: number;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly statementLog: Log;
  readonly registry: RendezvousRegistry;
  readonly presence: Presence;
  readonly posts: Pick<PostServer, "open" | "unread" | "working">;
  readonly sessions: Pick<Sessions, "phases">;
  readonly links: Pick<LinkServer, "hellosWaiting">;
  /** Undefined where there is no broker. */
  readonly waking:
    | Pick<BrokerLinks, "isConnected" | "meanwhile" | "dropped" | "messagesWaiting" | "limited" | "count">
    | undefined;
  readonly replicas: Pick<Replicas, "alive"> | undefined;
  /** Whether it can do its work. Who serves it adds what he knows. */
  readonly readiness: Readiness;
  readonly audit: Audit;
  readonly anchorAudit: () => Promise<Anchor>;
  readonly cosigner: Cosigner;
}

/** Serves until it is disposed of. @throws {SetupError} E_RUNNING when the port is taken, E_USAGE when it cannot be had, E_BAD_KEY_FILE, E_STORAGE, E_LOG. */
export async function startDirectory(options: DirectoryOptions): Promise<Directory> {
  const undoing: (() => unknown)[] = [];
  try {
    return await start(options, undoing);
  } catch (error) {
    await endAll(undoing.toReversed(), (err) => options.log.error({ err }, "what was begun could not be ended"));
    throw error;
  }
}

/** `undoing` gets what ends what was begun, for a start that fails. */
async function start(options: DirectoryOptions, undoing: (() => unknown)[]): Promise<Directory> {
  const { suite, random, folder, store, log } = options;
  const primitives = { suite, random };
  const { shared: database } = store.database;
  const machineClock = options.machineClock ?? SYSTEM_CLOCK;
  const followed =
    database && options.clock === undefined ? await DatabaseClock.start(database, machineClock, log) : undefined;
  undoing.push(() => followed?.[Symbol.dispose]());
  const clock = options.clock ?? followed ?? machineClock;
  const failed = (error: unknown): void => logFailure(log, error, "house-keeping failed");
  const folders = [folder, options.keysFolder ?? folder];
  await refuseUnfilledStore(store.database, folders, options.acceptOlderLog);
  const keyring = await Keyring.open(primitives, options.keysFolder ?? folder, store, clock.now());
  let cosigner: Cosigner | undefined;
  let audited: OpenedAudit | undefined;
  const guarded = await openGuardedLog({
    ...{ suite, folder, sharedFolder: options.keysFolder, database: store.database },
    ...{ privateKey: keyring.log, origin: keyring.origin },
    acceptOlder: options.acceptOlderLog ?? false,
    onError: failed,
    grown: () => cosigner?.grown(),
    pending: (checkpoint) => cosigner?.pending(checkpoint),
    audit: () => audited?.anchors,
  });
  if (guarded.isOlder) log.warn({ size: guarded.log.checkpoint.size }, "goes on from an older log, as it was told to");
  undoing.push(() => guarded.settle());
  await options.beforeServing?.();
  const statementLog = guarded.log;
  cosigner = await startCosigner(options, statementLog, clock);
  undoing.push(() => cosigner?.[Symbol.asyncDispose]());
  audited = await openAudit({ ...primitives, folder, store, statementLog, clock }, (error) =>
    logFailure(log, error, "audit failed"),
  );
  const { audit, anchorAudit, anchorWhenDue } = audited;
  undoing.push(() => audit.close());
  const freshness = await Freshness.load({ store, random, onError: failed });
  const registry = await RendezvousRegistry.load(primitives, store, keyring, statementLog);
  const isAtBroker = (): boolean => waking?.isConnected === true;
  const shares = { database: store.database, random, clock, isAtBroker, failed };
  const replicas = database && new Replicas({ ...shares, shared: database });
  const { broker, observer, senderRate } = options;
  const wakes = { ...primitives, clock, keyring, freshness, store, statementLog, audit, log, observer };
  const waking = broker && new BrokerLinks({ ...wakes, broker });
  const presence = new Presence([replicas, waking].filter((elsewhere) => elsewhere !== undefined));
  const policies = new Policies({ suite, store });
  const sessions = new Sessions({
    ...{ suite, clock, keyring, registry, policies, presence, audit, store, statementLog, replicas },
    ...{ failed, observer, log },
  });
  const { isShared } = store.database;
  const rotated = (): void => {
    log.info({ keyListSeq: keyring.keyListSeq }, "new key list");
    links.keysRotated();
  };
  const newestKeys = new NewestKeys({ keyring, clock, isShared, rotated, failed });
  const shared = { ...wakes, sessions, replicas, newestKeys };
  const strangers = new Strangers(options.maxConnections, () => observer?.turnedAway("stranger"));
  const workload = new Workload();
  const links = new LinkServer({ ...shared, presence, strangers, waking, workload });
  const rates = new StatementRates(clock);
  const said = (subjects: readonly string[]): void => replicas?.saidWithTurn(subjects);
  const accounts = new Accounts(primitives, store, statementLog, keyring.fingerprint, rates, said);
  const requests = new Requests({ ...shared, accounts, policies, presence, registry, links });
  const posts = new PostServer({ ...shared, senderRate, workload }, (...asked) => requests.handle(...asked));
  const limiter = new AddressLimiter();
  undoing.push(() => replicas?.[Symbol.asyncDispose]());
  await replicas?.start(replicaHost({ presence, sessions, links, requests, waking, replicas }));

  const others = new Recurring(
    [() => statementLog.refresh(), () => registry.refresh(), () => newestKeys.refresh()],
    failed,
  );
  const everySecond = (): void => {
    links.tick();
    sessions.sweep();
    if (isShared) others.run();
  };
  const houseKeeping = new Recurring(
    [
      () => requests.sweep(),
      async () => {
        await anchorWhenDue().catch(failed);
        await guarded.settle();
        await freshness.sweep(clock.now());
        await newestKeys.refresh();
        if (isShared) cosigner.use(await store.witnesses());
      },
    ],
    failed,
  );
  const everyPeriod = (): void => {
    posts.keepAlive();
    limiter.sweep(clock.monotonic());
    brokerAccess?.sweep();
    waking?.sweep();
    if (dropped > 0) log.warn({ dropped }, "connections were refused: too many are open");
    dropped = 0;
    houseKeeping.run();
  };

  let dropped = 0;
  const brokerAccess = broker && new BrokerAccess({ suite, clock, keyring, freshness, store, observer });
  const readiness = directoryReadiness({ store, guarded, audit, keyring, registry, waking, clock, followed });
  const http = await listen(options, {
    ...{ posts, links, keyring, newestKeys, statementLog, brokerAccess, limiter, strangers, clock, log, readiness },
    observer,
  });
  http.on("drop", () => {
    dropped += 1;
    observer?.turnedAway("connections");
  });
  const timers = [
    clock.every(1000, everySecond),
    clock.every(STRANGER_LOOK_MS, () => strangers.look()),
    clock.every(KEEPALIVE_MS, everyPeriod),
  ];
  waking?.start({ presence, sessions, replicas });
  const address = http.address() as AddressInfo;
  return {
    port: address.port,
    clock,
    ...{ keyring, statementLog, registry, presence, posts },
    ...{ sessions, links, waking, replicas, readiness, audit, anchorAudit, cosigner },
    async [Symbol.asyncDispose]() {
      for (const stop of timers) stop();
      followed?.[Symbol.dispose]();
      const closed = new Promise((resolve) => http.close(resolve));
      posts.close();
      const ends = [
        () => waking?.[Symbol.asyncDispose](),
        () => links.close(),
        () => replicas?.[Symbol.asyncDispose](),
        () => http.closeAllConnections(),
        () => closed,
        () => Promise.all([others.settled(), houseKeeping.settled()]),
        () => cosigner[Symbol.asyncDispose](),
        () => audit.close(),
        () => guarded.settle(),
      ];
      await endAll(ends, (err) => log.error({ err }, "what was begun could not be ended"));
    },
  };
}

async function listen({ listen: at, tls, maxConnections }: DirectoryOptions, routes: Routes): Promise<Server> {
  const settings = {
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    maxHeaderSize: HEADER_BYTES,
    noDelay: true,
  };
  const server = tls === undefined ? createServer(settings) : withTls(settings, tls);
  server.maxConnections = maxConnections;
  limitConnections(server, () => routes.observer?.turnedAway("address connections"));
  server.on("connection", (socket: Socket) => routes.strangers.add(socket));
  server.on("request", (request, response) => route(request, response, routes));
  server.on("upgrade", (request, socket, head) => upgrade(request, socket, head, routes));
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        listenError(`${at.host}:${at.port}`, cause, "Choose another --listen HOST:PORT, or stop what has that port."),
      ),
    );
    server.listen({ port: at.port, host: at.host, backlog: BACKLOG }, resolve);
  });
  tellAcceptErrors(server, routes.log);
  return server;
}
