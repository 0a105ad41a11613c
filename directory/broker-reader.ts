import type { Logger } from "pino";
import { equalBytes } from "../keys/bytes.ts";
import { PeerError, SshnpError } from "../keys/errors.ts";
import {
  BROKER_READ_AT_ONCE,
  BROKER_WAITING,
  LINK_HELLO_BYTES,
  LINK_NAMES_AT_ONCE,
  SEALED_MESSAGE_BYTES,
} from "../protocol/limits.ts";
import { type BrokerHello, parseBrokerHello } from "../protocol/messages/broker.ts";
import { encodeLinkRefused, encodeLinkWelcome, parseLinkWatching } from "../protocol/messages/link.ts";
import { parseDistances } from "../protocol/messages/rendezvous-distances.ts";
import { type Answer, parseAnswer } from "../protocol/messages/session-request.ts";
import { LINK } from "../protocol/messages/types.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { type OpenedMessage, openMessage } from "../protocol/sealed-message.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Audit } from "./audit.ts";
import { BrokerRates } from "./broker-rates.ts";
import type { ConnectObserver } from "./connect-observer.ts";
import type { Freshness } from "./freshness.ts";
import { strangerRefusal } from "./link-greeting.ts";
import { linkCount } from "./link-sealing.ts";
import type { Party, Presence } from "./presence.ts";
import type { Replicas } from "./replicas/replicas.ts";
import { partyOf } from "./said-by-owner.ts";
import type { Sessions } from "./sessions.ts";
import { WakeDevice } from "./wake-device.ts";
import { tellByBroker, type WakeHost } from "./wake-host.ts";
import type { WakeRow } from "./wake-rows.ts";

export interface BrokerReaderServices {
  readonly host: WakeHost;
  readonly freshness: Freshness;
  readonly presence: Presence;
  readonly sessions: Sessions;
  readonly replicas: Pick<Replicas, "atBroker" | "disconnected" | "isAsked" | "answered" | "broker"> | undefined;
  readonly audit: Audit;
  readonly observer?: ConnectObserver | undefined;
  readonly log: Logger;
}

/**
 * What devices say by a broker. Anybody who can publish there can put anything there, and each process of the directory gets
 * it: what is not a device's own, or was taken by another process, is passed over without a word.
 */
export class BrokerReader {
  readonly #services: BrokerReaderServices;
  readonly #waiting: { readonly payload: Uint8Array; readonly at: number }[] = [];
  readonly #rates: BrokerRates;
  #reading = 0;
  #dropped = 0;

  constructor(services: BrokerReaderServices) {
    this.#services = services;
    this.#rates = new BrokerRates(() => services.observer?.turnedAway("broker rate"));
  }

  /** How many were dropped since the start, because too many waited. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Messages that are yet to be read. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Devices that are counted, so that none is answered too often. */
  get limited(): number {
    return this.#rates.size;
  }

  /** Forgets devices that have not come for a while. */
  sweep(): void {
    this.#rates.sweep(this.#services.host.clock.monotonic());
  }

