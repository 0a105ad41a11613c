import type { Aead } from "../../keys/cipher-suite.ts";
import { assert, PeerError } from "../../keys/errors.ts";
import { DATA_BYTES, FIRST_FLIGHT_DATA_BYTES, STREAMS } from "../limits.ts";
import type { ChannelLimits } from "../session/payloads.ts";
import type { ChannelEvent } from "./channel-event.ts";
import type { BreakCode, CloseCode, ResetCode } from "./end-codes.ts";
import { PingExchange } from "./ping-exchange.ts";
import { type ChannelRecord, parseRecord } from "./record.ts";
import { RecordOpener } from "./record-opener.ts";
import { RecordSealer } from "./record-sealer.ts";
import { isBreak, StreamState } from "./stream-state.ts";
import { WindowBudget } from "./stream-window.ts";

export interface ChannelOptions {
  /** The client opens streams, the device answers. */
  readonly role: "client" | "device";
  /** Keys of what we send and of what we receive, as Split() of the handshake gave them, not used before. */
  readonly send: Aead;
  readonly receive: Aead;
  /** `earlyWindow` and `streams` are the device's, on both sides; the windows are our own. */
  readonly limits: ChannelLimits;
}

/**
 * The streams of one session on one path: bytes of the peer and commands of the owner in, events and bytes for the
 * peer out. docs/protocol.md, "Records and streams", has the rules.
 *
 * Both sides begin with CONFIRM: the client's lies in {@link takeOutput} from the start, the device's once it has
 * verified the client's. A client may open and send without waiting, up to FIRST_FLIGHT_BYTES in all.
 *
 * A command for a stream that is gone does nothing, and so does every command once the channel is over, because the
 * peer may always have been faster. A command that no order of events can explain is a bug and throws.
 */
export class Channel {
  readonly #role: "client" | "device";
  readonly #sealer: RecordSealer;
  readonly #opener: RecordOpener;
  readonly #earlyWindow: number;
  readonly #streamsAtOnce: number;
  readonly #budget: WindowBudget;
  readonly #pings = new PingExchange();
  readonly #streams = new Map<number, StreamState>();
  #newestStream = 0;
  #confirmed = false;
  #over = false;
  #firstFlightBytes = 0;
  #output: Uint8Array[] = [];

