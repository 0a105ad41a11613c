import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { hex } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { PeerError, SshnpError } from "../keys/errors.ts";
import { BUSY_MS, SENDER_MESSAGES_BURST, SENDER_MESSAGES_PER_SECOND } from "../protocol/limits.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { encodeKeyListResponse, ResponseSealer } from "../protocol/response.ts";
import { type OpenedMessage, openMessage } from "../protocol/sealed-message.ts";
import { Bodies } from "./bodies.ts";
import type { Clock } from "./clock.ts";
import { type ConnectObserver, ConnectWatch } from "./connect-observer.ts";
import type { Freshness, FreshnessVerdict } from "./freshness.ts";
import type { Keyring } from "./keyring.ts";
import type { NewestKeys } from "./newest-keys.ts";
import { NameLimiter, type Rate } from "./rate-limit.ts";
import { ResponseStream } from "./response-stream.ts";
import type { Store } from "./store.ts";
import { retryAfter } from "./returning.ts";
import type { Strangers } from "./strangers.ts";
import { UnreadAnswers } from "./unread-answers.ts";
import type { Workload } from "./workload.ts";
import { logFailure } from "./log-failure.ts";

/** What a message asks for; ends the stream, now or later. */
export type RequestHandler = (message: OpenedMessage, stream: ResponseStream, address: string) => Promise<void>;

interface Services {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly newestKeys: Pick<NewestKeys, "look">;
  readonly freshness: Freshness;
  readonly store: Store;
  readonly observer?: ConnectObserver | undefined;
  readonly log: Logger;
  readonly workload: Pick<Workload, "begin" | "messages">;
  readonly senderRate?: Rate | undefined;
}

/** `POST /v1/messages`: opens the message, judges its freshness, and has the answer streamed back. */
export class PostServer {
  readonly #services: Services;
  readonly #handle: RequestHandler;
  readonly #bodies = new Bodies();
  readonly #streams = new Set<ResponseStream>();
  readonly #unread: UnreadAnswers;
  readonly #bySender: NameLimiter<string>;

  constructor(services: Services, handle: RequestHandler) {
    this.#services = services;
    this.#handle = handle;
    this.#unread = new UnreadAnswers(() => services.observer?.turnedAway("unread answer"));
    this.#bySender = new NameLimiter(services.senderRate ?? SENDER_MESSAGES);
  }

  /** Answers that are being streamed. */
  get open(): number {
    return this.#streams.size;
  }

  /** Answers that wait for their readers. */
  get unread(): number {
    return this.#unread.size;
  }

  /** Messages that are worked at; answers that wait for their readers are not among them. */
  get working(): number {
    return this.#services.workload.messages;
  }

  /** A sender that is a member is no stranger while its answer lasts. */
  async post(
    request: IncomingMessage,
    response: ServerResponse,
    address: string,
    strangers: Pick<Strangers, "add" | "remove">,
  ): Promise<void> {
    const begun = this.#services.clock.monotonic();
    const bytes = await this.#bodies.read(request);
    if (bytes === undefined) return refuse(response, 413);
    const end = this.#services.workload.begin();
    if (end === undefined) {
      this.#services.observer?.ended("E_BUSY"); // whatever it asks for, which is not read
      this.#services.observer?.turnedAway("messages");
      return refuse(response, 503, { "retry-after": retryAfter(BUSY_MS) });
    }
    try {
      await this.#work({ bytes, begun, onReader: end }, request, response, address, strangers);
    } finally {
      end();
    }
  }