  take(payload: Uint8Array): void {
    if (payload.length > SEALED_MESSAGE_BYTES) return;
    if (this.#waiting.length >= BROKER_WAITING) return void (this.#dropped += 1);
    this.#waiting.push({ payload, at: this.#services.host.clock.now() });
    this.#next();
  }

  #next(): void {
    while (this.#reading < BROKER_READ_AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#reading += 1;
      setImmediate(() => {
        void this.#read(next.payload, next.at).finally(() => {
          this.#reading -= 1;
          this.#next();
        });
      });
    }
  }

  /** `at`: when it came, ms since 1970. */
  async #read(payload: Uint8Array, at: number): Promise<void> {
    const { host, log } = this.#services;
    try {
      const message = openMessage(host.suite, host.keyring.sealing(host.clock.now()), payload);
      if (message === "unknown-recipient") return;
      if (message.type === LINK.brokerHello && payload.length > LINK_HELLO_BYTES) {
        throw new PeerError("E_PROTOCOL", "a hello by the broker is too long");
      }
      const answer = message.type === LINK.answer ? parseAnswer(message.body) : undefined;
      const isAwaited = answer !== undefined && this.#isAwaited(answer);
      if (!isAwaited && this.#rates.isSpent(message, host.clock.monotonic())) return;
      const party = await this.#partyOf(message);
      if (party === undefined || !(isAwaited || this.#rates.take(message, host.clock.monotonic()))) return;
      if (message.type === LINK.brokerHello) return await this.#hello(party, message, at);
      const row = await this.#rowOf(party, message);
      if (row === undefined) return;
      if (message.type === LINK.goodbye) return await this.#goodbye(party, message);
      if (message.type === LINK.watching) return await this.#watching(party, message);
      if (message.type === LINK.distances) return await this.#distances(party, message);
      if (answer !== undefined && isOver(row, message.freshness)) this.#answer(party, answer);
    } catch (error) {
      if (error instanceof PeerError) log.debug({ err: error }, "a message by the broker is passed over");
      else host.failed(error);
    }
  }

  async #hello(party: Party, message: OpenedMessage, at: number): Promise<void> {
    const { host, freshness, presence, sessions, replicas } = this.#services;
    const hello = parseBrokerHello(message.body);
    // Whatever a hello says of somebody else's name goes unanswered: the answer would go to that one's topic.
    if (bindingSubject(hello) !== bindingSubject(party)) return;
    const refuse = (code: RefusalCode, nonce?: Uint8Array): Promise<void> => this.#refuse(message, hello, code, nonce);
    try {
      const verdict = await freshness.judge(message, host.clock.now());
      if (verdict === "replayed") return; // or another process has it
      if (verdict === "full") return await refuse("E_BUSY");
      if (verdict === "clock") return await refuse("E_CLOCK", freshness.nonce(host.clock.now()));
      const refusal = await strangerRefusal(host, { message, hello });
      if (refusal !== undefined) return await refuse(refusal);
      if (presence.hasNewer(party, at)) return; // it was late, and its device has come by WebSocket meanwhile
      const { before, row } = await this.#welcome(party, message, hello, at);
      const socket = presence.get(party);
      if (!presence.leave(party, at)) return;
      if (socket !== undefined) replicas?.disconnected(party, socket).catch(host.failed); // or others would ask it there
      await host.store.putLastSeen([party], host.clock.now());
      const device = new WakeDevice(host, party, row.distances);
      this.#noteUp(party, hello, before, socket !== undefined);
      sessions.deviceIsBack(party, device);
      replicas?.atBroker(party);
      await device.tellOwn();
      for (let i = 0; i < hello.names.length; i += LINK_NAMES_AT_ONCE) {
        await device.tellNames(hello.names.slice(i, i + LINK_NAMES_AT_ONCE));
      }
    } catch (error) {
      host.failed(error);
      if (!(error instanceof SshnpError)) return await refuse("E_BUSY");
      host.untold(party);
    }
  }

  /** The device's row from now on, and the one before. */
  async #welcome(
    party: Party,
    message: OpenedMessage,
    hello: BrokerHello,
    at: number,
  ): Promise<{ readonly before: WakeRow | undefined; readonly row: WakeRow }> {
    const { host } = this.#services;
    const { keyring, clock, rows, random } = host;
    return await rows.inTurn(party, async () => {
      const before = await rows.get(party);
      const recipient = keyring.sealing(clock.now()).find((key) => key.publicKey.equals(message.recipient));
      if (recipient === undefined)
        throw new PeerError("E_PROTOCOL", "a hello is sealed to a key that is gone meanwhile");
      const isSameConnection = before !== undefined && equalBytes(before.connection, hello.connection);
      const row: WakeRow = {
        ...{ epoch: hello.epoch, nonce: random(16), connection: hello.connection },
        ...{ device: message.sender, recipient: recipient.publicKey, sent: 1, heard: 0 },
        ...{ keyListSeq: keyring.keyListSeq, checkpointSize: hello.checkpointSize, policyHash: hello.policyHash },
        ...{ names: hello.names, clients: isSameConnection ? before.clients : [] },
        ...{ heardDistances: 0, distances: isSameConnection ? before.distances : new Map() },
        since: isSameConnection && !before.isAway ? before.since : at,
        ...{ version: hello.version, isAway: false },
      };
      await rows.replace(party, before, row);
      const welcome = { time: clock.now(), nonce: row.nonce, keyListSeq: row.keyListSeq };
      const body = encodeLinkWelcome(welcome);
      await tellByBroker(host, party, { ...row, sent: 0 }, [{ type: LINK.welcome, body }]);
      return { before, row };
    });
  }

  /** `wasLinked`: by WebSocket to this process, which gave way. */
  #noteUp(party: Party, { version, connection }: BrokerHello, before: WakeRow | undefined, wasLinked: boolean): void {
    const { audit, log } = this.#services;
    const wasThere = before?.isAway === false;
    if (wasThere && !wasLinked && equalBytes(before.connection, connection)) return; // it only says that it is there
    const device = bindingSubject(party);
    const peer = { version, by: "mqtt" };
    audit.write({ event: "link up", device, replaced: wasThere || wasLinked, peer });
    log.info({ device, peer }, "link up");
  }

  async #refuse(
    message: OpenedMessage,
    hello: BrokerHello,
    code: RefusalCode,
    nonce: Uint8Array = new Uint8Array(16),
  ): Promise<void> {
    const { host, log } = this.#services;
    // A hello of long ago is none that was seen before, however often somebody brings it.
    if (!this.#rates.takeRefusal(message, host.clock.monotonic())) return;
    const body = encodeLinkRefused({ code, time: host.clock.now(), nonce });
    const { sender: device, recipient } = message;
    this.#services.observer?.linkRefused(code);
    log.info({ code, peer: { device: bindingSubject(hello), by: "mqtt" } }, "link refused");
    const to = { device, recipient, epoch: hello.epoch, sent: 0 };
    await tellByBroker(host, hello, to, [{ type: LINK.refused, body }]).catch(host.failed);
  }

  /** The member that has said it; undefined for strangers. */
  async #partyOf({ sender }: OpenedMessage): Promise<Party | undefined> {
    const holder = await this.#services.host.store.keyHolder(sender);
    return holder?.includes("/") === true ? partyOf(holder) : undefined;
  }

  /** Undefined for those that are none of ours any more. */
  async #rowOf(party: Party, { sender }: OpenedMessage): Promise<WakeRow | undefined> {
    const { rows, untold } = this.#services.host;
    try {
      const row = await rows.get(party);
      return row?.device.equals(sender) === true ? row : undefined;
    } catch (error) {
      untold(party);
      throw error;
    }
  }

  async #goodbye(party: Party, { freshness }: OpenedMessage): Promise<void> {
    const { host, audit, log } = this.#services;
    if (freshness.kind !== "nonce") return;
    const { nonce } = freshness;
    const wasPresent = await new WakeDevice(host, party).away((row) => equalBytes(row.connection, nonce));
    if (!wasPresent) return;
    const device = bindingSubject(party);
    audit.write({ event: "link down", device });
    log.info({ device, peer: { by: "mqtt" } }, "link down");
    await host.store.putLastSeen([party], host.clock.now());
  }

  /** The count keeps an older list, brought once more, from taking the place of a newer one. */
  async #watching(party: Party, { freshness, id, body }: OpenedMessage): Promise<void> {
    const { host } = this.#services;
    const { rows } = host;
    const clients = parseLinkWatching(body).map(bindingSubject);
    const count = linkCount(id);
    try {
      const added = await rows.inTurn(party, async () => {
        const row = await rows.get(party);
        if (row === undefined || !isOver(row, freshness) || count <= row.heard) return [];
        await rows.replace(party, row, { ...row, clients, heard: count });
        // Of what stood about them before the hello some may not have come.
        return row.heard === 0 ? clients : clients.filter((client) => !row.clients.includes(client));
      });
      const device = new WakeDevice(host, party);
      for (const client of added) await device.tellChanged(partyOf(client));
    } catch (error) {
      host.untold(party); // the device believes that its list is known, and how those on it stand
      throw error;
    }
  }

  /** As with the list of clients. */
  async #distances(party: Party, { freshness, id, body }: OpenedMessage): Promise<void> {
    const { rows } = this.#services.host;
    const distances = parseDistances(body);
    const heardDistances = linkCount(id);
    await rows.inTurn(party, async () => {
      const row = await rows.get(party);
      if (row === undefined || !isOver(row, freshness) || heardDistances <= row.heardDistances) return;
      await rows.replace(party, row, { ...row, distances, heardDistances });
    });
  }

  #answer(party: Party, answer: Answer): void {
    const { sessions, replicas } = this.#services;
    if (!sessions.answer(party, answer)) replicas?.answered(party, answer);
  }

  /** Whether some device is asked what this answers. One that is asked much answers much, and none says the first answer twice. */
  #isAwaited({ sid }: Answer): boolean {
    const { sessions, replicas } = this.#services;
    return sessions.isAsked(sid) || replicas?.isAsked(sid) === true;
  }
}

function isOver({ nonce }: WakeRow, freshness: OpenedMessage["freshness"]): boolean {
  return freshness.kind === "nonce" && equalBytes(freshness.nonce, nonce);
}
