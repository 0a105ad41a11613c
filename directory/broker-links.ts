import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { UnavailableError } from "../keys/errors.ts";
import { directoryTopic, replicaTopic } from "../protocol/broker-topics.ts";
import { BROKER_KEEPALIVE_S, BROKER_RETRY_MS, DIRECTORY_CONNECT_MS, RECONNECT_FIRST_MS } from "../protocol/limits.ts";
import { retryDelay } from "../protocol/retry-delay.ts";
import { type BrokerConnection, type BrokerPlace, connectBroker } from "./client/broker.ts";
import { refusedBy } from "./client/broker-error.ts";
import { BrokerReader, type BrokerReaderServices } from "./broker-reader.ts";
import type { Elsewhere, Party } from "./presence.ts";
import type { BrokerByOthers } from "./replicas/broker-by-others.ts";
import { seldom } from "./seldom.ts";
import { UntoldDevices } from "./untold-devices.ts";
import { WakeDevice } from "./wake-device.ts";
import type { WakeHost } from "./wake-host.ts";
import { WakeNews } from "./wake-news.ts";
import { WakeRows } from "./wake-rows.ts";

/** Where the directory's broker is, and how it comes in there. */
export interface DirectoryBroker extends BrokerPlace {
  readonly login?: { readonly user: string; readonly password: string } | undefined;
}

type Services = Omit<BrokerReaderServices, "host" | "presence" | "sessions" | "replicas"> &
  Omit<WakeHost, "rows" | "replica" | "isConnected" | "publish" | "untold" | "failed"> & {
    readonly suite: CipherSuite;
    readonly random: RandomBytes;
    readonly broker: DirectoryBroker;
  };

/** Devices that wait at an MQTT broker: all that this process holds of them is one connection there. */
export class BrokerLinks implements Elsewhere, AsyncDisposable {
  readonly #services: Services;
  readonly #host: WakeHost;
  readonly #news: WakeNews;
  readonly #stop = new AbortController();
  readonly #topics: readonly string[];
  readonly #untold: UntoldDevices;
  #reader: BrokerReader | undefined;
  #connection: BrokerConnection | undefined;
  #refused: ReturnType<typeof refusedBy>;
  #others: BrokerByOthers | undefined;
  #kept: Promise<void> = Promise.resolve();

