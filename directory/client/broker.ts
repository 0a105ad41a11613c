import { once } from "node:events";
import type { Socket } from "node:net";
import type { IClientOptions, MqttClient } from "mqtt";
import { abortOf } from "../../keys/aborted.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { BROKER_PACKET_BYTES, DIRECTORY_CONNECT_MS } from "../../protocol/limits.ts";
import { brokerError, CLOSED, isReset, NOT_SUBSCRIBED, NoTlsSeenError } from "./broker-error.ts";
import { BrokerPublishing } from "./broker-publishing.ts";
import { connectPersistently } from "./persistent-connect.ts";
import { proxyFor } from "./proxy.ts";

/** An MQTT broker and how to come in there. */
export interface BrokerPlace {
  /** mqtt: or mqtts:. */
  readonly url: URL;
  /** PEM of those who may vouch for the broker; undefined: those of Node. */
  readonly ca?: string | undefined;
  /** PEM of this end's certificate and its key. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
  /** Takes whatever certificate the broker shows. */
  readonly isUnverified?: boolean;
}

export interface BrokerOptions {
  readonly place: BrokerPlace;
  readonly clientId: string;
  readonly login?: { readonly user: string; readonly password: string } | undefined;
  /** What the broker says for us when we are gone. */
  readonly will?: { readonly topic: string; readonly payload: Uint8Array } | undefined;
  readonly keepaliveSeconds: number;
  readonly topics: readonly string[];
  /** Each message that is not retained. */
  readonly onMessage: (payload: Uint8Array, topic: string) => void;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly onConnected?: ((localAddress: string | undefined) => void) | undefined;
}

/** A connection to a broker that has taken all subscriptions. */
export interface BrokerConnection {
  /** Why it has ended. Never rejects. */
  readonly ended: Promise<Error>;
  /**
   * QoS 1, not retained; resolves when the broker has it. Where it does not confirm that in BROKER_PUBLISH_MS, the connection ends.
   * @throws {UnavailableError} E_DIRECTORY.
   */
  publish(topic: string, payload: Uint8Array): Promise<void>;
  /** Without the will. Ended within BROKER_CLOSE_MS. */
  close(): void;
}

/**
 * MQTT 3.1.1 with a clean session: what a broker keeps for those who are away would be of an older hello.
 * @throws {UnavailableError} E_DIRECTORY when that is not to be had within `limitMs`; the signal's reason.
 */
export async function connectBroker(options: BrokerOptions): Promise<BrokerConnection> {
  const { place, signal, limitMs, topics } = options;
  const fail = (cause: unknown): UnavailableError => brokerError(place, cause);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  let client: MqttClient | undefined;
  try {
    const [{ socket, failure }, Client] = await Promise.all([openSocket(options, limit), loadClient()]);
    // What the broker has against our certificate may have come meanwhile; it is gone once something is written.
    await new Promise(setImmediate);
    if (socket.destroyed || failure() !== undefined) throw failure() ?? closed();
    client = startClient(Client, options, socket);
    const ended = endOf(client, () => fail(failure() ?? closed()), fail);
    const refused = ended.then((error) => Promise.reject(error));
    refused.catch(() => {});
    await Promise.race([connected(client), refused, abortOf(limit)]);
    await Promise.race([subscribe(client, topics), refused, abortOf(limit)]);
    const publishing = new BrokerPublishing(client, socket, ended, fail);
    return {
      ended,
      publish: (topic, payload) => publishing.publish(topic, payload),
      close: () => publishing.close(),
    };
  } catch (error) {
    client?.end(true);
    signal.throwIfAborted();
    if (error instanceof UnavailableError) throw error;
    throw fail(limit.aborted ? new Error(`no answer within ${limitMs / 1000} s`) : error);
  }
}

/** TCP, and TLS where it is asked for, up to where MQTT would begin. @throws as connectBroker. */
export async function reachBroker(options: Pick<BrokerOptions, "place" | "limitMs" | "signal">): Promise<void> {
  const { place, limitMs, signal } = options;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  try {
    const { socket } = await openSocket(options, limit);
    socket.destroy();
  } catch (error) {
    signal.throwIfAborted();
    throw brokerError(place, limit.aborted ? new Error(`no answer within ${limitMs / 1000} s`) : error);
  }
}

/** Whether secrets may be said there: on this machine, or over TLS. */
export function isConfidential({ url, isUnverified }: BrokerPlace): boolean {
  const isHere = /^(?:127\.[\d.]+|localhost|\[::1\])$/.test(url.hostname);
  return isHere || (url.protocol === "mqtts:" && isUnverified !== true);
}

interface BrokerSocket {
  readonly socket: Socket;
  /** What went wrong first: a TLS alert that comes after the handshake ends the socket without standing in `socket.errored`. */
  readonly failure: () => Error | undefined;
}

function heard(socket: Socket): BrokerSocket {
  let first: Error | undefined;
  socket.on("error", (error) => (first ??= error));
  return { socket, failure: () => first };
}

function closed(): Error {
  return new Error(CLOSED);
}

