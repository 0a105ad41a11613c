import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { SetupError } from "../keys/errors.ts";
import { listenError } from "../keys/listen-error.ts";
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
import { encodeSignedText } from "../protocol/messages/link.ts";
import { Accounts } from "./accounts/accounts.ts";
import { StatementRates } from "./accounts/statement-rates.ts";
import { Audit } from "./audit.ts";
import { BROKER_ACCESS_PREFIX, BrokerAccess } from "./broker-access.ts";
import { BrokerLinks, type DirectoryBroker } from "./broker-links.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import { Freshness } from "./freshness.ts";
import { Keyring } from "./keyring.ts";
import { limitConnections } from "./limit-connections.ts";
import { LinkServer } from "./link-server.ts";
import { openGuardedLog } from "./log/checkpoint-file.ts";
import type { Log } from "./log/log.ts";
import { LOG_PREFIX, logFile } from "./log/routes.ts";
import { Policies } from "./policies.ts";
import { PostServer, refuse } from "./post.ts";
import { Presence } from "./presence.ts";
import { AddressLimiter } from "./rate-limit.ts";
import { RendezvousRegistry } from "./rendezvous-registry.ts";
import { replicaHost } from "./replicas/host.ts";
import { Replicas } from "./replicas/replicas.ts";
import { Requests } from "./requests.ts";
import { Sessions } from "./sessions.ts";
import type { Store } from "./store.ts";
import type { Cosigner } from "./witnesses/cosigner.ts";
import { startCosigner } from "./witnesses/start-cosigner.ts";
import { Strangers } from "./strangers.ts";

