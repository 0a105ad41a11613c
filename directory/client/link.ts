import type { TLSSocket } from "node:tls";
import type { WebSocket } from "ws";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import { PeerError, SecurityError, UnavailableError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import type { DirectoryAddress } from "../../protocol/directory-address.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import {
  DIRECTORY_CONNECT_MS,
  LINK_EVENTS,
  LINK_HELLO_MS,
  LINK_PROBE_MS,
  LINK_SILENCE_MS,
  METERED_SILENCE_MS,
} from "../../protocol/limits.ts";
import {
  encodeLinkHello,
  encodeLinkWatching,
  type LinkHello,
  type LinkParty,
  parseLinkRefused,
  parseLinkWelcome,
  parseSignedText,
} from "../../protocol/messages/link.ts";
import { type Answer, encodeAnswer } from "../../protocol/messages/session-request.ts";
import { type Distances, encodeDistances } from "../../protocol/messages/rendezvous-distances.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { type Freshness, sealMessage } from "../../protocol/sealed-message.ts";
import { LINK_CLOSE } from "../link-close.ts";
import { toldReturn } from "../returning.ts";
import { type LinkMessage, LinkOpener, LinkSealer } from "../link-sealing.ts";
import { EventQueue } from "./event-queue.ts";
import { type LinkEvent, linkEvent } from "./link-event.ts";
import { reportCertificate } from "./certificate.ts";
import { unreachable } from "./http-exchange.ts";
import { openLinkSocket, reachedAddress } from "./link-socket.ts";
import { responseError } from "./response-error.ts";
import { refusalError } from "./refusal-error.ts";
import { goingAway } from "./told-to-wait.ts";

export type { LinkEvent };

/** A device's line to its directory, after the welcome. */
export interface Link {
  /**
   * What the directory says, for one reader; ends when {@link close} is called.
   * @throws what the directory refused with (E_REPLACED ...); {UnavailableError} E_DIRECTORY when the link was cut;
   * {PeerError} E_PROTOCOL when the directory broke the protocol; the signal's reason.
   */
  readonly events: AsyncIterable<LinkEvent>;
  /** The IP address at which the directory was reached, as Node prints it; undefined when the socket broke at once, or only a proxy knows it. */
  readonly remoteAddress: string | undefined;
  answer(answer: Answer): void;
  /** How far the device is from rendezvous that it has measured, all of them. */
  tellDistances(distances: Distances): void;
  /** The clients that have sessions with the device now, all of them. */
  watch(clients: readonly LinkParty[]): void;
  /**
   * Asks the directory for a sign of life, and ends the link when none comes within LINK_PROBE_MS: for when this machine's network
   * may be another one, or it has slept.
   */
  probe(): void;
  close(): void;
}

/** What a link needs of a DirectoryClient. */
export interface LinkDirectory {
  readonly address: DirectoryAddress;
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly warn: (text: string) => void;
  readonly directoryTime: number;
  readonly checkpointSize: number;
  noteTime(time: number): void;
  keyList(options: { readonly signal: AbortSignal }): Promise<VerifiedKeyList>;
  fetchKeyList(options: { readonly signal: AbortSignal }): Promise<VerifiedKeyList>;
  acceptKeyList(signed: SignedText): VerifiedKeyList;
}

export interface LinkOptions {
  readonly client: LinkDirectory;
  /** The device's static key, which its binding names. */
  readonly sender: X25519PrivateKey;
  readonly hello: Omit<LinkHello, "epoch" | "checkpointSize">;
  /** Told this machine's own address of each connection, as Node prints it, before anything is said there. */
  readonly onConnected?: ((localAddress: string | undefined) => void) | undefined;
  /** Whether its line is paid by what it carries: then its heartbeats are rarer, and a lost network is known later. */
  readonly isMetered?: boolean | undefined;
  readonly signal: AbortSignal;
}

