import { assert, PeerError } from "../../keys/errors.ts";
import { CREDIT_BYTES } from "../limits.ts";
import type { BreakCode, ResetCode } from "./end-codes.ts";
import { ReceiveWindow } from "./stream-window.ts";

/**
 * Which records of one stream may come and go, and how much data.
 *
 * RESET is the last record that each side sends on a stream, and the stream is gone once each side has sent one.
 * Since records keep their order, a side that has sent RESET knows exactly what may still arrive: whatever the peer was
 * allowed to send anyway, up to the peer's own RESET. Until then it is checked like everything else and thrown away.
 *
 * Every `receive...` throws {PeerError} E_PROTOCOL when the record is not allowed.
 */
export class StreamState {
  readonly number: number;
  readonly #role: "opener" | "answerer";
  readonly window: ReceiveWindow;
  #opened = false;
  #credit: number;
  #endSent = false;
  #endReceived = false;
  #resetSent: ResetCode | undefined;
  #resetReceived = false;

  private constructor(number: number, role: "opener" | "answerer", window: ReceiveWindow, credit: number) {
    this.number = number;
    this.#role = role;
    this.window = window;
    this.#credit = credit;
  }

  /** A stream we open, granting `window` bytes and sending up to `earlyWindow` bytes ahead of OPENED. */
  static opener(number: number, window: number, earlyWindow: number): StreamState {
    const receiveWindow = new ReceiveWindow(0);
    receiveWindow.grant(window);
    return new StreamState(number, "opener", receiveWindow, earlyWindow);
  }

  /** A stream the peer opens with `credit` bytes for us, sending up to `earlyWindow` bytes ahead of OPENED. */
  static answerer(number: number, credit: number, earlyWindow: number): StreamState {
    return new StreamState(number, "answerer", new ReceiveWindow(earlyWindow), credit);
  }

  /** Whether OPENED was exchanged. */
  get opened(): boolean {
    return this.#opened;
  }

  get endSent(): boolean {
    return this.#endSent;
  }

  get endReceived(): boolean {
    return this.#endReceived;
  }

  /** The RESET we sent. */
  get resetSent(): ResetCode | undefined {
    return this.#resetSent;
  }

  /** Whether both directions have ended and nothing received is left to consume, so that RESET(finished) is due. */
  get finishable(): boolean {
    return this.#endSent && this.#endReceived && this.window.unconsumed === 0 && this.#resetSent === undefined;
  }

  get resetReceived(): boolean {
    return this.#resetReceived;
  }

  /** Bytes we may send now. */
  get sendable(): number {
    return this.endable ? this.#credit : 0;
  }

  /** Whether our direction is open, so that we may send END. */
  get endable(): boolean {
    return this.#maySend && !this.#endSent && this.#resetSent === undefined;
  }

  sent(length: number): void {
    assert(length <= this.sendable, "data is sent within its credit");
    this.#credit -= length;
  }

  sentOpened(window: number): void {
    this.window.grant(window);
    this.#opened = true;
  }

  sentEnd(): void {
    this.#endSent = true;
  }

  sentReset(code: ResetCode): void {
    assert(this.#resetSent === undefined, "RESET is sent once");
    this.#resetSent = code;
  }

  receiveOpened(window: number): void {
    demand(this.#role === "opener" && !this.#opened, "OPENED without a stream waiting for it");
    this.#opened = true;
    this.#addCredit(window);
  }

  receiveData(length: number): void {
    demand(this.#peerMaySend && !this.#endReceived, "DATA where none may come");
    this.window.receive(length);
  }

  receiveWindow(credit: number): void {
    demand(this.#opened, "WINDOW ahead of OPENED");
    this.#addCredit(credit);
  }

  receiveEnd(): void {
    demand(this.#peerMaySend && !this.#endReceived, "END where none may come");
    this.#endReceived = true;
  }

  receiveReset(code: ResetCode): void {
    if (code === "finished") demand(this.#endSent && this.#endReceived, "RESET(finished) ahead of both ENDs");
    if (code === "acknowledged") demand(isBreak(this.#resetSent), "RESET(acknowledged) without a RESET");
    this.#resetReceived = true;
  }

  get #maySend(): boolean {
    return this.#role === "opener" || this.#opened;
  }

  get #peerMaySend(): boolean {
    return this.#role === "answerer" || this.#opened;
  }

  #addCredit(credit: number): void {
    this.#credit += credit;
    demand(this.#credit <= CREDIT_BYTES, "credit grows beyond its limit");
  }
}

/** Whether such a RESET breaks a stream off. */
export function isBreak(code: ResetCode | undefined): code is BreakCode {
  return code !== undefined && code !== "finished" && code !== "acknowledged";
}

function demand(allowed: boolean, violation: string): void {
  if (!allowed) throw new PeerError("E_PROTOCOL", violation);
}
