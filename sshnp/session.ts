import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SshnpError, UnavailableError } from "../keys/errors.ts";
import { bindChannel, type ChannelBinding, type ChannelEnd, type Clock } from "../protocol/channel/bind-channel.ts";
import { Channel } from "../protocol/channel/channel.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { CONFIRM_MS, PING_GAP_MS, SESSION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from "../protocol/limits.ts";
import type { HandshakeResult } from "../protocol/noise/handshake-result.ts";
import type { ChannelLimits } from "../protocol/session/payloads.ts";
import type { Leg } from "../rendezvous/client.ts";
import { type Attempt, waitingFor } from "./attempt.ts";
import type { Progress } from "./progress.ts";
import { deviceRefusal } from "./refusal-texts.ts";
import { accessWithdrawn, noSshServer, timedOut, truncated } from "./session-texts.ts";

/** A session with a device. */
export interface Session {
  readonly attempt: Attempt;
  /** Address of the rendezvous where both ends have met; before that, of the one reached first. */
  readonly rendezvous: string;
  /**
   * Opens a stream to a service of the device, which may be written at once. With `only` the session is there for this one: what breaks the stream breaks the session.
   */
  open(service: string, options?: { readonly only: boolean }): ChannelStream;
  /** Resolves when one more stream may be asked for, or the session is over. */
  room(): Promise<void>;
  /**
   * One round trip to the device and back, ms; the first waits until the device has proved its keys.
   * @throws why the session broke; the signal's reason.
   */
  ping(options: { readonly signal: AbortSignal }): Promise<number>;
  /** Why the session broke, or undefined when it ended in good order. Settles when its streams can give no more. */
  readonly ended: Promise<SshnpError | undefined>;
  /** Says farewell to the device and returns when it has gone out, within LINGER_MS. */
  close(): Promise<void>;
}

/** The first byte of a path: records of the first handshake follow (docs/protocol.md, "Ticket and leg"). */
const PATH_OF_FIRST_HANDSHAKE = Uint8Array.of(0);