/** What `openLink` of client.ts promises. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const { client, signal } = options;
  const first = await client.keyList({ signal });
  const link = await dial(options, first);
  if (link !== "unknown-sealing-key") return link;
  const second = await dial(options, await client.fetchKeyList({ signal }));
  if (second !== "unknown-sealing-key") return second;
  throw new SecurityError("E_DIRECTORY_LIST", "The directory does not know its own key list.");
}

async function dial(options: LinkOptions, keyList: VerifiedKeyList): Promise<Link | "unknown-sealing-key"> {
  const socket = await openLinkSocket(options.client.address.url, options.signal, options);
  return await new Promise((resolve, reject) => {
    new DeviceLink(socket, options, keyList, { resolve, reject });
  });
}

/** One socket's life: hello, perhaps a second one, welcome, events, end. */
class DeviceLink implements Link {
  readonly #queue = new EventQueue<LinkEvent>(LINK_EVENTS);
  readonly events: AsyncIterable<LinkEvent> = this.#queue;
  readonly #socket: WebSocket;
  readonly #options: LinkOptions;
  readonly #opened: { resolve(link: Link | "unknown-sealing-key"): void; reject(error: unknown): void };
  readonly #epoch: Uint8Array;
  readonly #opener: LinkOpener;
  #remoteAddress: string | undefined;
  #probe: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout;
  #keyList: VerifiedKeyList;
  #sealer: LinkSealer | undefined;
  #hellos = 0;

