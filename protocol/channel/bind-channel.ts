/**
 * Binds a Channel to a byte socket, and gives each of its streams as a Duplex of node:stream.
 *
 * Memory of one session, beside what the two sockets' kernels hold. All of it is bounded whatever the peer does:
 * - received: the windows granted (SESSION_WINDOW_BYTES), the early window of each stream, one chunk of at most 64 KiB
 *   that each Duplex has handed to Node, and one record in assembly;
 * - to be sent: per stream the 128 KiB of its Duplex and one chunk more; for the socket its own high-water mark, one
 *   DATA record, and at most SOCKET_QUEUE_BYTES of answers to a peer that asks without reading (beyond, it is dropped).
 */
import { DeniedError, PeerError, SshnpError, UnavailableError } from "../../keys/errors.ts";
import { LINGER_MS, PATH_DEAD_MS, PING_MS, SOCKET_QUEUE_BYTES } from "../limits.ts";
import type { Channel } from "./channel.ts";
import type { ChannelEvent } from "./channel-event.ts";
import { type CloseCode, resetError } from "./end-codes.ts";
import { type ByteSocket, ChannelStream, type StreamPath } from "./stream-adapter.ts";

/** Time, as an argument. */
export interface Clock {
  /** Milliseconds that never run backwards. */
  now(): number;
  /** Runs `action` once, after `milliseconds`; calling the result cancels it. */
  after(milliseconds: number, action: () => void): () => void;
}

export interface BindOptions {
  /** Aborting it closes the channel as going away. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** The peer proved that it holds the keys. Until then nothing limits the wait but `signal`. */
  readonly onConfirmed?: () => void;
  /** Called at once for every stream that the peer asks for. It is accepted or refused then or later; refused if missing. */
  readonly onOpen?: (stream: ChannelStream) => void;
  /** A stream may be opened, after {@link ChannelBinding.open} has refused one for want of room or `hasRoom` was false. */
  readonly onRoom?: () => void;
  readonly onPong?: (roundTripMs: number) => void;
}

/** A bound channel. It sends a PING every PING_MS and fails when the path is silent for PATH_DEAD_MS after one. */
export interface ChannelBinding {
  /**
   * Opens a stream; it can be written at once. When the peer breaks it off it is destroyed with the reason.
   * @throws {UnavailableError} E_BUSY when there are as many as there may be, E_TRUNCATED when the channel is over.
   */
  open(service: string): ChannelStream;
  /** Whether one more stream may be opened now; `onRoom` tells when that is so again. False when the channel is over. */
  readonly hasRoom: boolean;
  /** Sends a PING now, unless one is unanswered or the last was just now. */
  ping(): void;
  /** Closes the channel; streams that have not finished are destroyed. */
  close(code: CloseCode): void;
  /** How it ended, once the socket is closed and nothing is left behind. Never rejects. */
  readonly closed: Promise<ChannelEnd>;
}

export type ChannelEnd =
  | { readonly how: "closed"; readonly by: "us" | "peer"; readonly code: CloseCode }
  /** The bytes ended without CLOSE; `cause` is the socket's error, if it had one. */
  | { readonly how: "truncated"; readonly cause: Error | undefined }
  | { readonly how: "failed"; readonly error: unknown };

/** Runs `channel` over `socket`, and takes both over. */
export function bindChannel(channel: Channel, socket: ByteSocket, options: BindOptions): ChannelBinding {
  return new BoundChannel(channel, socket, options);
}

class BoundChannel implements ChannelBinding, StreamPath {
  readonly channel: Channel;
  readonly closed: Promise<ChannelEnd>;
  readonly #socket: ByteSocket;
  readonly #options: BindOptions;
  readonly #streams = new Map<number, ChannelStream>();
  readonly #waiting = new Set<ChannelStream>(); // for the socket to drain, longest first
  readonly #abort = (): void => this.close("going-away");
  #wantsRoom = false;
  #progressAt: number;
  #cancelTimer: () => void;
  #socketError: Error | undefined;
  #end: ChannelEnd | undefined;
  #resolveClosed: (end: ChannelEnd) => void = () => {};