  async #work(
    { bytes, begun, onReader }: { readonly bytes: Uint8Array; readonly begun: number; readonly onReader: () => void },
    ...[request, response, address, strangers]: Parameters<PostServer["post"]>
  ): Promise<void> {
    const { observer, clock } = this.#services;
    const watch = observer && new ConnectWatch(observer, begun);
    let message: ReturnType<typeof openMessage>;
    try {
      message = this.#opened(bytes);
      if (message === "unknown-recipient") {
        await this.#services.newestKeys.look();
        message = this.#opened(bytes);
      }
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      this.#services.log.debug({ code: error.code }, "message refused");
      return refuse(response, error.code === "E_VERSION" ? OTHER_VERSION : 400);
    }
    if (message === "unknown-recipient") {
      response.writeHead(200, { "content-type": "application/octet-stream", "cache-control": "no-store" });
      response.end(encodeKeyListResponse(this.#services.keyring.keyList));
      return;
    }
    const stream = this.#open(message, response);
    stream.onReader = () => {
      onReader();
      return this.#unread.add(stream, address);
    };
    const onMember = (): void => {
      strangers.remove(request.socket);
      stream.onClose(() => strangers.add(request.socket));
    };
    const onFresh = (): void => {
      if (message.type === REQUEST.session) watch?.passed("opened", clock.monotonic());
    };
    await this.#answer(message, stream, address, { onMember, onFresh });
  }

  /** Keeps the open answers alive, and forgets senders that have all their rate again; to be called every KEEPALIVE_MS. */
  keepAlive(): void {
    this.#bySender.sweep(this.#services.clock.monotonic());
    for (const stream of this.#streams) stream.send({ type: "keepAlive" });
  }

  /** Cuts off the open answers: their readers know then that they were not final. */
  close(): void {
    for (const stream of this.#streams) stream.cut();
  }

  #opened(bytes: Uint8Array): OpenedMessage | "unknown-recipient" {
    const { suite, keyring, clock } = this.#services;
    return openMessage(suite, keyring.sealing(clock.now()), bytes);
  }

  #open(message: OpenedMessage, response: ServerResponse): ResponseStream {
    const { suite, random, clock, keyring, freshness } = this.#services;
    const now = clock.now();
    const sealer = new ResponseSealer(suite, message.responseSecret, random(32));
    const welcome = {
      type: "welcome",
      time: now,
      nonce: freshness.nonce(now),
      keyListSeq: keyring.keyListSeq,
    } as const;
    const stream = new ResponseStream(response, sealer, clock, welcome);
    this.#streams.add(stream);
    stream.onClose(() => this.#streams.delete(stream));
    return stream;
  }

  /** Ids are remembered of known senders alone: strangers cost neither memory nor a write. */
  async #judge(message: OpenedMessage, onMember: () => void): Promise<FreshnessVerdict | "stranger" | "rate"> {
    const { freshness, clock, store } = this.#services;
    if (OF_STRANGERS.has(message.type))
      return (await freshness.isRecent(message.freshness, clock.now())) ? "fresh" : "clock";
    const holder = await store.keyHolder(message.sender);
    if (holder === undefined) return "stranger";
    onMember();
    // The memory of ids is everybody's, and to remember one is a write.
    if (!this.#bySender.take(holder.split("/", 1)[0] ?? "", clock.monotonic())) return "rate";
    return await freshness.judge(message, clock.now());
  }

  async #answer(
    message: OpenedMessage,
    stream: ResponseStream,
    address: string,
    { onMember, onFresh }: { readonly onMember: () => void; readonly onFresh: () => void },
  ): Promise<void> {
    const { log, observer } = this.#services;
    const refuseCounted = (code: RefusalCode, detail = 0): void => {
      if (message.type === REQUEST.session) observer?.ended(code);
      stream.end({ type: "refused", code, detail });
    };
    try {
      const verdict = await this.#judge(message, onMember);
      if (verdict === "clock") refuseCounted("E_CLOCK");
      else if (verdict === "full") refuseCounted("E_BUSY", 10_000);
      else if (verdict === "rate") {
        observer?.turnedAway("name rate");
        refuseCounted("E_RATE", 1000);
      }
      // What strangers send is not counted: they would hide among it what fails.
      else if (verdict === "stranger") stream.end({ type: "refused", code: "E_NOT_AUTHORIZED", detail: 0 });
      else if (verdict === "replayed") {
        log.warn({ peer: { id: hex(message.id) } }, "message replayed");
        stream.end({ type: "refused", code: "E_PROTOCOL", detail: 0 });
      } else {
        onFresh();
        await this.#handle(message, stream, address);
      }
    } catch (error) {
      const code = refusalFor(error);
      refuseCounted(code);
      if (code === "E_PROTOCOL") log.debug({ err: error }, "message refused");
      else logFailure(log, error, "request failed");
    }
  }
}

const SENDER_MESSAGES: Rate = { perSecond: SENDER_MESSAGES_PER_SECOND, burst: SENDER_MESSAGES_BURST };

/** What anybody may send, because a replay of it changes nothing: each is bound to a nonce, or the same text again. */
const OF_STRANGERS: ReadonlySet<number> = new Set([
  REQUEST.activationStart,
  REQUEST.activate,
  REQUEST.putStatements,
  REQUEST.readStatements,
  REQUEST.putPassword,
  REQUEST.enrol,
  REQUEST.ownStatements,
  REQUEST.readEnrolments,
  REQUEST.denyEnrolment,
  REQUEST.rendezvousActivationStart,
  REQUEST.rendezvousActivate,
]);

/** 415 Unsupported Media Type: of a message that is of another version of the protocol, and so cannot be answered. */
const OTHER_VERSION = 415;

/** Ends an HTTP exchange without a word beside its status. */
export function refuse(response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { ...headers, connection: "close" });
  response.end();
}

function refusalFor(error: unknown): "E_PROTOCOL" | "E_VERSION" | "E_STORAGE" | "E_BUSY" {
  if (error instanceof PeerError) return error.code === "E_VERSION" ? "E_VERSION" : "E_PROTOCOL";
  if (error instanceof SshnpError)
    return error.code === "E_STORAGE" || error.code === "E_BUSY" ? error.code : "E_PROTOCOL";
  return "E_BUSY";
}