const CLOCK: Clock = {
  now: () => performance.now(),
  after: (milliseconds, action) => {
    const timer = setTimeout(action, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Begins the records on a leg that may not be joined yet: CONFIRM, OPEN and what is written to the stream go ahead. */
export function openSession(
  suite: CipherSuite,
  attempt: Attempt,
  agreed: { readonly keys: HandshakeResult; readonly limits: ChannelLimits },
  leg: Leg,
  progress: Progress,
): Session {
  const { keys, limits } = agreed;
  const channel = new Channel({
    role: "client",
    send: suite.aead(keys.initiatorToResponder),
    receive: suite.aead(keys.responderToInitiator),
    limits: { ...limits, streamWindow: STREAM_WINDOW_BYTES, sessionWindow: SESSION_WINDOW_BYTES },
  });
  leg.socket.write(PATH_OF_FIRST_HANDSHAKE);
  return new BegunSession(attempt, channel, leg, progress);
}

class BegunSession implements Session {
  readonly attempt: Attempt;
  readonly ended: Promise<SshnpError | undefined>;
  readonly #progress: Progress;
  readonly #leg: Leg;
  readonly #binding: ChannelBinding;
  readonly #joined: Promise<SshnpError | undefined>;
  readonly #unconfirmed: NodeJS.Timeout;
  readonly #confirmed: Promise<void>;
  readonly #pongs = new Set<(roundTripMs: number) => void>();
  #isClosing = false;
  #isLate = false;
  #isOver = false;
  #broken: SshnpError | undefined;
  #waiting: (() => void)[] = [];

  constructor(attempt: Attempt, channel: Channel, leg: Leg, progress: Progress) {
    this.attempt = attempt;
    this.#progress = progress;
    this.#leg = leg;
    let confirm = (): void => {};
    this.#confirmed = new Promise((resolve) => (confirm = resolve));
    this.#binding = bindChannel(channel, leg.socket, {
      signal: new AbortController().signal, // it is closed by name
      clock: CLOCK,
      onConfirmed: () => {
        clearTimeout(this.#unconfirmed);
        progress.step("the device has confirmed the keys");
        confirm();
      },
      onPong: (roundTripMs) => {
        for (const answered of this.#pongs) answered(roundTripMs);
      },
      onRoom: () => this.#tellRoom(),
    });
    this.#joined = leg.joined.then(
      () => {
        progress.step(`the rendezvous at ${leg.address} has joined the two legs`);
        return undefined;
      },
      (error: unknown) => asError(error, attempt),
    );
    // Nothing else limits this wait: heartbeats begin with the keys.
    this.#unconfirmed = setTimeout(() => {
      this.#isLate = true;
      this.#breakOff(timedOut(attempt, "The device answered, but did not come to the rendezvous", CONFIRM_MS / 1000));
    }, CONFIRM_MS);
    this.ended = this.#end();
  }

  get rendezvous(): string {
    return this.#leg.address;
  }

  open(service: string, { only } = { only: false }): ChannelStream {
    const stream = this.#binding.open(service);
    if (only) stream.once("error", (error) => this.#breakOff(streamError(error, this.attempt)));
    stream.opened.then(
      () => this.#progress.step(`the device has opened ${service === "ssh" ? "its SSH port" : service}`),
      () => {}, // the stream's error tells
    );
    return stream;
  }

  async room(): Promise<void> {
    if (this.#binding.hasRoom || this.#isOver) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async ping({ signal }: { readonly signal: AbortSignal }): Promise<number> {
    const broken = new AbortController();
    const patience = AbortSignal.any([signal, broken.signal]);
    let answered: ((roundTripMs: number) => void) | undefined;
    const pong = new Promise<number>((resolve, reject) => {
      answered = resolve;
      patience.addEventListener("abort", () => reject(asError(patience.reason, this.attempt)), { once: true });
    });
    pong.catch(() => {}); // it is awaited below, unless this ends earlier
    void this.ended.then((error) => broken.abort(error ?? truncated(this.attempt, undefined)));
    signal.throwIfAborted();
    await Promise.race([this.#confirmed, pong]);
    if (answered !== undefined) this.#pongs.add(answered);
    // A heartbeat of the channel's own may be under way, or was just now.
    const again = setInterval(() => this.#binding.ping(), PING_GAP_MS);
    this.#binding.ping();
    try {
      return await pong;
    } finally {
      clearInterval(again);
      if (answered !== undefined) this.#pongs.delete(answered);
    }
  }

  async close(): Promise<void> {
    this.#isClosing = this.#broken === undefined;
    this.#binding.close("finished");
    await this.#binding.closed;
  }

  #tellRoom(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }

  #breakOff(error: SshnpError): void {
    if (this.#isClosing) return;
    this.#broken ??= error;
    this.#binding.close("failed");
  }

  /** Of several reasons the deepest: the leg that was never joined, then the channel, then its stream. */
  async #end(): Promise<SshnpError | undefined> {
    const how = await this.#binding.closed;
    this.#isOver = true;
    this.#tellRoom();
    clearTimeout(this.#unconfirmed);
    if (this.#isClosing || this.#isLate) return this.#broken;
    return (await this.#joined) ?? endError(how, this.attempt) ?? this.#broken;
  }
}

/** Why a stream of a session broke, for a person. */
export function streamError(error: Error, attempt: Attempt): SshnpError {
  if (!(error instanceof SshnpError)) return truncated(attempt, error);
  if (error.code === "E_UNREACHABLE" || error.code === "E_CLOSED")
    return noSshServer(attempt, "nothing answers on its SSH port.");
  if (error.code === "E_DEVICE_REFUSED") return deviceRefusal(attempt, { code: "E_DEVICE_REFUSED", reason: "" });
  return error.code === "E_TRUNCATED" ? truncated(attempt, error) : error;
}

function endError(end: ChannelEnd, attempt: Attempt): SshnpError | undefined {
  if (end.how !== "closed") return asError(end.how === "failed" ? end.error : end.cause, attempt);
  const { member, name } = attempt.device;
  if (end.by === "us") return undefined;
  switch (end.code) {
    case "finished":
      return undefined;
    case "revoked":
      return accessWithdrawn(attempt);
    case "going-away":
      return new UnavailableError("E_TRUNCATED", `The daemon on ${member} of ${name} is stopping.`, {
        next: `Try again when it is back: ${waitingFor(attempt)}`,
      });
    case "protocol-error":
    case "failed":
      return truncated(attempt, end);
  }
}

function asError(error: unknown, attempt: Attempt): SshnpError {
  return error instanceof SshnpError ? error : truncated(attempt, error);
}