  constructor(channel: Channel, socket: ByteSocket, options: BindOptions) {
    this.channel = channel;
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#progressAt = options.clock.now();
    this.#cancelTimer = options.clock.after(PING_MS, () => this.#beat());
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("drain", () => this.#drain());
    socket.on("end", () => this.#pathEnded());
    socket.on("error", (error) => {
      this.#socketError ??= error;
    });
    socket.on("close", () => this.#socketClosed());
    options.signal.addEventListener("abort", this.#abort);
    this.flush();
    if (options.signal.aborted) this.#abort();
    else if (socket.readableEnded || socket.destroyed) this.#pathEnded();
    if (socket.closed) this.#socketClosed();
  }

  open(service: string): ChannelStream {
    if (this.#end !== undefined) throw endError(this.#end);
    const number = this.channel.open(service);
    if (number === undefined) {
      this.#wantsRoom = true;
      throw new UnavailableError("E_BUSY", "This session has as many streams as it may have.", {
        next: "Close one and try again.",
      });
    }
    this.flush();
    return this.#addStream(number, service, "opener");
  }

  get hasRoom(): boolean {
    const hasRoom = this.channel.hasRoom;
    this.#wantsRoom ||= !hasRoom;
    return hasRoom;
  }

  ping(): void {
    this.run(() => this.channel.ping(this.#options.clock.now()));
  }

  close(code: CloseCode): void {
    this.channel.close(code);
    this.#finish({ how: "closed", by: "us", code });
  }

  /** Whether the socket wants no more for now. */
  get full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Calls `stream.pump` when the socket has drained and it is this stream's turn. */
  waitForDrain(stream: ChannelStream): void {
    this.#waiting.add(stream);
  }

  forget(stream: ChannelStream): void {
    this.#streams.delete(stream.number);
    this.#waiting.delete(stream);
  }

  /** Performs `action` on the channel and sends what comes of it. */
  run(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
    this.flush();
    if (!this.#wantsRoom || !this.channel.hasRoom) return;
    this.#wantsRoom = false;
    this.#options.onRoom?.();
  }

  flush(): void {
    const pieces = this.channel.takeOutput();
    const socket = this.#socket;
    if (pieces.length === 0 || !socket.writable) return;
    socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.uncork();
    if (socket.writableLength > socket.writableHighWaterMark + SOCKET_QUEUE_BYTES) {
      this.#fail(new PeerError("E_PROTOCOL", "the peer asks for more answers than it reads"));
    }
  }

  #receive(chunk: Uint8Array): void {
    const now = this.#options.clock.now();
    this.#progressAt = now;
    this.run(() => {
      for (const event of this.channel.receive(chunk, now)) this.#handle(event);
    });
  }

  #handle(event: ChannelEvent): void {
    switch (event.type) {
      case "confirmed":
        this.#options.onConfirmed?.();
        for (const stream of this.#streams.values()) stream.pump();
        return;
      case "open-requested": {
        const stream = this.#addStream(event.stream, event.service, "answerer");
        if (this.#options.onOpen === undefined) stream.refuse("refused");
        else this.#options.onOpen(stream);
        return;
      }
      case "opened":
        this.#streams.get(event.stream)?.receiveOpened();
        return;
      case "data":
        this.#streams.get(event.stream)?.receiveData(event.bytes);
        return;
      case "window-grown":
        this.#streams.get(event.stream)?.pump();
        return;
      case "ended":
        this.#streams.get(event.stream)?.receiveEnd();
        return;
      case "reset":
        this.#streams.get(event.stream)?.destroy(resetError(event.code));
        return;
      case "pong":
        this.#options.onPong?.(event.roundTripMs);
        return;
      case "closed":
        this.#finish({ how: "closed", by: "peer", code: event.code });
        return;
      case "truncated":
        this.#finish({ how: "truncated", cause: this.#socketError });
        return;
      case "failed":
        this.#finish({ how: "failed", error: event.error });
    }
  }

  #addStream(number: number, service: string, role: "opener" | "answerer"): ChannelStream {
    const stream = new ChannelStream(this, number, service, role);
    this.#streams.set(number, stream);
    return stream;
  }

  #drain(): void {
    this.#progressAt = this.#options.clock.now();
    for (const stream of this.#waiting) {
      if (this.full) return;
      this.#waiting.delete(stream);
      this.run(() => stream.pump());
    }
  }

  #beat(): void {
    const now = this.#options.clock.now();
    const since = this.channel.pingUnansweredSince;
    if (since !== undefined && now - Math.max(since, this.#progressAt) >= PATH_DEAD_MS) {
      this.#fail(new UnavailableError("E_TRUNCATED", "The other end of the session does not answer any more."));
      return;
    }
    this.ping();
    if (this.#end === undefined) this.#cancelTimer = this.#options.clock.after(PING_MS, () => this.#beat());
  }

  #pathEnded(): void {
    for (const event of this.channel.pathEnded()) this.#handle(event);
  }

  #fail(error: unknown): void {
    if (this.#end !== undefined) return;
    this.channel.close("failed");
    this.#finish({ how: "failed", error });
  }

  #finish(end: ChannelEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#options.signal.removeEventListener("abort", this.#abort);
    this.#cancelTimer();
    for (const stream of this.#streams.values()) if (!stream.complete) stream.destroy(endError(end));
    this.flush();
    // The socket is read to its end, because closing it on unread bytes would take our CLOSE back (RFC 9293 section 3.6.1).
    this.#socket.end();
    this.#cancelTimer = this.#options.clock.after(LINGER_MS, () => this.#socket.destroy());
  }

  #socketClosed(): void {
    this.#pathEnded();
    this.#cancelTimer();
    if (this.#end !== undefined) this.#resolveClosed(this.#end);
  }
}

/** What the end of the channel means to a stream that was not finished. */
function endError(end: ChannelEnd): SshnpError {
  if (end.how === "failed" && end.error instanceof SshnpError) return end.error;
  if (end.how === "closed" && end.code === "revoked") {
    return new DeniedError("E_NOT_AUTHORIZED", "Access was withdrawn.");
  }
  const fact = end.how === "closed" ? "The session was closed." : "The session broke off.";
  return new UnavailableError("E_TRUNCATED", fact, { next: "Connect again.", cause: end });
}
