import { DeniedError, SecurityError, SetupError, SshnpError } from "../../keys/errors.ts";
import { FORWARD_BACK_FIRST_MS, FORWARD_BACK_MS, FORWARD_LASTED_MS, SERVICE_DENIED_MS } from "../../protocol/limits.ts";
import type { Session } from "../session.ts";
import { withSignal } from "./with-signal.ts";

export interface LastingSessionOptions {
  /** Makes a session for this service; `isLost`: there was one before. */
  readonly connect: (service: string, how: { readonly isLost: boolean }) => Promise<Session>;
  /** What is wanted, which decides what a session is asked for; none: what the first connection wants. */
  readonly services: readonly string[];
  /** Whether a session that is lost is made anew. */
  readonly keepAlive: boolean;
  readonly onUp: () => void;
  readonly onBack: () => void;
  readonly onLost: (error: SshnpError, session: Session) => void;
  /** A session is not granted for this service, and was for another one. */
  readonly onDenied: (service: string, error: SshnpError) => void;
  /** What stands for an end in good order that was not ours. */
  readonly endedByDevice: (session: Session) => SshnpError;
  /** ms that never run backwards; a wait; a number from 0 to below 1. */
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<void>;
  readonly random: () => number;
}

/** The session of a forward, and after it, where that is wanted, the next one. */
export class LastingSession {
  /** Settles when there is no session and will be none: with the reason, or undefined after {@link close}. */
  readonly over: Promise<unknown>;
  readonly #options: LastingSessionOptions;
  #services: readonly string[];
  #session: Session | undefined;
  #making: Promise<void> | undefined;
  #isOver = false;
  #reason: Error = new SetupError("E_INTERRUPTED", "Ended.");
  #resolveOver: (reason: unknown) => void = () => {};
  /** Denials of a session for one service, and until when they count. */
  readonly #denied = new Map<string, { readonly error: unknown; readonly until: number }>();
  /** In a row, of sessions that did not come about or did not last. */
  #failures = 0;

  constructor(options: LastingSessionOptions) {
    this.#options = options;
    this.#services = options.services;
    this.over = new Promise((resolve) => (this.#resolveOver = resolve));
  }

  /** Makes the first session, unless nobody can say yet what for. @throws what connecting throws. */
  async begin(): Promise<void> {
    if (this.#services.length === 0) return;
    this.#making = this.#make(this.#services, { isLost: false }).finally(() => (this.#making = undefined));
    await this.#making;
  }

  /**
   * The session, when there is one. `service`: what somebody wants of it. `signal` ends the wait, not the session.
   * @throws the signal's reason; why there is none, and for this service will be none.
   */
  async current(service: string, signal: AbortSignal): Promise<Session> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#isOver) throw this.#reason;
      if (this.#session !== undefined) return this.#session;
      const denial = this.#denied.get(service);
      if (denial !== undefined && this.#options.now() < denial.until) throw denial.error;
      this.#denied.delete(service);
      this.#making ??= this.#makeFor(service).finally(() => (this.#making = undefined));
      await withSignal(this.#making, signal);
    }
  }

  /** Says farewell to the device, within LINGER_MS. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#end(undefined);
    await session?.close();
  }

  /** Of what nobody had asked for before. What fails is kept for whoever asked. */
  async #makeFor(service: string): Promise<void> {
    try {
      await this.#make([service], { isLost: false });
    } catch (error) {
      if (!isDenial(error) && (isFinal(error) || !this.#options.keepAlive)) return this.#end(error);
      if (this.#denied.size >= MOST_DENIALS) this.#denied.clear();
      this.#denied.set(service, { error, until: this.#options.now() + SERVICE_DENIED_MS });
    }
  }

  /** Makes a session for the first of these that one is granted for. */
  async #make(services: readonly string[], how: { readonly isLost: boolean }): Promise<void> {
    const denials: [string, SshnpError][] = [];
    for (const service of services) {
      try {
        const session = await this.#options.connect(service, how);
        if (this.#isOver) return await session.close();
        for (const [denied, error] of denials) this.#options.onDenied(denied, error);
        this.#services = services;
        this.#session = session;
        this.#options.onUp();
        void this.#watch(session);
        return;
      } catch (error) {
        if (!isDenial(error)) throw error;
        denials.push([service, error]);
      }
    }
    throw denials[0]?.[1] ?? new Error("a session is asked for by something");
  }

  /** From when it stands to when it is lost. */
  async #watch(session: Session): Promise<void> {
    const { now, endedByDevice } = this.#options;
    const since = now();
    const error = await session.ended;
    if (this.#isOver) return;
    this.#session = undefined;
    this.#failures = now() - since >= FORWARD_LASTED_MS ? 0 : this.#failures + 1;
    this.#lost(error ?? endedByDevice(session), session);
  }

  #lost(error: SshnpError, session: Session): void {
    const { keepAlive, onLost: tell } = this.#options;
    // One of several services may have been taken away, and the session with it that was asked for by it.
    const mayBeOthers = error.code === "E_NOT_AUTHORIZED" && this.#services.length > 1;
    if (!keepAlive && !mayBeOthers) return this.#end(error);
    tell(error, session);
    this.#remake();
  }

  #remake(): void {
    this.#making = this.#makeAnew().finally(() => (this.#making = undefined));
  }

  async #makeAnew(): Promise<void> {
    const { wait, random, onBack, services } = this.#options;
    while (!this.#isOver) {
      if (this.#failures > 0)
        await wait(random() * Math.min(FORWARD_BACK_MS, FORWARD_BACK_FIRST_MS * 2 ** (this.#failures - 1)));
      if (this.#isOver) return;
      try {
        await this.#make(this.#services, { isLost: true });
        if (!this.#isOver) onBack();
        return;
      } catch (error) {
        if (this.#isOver) return;
        // Without services of its own, the next connection may want something else.
        if (services.length === 0 && isDenial(error)) return;
        if (isFinal(error)) return this.#end(error);
        this.#failures = Math.min(this.#failures + 1, 16);
      }
    }
  }

  #end(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (reason instanceof Error) this.#reason = reason;
    this.#session = undefined;
    this.#resolveOver(reason);
  }
}

const MOST_DENIALS = 1_000;

/** A session is not granted for that service; for another one it may be. */
function isDenial(error: unknown): error is SshnpError {
  return error instanceof SshnpError && (error.code === "E_POLICY" || error.code === "E_DEVICE_REFUSED");
}

/** No further try helps: somebody has to do something first. */
function isFinal(error: unknown): boolean {
  return (
    !(error instanceof SshnpError) ||
    error instanceof DeniedError ||
    error instanceof SecurityError ||
    error instanceof SetupError
  );
}
