import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { WebSocketServer } from "ws";
import { hex } from "../keys/bytes.ts";
import {
  LAST_SEEN_MS,
  LEG_PONGS,
  LINK_BUFFERED_CHUNKS,
  LINK_FRAGMENTS,
  LINK_HELLO_MS,
  LINK_MESSAGE_BYTES,
  LINK_PING_MS,
  LINK_SILENCE_MS,
  METERED_PING_MS,
  METERED_SILENCE_MS,
} from "../protocol/limits.ts";
import type { LinkHello } from "../protocol/messages/link.ts";
import type { Answer } from "../protocol/messages/session-request.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Audit } from "./audit.ts";
import type { ConnectObserver } from "./connect-observer.ts";
import type { BrokerLinks } from "./broker-links.ts";
import { DeviceLink } from "./device-link.ts";
import { DeviceSocket } from "./device-socket.ts";
import { Heartbeats } from "./heartbeats.ts";
import { HelloTurns } from "./hello-turns.ts";
import type { LinkHost } from "./link-host.ts";
import { LinkNews } from "./link-news.ts";
import type { Party, Presence } from "./presence.ts";
import type { Replicas } from "./replicas/replicas.ts";
import type { Sessions } from "./sessions.ts";
import { returnSlots } from "./returning.ts";
import type { Strangers } from "./strangers.ts";
import type { Workload } from "./workload.ts";
import { logFailure } from "./log-failure.ts";

type Services = Pick<
  LinkHost<DeviceLink>,
  "suite" | "random" | "clock" | "keyring" | "newestKeys" | "freshness" | "store" | "statementLog"
> & {
  readonly presence: Presence;
  readonly sessions: Sessions;
  readonly replicas: Replicas | undefined;
  readonly strangers: Strangers;
  readonly audit: Audit;
  readonly observer?: ConnectObserver | undefined;
  readonly log: Logger;
  /** Devices that wait at a broker. */
  readonly waking: Pick<BrokerLinks, "changed" | "left"> | undefined;
  readonly workload: Pick<Workload, "hasMessages">;
};

/** Not in the types of ws. */
const PONGS = { maxPendingAutoPongs: LEG_PONGS };

/** Time for a link's last words to reach the device. */
const CLOSING_MS = 1000;

