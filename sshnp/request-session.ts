import { setTimeout as delay } from "node:timers/promises";
import { equalBytes } from "../keys/bytes.ts";
import { PeerError, type SshnpError, UnavailableError } from "../keys/errors.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import { AskAgainError, type DirectoryClient, refusalError } from "../directory/client.ts";
import { ANSWER_MS, CONNECT_TOLD_TO_WAIT_MS, REPOST_MS, WITHDRAW_MS } from "../protocol/limits.ts";
import type { MemberStatements } from "../protocol/member-statements.ts";
import type { Frame } from "../protocol/messages/response-frames.ts";
import { encodeSessionRequest, encodeWithdraw } from "../protocol/messages/session-request.ts";
import type { Distances } from "../protocol/messages/rendezvous-distances.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import type { Attempt } from "./attempt.ts";
import type { Progress } from "./progress.ts";
import { directoryRefusal, lastSeen, unsealedRefusal } from "./refusal-texts.ts";

/** One request for a session, and whom it is for. */
export interface RequestedSession {
  readonly attempt: Attempt;
  readonly sid: Uint8Array;
  readonly prologue: Uint8Array;
  /** Empty: a look-up. */
  readonly message1: Uint8Array;
  readonly waitSeconds: number;
  readonly distances?: Distances;
}

export type RequestOutcome =
  | { readonly kind: "answered"; readonly message2: Uint8Array; readonly ticket: Uint8Array }
  | StatementsOutcome;

/** The newest statements on the device or on the client itself, to be asked with again. */
export interface StatementsOutcome {
  readonly kind: "statements";
  readonly of: "device" | "client";
  readonly statements: MemberStatements;
  /** A log proof of them, encoded. */
  readonly proof: Uint8Array;
}

export interface TicketFrame {
  readonly ticket: Uint8Array;
  readonly rendezvous: readonly SignedText[];
  /** A log proof, encoded. */
  readonly proof: Uint8Array;
}

/**
 * Asks the directory for a session, waits for the device if that is asked for, and returns its answer. `onTicket` is
 * called once, as soon as there is a ticket. While it waits, a lost connection is made anew with the same request; when
 * `signal` ends the wait, the request is withdrawn. A directory that has too much to do and says when to come back is asked again then,
 * for CONNECT_TOLD_TO_WAIT_MS in all.
 * @throws the refusal, in words of {@link directoryRefusal}; what DirectoryClient throws; the signal's reason.
 */
export async function requestSession(
  directory: DirectoryClient,
  sender: X25519PrivateKey,
  session: RequestedSession,
  surroundings: {
    readonly signal: AbortSignal;
    readonly progress: Progress;
    readonly onTicket: (frame: TicketFrame) => Promise<void>;
  },
): Promise<RequestOutcome> {
  const request = new SessionRequestExchange(directory, sender, session, surroundings);
  try {
    return await request.run();
  } catch (error) {
    if (surroundings.signal.aborted && request.waiting) await withdraw(directory, sender, session.sid);
    throw error;
  }
}

class SessionRequestExchange {
  readonly #directory: DirectoryClient;
  readonly #sender: X25519PrivateKey;
  readonly #session: RequestedSession;
  readonly #surroundings: Parameters<typeof requestSession>[3];
  #ticket: Uint8Array | undefined;
  #waiting = false;
  /** In how many ms a refusal says that it may be asked again; 0: it says nothing. */
  #toldMs = 0;

  constructor(...[directory, sender, session, surroundings]: Parameters<typeof requestSession>) {
    this.#directory = directory;
    this.#sender = sender;
    this.#session = session;
    this.#surroundings = surroundings;
  }

  /** Whether the directory keeps the request for an absent device. */
  get waiting(): boolean {
    return this.#waiting;
  }

