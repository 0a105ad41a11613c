import type { RawData } from "ws";
import type { DeviceSocket, SocketHearer } from "./device-socket.ts";
import { type Greeting, openGreeting, strangerRefusal } from "./link-greeting.ts";
import type { LinkHost } from "./link-host.ts";
import { PeerError, SshnpError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import {
  LINK_HELLO_BYTES,
  LINK_MESSAGES_BURST,
  LINK_MESSAGES_PER_SECOND,
  LINK_UNSENT_BYTES,
} from "../protocol/limits.ts";
import {
  encodeLinkRefused,
  encodeLinkWelcome,
  encodeSignedText,
  type LinkHello,
  parseLinkWatching,
} from "../protocol/messages/link.ts";
import { parseAnswer } from "../protocol/messages/session-request.ts";
import { type Distances, parseDistances } from "../protocol/messages/rendezvous-distances.ts";
import { LINK } from "../protocol/messages/types.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { LINK_CLOSE } from "./link-close.ts";
import { returnReason } from "./returning.ts";
import { LinkOpener, type LinkSealer } from "./link-sealing.ts";
import { LinkWords } from "./link-words.ts";
import type { Party, PresentDevice, UnprovedNotify } from "./presence.ts";
import { TokenBucket } from "./rate-limit.ts";

/** The first hello, after E_CLOCK, and the nonce that the second one must say. */
type Refused = { readonly nonce: Uint8Array; readonly first: Greeting } | undefined;

type State =
  | { readonly kind: "hello"; readonly refused: Refused }
  | { readonly kind: "waiting"; readonly hello: Uint8Array; readonly refused: Refused }
  | { readonly kind: "judging" }
  | {
      readonly kind: "up";
      readonly party: Party;
      readonly device: X25519PublicKey;
      readonly opener: LinkOpener;
      readonly sealer: LinkSealer;
      readonly words: LinkWords;
    }
  | { readonly kind: "closed"; readonly party: Party | undefined };

/** One WebSocket of a device, from its first byte to its end. */
export class DeviceLink implements PresentDevice, SocketHearer {
  /** When something last came from the device, ms since 1970. */
  heard: number;
  readonly #socket: DeviceSocket;
  readonly #host: LinkHost<DeviceLink>;
  readonly #bucket: TokenBucket;
  distances: Distances | undefined;
  #state: State = { kind: "hello", refused: undefined };
  /** Whether something came since the last ping. */
  #isAlive = true;

  constructor(socket: DeviceSocket, host: LinkHost<DeviceLink>) {
    this.#socket = socket;
    this.#host = host;
    this.heard = host.clock.now();
    this.#bucket = new TokenBucket(RATE, host.clock.monotonic());
    socket.hearer = this;
  }

  message(data: RawData, isBinary: boolean): void {
    if (!this.#sound()) return;
    try {
      if (!isBinary || !(data instanceof Uint8Array)) throw new PeerError("E_PROTOCOL", "a link message is not binary");
      this.#handle(data);
    } catch (error) {
      this.#broken(error);
    }
  }

  sound(): void {
    this.#sound();
  }

  closed(): void {
    const party = this.#state.kind === "up" ? this.#state.party : undefined;
    this.#state = { kind: "closed", party };
    this.#host.down(this);
  }

  get isUp(): boolean {
    return this.#state.kind === "up";
  }

  /** Whose link it is, or was at its end; undefined when it was never up. */
  get party(): Party | undefined {
    return this.#state.kind === "up" || this.#state.kind === "closed" ? this.#state.party : undefined;
  }

  async notify(notify: UnprovedNotify): Promise<boolean> {
    if (this.#state.kind !== "up") return true; // its device will be asked once more when it is back
    try {
      return await this.#state.words.notify(notify);
    } catch (error) {
      this.#host.failed(error);
      return false;
    }
  }

  replace(): void {
    this.refuse("E_REPLACED");
  }

  /** Tells the statements on those of these names that are activated; gives which. */
  async tellNames(names: readonly Name[]): Promise<readonly Name[]> {
    return (await this.#tell((words) => words.names(names))) ?? [];
  }

  /** Tells the device's own statements, and its name's policy unless it has that one. */
  async tellOwn(): Promise<void> {
    await this.#tell((words) => words.own());
  }

  /** Tells what stands about a client that the device watches. */
  async tellChanged(client: Party): Promise<void> {
    await this.#tell((words) => words.changed(client));
  }

  /** Sends the new key list under the key that the device knows, and goes on with the new one. */
  sendKeyList(keyList: SignedText): void {
    if (this.#state.kind !== "up") return;
    this.#send(LINK.keyList, encodeSignedText(keyList));
    const [sender] = this.#host.keyring.sealing(this.#host.clock.now());
    if (sender !== undefined) this.#state.sealer.rekey({ sender, recipient: this.#state.device });
  }

  /** Says why, as the last message, and closes. */
  refuse(code: RefusalCode): void {
    if (this.#state.kind !== "up") return this.close();
    this.#send(LINK.refused, encodeLinkRefused({ code, time: this.#host.clock.now(), nonce: new Uint8Array(16) }));
    this.close();
  }

  close(): void {
    this.#socket.close(LINK_CLOSE.refused);
  }

  /** Closes because the directory ends, and tells the device in how many ms to come back; resolves when the socket is gone. */
  async goAway(returnMs: number): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.once("close", resolve));
    this.#socket.close(LINK_CLOSE.goingAway, returnReason(returnMs));
    await closed;
  }

  /** Ends it at once, as nobody listens any more. */
  terminate(): void {
    this.#socket.terminate();
  }

  ping(): void {
    this.#isAlive = false;
    this.#socket.ping();
  }

  /** Ends the link if nothing came since the last ping. */
  endIfSilent(): void {
    if (!this.#isAlive) this.#socket.terminate();
  }

  /** Something came; false when too much does. */
  #sound(): boolean {
    this.heard = this.#host.clock.now();
    this.#isAlive = true;
    if (this.#bucket.take(this.#host.clock.monotonic())) return true;
    this.#socket.terminate();
    return false;
  }

  /** What came breaks the protocol, or a bug of ours. */
  #broken(error: unknown): void {
    if (!(error instanceof SshnpError)) this.#host.failed(error);
    this.refuse("E_PROTOCOL");
  }

  #handle(bytes: Uint8Array): void {
    const { clock, keyring } = this.#host;
    const state = this.#state;
    if (state.kind === "closed") return;
    if (state.kind === "waiting" || state.kind === "judging") {
      throw new PeerError("E_PROTOCOL", "a link speaks before its welcome");
    }
    if (state.kind === "hello") {
      if (bytes.length > LINK_HELLO_BYTES) throw new PeerError("E_PROTOCOL", "a link hello is too long");
      this.#state = { kind: "waiting", hello: bytes, refused: state.refused };
      return this.#host.waiting(this);
    }
    const { type, body } = state.opener.open(keyring.sealing(clock.now()), [state.device], bytes);
    if (type === LINK.distances) {
      this.distances = parseDistances(body);
      return this.#host.measured(this);
    }
    if (type === LINK.watching) return this.#host.watching(this, parseLinkWatching(body));
    if (type !== LINK.answer) throw new PeerError("E_PROTOCOL", "a link message of an unknown type");
    // A device that is asked much answers much; whoever asks must not be able to have its link cut for that.
    if (this.#host.answered(state.party, parseAnswer(body))) this.#bucket.giveBack();
  }

  /** Judges the hello that has come, and answers it. */
  async takeTurn(): Promise<void> {
    if (this.#state.kind === "waiting") await this.#hello(this.#state);
    if (this.#state.kind !== "up" && this.#state.kind !== "closed") this.#host.awaited(this);
  }

  async #hello({ hello, refused }: Extract<State, { kind: "waiting" }>): Promise<void> {
    this.#state = { kind: "judging" };
    let greeting: Greeting | undefined;
    try {
      greeting = openGreeting(this.#host, hello, refused?.first);
      if (greeting === undefined) {
        await this.#host.newestKeys.look();
        greeting = openGreeting(this.#host, hello, refused?.first);
      }
    } catch (error) {
      return this.#broken(error);
    }
    if (greeting === undefined) return this.#socket.close(LINK_CLOSE.unknownSealingKey);
    try {
      await this.#judge(greeting, refused?.nonce);
    } catch (error) {
      if (!(error instanceof SshnpError)) this.#host.failed(error);
      this.#refuseHello(greeting, error instanceof SshnpError ? "E_STORAGE" : "E_BUSY");
    }
  }

  async #judge(greeting: Greeting, nonce: Uint8Array | undefined): Promise<void> {
    const { clock, freshness, keyring, random, suite } = this.#host;
    const { message, hello, sealer } = greeting;
    const refuse = (code: RefusalCode): void => this.#refuseHello(greeting, code);
    const refusal = await strangerRefusal(this.#host, greeting);
    if (this.#state.kind !== "judging") return;
    if (refusal !== undefined) return refuse(refusal);
    const verdict = await freshness.judge(message, clock.now(), nonce);
    // The socket may have closed meanwhile, which `this.#state` tells and the compiler cannot see.
    if ((this.#state as State).kind !== "judging") return;
    if (verdict === "replayed") return refuse("E_PROTOCOL");
    if (verdict === "full") return refuse("E_BUSY");
    if (verdict === "clock") return nonce === undefined ? this.#askAgain(greeting) : refuse("E_CLOCK");
    const own = random(16);
    const { name, member } = hello;
    const opener = new LinkOpener(suite, own);
    const words = this.#words(hello);
    this.#state = { kind: "up", party: { name, member }, device: message.sender, opener, sealer, words };
    const welcome = { time: clock.now(), nonce: own, keyListSeq: keyring.keyListSeq };
    this.#send(LINK.welcome, encodeLinkWelcome(welcome));
    this.#host.up(this, hello);
  }

  /** Apart, since what is made here keeps all that any closure beside it uses: a whole hello, in memory for as long as its link. */
  #words(hello: LinkHello): LinkWords {
    return new LinkWords(this.#host, hello, (type, body) => this.#send(type, body));
  }

  /** The device's clock is off: it may say hello once more, over a nonce. */
  #askAgain(first: Greeting): void {
    const nonce = this.#host.random(16);
    this.#state = { kind: "hello", refused: { nonce, first } };
    const body = encodeLinkRefused({ code: "E_CLOCK", time: this.#host.clock.now(), nonce });
    this.#sendBytes(first.sealer.seal({ type: LINK.refused, body }));
  }

  #refuseHello({ sealer, hello }: Greeting, code: RefusalCode): void {
    const body = encodeLinkRefused({ code, time: this.#host.clock.now(), nonce: new Uint8Array(16) });
    this.#sendBytes(sealer.seal({ type: LINK.refused, body }));
    this.#host.refused(this, code, hello);
    this.close();
  }

  /** What comes later may rest on it, so the link ends when it cannot be told. */
  async #tell<T>(tell: (words: LinkWords) => Promise<T>): Promise<T | undefined> {
    if (this.#state.kind !== "up") return undefined;
    try {
      return await tell(this.#state.words);
    } catch (error) {
      this.#host.failed(error);
      this.#socket.terminate();
      return undefined;
    }
  }

  #send(type: number, body: Uint8Array): void {
    if (this.#state.kind === "up") this.#sendBytes(this.#state.sealer.seal({ type, body }));
  }

  #sendBytes(bytes: Uint8Array): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(bytes);
    if (this.#socket.bufferedAmount > LINK_UNSENT_BYTES) this.#socket.terminate();
  }
}

const RATE = { perSecond: LINK_MESSAGES_PER_SECOND, burst: LINK_MESSAGES_BURST };