export interface DirectoryOptions {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  /** The data folder: audit, newest checkpoint. */
  readonly folder: PrivateFolder;
  /** That of the private keys, which directories on one store share; the data folder if not said. */
  readonly keysFolder?: PrivateFolder;
  readonly store: Store;
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM; without it, plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Connections at most, so that files for the rest are left. */
  readonly maxConnections: number;
  /** The MQTT broker at which devices may wait; undefined: there is none. */
  readonly broker?: DirectoryBroker | undefined;
  /** Whether to go on from a store whose log is older than the one that was published. */
  readonly acceptOlderLog?: boolean;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** A directory that serves. Disposing of it closes links, answers and the port; the store stays open. */
export interface Directory extends AsyncDisposable {
  readonly port: number;
  readonly keyring: Keyring;
  readonly statementLog: Log;
  readonly registry: RendezvousRegistry;
  readonly presence: Presence;
  /** Undefined where there is no broker. */
  readonly waking: Pick<BrokerLinks, "isConnected" | "dropped"> | undefined;
  readonly posts: Pick<PostServer, "open">;
  readonly audit: Audit;
  readonly cosigner: Cosigner;
}

/** Serves until it is disposed of. @throws {SetupError} E_RUNNING when the port is taken, E_USAGE when it cannot be had, E_BAD_KEY_FILE, E_STORAGE, E_LOG. */
export async function startDirectory(options: DirectoryOptions): Promise<Directory> {
  const { suite, random, folder, store, log, clock = SYSTEM_CLOCK } = options;
  const primitives = { suite, random };
  const failed = (error: unknown): void => log.error({ err: error }, "house-keeping failed");
  const keyring = await Keyring.open(primitives, options.keysFolder ?? folder, store, clock.now());
  let cosigner: Cosigner | undefined;
  const guarded = await openGuardedLog({
    ...{ suite, folder, database: store.database, privateKey: keyring.log, origin: keyring.origin },
    acceptOlder: options.acceptOlderLog ?? false,
    onError: failed,
    grown: () => cosigner?.grown(),
    pending: (checkpoint) => cosigner?.pending(checkpoint),
  });
  if (guarded.isOlder) log.warn({ size: guarded.log.checkpoint.size }, "goes on from an older log, as it was told to");
  const statementLog = guarded.log;
  cosigner = await startCosigner(options, statementLog, clock);
  const audit = await Audit.open(folder, (error) => log.error({ err: error }, "audit failed"));
  const freshness = await Freshness.load({ store, random, onError: failed });
  const registry = await RendezvousRegistry.load(primitives, store, keyring, statementLog);
  const { shared: database } = store.database;
  const replicas = database && new Replicas({ shared: database, database: store.database, random, clock, failed });
  const { broker } = options;
  const waking =
    broker &&
    new BrokerLinks({ ...primitives, broker, clock, keyring, freshness, store, statementLog, replicas, audit, log });
  const presence = new Presence([replicas, waking].filter((elsewhere) => elsewhere !== undefined));
  const policies = new Policies({ suite, store });
  const sessions = new Sessions({
    ...{ suite, clock, keyring, registry, policies, presence, audit, store, statementLog, failed },
  });
  const shared = { suite, random, clock, keyring, freshness, store, statementLog, sessions, replicas, audit, log };
  const strangers = new Strangers(options.maxConnections);
  const links = new LinkServer({ ...shared, presence, strangers, waking });
  const accounts = new Accounts(primitives, store, statementLog, keyring.fingerprint, new StatementRates(clock));
  const requests = new Requests({ ...shared, accounts, policies, presence, registry, links });
  const posts = new PostServer(shared, (message, stream, address) => requests.handle(message, stream, address));
  const limiter = new AddressLimiter();
  await replicas?.start(replicaHost({ presence, sessions, links, requests }));

  let following: Promise<void> | undefined;
  /** One look after the other, however long one takes. */
  const followOthers = (): void => {
    following ??= lookAtOthers()
      .catch(failed)
      .finally(() => (following = undefined));
  };
  const lookAtOthers = async (): Promise<void> => {
    await Promise.all([statementLog.refresh(), registry.refresh(), refreshKeys()]);
  };
  const refreshKeys = async (): Promise<void> => {
    if (!(await keyring.refresh(clock.now()))) return;
    log.info({ keyListSeq: keyring.keyListSeq }, "new key list");
    links.keysRotated();
  };
  const everySecond = (): void => {
    links.tick();
    sessions.sweep();
    if (store.database.isShared) followOthers();
  };
  const everyPeriod = async (): Promise<void> => {
    posts.keepAlive();
    requests.sweep().catch(failed);
    limiter.sweep(clock.monotonic());
    brokerAccess?.sweep();
    if (dropped > 0) log.warn({ dropped }, "connections were refused: too many are open");
    dropped = 0;
    await guarded.settle();
    await freshness.sweep(clock.now());
    await refreshKeys();
    if (store.database.isShared) cosigner.use(await store.witnesses());
  };

  let dropped = 0;
  const brokerAccess = broker && new BrokerAccess({ suite, clock, keyring, freshness, store });
  const http = await listen(options, {
    ...{ posts, links, keyring, statementLog, brokerAccess, limiter, strangers, clock, log },
  });
  http.on("drop", () => (dropped += 1));
  const timers = [
    clock.every(1000, everySecond),
    clock.every(STRANGER_LOOK_MS, () => strangers.look()),
    clock.every(KEEPALIVE_MS, () => {
      everyPeriod().catch(failed);
    }),
  ];
  waking?.start({ presence, sessions });
  const address = http.address() as AddressInfo;
  return {
    port: address.port,
    ...{ keyring, statementLog, registry, presence, waking, posts, audit, cosigner },
    async [Symbol.asyncDispose]() {
      for (const stop of timers) stop();
      const closed = new Promise((resolve) => http.close(resolve));
      posts.close();
      await waking?.[Symbol.asyncDispose]();
      await links.close();
      await replicas?.[Symbol.asyncDispose]();
      http.closeAllConnections();
      await closed;
      await cosigner[Symbol.asyncDispose]();
      await following;
      await audit.close();
      await guarded.settle();
    },
  };
}

interface Routes {
  readonly posts: PostServer;
  readonly links: LinkServer;
  readonly keyring: Keyring;
  readonly statementLog: Log;
  /** Undefined where there is no broker. */
  readonly brokerAccess: BrokerAccess | undefined;
  readonly limiter: AddressLimiter;
  readonly strangers: Strangers;
  readonly clock: Clock;
  readonly log: Logger;
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
  limitConnections(server);
  server.on("connection", (socket: Socket) => routes.strangers.add(socket));
  server.on("request", (request, response) => route(request, response, routes));
  server.on("upgrade", (request, socket, head) => upgrade(request, socket, head, routes));
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.on("error", (cause) => {
      if (server.listening) return routes.log.error({ err: cause }, "server failed");
      reject(
        listenError(`${at.host}:${at.port}`, cause, "Choose another --listen HOST:PORT, or stop what has that port."),
      );
    });
    server.listen({ port: at.port, host: at.host, backlog: BACKLOG }, resolve);
  });
  return server;
}