  constructor(services: Services) {
    const { suite, random, clock, keyring, store, statementLog, log } = services;
    const replica = random(16);
    this.#services = services;
    this.#host = {
      ...{ suite, random, clock, keyring, store, statementLog, replica },
      rows: new WakeRows(store.database),
      isConnected: () => this.isConnected,
      publish: (topic, payload) => this.#publish(topic, payload),
      untold: (party) => this.#untold.add(party),
      failed: seldom(log, "a device at the broker cannot be told"),
    };
    this.#untold = new UntoldDevices({
      ask: (party) => this.#ask(party),
      canAsk: () => this.isConnected || this.#others?.areThere === true,
      failed: this.#host.failed,
    });
    this.#news = new WakeNews(this.#host);
    this.#topics = [directoryTopic(suite, keyring.fingerprint), replicaTopic(suite, keyring.fingerprint, replica)];
  }

  /** Whether the broker serves now. */
  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** How devices are reached while this process has no connection, for a person. */
  get meanwhile(): string {
    return this.#others?.areThere === true
      ? "another directory that has it asks the devices there"
      : "devices come by WebSocket";
  }

  /** What the broker refused when it was last come to; undefined: nothing, or it did not answer. */
  get refused(): ReturnType<typeof refusedBy> {
    return this.#refused;
  }

  /** Messages of devices that were dropped since the start, because too many waited. */
  get dropped(): number {
    return this.#reader?.dropped ?? 0;
  }

  get messagesWaiting(): number {
    return this.#reader?.waiting ?? 0;
  }

  /** How many devices wait there, of all directories on the store, as {@link WakeRows.count} has it. @throws {UnavailableError} E_STORAGE. */
  async count(): Promise<number> {
    return await this.#host.rows.count();
  }

  /** Goes to the broker, and stays there until this is disposed of. */
  start(rest: Pick<BrokerReaderServices, "presence" | "sessions" | "replicas">): void {
    this.#reader = new BrokerReader({ ...this.#services, ...rest, host: this.#host });
    this.#others = rest.replicas?.broker;
    const { sessions } = rest;
    this.#others?.onThere((isNew) => {
      if (this.isConnected) return;
      if (!isNew) return this.#untold.mayGoOn();
      this.#untold.connected();
      sessions.lookForWaiting();
    });
    this.#kept = this.#keep(() => sessions.lookForWaiting());
  }

  async find(party: Party): ReturnType<Elsewhere["find"]> {
    const others = this.isConnected ? undefined : this.#others;
    if (!this.isConnected && (await others?.areFound(party)) !== true) return undefined;
    const row = await this.#host.rows.get(party);
    if (row === undefined || row.isAway) return undefined;
    const { distances, since, version } = row;
    const here = new WakeDevice(this.#host, party, distances);
    return { device: others?.device(party, distances, () => here.unanswered()) ?? here, since, version };
  }

  /** A device that waits there, whether or not it does; undefined where this process has no connection. */
  device(party: Party): WakeDevice | undefined {
    return this.isConnected ? new WakeDevice(this.#host, party) : undefined;
  }

  /** Asks it to say hello; false where this process has no connection. @throws {UnavailableError} E_STORAGE, E_BUSY, E_DIRECTORY. */
  async probe(party: Party): Promise<boolean> {
    const device = this.device(party);
    await device?.probe();
    return device !== undefined;
  }

  /** Since when a device waits at the broker (ms since 1970), as its hello said there. @throws {UnavailableError} E_STORAGE. */
  async since(party: Party): Promise<number | undefined> {
    const row = await this.#host.rows.get(party);
    return row?.isAway === false ? row.since : undefined;
  }

  /** A device has a link by WebSocket that is newer than what it has said at the broker up to `at` (ms since 1970). */
  left(party: Party, at: number): void {
    new WakeDevice(this.#host, party).replace(at);
  }

  /** Devices that are counted by this process, so that none is answered too often. */
  get limited(): number {
    return this.#reader?.limited ?? 0;
  }

  /** Forgets devices that have not come for a while. */
  sweep(): void {
    this.#reader?.sweep();
  }

  /** Tells devices whom new statements on these subjects concern. @throws {UnavailableError} E_STORAGE. */
  async changed(subjects: readonly string[]): Promise<void> {
    if (!this.isConnected && (await this.#others?.tell(subjects)) === true) return;
    await this.#news.changed(subjects);
  }

  /** The same for another directory; false where this process has no connection. @throws {UnavailableError} E_STORAGE. */
  async tell(subjects: readonly string[]): Promise<boolean> {
    if (!this.isConnected) return false;
    await this.#news.changed(subjects);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const asked = this.#untold[Symbol.asyncDispose]();
    this.#connection?.close();
    await this.#kept;
    await asked; // it has to do with the store, which is closed after this
  }

  async #ask(party: Party): Promise<void> {
    if (!this.isConnected && this.#others !== undefined) await this.#others.probe(party);
    else await new WakeDevice(this.#host, party).probe();
  }

  async #publish(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#connection === undefined) {
      throw new UnavailableError("E_DIRECTORY", "There is no connection to the MQTT broker.");
    }
    await this.#connection.publish(topic, payload);
  }

  async #keep(whenThere: () => void): Promise<void> {
    const { log, broker } = this.#services;
    const { signal } = this.#stop;
    const at = broker.url.host;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        this.#connection = await this.#connect();
        this.#refused = undefined;
        log.info({ broker: at }, "connected to the MQTT broker");
        failures = 0;
        this.#others?.changed();
        this.#untold.connected();
        whenThere();
        const why = await this.#connection.ended;
        this.#connection = undefined;
        if (!signal.aborted) this.#others?.changed();
        if (!signal.aborted) log.warn({ broker: at, reason: why.message }, "the MQTT broker is lost");
      } catch (error) {
        if (signal.aborted) return;
        this.#refused = refusedBy(error);
        const reason = error instanceof Error ? error.message : String(error);
        const next = error instanceof UnavailableError ? error.next : undefined;
        log.warn({ broker: at, reason, next }, `the MQTT broker cannot be used; ${this.meanwhile}`);
      }
      const wait = retryDelay(failures, Math.random(), { first: RECONNECT_FIRST_MS, limit: BROKER_RETRY_MS });
      await delay(wait, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async #connect(): Promise<BrokerConnection> {
    const { broker } = this.#services;
    return await connectBroker({
      place: broker,
      clientId: `sshnpdirectory${randomBytes(4).toString("hex")}`, // 22 characters; every broker takes 23 (MQTT-3.1.3-5)
      login: broker.login,
      keepaliveSeconds: BROKER_KEEPALIVE_S,
      topics: this.#topics,
      onMessage: (payload) => this.#reader?.take(payload),
      limitMs: DIRECTORY_CONNECT_MS,
      signal: this.#stop.signal,
    });
  }
}