  constructor(
    socket: WebSocket,
    options: LinkOptions,
    keyList: VerifiedKeyList,
    opened: { resolve(link: Link | "unknown-sealing-key"): void; reject(error: unknown): void },
  ) {
    const { suite, random, address, warn } = options.client;
    this.#socket = socket;
    this.#options = options;
    this.#keyList = keyList;
    this.#opened = opened;
    this.#epoch = random(16);
    this.#opener = new LinkOpener(suite, this.#epoch);
    // The directory's limit for a hello, both ways of a slow line on top; from the welcome on, its heartbeats count.
    this.#silence = setTimeout(() => this.#cut("is silent"), DIRECTORY_CONNECT_MS + LINK_HELLO_MS);
    const abort = (): void => this.#end(options.signal.reason);
    options.signal.addEventListener("abort", abort, { once: true });
    socket.on("upgrade", ({ socket: stream }) => {
      this.#remoteAddress = reachedAddress(stream);
      if (address.url.protocol === "https:") reportCertificate(stream as TLSSocket, address.url.host, warn);
    });
    socket.on("open", () => this.#hello({ kind: "time", time: options.client.directoryTime }));
    socket.on("ping", () => this.#heard());
    socket.on("pong", () => this.#heard());
    socket.on("message", (data, isBinary) => this.#message(isBinary ? data : undefined));
    socket.on("unexpected-response", (_request, response) =>
      this.#end(responseError(address.url, response.statusCode, response.headers["retry-after"])),
    );
    socket.on("error", (cause) => this.#end(unreachable(address.url, cause)));
    socket.on("close", (code, reason) => {
      options.signal.removeEventListener("abort", abort);
      clearTimeout(this.#silence);
      clearTimeout(this.#probe);
      if (code === LINK_CLOSE.unknownSealingKey && this.#sealer === undefined) opened.resolve("unknown-sealing-key");
      const returnMs = code === LINK_CLOSE.goingAway ? toldReturn(reason.toString()) : undefined;
      if (returnMs !== undefined) this.#end(goingAway(address.url, returnMs));
      this.#cut("closed the link");
    });
  }

  get remoteAddress(): string | undefined {
    return this.#remoteAddress;
  }

  answer(answer: Answer): void {
    this.#send({ type: LINK.answer, body: encodeAnswer(answer) });
  }

  tellDistances(distances: Distances): void {
    this.#send({ type: LINK.distances, body: encodeDistances(distances) });
  }

  watch(clients: readonly LinkParty[]): void {
    this.#send({ type: LINK.watching, body: encodeLinkWatching(clients) });
  }

  #send(message: LinkMessage): void {
    if (this.#sealer !== undefined && this.#socket.readyState === this.#socket.OPEN) {
      this.#socket.send(this.#sealer.seal(message));
    }
  }

  probe(): void {
    if (this.#probe !== undefined || this.#socket.readyState !== this.#socket.OPEN) return;
    this.#probe = setTimeout(() => this.#cut("is silent since the network has changed"), LINK_PROBE_MS);
    this.#socket.ping();
  }

  close(): void {
    this.#queue.finish();
    this.#socket.close();
  }

  #hello(freshness: Freshness): void {
    const { client, sender, hello } = this.#options;
    const recipient = this.#recipient();
    const content = { freshness, id: client.random(16), type: LINK.hello };
    const body = encodeLinkHello({ ...hello, epoch: this.#epoch, checkpointSize: client.checkpointSize });
    this.#hellos += 1;
    this.#socket.send(sealMessage(client.suite, client.random, { sender, recipient }, { ...content, body }).bytes);
  }

  #message(data: unknown): void {
    try {
      if (!(data instanceof Uint8Array)) throw new PeerError("E_PROTOCOL", "a link message is not binary");
      const { list } = this.#keyList;
      this.#heard();
      this.#handle(this.#opener.open([this.#options.sender], list.sealing, data));
    } catch (error) {
      this.#end(error);
    }
  }

  #handle({ type, body }: LinkMessage): void {
    if (type === LINK.refused) return this.#refused(body);
    if (this.#sealer === undefined) {
      if (type !== LINK.welcome) throw new PeerError("E_PROTOCOL", "the directory speaks before its welcome");
      return this.#welcome(body);
    }
    if (type === LINK.keyList) return this.#newKeyList(body);
    this.#event(linkEvent({ type, body }));
  }

  #welcome(body: Uint8Array): void {
    const { client, sender, signal } = this.#options;
    const { time, nonce, keyListSeq } = parseLinkWelcome(body);
    client.noteTime(time);
    this.#sealer = new LinkSealer(client, { sender, recipient: this.#recipient() }, nonce);
    clearTimeout(this.#silence);
    this.#silence = setTimeout(
      () => this.#cut("is silent"),
      this.#options.isMetered === true ? METERED_SILENCE_MS : LINK_SILENCE_MS,
    );
    this.#opened.resolve(this);
    if (keyListSeq > this.#keyList.list.seq) {
      client.fetchKeyList({ signal }).then(
        (keyList) => this.#use(keyList),
        () => {}, // the old one serves until the directory pushes a newer one
      );
    }
  }

  #refused(body: Uint8Array): void {
    const { code, time, nonce } = parseLinkRefused(body);
    if (code !== "E_CLOCK" || this.#hellos > 1 || this.#sealer !== undefined) return this.#end(refusalError(code));
    this.#options.client.noteTime(time);
    this.#hello({ kind: "nonce", nonce });
  }

  #newKeyList(body: Uint8Array): void {
    const keyList = this.#options.client.acceptKeyList(parseSignedText(body));
    this.#use(keyList);
    this.#event({ type: "keyList", keyList });
  }

  #use(keyList: VerifiedKeyList): void {
    this.#keyList = keyList;
    this.#sealer?.rekey({ sender: this.#options.sender, recipient: this.#recipient() });
  }

  #event(event: LinkEvent): void {
    if (!this.#queue.push(event))
      this.#end(new PeerError("E_PROTOCOL", "the directory sends more than can be handled"));
  }

  #recipient() {
    const [recipient] = this.#keyList.list.sealing;
    if (recipient === undefined) throw new PeerError("E_PROTOCOL", "a key list has no sealing key");
    return recipient;
  }

  /** Something came: the line lives. */
  #heard(): void {
    clearTimeout(this.#probe);
    this.#probe = undefined;
    if (this.#sealer !== undefined) this.#silence.refresh();
  }

  #cut(how: string): void {
    const { host } = this.#options.client.address.url;
    this.#end(
      new UnavailableError("E_DIRECTORY", `The directory at ${host} ${how}.`, {
        next: "Check the network, and on its machine whether sshnp-directory runs.",
      }),
    );
  }

  #end(error: unknown): void {
    this.#opened.reject(error);
    this.#queue.fail(error);
    this.#socket.terminate();
  }
}