  async run(): Promise<RequestOutcome> {
    const { waitSeconds } = this.#session;
    const { signal, progress } = this.#surroundings;
    const deadline = performance.now() + waitSeconds * 1000;
    for (let told = 0; ; ) {
      const secondsLeft = Math.max(0, Math.ceil((deadline - performance.now()) / 1000));
      try {
        return await this.#post(waitSeconds === 0 ? 0 : Math.max(1, secondsLeft));
      } catch (error) {
        const wait = this.#takeToldMs(error);
        told += wait;
        if (wait > 0 && told <= CONNECT_TOLD_TO_WAIT_MS) {
          progress.note(`the directory has too much to do; asking again in ${Math.ceil(wait / 1000)} s`);
          await delay(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
          continue;
        }
        const lost = error instanceof UnavailableError && error.code === "E_DIRECTORY";
        if (!lost || !this.#waiting || secondsLeft === 0) throw error;
        progress.step(`the wait was interrupted (${error.message}); asking again`);
        await delay(REPOST_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  async #post(waitSeconds: number): Promise<RequestOutcome> {
    const { prologue: prologueBytes, message1, distances = new Map() } = this.#session;
    const { signal: patience } = this.#surroundings;
    await this.#directory.keyList({ signal: patience }); // the checkpoint seen before is signed with a key in it
    const { checkpointSize } = this.#directory;
    const body = encodeSessionRequest({ prologueBytes, message1, waitSeconds, checkpointSize, distances });
    // However often the directory says that it is still there, an answer has its time.
    const deadline = new Deadline(waitSeconds * 1000 + ANSWER_MS);
    const signal = AbortSignal.any([this.#surroundings.signal, deadline.signal]);
    try {
      for await (const frame of this.#directory.send(this.#sender, { type: REQUEST.session, body }, { signal })) {
        const outcome = await this.#handle(frame);
        if (outcome !== undefined) return outcome;
        if (frame.type === "ticket") deadline.set(ANSWER_MS);
      }
    } finally {
      deadline.clear();
    }
    throw new PeerError("E_PROTOCOL", "The directory ends its answer without an answer.");
  }

  async #handle(frame: Frame): Promise<RequestOutcome | undefined> {
    const { attempt } = this.#session;
    const { progress } = this.#surroundings;
    switch (frame.type) {
      case "waiting":
        this.#wait(frame.lastSeen);
        return undefined;
      case "ticket":
        progress.step("the directory gave a ticket");
        await this.#takeTicket(frame);
        return undefined;
      case "answer":
        if (this.#ticket === undefined)
          throw new PeerError("E_PROTOCOL", "The directory gives an answer ahead of a ticket.");
        progress.step("the device answered");
        return { kind: "answered", message2: frame.message2, ticket: this.#ticket };
      case "binding":
        return { kind: "statements", of: frame.of, statements: frame.statements, proof: frame.proof };
      case "deviceCode":
        throw unsealedRefusal(attempt, frame);
      case "refused":
        if (frame.code === "E_RATE" || frame.code === "E_BUSY") this.#toldMs = frame.detail;
        throw this.#refusal(frame);
      default:
        throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
    }
  }

  #refusal(frame: Extract<Frame, { readonly type: "refused" }>): SshnpError {
    return (
      directoryRefusal(this.#session.attempt, frame, this.#directory.directoryTime) ??
      refusalError(frame.code, frame.detail)
    );
  }

  /** With a random half on top, as others may have been told the same. */
  #takeToldMs(error: unknown): number {
    const told = error instanceof AskAgainError ? error.wait : this.#toldMs;
    this.#toldMs = 0;
    return Math.ceil(told * (1 + Math.random() / 2));
  }

  #wait(since: number): void {
    if (this.#waiting) return;
    this.#waiting = true;
    const { member, name } = this.#session.attempt.device;
    const seen = lastSeen(since, this.#directory.directoryTime);
    this.#surroundings.progress.note(`waiting for ${member} of ${name}: ${seen}. Ctrl-C withdraws the request.`);
  }

  /** There is one ticket per session; repetitions bring the same bytes. */
  async #takeTicket(frame: TicketFrame): Promise<void> {
    if (this.#ticket === undefined) {
      this.#ticket = frame.ticket;
      await this.#surroundings.onTicket(frame);
    } else if (!equalBytes(this.#ticket, frame.ticket)) {
      throw new PeerError("E_PROTOCOL", "The directory gives a second ticket for one session.");
    }
  }
}

/** A time-out that can be moved. */
class Deadline {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number) {
    this.set(milliseconds);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  set(milliseconds: number): void {
    this.clear();
    this.#timer = setTimeout(() => this.#controller.abort(noAnswer()), milliseconds);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function noAnswer(): UnavailableError {
  return new UnavailableError("E_TIMEOUT", "The directory keeps the connection open and gives no answer.", {
    next: "Try again; if it stays so, whoever runs the directory should look at its log.",
  });
}

/** Tells the directory not to wait any longer; for a short while only, since somebody pressed Ctrl-C. */
async function withdraw(directory: DirectoryClient, sender: X25519PrivateKey, sid: Uint8Array): Promise<void> {
  const message = { type: REQUEST.withdraw, body: encodeWithdraw(sid) };
  try {
    await directory.request(sender, message, { signal: AbortSignal.timeout(WITHDRAW_MS) });
  } catch {
    // It is forgotten anyway, a minute after our connection has gone.
  }
}
