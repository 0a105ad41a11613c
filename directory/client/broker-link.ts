import { hex } from "../../keys/bytes.ts";
import { PeerError, UnavailableError } from "../../keys/errors.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import {
  BROKER_ASKED,
  BROKER_GAP_MS,
  BROKER_GAPS_MS,
  BROKER_HELLO_AGAIN_MS,
  BROKER_HELLO_MS,
  BROKER_HELLOS_AGAIN,
  BROKER_TRY_MS,
  LINK_EVENTS,
} from "../../protocol/limits.ts";
import { parseWake } from "../../protocol/messages/broker.ts";
import {
  encodeLinkWatching,
  type LinkParty,
  parseLinkRefused,
  parseLinkWelcome,
  parseSignedText,
} from "../../protocol/messages/link.ts";
import { type Distances, encodeDistances } from "../../protocol/messages/rendezvous-distances.ts";
import { type Answer, encodeAnswer } from "../../protocol/messages/session-request.ts";
import { LINK } from "../../protocol/messages/types.ts";
import type { Freshness } from "../../protocol/sealed-message.ts";
import { type LinkMessage, LinkSealer } from "../link-sealing.ts";
import type { BrokerConnection } from "./broker.ts";
import { BrokerEnd, type BrokerLinkOptions } from "./broker-end.ts";
import { BrokerOrder, type Epoch, openAtBroker } from "./broker-order.ts";
import { keyListWithin, leftUntil } from "./broker-limit.ts";
import { EventQueue } from "./event-queue.ts";
import type { Link } from "./link.ts";
import { type LinkEvent, linkEvent } from "./link-event.ts";
import { refusalError } from "./refusal-error.ts";

/** What `openBrokerLink` of client.ts promises. */
export async function openLinkByBroker(options: BrokerLinkOptions): Promise<Link> {
  const until = performance.now() + (options.limitMs ?? BROKER_TRY_MS);
  const link = new BrokerLink(options, await keyListWithin(options, until));
  return await link.open(until);
}

/**
 * A device's link by a broker. Whatever comes from it that is not the directory's next word is passed over, for anybody may
 * have put it there; what is missing is noticed by the count, and asked for with another hello.
 */
class BrokerLink implements Link {
  readonly #queue = new EventQueue<LinkEvent>(LINK_EVENTS);
  readonly events: AsyncIterable<LinkEvent> = this.#queue;
  readonly #options: BrokerLinkOptions;
  readonly #at: BrokerEnd;
  /** The hello that counts, and the one before it until this one is welcomed. */
  #epochs: readonly Epoch[] = [];
  /** Who asked for which session, by its id in hex. */
  readonly #askers = new Map<string, Uint8Array>();
  #keyList: VerifiedKeyList;
  #connection: BrokerConnection | undefined;
  #ended = false;
  #welcomed: (() => void) | undefined;
  #refused: ((error: unknown) => void) | undefined;
  #welcome: NodeJS.Timeout | undefined;
  #gap: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #periodic: NodeJS.Timeout | undefined;
  #helloAt = 0;
  #hasAskedForClock = false;
  #watched: readonly LinkParty[] = [];
  #distances: Distances = new Map();
  /** When messages were missing, monotonic ms. */
  #gaps: number[] = [];

  constructor(options: BrokerLinkOptions, keyList: VerifiedKeyList) {
    this.#options = options;
    this.#keyList = keyList;
    this.#at = new BrokerEnd(options, keyList);
  }

  /** Only where the directory is named by address: a broker tells nothing of where it is. */
  get remoteAddress(): string | undefined {
    const host = this.#options.client.address.url.hostname.replace(/^\[(.*)\]$/, "$1");
    return /^[0-9.]+$|:/.test(host) ? host : undefined;
  }