/** The devices' WebSockets. One wheel of a slot a second serves the heartbeats of all of them, and one of those on metered lines. */
export class LinkServer {
  readonly #services: Services;
  readonly #host: LinkHost<DeviceLink>;
  readonly #server = new WebSocketServer({
    noServer: true,
    WebSocket: DeviceSocket,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: LINK_MESSAGE_BYTES,
    maxFragments: LINK_FRAGMENTS,
    maxBufferedChunks: LINK_BUFFERED_CHUNKS,
    ...PONGS,
  });
  readonly #beats = new Heartbeats<DeviceLink>({ pingMs: LINK_PING_MS, silenceMs: LINK_SILENCE_MS });
  readonly #meteredBeats = new Heartbeats<DeviceLink>({ pingMs: METERED_PING_MS, silenceMs: METERED_SILENCE_MS });
  /** Links whose hello, or whose end, is awaited, with the time (monotonic ms) by which it must come. */
  readonly #deadlines = new Map<DeviceLink, number>();
  readonly #turns: HelloTurns;
  readonly #sockets = new WeakMap<DeviceLink, Socket>();
  readonly #news: LinkNews;
  /** Devices that have come since the last tick. */
  #came: Party[] = [];
  #ticks = 0;

  constructor(services: Services) {
    this.#services = services;
    this.#turns = new HelloTurns(services.workload);
    const { suite, random, clock, keyring, newestKeys, freshness, store, statementLog, log } = services;
    this.#news = new LinkNews({ suite, store });
    this.#host = {
      ...{ suite, random, clock, keyring, newestKeys, freshness, store, statementLog },
      waiting: (link) => this.#waiting(link),
      awaited: (link) => this.#awaited(link),
      up: (link, hello) => this.#up(link, hello),
      down: (link) => this.#down(link),
      watching: (link, clients) => this.#news.watch(link, clients),
      measured: (link) => this.#measured(link),
      answered: (device, answer) => this.#answered(device, answer),
      refused: (_link, code, hello) => this.#refused(code, hello),
      failed: (error) => logFailure(log, error, "link failed"),
    };
  }

  /** In how many ms whoever wants a link now is to come back; undefined: it may stay. */
  turnAway(): number | undefined {
    return this.#turns.turnAway(this.#services.clock.monotonic());
  }

  /** Devices whose hello has come and was not judged yet. */
  get hellosWaiting(): number {
    return this.#turns.size;
  }

  /** Takes over an HTTP upgrade that is meant for `/v1/link`; `isMetered`: its line is paid by what it carries. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, isMetered: boolean): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const link = new DeviceLink(webSocket, this.#host);
      this.#sockets.set(link, request.socket);
      (isMetered ? this.#meteredBeats : this.#beats).add(link);
      this.#awaited(link);
    });
  }

  /** To be called once a second: heartbeats, and the end of those who are silent or never said hello. */
  tick(): void {
    const now = this.#services.clock.monotonic();
    this.#ticks += 1;
    this.#beats.tick();
    this.#meteredBeats.tick();
    // What has arrived by now is read first: in a herd, nobody is at fault for a hello that was not looked at yet.
    setImmediate(() => {
      for (const [link, until] of this.#deadlines) if (now >= until) link.terminate();
    });
    this.#storeWhoCame();
    if ((this.#ticks * 1000) % LAST_SEEN_MS === 0) void this.#storeLastSeen(this.#services.presence.parties());
    this.#services.presence.sweep(now);
    this.#turns.sweep(now);
  }

  /**
   * Tells the devices that statements concern, wherever they are. To be called before whoever sent them is answered, so that he who knows
   * that they are taken knows them told. What cannot be told now, the next request or link tells.
   */
  async changed(subjects: readonly string[]): Promise<void> {
    const others = this.#services.replicas?.said(subjects);
    await Promise.all([this.changedHere(subjects), others]).catch((error: unknown) => this.#failed(error));
  }

  /** The same for links to this process and devices at the broker, whom all directories share: other directories have been told. */
  async changedHere(subjects: readonly string[]): Promise<void> {
    const told = [this.#news.changed(subjects), this.#services.waking?.changed(subjects)];
    for (const each of told) await each?.catch((error: unknown) => this.#failed(error));
  }

  /** The same for links to this process alone: the directory that has said it tells the broker. */
  async saidElsewhere(subjects: readonly string[]): Promise<void> {
    await this.#news.changed(subjects).catch((error: unknown) => this.#failed(error));
  }

  /** Tells all devices all that concerns them once more: some of it may have been missed. */
  async tellAgain(): Promise<void> {
    await this.#news.tellAgain();
  }

  /** Sends the newest key list to all. */
  keysRotated(): void {
    for (const link of this.#all()) link.sendKeyList(this.#services.keyring.keyList);
  }

  /** Closes all links, tells each device its slot to come back in, and stores when they were last seen. */
  async close(): Promise<void> {
    const parties = this.#services.presence.parties();
    const links = [...this.#all()];
    const slots = returnSlots(links.length);
    const closed = Promise.all(links.map((link) => link.goAway(slots.next().value ?? 0)));
    await Promise.race([closed, delay(CLOSING_MS, undefined, { ref: false })]);
    for (const link of this.#all()) link.terminate();
    await this.#storeLastSeen(parties);
  }

  *#all(): Iterable<DeviceLink> {
    yield* this.#beats;
    yield* this.#meteredBeats;
  }

  /** At first, and when a hello has had its turn and did not hold. */
  #awaited(link: DeviceLink): void {
    const { clock, strangers } = this.#services;
    this.#deadlines.set(link, clock.monotonic() + LINK_HELLO_MS);
    const socket = this.#sockets.get(link);
    if (socket !== undefined) strangers.add(socket);
  }

  /**
   * It has said something in time, and it is not its fault when so have thousands of others: until its turn comes, it is the
   * directory that is slow. Whether it was a device that spoke is known then.
   */
  #waiting(link: DeviceLink): void {
    this.#deadlines.delete(link);
    const socket = this.#sockets.get(link);
    if (socket !== undefined) this.#services.strangers.remove(socket);
    this.#turns.add(link, this.#services.clock.monotonic());
  }

  /** The welcome is out. What the device asked for comes first, then it may be notified. */
  #up(link: DeviceLink, hello: LinkHello): void {
    const { party } = link;
    if (party === undefined) return;
    this.#came.push(party);
    this.#news.greet(link, party, hello.names);
    this.#present(link, party, hello.version);
  }

  #present(link: DeviceLink, party: Party, version: string): void {
    const { presence, sessions, replicas, clock, audit, log } = this.#services;
    const device = bindingSubject(party);
    const account = { since: clock.now(), version };
    this.#services.waking?.left(party, account.since);
    const { replaced, clone } = presence.connect(party, link, account, clock.monotonic());
    const isElsewhere = replicas?.connected(party, link, account).then((took) => took && this.changedHands(party));
    isElsewhere?.catch((error: unknown) => this.#failed(error));
    const peer = { version };
    audit.write({ event: "link up", device, replaced, peer });
    log.info({ device, replaced, peer }, "link up");
    if (clone) this.#alarm(device);
    sessions.deviceIsBack(party, link);
  }

  /** A living link of a device gave way to a newer one, and they are at two directories. */
  changedHands(party: Party): void {
    const { presence, clock } = this.#services;
    if (presence.changedHands(party, clock.monotonic())) this.#alarm(bindingSubject(party));
  }

  #alarm(device: string): void {
    const { audit, log } = this.#services;
    audit.write({ event: "clone", device });
    log.warn({ device }, "this device's link changes hands too often: its key seems to be on two machines");
  }

  #down(link: DeviceLink): void {
    const { presence, replicas, audit, log } = this.#services;
    this.#beats.remove(link);
    this.#meteredBeats.remove(link);
    this.#deadlines.delete(link);
    this.#turns.remove(link);
    const { party } = link;
    if (party !== undefined) this.#news.end(link, party);
    if (party === undefined || !presence.disconnect(party, link)) return;
    const device = bindingSubject(party);
    replicas?.disconnected(party, link).catch((error: unknown) => this.#failed(error));
    audit.write({ event: "link down", device });
    log.info({ device }, "link down");
    void this.#storeLastSeen([party], link.heard);
  }

  #measured(link: DeviceLink): void {
    if (link.party === undefined) return;
    this.#services.replicas?.measured(link.party, link).catch((error: unknown) => this.#failed(error));
  }

  #answered(device: Party, answer: Answer): boolean {
    const { sessions, replicas, log } = this.#services;
    const wasAsked = sessions.answer(device, answer) || replicas?.answered(device, answer) === true;
    log.debug({ sid: hex(answer.sid), device: bindingSubject(device), wasAsked }, "answer");
    return wasAsked;
  }

  #refused(code: RefusalCode, hello: LinkHello): void {
    this.#services.observer?.linkRefused(code);
    this.#services.log.info({ code, peer: { device: bindingSubject(hello) } }, "link refused");
  }

  /** All of a second in one write. Of those who are gone again their end was stored. */
  #storeWhoCame(): void {
    const here = this.#came.filter((party) => this.#services.presence.get(party) !== undefined);
    this.#came = [];
    void this.#storeLastSeen(here);
  }

  async #storeLastSeen(parties: readonly Party[], time: number = this.#services.clock.now()): Promise<void> {
    if (parties.length === 0) return;
    await this.#services.store.putLastSeen(parties, time).catch((error: unknown) => this.#failed(error));
  }

  #failed(error: unknown): void {
    logFailure(this.#services.log, error, "store failed");
  }
}