async function openSocket(
  { place, onConnected }: Pick<BrokerOptions, "place" | "onConnected">,
  signal: AbortSignal,
): Promise<BrokerSocket> {
  const { url, ca, certificate, isUnverified } = place;
  const isSecure = url.protocol === "mqtts:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const at = { host, port: Number(url.port) || (isSecure ? 8883 : 1883) };
  const openTunnel = await proxyFor({ kind: isSecure ? "https" : "http", ...at });
  // From here on there is always somebody who hears its errors: a broker refuses a certificate when it likes.
  const socket =
    openTunnel === undefined
      ? await connectPersistently(at, signal)
      : await openTunnel({ signal, limitMs: DIRECTORY_CONNECT_MS });
  onConnected?.(socket.localAddress);
  if (!isSecure) return heard(socket);
  const before = socket.bytesRead; // of a proxy
  const [{ connect }, { isIP }] = await Promise.all([import("node:tls"), import("node:net")]);
  const secure = connect({
    ...{ socket, host }, // the host is what its certificate is to be for
    rejectUnauthorized: isUnverified !== true,
    ...(ca !== undefined && { ca }),
    ...certificate,
    ...(isIP(host) === 0 && { servername: host }),
  });
  try {
    await once(secure, "secureConnect", { signal });
  } catch (error) {
    secure.on("error", () => {}).destroy();
    if (isReset(error) && socket.bytesRead === before) throw new NoTlsSeenError(undefined, { cause: error });
    throw error;
  }
  return heard(secure);
}

function startClient(Client: typeof MqttClient, options: BrokerOptions, socket: Socket): MqttClient {
  const { clientId, login, will, keepaliveSeconds, onMessage } = options;
  const settings: IClientOptions = {
    clientId,
    protocolVersion: 4,
    clean: true,
    keepalive: keepaliveSeconds,
    reschedulePings: false,
    reconnectPeriod: 0,
    connectTimeout: DIRECTORY_CONNECT_MS,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: "native",
    log: () => {},
    ...(login !== undefined && { username: login.user, password: login.password }),
    ...(will !== undefined && {
      will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: false },
    }),
  };
  const client = new Client(() => bounded(socket), settings);
  client.on("message", (topic, payload, packet) => {
    if (!packet.retain) onMessage(payload, topic);
  });
  return client;
}

/**
 * The client alone, without the library's own ways to connect, which would load SOCKS and a second WebSocket. It is CommonJS:
 * a bundle gives its class itself, Node a module around it.
 */
async function loadClient(): Promise<typeof MqttClient> {
  const loaded: { default: unknown } = await import("mqtt/lib/client");
  const outer = loaded.default as { default?: typeof MqttClient } & typeof MqttClient;
  return outer.default ?? outer;
}

/** Ends a broker that announces a packet above BROKER_PACKET_BYTES, before it is held: the library knows no limit in 3.1.1. */
function bounded(socket: Socket): Socket {
  const scanner = new PacketBounds();
  socket.prependListener("data", (chunk: Buffer) => {
    if (!scanner.takes(chunk)) socket.destroy(new Error("the broker sends a packet that is too long"));
  });
  return socket;
}

/** Follows the fixed headers of MQTT packets (MQTT 3.1.1 section 2.2). */
export class PacketBounds {
  /** Bytes until the next packet. */
  #left = 0;
  /** Of the length that is being read: how many of its bytes have come, and what they say. */
  #lengthBytes = -1;
  #length = 0;

  /** False once a packet is longer than BROKER_PACKET_BYTES, or its length is none. */
  takes(chunk: Uint8Array): boolean {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
      } else if (this.#lengthBytes < 0) {
        this.#lengthBytes = 0;
        this.#length = 0;
        at += 1; // type and flags
      } else {
        const byte = chunk[at++] ?? 0;
        this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes++;
        if (this.#lengthBytes > 4 || this.#length > BROKER_PACKET_BYTES) return false;
        if ((byte & 0x80) !== 0) continue;
        this.#left = this.#length;
        this.#lengthBytes = -1;
      }
    }
    return true;
  }
}

function endOf(client: MqttClient, whenClosed: () => Error, fail: (cause: unknown) => Error): Promise<Error> {
  return new Promise((resolve) => {
    client.on("error", (error) => {
      resolve(fail(error));
      client.end(true);
    });
    client.on("close", () => {
      resolve(whenClosed());
      client.end(true);
    });
  });
}

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve) => void client.once("connect", () => resolve()));
}

async function subscribe(client: MqttClient, topics: readonly string[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.subscribe([...topics], { qos: 1 }, (error) => {
      if (error) reject(isRefusal(error) ? new Error(NOT_SUBSCRIBED, { cause: error }) : error);
      else resolve();
    });
  });
}

/** Of a topic that is not granted (MQTT 3.1.1 section 3.9.3). */
const REFUSED = 0x80;

/** The library fails where any topic is refused, with the SUBACK. */
function isRefusal(error: Error & { readonly packet?: { readonly granted?: readonly unknown[] } }): boolean {
  return error.packet?.granted?.includes(REFUSED) === true;
}