  constructor(options: ChannelOptions) {
    this.#role = options.role;
    this.#sealer = new RecordSealer(options.send);
    this.#opener = new RecordOpener(options.receive);
    this.#earlyWindow = options.limits.earlyWindow;
    this.#streamsAtOnce = Math.min(options.limits.streams, STREAMS);
    this.#budget = new WindowBudget(options.limits);
    if (this.#role === "client") this.#emit({ type: "confirm", next: 0 });
  }

  /** The bytes for the peer since the last call, in pieces. */
  takeOutput(): readonly Uint8Array[] {
    const output = this.#output;
    if (output.length > 0) this.#output = [];
    return output;
  }

  /** When our PING was sent that has no answer yet, in the owner's milliseconds. */
  get pingUnansweredSince(): number | undefined {
    return this.#pings.unansweredSince;
  }

  /** Takes bytes of the peer, cut anywhere. @param now milliseconds of any clock that does not run backwards. */
  receive(chunk: Uint8Array, now: number): ChannelEvent[] {
    const events: ChannelEvent[] = [];
    if (this.#over) return events;
    try {
      this.#opener.push(chunk);
      while (!this.#over) {
        const plaintext = this.#opener.next();
        if (plaintext === undefined) break;
        this.#handle(parseRecord(plaintext), now, events);
      }
    } catch (error) {
      if (!(error instanceof PeerError)) {
        this.#over = true;
        throw error;
      }
      this.close("protocol-error");
      events.push({ type: "failed", error });
    }
    return events;
  }

  /** Says that the peer's bytes have ended. */
  pathEnded(): ChannelEvent[] {
    if (this.#over) return [];
    this.#over = true;
    return [{ type: "truncated" }];
  }

  /** Whether {@link open} would give a stream now. */
  get hasRoom(): boolean {
    return !this.#over && this.#streams.size < this.#streamsAtOnce && this.#firstFlightRoom > 0;
  }

  /**
   * Asks for a stream (client only) and returns its number; undefined when there are as many as there may be, when the
   * first flight is full, or when the channel is over. Data may follow at once.
   */
  open(service: string): number | undefined {
    assert(this.#role === "client", "the client opens streams");
    if (!this.hasRoom) return undefined;
    const number = this.#newestStream + 1;
    const window = this.#budget.take();
    this.#newestStream = number;
    this.#streams.set(number, StreamState.opener(number, window, this.#earlyWindow));
    this.#emit({ type: "open", stream: number, window, service });
    return number;
  }

  /** Answers an `open-requested` with yes (device only). */
  accept(number: number): void {
    const stream = this.#live(number);
    if (stream === undefined) return;
    assert(this.#role === "device" && !stream.opened, "the device accepts a stream once");
    const window = this.#budget.take();
    stream.sentOpened(window);
    this.#emit({ type: "opened", stream: number, window });
  }

  /** Sends as many of `bytes` as may be sent now, and returns how many. A `window-grown` or `opened` says when to go on. */
  send(number: number, bytes: Uint8Array): number {
    const stream = this.#live(number);
    if (stream === undefined) return 0;
    let sent = 0;
    while (sent < bytes.length) {
      const length = Math.min(bytes.length - sent, DATA_BYTES, stream.sendable, this.#firstFlightRoom);
      if (length <= 0) break;
      stream.sent(length);
      this.#emit({ type: "data", stream: number, bytes: bytes.subarray(sent, sent + length) });
      sent += length;
    }
    return sent;
  }

  /** Says that `length` bytes of `data` events need no more room, so that the peer may send others. */
  consumed(number: number, length: number): void {
    const stream = this.#live(number);
    if (stream === undefined) return;
    stream.window.consume(length);
    this.#finishWhenDone(stream);
    if (!stream.opened || stream.endReceived) return;
    const credit = stream.window.takeCredit();
    if (credit > 0) this.#emit({ type: "window", stream: number, credit });
  }

  /** Ends our direction of a stream, once. */
  end(number: number): void {
    const stream = this.#live(number);
    if (stream === undefined || stream.endSent) return;
    assert(stream.endable, "a stream is accepted before it ends");
    stream.sentEnd();
    this.#emit({ type: "end", stream: number });
    this.#finishWhenDone(stream);
  }

  /** Breaks a stream off, or answers an `open-requested` with no. */
  reset(number: number, code: BreakCode): void {
    const stream = this.#live(number);
    if (stream !== undefined) this.#sendReset(stream, code);
  }

  /** Sends a PING unless one is unanswered or the last was just now; says whether it did. */
  ping(now: number): boolean {
    if (this.#over || !this.#confirmed) return false;
    const value = this.#pings.next(now);
    if (value === undefined) return false;
    this.#emit({ type: "ping", value });
    return true;
  }

  /** Closes the channel with all its streams. */
  close(code: CloseCode): void {
    if (this.#over) return;
    this.#over = true;
    // A device seals nothing for a peer that has proved nothing.
    if ((this.#role === "client" || this.#confirmed) && !this.#sealer.spent) this.#emit({ type: "close", code });
  }

  #handle(record: ChannelRecord, now: number, events: ChannelEvent[]): void {
    if (record.type === "confirm" || !this.#confirmed) {
      this.#handleConfirm(record);
      events.push({ type: "confirmed" });
      return;
    }
    switch (record.type) {
      case "open":
        this.#handleOpen(record.stream, record.window);
        events.push({ type: "open-requested", stream: record.stream, service: record.service });
        return;
      case "ping":
        this.#pings.receivePing(now);
        this.#emit({ type: "pong", value: record.value });
        return;
      case "pong":
        events.push({ type: "pong", roundTripMs: this.#pings.receivePong(record.value, now) });
        return;
      case "close":
        this.#over = true;
        events.push({ type: "closed", code: record.code });
        return;
      default:
        this.#handleOnStream(record, events);
    }
  }

  #handleConfirm(record: ChannelRecord): void {
    if (record.type !== "confirm" || record.next !== 0 || this.#confirmed) {
      throw new PeerError("E_PROTOCOL", "the first record, and no other, is CONFIRM");
    }
    this.#confirmed = true;
    if (this.#role === "device") this.#emit({ type: "confirm", next: 0 });
  }

  #handleOpen(number: number, window: number): void {
    if (this.#role !== "device" || number <= this.#newestStream || this.#streams.size >= this.#streamsAtOnce) {
      throw new PeerError("E_PROTOCOL", "OPEN where none may come");
    }
    this.#newestStream = number;
    this.#streams.set(number, StreamState.answerer(number, window, this.#earlyWindow));
  }

  #handleOnStream(record: StreamRecord, events: ChannelEvent[]): void {
    const stream = this.#streams.get(record.stream);
    if (stream === undefined || stream.resetReceived) {
      throw new PeerError("E_PROTOCOL", "a record for a stream that is not there");
    }
    const broken = isBreak(stream.resetSent);
    switch (record.type) {
      case "opened":
        stream.receiveOpened(record.window);
        if (!broken) events.push({ type: "opened", stream: record.stream });
        return;
      case "data":
        stream.receiveData(record.bytes.length);
        if (!broken) events.push(record);
        return;
      case "window":
        stream.receiveWindow(record.credit);
        if (!broken && !stream.endSent) events.push({ type: "window-grown", stream: record.stream });
        return;
      case "end":
        stream.receiveEnd();
        if (!broken) events.push({ type: "ended", stream: record.stream });
        this.#finishWhenDone(stream);
        return;
      case "reset":
        stream.receiveReset(record.code);
        if (record.code !== "finished" && stream.resetSent === undefined) this.#sendReset(stream, "acknowledged");
        this.#removeWhenGone(stream);
        if (!broken && isBreak(record.code)) {
          events.push({ type: "reset", stream: record.stream, code: record.code });
        }
    }
  }

  #finishWhenDone(stream: StreamState): void {
    if (stream.finishable) this.#sendReset(stream, "finished");
  }

  #sendReset(stream: StreamState, code: ResetCode): void {
    stream.sentReset(code);
    this.#emit({ type: "reset", stream: stream.number, code });
    this.#removeWhenGone(stream);
  }

  #removeWhenGone(stream: StreamState): void {
    if (stream.resetSent === undefined || !stream.resetReceived) return;
    if (this.#streams.delete(stream.number) && stream.window.size > 0) this.#budget.giveBack(stream.window.size);
  }

  /** The stream, unless it is gone or we have sent our last record on it. */
  #live(number: number): StreamState | undefined {
    assert(number <= this.#newestStream, "a stream is known before it is used");
    const stream = this.#streams.get(number);
    return this.#over || stream?.resetSent !== undefined ? undefined : stream;
  }

  get #firstFlightRoom(): number {
    return this.#confirmed ? Number.POSITIVE_INFINITY : FIRST_FLIGHT_DATA_BYTES - this.#firstFlightBytes;
  }

  #emit(record: ChannelRecord): void {
    const pieces = this.#sealer.seal(record);
    for (const piece of pieces) this.#output.push(piece);
    if (this.#confirmed) return;
    for (const piece of pieces) this.#firstFlightBytes += piece.length;
  }
}

type StreamRecord = Exclude<Extract<ChannelRecord, { readonly stream: number }>, { readonly type: "open" }>;