  /** `until`: in ms, monotonic. */
  async open(until: number): Promise<Link> {
    const { signal } = this.#options;
    this.#connection = await this.#at.connect(leftUntil(until), (payload) => this.#message(payload));
    const abort = (): void => this.#end(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    void this.#endsWith(this.#connection, abort);
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      this.#welcomed = resolve;
      this.#refused = reject;
      this.#hello(this.#time(), leftUntil(until));
    });
    return this;
  }

  answer(answer: Answer): void {
    const replica = this.#askers.get(hex(answer.sid));
    const topic = replica === undefined ? this.#at.topic : this.#at.topicOf(replica);
    this.#say(topic, { type: LINK.answer, body: encodeAnswer(answer) });
  }

  watch(clients: readonly LinkParty[]): void {
    this.#watched = clients;
    this.#say(this.#at.topic, { type: LINK.watching, body: encodeLinkWatching(clients) });
  }

  tellDistances(distances: Distances): void {
    this.#distances = distances;
    this.#say(this.#at.topic, { type: LINK.distances, body: encodeDistances(distances) });
  }

  probe(): void {
    this.#helloAgain();
  }

  close(): void {
    if (this.#ended) return;
    this.#queue.finish();
    this.#stop();
    void this.#connection?.publish(this.#at.topic, this.#at.goodbye()).catch(ignore);
    this.#connection?.close();
  }

  #time(): Freshness {
    return { kind: "time", time: this.#options.client.directoryTime };
  }

  async #endsWith({ ended }: BrokerConnection, abort: () => void): Promise<void> {
    const error = await ended;
    this.#options.signal.removeEventListener("abort", abort);
    this.#end(error);
  }

  #hello(freshness: Freshness, limitMs: number): void {
    const epoch = { epoch: this.#options.client.random(16), order: new BrokerOrder<LinkMessage>(), sealer: undefined };
    this.#epochs = [epoch, ...this.#epochs.filter(({ sealer }) => sealer !== undefined).slice(0, 1)];
    clearTimeout(this.#gap);
    this.#gap = undefined;
    clearTimeout(this.#welcome);
    this.#welcome = setTimeout(() => this.#cut("passes on nothing of the directory's"), limitMs);
    this.#helloAt = performance.now();
    this.#publish(this.#at.topic, this.#at.hello(epoch.epoch, freshness));
  }

  /** Says hello once more, not more often than BROKER_HELLO_AGAIN_MS, whoever asks. */
  #helloAgain(): void {
    if (this.#again !== undefined || this.#welcome !== undefined || this.#ended) return;
    const wait = Math.max(0, this.#helloAt + BROKER_HELLO_AGAIN_MS - performance.now());
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#hasAskedForClock = false;
      this.#hello(this.#time(), BROKER_TRY_MS);
    }, wait);
  }

  #message(bytes: Uint8Array): void {
    if (this.#ended) return;
    try {
      const { client, sender } = this.#options;
      const { sealing } = this.#keyList.list;
      const opened = openAtBroker(client.suite, { device: sender, directory: sealing }, this.#epochs, bytes);
      if (opened === undefined) return this.#options.onOdd?.(ODD);
      const { epoch, count, message } = opened;
      const due = epoch.order.take(count, message);
      if (due === "lost") return epoch === this.#epochs[0] ? this.#missing() : undefined;
      for (const each of due) this.#handle(epoch, each);
      if (epoch !== this.#epochs[0]) return;
      if (epoch.order.hasGap) this.#gap ??= setTimeout(() => this.#missing(), BROKER_GAP_MS);
      else {
        clearTimeout(this.#gap);
        this.#gap = undefined;
      }
    } catch (error) {
      this.#end(error);
    }
  }

  #handle(epoch: Epoch, { type, body }: LinkMessage): void {
    if (type === LINK.refused) return this.#takeRefusal(epoch, body);
    if (type === LINK.welcome) return this.#takeWelcome(epoch, body);
    if (epoch.sealer === undefined) throw new PeerError("E_PROTOCOL", "the directory speaks before its welcome");
    if (type === LINK.probe) return this.#helloAgain();
    if (type === LINK.keyList) return this.#newKeyList(body);
    if (type === LINK.wake) {
      const { replica, notify } = parseWake(body);
      this.#remember(hex(notify.prologue.sid), replica);
      return this.#event({ type: "notify", notify });
    }
    this.#event(linkEvent({ type, body }));
  }

  #takeWelcome(epoch: Epoch, body: Uint8Array): void {
    if (epoch !== this.#epochs[0] || epoch.sealer !== undefined) return;
    const { client, sender, signal } = this.#options;
    const { time, nonce, keyListSeq } = parseLinkWelcome(body);
    client.noteTime(time);
    epoch.sealer = new LinkSealer(client, { sender, recipient: this.#at.recipient }, nonce);
    clearTimeout(this.#welcome);
    this.#welcome = undefined;
    clearTimeout(this.#periodic);
    this.#periodic = setTimeout(() => this.#helloAgain(), BROKER_HELLO_MS * (1 - Math.random() / 4)).unref();
    this.#welcomed?.();
    if (this.#watched.length > 0) this.watch(this.#watched);
    if (this.#distances.size > 0) this.tellDistances(this.#distances);
    if (keyListSeq > this.#keyList.list.seq) {
      client.fetchKeyList({ signal }).then((list) => this.#use(list), ignore); // the old one serves until it is pushed
    }
  }

  #takeRefusal(epoch: Epoch, body: Uint8Array): void {
    const { code, time, nonce } = parseLinkRefused(body);
    if (epoch !== this.#epochs[0]) return; // of a hello that counts no more
    if (code !== "E_CLOCK" || this.#hasAskedForClock || epoch.sealer !== undefined)
      return this.#end(refusalError(code));
    this.#hasAskedForClock = true;
    this.#options.client.noteTime(time);
    this.#hello({ kind: "nonce", nonce }, BROKER_TRY_MS);
  }

  /** Something that the directory has said did not come: it is asked to say all that counts again. */
  #missing(): void {
    clearTimeout(this.#gap);
    this.#gap = undefined;
    const now = performance.now();
    this.#gaps = [...this.#gaps.filter((time) => now - time < BROKER_GAPS_MS), now];
    if (this.#gaps.length > BROKER_HELLOS_AGAIN) return this.#cut("loses messages");
    this.#helloAgain();
  }

  #newKeyList(body: Uint8Array): void {
    const keyList = this.#options.client.acceptKeyList(parseSignedText(body));
    this.#use(keyList);
    this.#event({ type: "keyList", keyList });
  }

  /** With the newest key a new goodbye has to lie at the broker: one that is sealed to a key that is gone says nothing. */
  #use(keyList: VerifiedKeyList): void {
    this.#keyList = keyList;
    if (keyList.list.sealing[0]?.equals(this.#at.recipient) !== true) {
      this.#again ??= setTimeout(() => this.#end(keysAreNew()), BROKER_HELLO_AGAIN_MS);
    }
  }

  #remember(sid: string, replica: Uint8Array): void {
    this.#askers.delete(sid);
    this.#askers.set(sid, replica);
    const [oldest] = this.#askers.keys();
    if (this.#askers.size > BROKER_ASKED && oldest !== undefined) this.#askers.delete(oldest);
  }

  #say(topic: string, message: LinkMessage): void {
    const sealer = this.#epochs.find((epoch) => epoch.sealer !== undefined)?.sealer;
    if (sealer !== undefined) this.#publish(topic, sealer.seal(message));
  }

  #publish(topic: string, payload: Uint8Array): void {
    void this.#connection?.publish(topic, payload).catch((error: unknown) => this.#end(error));
  }

  #event(event: LinkEvent): void {
    if (!this.#queue.push(event))
      this.#end(new PeerError("E_PROTOCOL", "the directory sends more than can be handled"));
  }

  #cut(how: string): void {
    const { host } = this.#options.broker.url;
    this.#end(new UnavailableError("E_DIRECTORY", `The MQTT broker at ${host} ${how}.`, { next: LOOK_AT_BROKER }));
  }

  #end(error: unknown): void {
    this.#refused?.(error);
    this.#queue.fail(error);
    if (this.#ended) return;
    this.#stop();
    this.#connection?.close();
  }

  #stop(): void {
    this.#ended = true;
    for (const timer of [this.#welcome, this.#gap, this.#again, this.#periodic]) clearTimeout(timer);
  }
}

const ODD = "the broker has brought what is none of the directory's messages, or none of now";
const LOOK_AT_BROKER =
  "Until it does, the WebSocket to the directory serves. Look whether the directory is connected to that broker too.";

function keysAreNew(): UnavailableError {
  return new UnavailableError("E_DIRECTORY", "The directory has new keys, so the broker is connected to anew.", {
    next: "Nothing is to be done.",
  });
}

function ignore(): void {}
