import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { DirectoryClient } from "../../directory/client.ts";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import { tellAcceptErrors } from "../../keys/accept-errors.ts";
import { SshnpError } from "../../keys/errors.ts";
import { listenError } from "../../keys/listen-error.ts";
import type { DirectoryAddress } from "../../protocol/directory-address.ts";
import {
  HEADER_BYTES,
  REPORT_TIMEOUT_MS,
  WITNESS_CONNECTIONS,
  WITNESS_LIST_MS,
  WITNESS_LIST_RETRY_MS,
  WITNESS_REQUEST_MS,
} from "../../protocol/limits.ts";
import { formatHostPort, type HostPort } from "../host-port.ts";
import { takeDataFolder } from "../running-lock.ts";
import { WitnessDoor } from "./door.ts";
import { Witness } from "./witness.ts";

export interface WitnessServiceOptions {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly data: string;
  readonly listen: HostPort;
  readonly directories: readonly DirectoryAddress[];
  readonly log: Logger;
  /** Called once it serves: where, and its verifier key. */
  readonly onServing: (url: string, verifierKey: string) => void;
}

/**
 * A witness without a rendezvous, until the signal comes. It cosigns the logs whose keys it knows from before at once, and
 * asks the directories for their key lists meanwhile. @throws {SetupError} E_RUNNING, E_USAGE, as {@link Witness.open}.
 */
export async function serveWitness(
  options: WitnessServiceOptions,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { suite, random, data, listen, directories, log } = options;
  using _lock = await takeDataFolder(data);
  const witness = await Witness.open({ suite, random, data, now: Date.now, log });
  const door = new WitnessDoor(witness);
  const settings = {
    headersTimeout: WITNESS_REQUEST_MS,
    requestTimeout: WITNESS_REQUEST_MS,
    connectionsCheckingInterval: 1000,
    maxHeaderSize: HEADER_BYTES,
  };
  const server = createServer(settings, (request, response) => {
    if (request.url === "/add-checkpoint") return door.handle(request, response);
    response.writeHead(404, { connection: "close", "content-length": 0 }).end();
  });
  server.maxConnections = WITNESS_CONNECTIONS;
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(listenError(`${listen.host}:${listen.port}`, cause, "Give another --listen HOST:PORT.")),
    );
    server.listen(listen, resolve);
  });
  tellAcceptErrors(server, log);
  for (const { fingerprint } of directories) witness.resume(fingerprint);
  const following = directories.map((address) => keepFollowing(witness, address, options, signal));
  const { port } = server.address() as AddressInfo;
  options.onServing(`http://${formatHostPort({ ...listen, port })}`, witness.verifierKey);
  await Promise.all(following);
  const closed = once(server.close(), "close");
  server.closeAllConnections();
  await closed;
}

async function keepFollowing(
  witness: Witness,
  address: DirectoryAddress,
  { suite, random, log }: WitnessServiceOptions,
  signal: AbortSignal,
): Promise<void> {
  const client = new DirectoryClient({ address, suite, random, warn: (text) => log.warn(text) });
  while (!signal.aborted) {
    let wait = WITNESS_LIST_MS;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(REPORT_TIMEOUT_MS)]);
      const { list } = await client.fetchKeyList({ signal: limit });
      witness.follow(address.fingerprint, list);
      log.debug({ directory: address.fingerprint, origin: list.origin }, "follows");
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof SshnpError ? error.message : String(error);
      log.warn({ directory: address.fingerprint, reason }, "no key list of a directory");
      wait = WITNESS_LIST_RETRY_MS;
    }
    await delay(wait, undefined, { signal }).catch(ignore);
  }
}

function ignore(): void {}