function withTls(settings: object, tls: { readonly cert: string; readonly key: string }): Server {
  try {
    return createTlsServer({ ...settings, ...tls, handshakeTimeout: HEADERS_MS });
  } catch (cause) {
    const next = "Give a certificate chain and its private key, both PEM.";
    throw new SetupError("E_USAGE", "That certificate and key cannot be used.", { next, cause });
  }
}

function route(request: IncomingMessage, response: ServerResponse, routes: Routes): void {
  const { posts, keyring, limiter, strangers, clock, log, brokerAccess } = routes;
  const address = request.socket.remoteAddress ?? "";
  const what = `${request.method} ${request.url}`;
  const failed = (error: unknown): void => {
    if (request.complete) log.error({ err: error }, "request failed");
    response.destroy();
  };
  if (what === "GET /healthz") {
    response.writeHead(200, { "content-type": "text/plain" }).end("ok\n");
    return;
  }
  if (request.url?.startsWith(BROKER_ACCESS_PREFIX) === true && brokerAccess !== undefined) {
    brokerAccess.serve(request, response).catch(failed);
    return;
  }
  const now = clock.monotonic();
  if (!limiter.bucket(address, now).take(now)) return refuse(response, 429, { "retry-after": "5" });
  if (what === "GET /v1/keys") {
    response.writeHead(200, { "content-type": "application/octet-stream", "cache-control": "no-store" });
    response.end(encodeSignedText(keyring.keyList));
  } else if (what === "POST /v1/messages") {
    posts.post(request, response, address, strangers).catch(failed);
  } else if (what.startsWith(`GET ${LOG_PREFIX}`)) {
    serveLog(request.url ?? "", response, routes);
  } else {
    refuse(response, 404);
  }
}

function serveLog(path: string, response: ServerResponse, { statementLog, log }: Routes): void {
  const serve = async (): Promise<void> => {
    const answer = await logFile(statementLog, path);
    if (answer === undefined) return refuse(response, 404);
    response.writeHead(answer.status, { ...answer.headers, "content-length": answer.body.length }).end(answer.body);
  };
  serve().catch((error: unknown) => {
    log.error({ err: error }, "request failed");
    refuse(response, 503);
  });
}

function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, routes: Routes): void {
  const { links, limiter, clock } = routes;
  const address = request.socket.remoteAddress ?? "";
  const now = clock.monotonic();
  const refuseUpgrade = (status: string): void => {
    // No timer of HTTP's counts any more: who keeps its own side open would keep the descriptor.
    socket.once("finish", () => socket.destroy());
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  };
  socket.on("error", () => socket.destroy());
  if (request.url !== "/v1/link") return refuseUpgrade("404 Not Found");
  // Only browsers send it, and no page has any business here.
  if (request.headers.origin !== undefined) return refuseUpgrade("403 Forbidden");
  if (!limiter.bucket(address, now).take(now)) return refuseUpgrade("429 Too Many Requests");
  links.accept(request, socket, head);
}
