import type { Socket } from "node:net";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { assert, SecurityError, UnavailableError } from "../keys/errors.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import type { DirectoryAddress } from "../protocol/directory-address.ts";
import { type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { DIRECTORY_CONNECT_MS } from "../protocol/limits.ts";
import { type Frame, parseFrame } from "../protocol/messages/response-frames.ts";
import { ResponseOpener } from "../protocol/response.ts";
import { type Freshness, sealMessage } from "../protocol/sealed-message.ts";
import type { Ahead } from "./client/dial-ahead.ts";
import { exchange, unreachable } from "./client/http-exchange.ts";
import type { Link, LinkOptions } from "./client/link.ts";
import { LogFollower, type ProvedHeads } from "./client/log-follower.ts";
import { once } from "./client/once.ts";
import { readKeyList, refuseExpired } from "./client/read-key-list.ts";
import { refusalError } from "./client/refusal-error.ts";

export type { Link, LinkEvent, LinkOptions } from "./client/link.ts";
export { EventQueue } from "./client/event-queue.ts";
export { openBrokerLink, tryBroker } from "./client/open-broker-link.ts";
export { type BrokerFlags, demandBroker, parseBrokerUrl, readBrokerPlace } from "./client/read-broker-place.ts";
export { LogFollower, type NewestClaim, type ProvedHeads, type WitnessDemand } from "./client/log-follower.ts";
export { demandLogged, putStatements } from "./client/put-statements.ts";
export { readStatements, type StatementsQuestion } from "./client/read-statements.ts";
export { openSeenLog, type RememberedLog } from "./client/seen-log.ts";
export * from "./client/witness-demand.ts";
export { answeringAddress } from "./client/answering-address.ts";
export { answerDeadline } from "./client/answer-deadline.ts";
export { listRendezvous } from "./client/list-rendezvous.ts";
export { type Ahead, dialAhead, hangUp } from "./client/dial-ahead.ts";
export { listDevices } from "./client/list-devices.ts";
export type { DeviceEntry } from "../protocol/messages/devices.ts";
export { NobodyThereError } from "./client/nobody-there.ts";
export { ProxyError, proxyFor, proxyNameFor } from "./client/proxy.ts";
export { reportCertificate, type ShownCertificate } from "./client/certificate.ts";
export { certificateAt } from "./client/certificate-at.ts";
export { placeOf } from "./client/place.ts";
export { refusalError } from "./client/refusal-error.ts";
export { AskAgainError } from "./client/told-to-wait.ts";

export interface DirectoryClientOptions {
  readonly address: DirectoryAddress;
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  /** The newest list from before, verified; used until it expires, so that no request waits for one. */
  readonly keyList?: VerifiedKeyList | undefined;
  /** Told of every newer list, to remember it. */
  readonly onKeyList?: ((list: VerifiedKeyList) => void) | undefined;
  /** What this party has seen of the directory's log; without it, nothing yet, and nothing is remembered. */
  readonly log?: LogFollower | undefined;
  /** Told what is odd but stops nothing, such as a TLS certificate that does not verify. */
  readonly warn?: ((text: string) => void) | undefined;
  /** What its first message is sent over, to this very address, and what is told in place of `warn`. */
  readonly ahead?: Ahead | undefined;
}

interface Message {
  readonly type: number;
  readonly body: Uint8Array;
}

/** A final frame was yielded; or what the next attempt needs. */
type AttemptEnd = "done" | "newKeyList" | { readonly nonce: Uint8Array };

/**
 * A directory as its users see it: sealed messages go in, frames come out. Nothing that it says is believed for coming
 * over TLS; its key list must be signed by the root key whose fingerprint stands in the address.
 */
export class DirectoryClient {
  readonly address: DirectoryAddress;
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly warn: (text: string) => void;
  readonly #log: LogFollower;
  readonly #onKeyList: (list: VerifiedKeyList) => void;
  #keyList: VerifiedKeyList | undefined;
  #refreshing = false;
  #clockOffset: number | undefined;
  #remoteAddress: string | undefined;
  #ahead: Promise<Socket> | undefined;

  constructor(options: DirectoryClientOptions) {
    this.address = options.address;
    this.suite = options.suite;
    this.random = options.random;
    this.#keyList = options.keyList;
    this.#log = options.log ?? new LogFollower(options.suite);
    this.#onKeyList = options.onKeyList ?? ignore;
    this.warn = options.ahead?.warn ?? once(options.warn ?? ignore);
    this.#ahead = options.ahead?.connection;
  }

  /** Milliseconds by which the directory's clock is ahead of ours; undefined before it has answered. */
  get clockOffset(): number | undefined {
    return this.#clockOffset;
  }

  /**
   * The IP address, as Node prints it, at which the directory has answered a sealed message; undefined before it has. What
   * a host name leads to otherwise, whoever runs its DNS can say anew each time.
   */
  get remoteAddress(): string | undefined {
    return this.#remoteAddress;
  }

  /** The time (ms) that the directory is likely to accept as now. */
  get directoryTime(): number {
    return Date.now() + (this.#clockOffset ?? 0);
  }

  /** The newest checkpoint of the directory's log that this party has seen, a signed note; empty: none. */
  get checkpoint(): string {
    return this.#log.checkpoint;
  }

  /** Its size; 0 none. @throws {SecurityError} E_LOG when what was remembered is no checkpoint of this directory. */
  get checkpointSize(): number {
    return this.#keyList === undefined ? 0 : this.#log.size(this.#keyList.list);
  }

  /** A time (ms) that has come, by the witnesses that are demanded. As {@link LogFollower.witnessTime}. */
  get witnessTime(): number {
    return this.#log.witnessTime;
  }

  /** Takes a log proof that the directory sent, in the order in which they come. As {@link LogFollower.accept}. */
  acceptProof(proof: Uint8Array): ProvedHeads {
    assert(this.#keyList !== undefined, "nothing comes before the key list");
    return this.#log.accept(this.#keyList.list, proof, Date.now(), this.directoryTime);
  }

  /** Compares a peer's checkpoint with what this party has seen. @throws {LogEvidenceError} E_LOG. */
  compareCheckpoint(note: string): void {
    if (this.#keyList !== undefined) this.#log.compare(this.#keyList.list, note);
  }

  /** Notes what the directory says the time is. */
  noteTime(time: number): void {
    this.#clockOffset = time - Date.now();
  }

  /**
   * The key list from before while it has not expired, else a new one.
   * @throws {SecurityError} E_DIRECTORY_KEY when another root key signed it, E_DIRECTORY_LIST when it is older than one seen
   * or has expired; {UnavailableError} E_DIRECTORY.
   */
  async keyList({ signal }: { readonly signal: AbortSignal }): Promise<VerifiedKeyList> {
    const known = this.#keyList;
    return known !== undefined && this.directoryTime < known.list.expires ? known : await this.fetchKeyList({ signal });
  }

  /** The key list that the directory has now. Throws as {@link keyList}. */
  async fetchKeyList({
    signal,
    isBackground = false,
  }: {
    readonly signal: AbortSignal;
    /** Whether the process may end meanwhile. */
    readonly isBackground?: boolean;
  }): Promise<VerifiedKeyList> {
    const { address, warn } = this;
    const signed = await readKeyList(address.url, { signal, isBackground, warn });
    return this.acceptKeyList(signed);
  }

  /** Verifies a list that the directory sent and keeps it. Throws as {@link keyList}, but never E_DIRECTORY. */
  acceptKeyList(signed: SignedText): VerifiedKeyList {
    const verified = verifyKeyList(this.suite, signed, this.address.fingerprint);
    const { seq, expires } = verified.list;
    const newest = this.#keyList?.list.seq ?? 0;
    if (seq < newest) {
      throw new SecurityError(
        "E_DIRECTORY_LIST",
        `The directory gives key list ${seq}, older than ${newest} seen before.`,
        {
          next: "Somebody may be replaying an old one. Ask whoever runs the directory whether it was restored from a backup.",
        },
      );
    }
    // Before the directory has said the time under these very keys, a clock that is ahead must not lock anybody out.
    if (this.#clockOffset !== undefined) refuseExpired(expires, this.directoryTime);
    this.#keyList = verified;
    if (seq > newest) this.#onKeyList(verified);
    return verified;
  }

  /**
   * POSTs one sealed message and yields the frames of the answer as they come, `refused` included; the directory's
   * welcome and keep-alive frames are taken out. A wrong clock and a sealing key that is gone are each retried once.
   * Ending the iteration early closes the connection.
   * @throws {UnavailableError} E_DIRECTORY when it cannot be reached or the answer ends without its final frame, E_RATE,
   * E_BUSY; {PeerError} E_PROTOCOL when the answer is forged; as {@link keyList}.
   */
  async *send(
    sender: X25519PrivateKey,
    message: Message,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<Frame, void, void> {
    let freshness: Freshness = { kind: "time", time: this.directoryTime };
    let hasNewList = false;
    for (;;) {
      const end: AttemptEnd = yield* this.#attempt(sender, { ...message, freshness }, signal);
      if (end === "done") return;
      if (end === "newKeyList") {
        if (hasNewList) throw new SecurityError("E_DIRECTORY_LIST", "The directory does not know its own key list.");
        hasNewList = true;
      } else {
        if (freshness.kind === "nonce") throw refusalError("E_CLOCK");
        freshness = { kind: "nonce", nonce: end.nonce };
      }
    }
  }

  /**
   * One message that has one frame for an answer.
   * @throws what {@link refusalError} makes of a `refused` frame; as {@link send}.
   */
  async request(
    sender: X25519PrivateKey,
    message: Message,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Frame> {
    let last: Frame | undefined;
    for await (const frame of this.send(sender, message, { signal })) last = frame;
    if (last === undefined) throw unreachable(this.address.url, undefined);
    if (last.type === "refused") throw refusalError(last.code, last.detail);
    return last;
  }

  /** One POST, and how it ended. */
  async *#attempt(
    sender: X25519PrivateKey,
    message: Message & { readonly freshness: Freshness },
    signal: AbortSignal,
  ): AsyncGenerator<Frame, AttemptEnd, void> {
    const { list } = await this.keyList({ signal });
    const [recipient] = list.sealing;
    if (recipient === undefined) throw unreachable(this.address.url, undefined);
    const content = { ...message, id: this.random(16) };
    const { bytes, responseSecret } = sealMessage(this.suite, this.random, { sender, recipient }, content);
    const opener = new ResponseOpener(this.suite, responseSecret);
    let nonce: Uint8Array | undefined;
    let remoteAddress: string | undefined;
    const onAnswered = (address: string | undefined): void => void (remoteAddress = address);
    const { url: base } = this.address;
    const connection = this.#ahead;
    this.#ahead = undefined;
    const post = { base, route: "/v1/messages", body: bytes, connection, signal, onAnswered, warn: this.warn } as const;
    for await (const chunk of exchange(post)) {
      for (const item of opener.push(chunk)) {
        if ("keyList" in item) {
          this.acceptKeyList(item.keyList);
          return "newKeyList";
        }
        const frame = parseFrame(item.type, item.body);
        if (frame.type === "welcome") {
          nonce = frame.nonce;
          this.noteTime(frame.time);
          refuseExpired(list.expires, this.directoryTime);
          this.#remoteAddress = remoteAddress;
          if (frame.keyListSeq > list.seq) this.#refreshSoon();
        } else if (frame.type === "refused" && frame.code === "E_CLOCK" && nonce !== undefined) {
          return { nonce };
        } else if (frame.type !== "keepAlive") {
          yield frame;
        }
        if (item.final) return "done";
      }
    }
    throw new UnavailableError("E_DIRECTORY", "The directory's answer was cut off.", {
      next: "Try again; if it stays so, look for a proxy in between that limits how long an answer may take.",
    });
  }

  /** Fetches a newer key list beside whatever goes on; when that fails, the next answer tells of it again. */
  #refreshSoon(): void {
    if (this.#refreshing) return;
    this.#refreshing = true;
    this.fetchKeyList({ signal: AbortSignal.timeout(DIRECTORY_CONNECT_MS), isBackground: true })
      .catch(ignore)
      .finally(() => {
        this.#refreshing = false;
      });
  }
}

/**
 * Opens a device's link and resolves at the directory's welcome. A wrong clock and a sealing key that is gone are each
 * retried once. What links need is loaded here, as clients never have one.
 * @throws what the directory refused with; {UnavailableError} E_DIRECTORY, E_RATE, E_BUSY; {PeerError} E_PROTOCOL;
 * {SecurityError} E_DIRECTORY_KEY, E_DIRECTORY_LIST; the signal's reason.
 */
export async function openLink(options: LinkOptions): Promise<Link> {
  const link = await import("./client/link.ts");
  return await link.openLink(options);
}

function ignore(): void {}
