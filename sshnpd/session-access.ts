import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { ACCESS_LOOK_MS } from "../protocol/limits.ts";
import { isExpired } from "../protocol/statement-fields.ts";
import type { AccessDecision } from "./access.ts";
import type { DeviceAccess } from "./device-access.ts";
import { type Log, logError } from "./log.ts";
import type { GrantedSession } from "./requests.ts";

type Asked = Pick<GrantedSession, "claim" | "service" | "login" | "expires">;

/**
 * What a session may do, from its beginning to its end: it is judged by the service that it was asked for, each of its
 * streams by its own. All are judged again when their time is over, and whenever the rules may have become others.
 */
export class SessionAccess {
  readonly #session: Asked;
  readonly #access: DeviceAccess;
  readonly #log: Log;
  readonly #end: () => void;
  /** When the client's binding ends, as far as is known now. */
  #expires: number | null;
  readonly #streams = new Set<ChannelStream>();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is about, ms since 1970 UTC. */
  #until = Infinity;
  #isClosed = false;

  /** `end` is called when the session may not go on. */
  constructor(session: Asked, access: DeviceAccess, log: Log, end: () => void) {
    this.#session = session;
    this.#expires = session.expires;
    this.#access = access;
    this.#log = log;
    this.#end = end;
  }

  /** Whether a stream may be connected. If not, now or later, it is refused here. */
  async admit(stream: ChannelStream): Promise<boolean> {
    if (stream.destroyed) return false; // broken off meanwhile: nobody is left to hang up on the server
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
    this.#settle(stream, await this.#judge(stream.service));
    return !stream.destroyed;
  }

  /** The client's binding ends otherwise than when the session began. */
  async rebound(expires: number | null): Promise<void> {
    if (expires === this.#expires) return;
    this.#expires = expires;
    await this.recheck();
  }

  /** Judges the session and its streams by the rules of now. */
  async recheck(): Promise<void> {
    this.#stopTimer();
    const decision = await this.#judge(this.#session.service);
    if (this.#isClosed) return;
    if (!decision.allowed) {
      this.#log.warn({ reason: decision.reason }, "session ended: it is not granted any more");
      this.#end();
      return;
    }
    this.#lookAgain(decision.until);
    for (const service of new Set([...this.#streams].map((stream) => stream.service))) {
      const verdict = await this.#judge(service);
      for (const stream of this.#streams) if (stream.service === service) this.#settle(stream, verdict);
    }
  }

  /** Judges nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
  }

  #settle(stream: ChannelStream, decision: AccessDecision): void {
    if (stream.destroyed) return;
    if (decision.allowed) return this.#lookAgain(decision.until);
    this.#log.warn({ service: stream.service, reason: decision.reason }, "stream refused");
    stream.refuse("refused");
  }

  /** What cannot be judged is not allowed, nor what outlasts its client's binding. */
  async #judge(service: string): Promise<AccessDecision> {
    const { claim, login } = this.#session;
    const expires = this.#expires;
    if (isExpired({ expires }, this.#access.now)) {
      return { allowed: false, code: "E_STATEMENT", reason: `the binding of ${claim.member} has expired` };
    }
    try {
      const decision = await this.#access.judgeAgain(claim, { service, login });
      if (!decision.allowed || expires === null) return decision;
      return { allowed: true, until: Math.min(decision.until ?? Infinity, expires) };
    } catch (error) {
      logError(this.#log, error, "access cannot be judged");
      return { allowed: false, code: "E_STORAGE", reason: "the device cannot judge it" };
    }
  }

  /** The wall clock may be set meanwhile, and a timer has an end: so it is looked at now and then. */
  #lookAgain(until: number | undefined): void {
    if (until === undefined || until >= this.#until || this.#isClosed) return;
    this.#stopTimer();
    this.#until = until;
    const wait = Math.min(Math.max(until - this.#access.now, 1), ACCESS_LOOK_MS);
    this.#timer = setTimeout(() => void this.recheck(), wait);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#until = Infinity;
  }
}
