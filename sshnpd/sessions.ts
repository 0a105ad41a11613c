import { hex } from "../keys/bytes.ts";
import { DeniedError, type SshnpError, UnavailableError } from "../keys/errors.ts";
import { SESSIONS_AT_ONCE, UNCONFIRMED_MS, UNCONFIRMED_SESSIONS } from "../protocol/limits.ts";
import { dialLeg } from "../rendezvous/client.ts";
import type { OwnDistances } from "./own-distances.ts";
import { logError } from "./log.ts";
import type { DeviceAccess } from "./device-access.ts";
import type { GrantedSession } from "./requests.ts";
import { SessionAccess } from "./session-access.ts";
import { endFields } from "./session-end.ts";
import { serveSession, type SessionServices } from "./session.ts";
import type { LinkParty } from "../protocol/messages/link.ts";
import type { PeerClaim } from "../protocol/peers.ts";
import { type Binding, bindingSubject } from "../protocol/statements.ts";

export interface SessionsOptions extends SessionServices {
  readonly access: DeviceAccess;
  /** Whether rendezvous at private addresses are dialled: only a directory that is at one itself may name them. */
  readonly allowPrivate: () => boolean;
  readonly distances?: Pick<OwnDistances, "measure">;
  /** Told of the clients that have proved themselves and have sessions, all of them, when they become others. */
  readonly onClients: (clients: readonly LinkParty[]) => void;
}

/** A session from its grant to its end. */
interface Running {
  readonly granted: GrantedSession;
  readonly revoked: AbortController;
  readonly access: SessionAccess;
  isConfirmed: boolean;
}

/** The sessions of this daemon. They live on their own legs, whatever becomes of the link to the directory. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #running = new Map<Running, Promise<void>>();
  readonly #stop = new AbortController();
  /** Those whose client has not proved itself yet, the oldest first. */
  readonly #unconfirmed = new Set<Unconfirmed>();
  #confirmed = 0;
  /** Whether the device itself is revoked, or bound otherwise, as far as it knows. */
  #isRevoked = false;
  /** The clients that were told last. */
  #told = "";

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Whether one more may be begun. Those whose client has proved nothing do not stand in its way. */
  get hasRoom(): boolean {
    return this.#confirmed < SESSIONS_AT_ONCE;
  }

  /** Those whose client has proved itself. */
  get confirmed(): number {
    return this.#confirmed;
  }

  get count(): number {
    return this.#running.size;
  }

  /**
   * Dials the rendezvous and serves the session there. Returns at once; how it went is logged. Where too many wait for
   * their client's proof, the client of whom most wait makes room, this one counted, with the one that has waited longest:
   * whoever asks without end and proves nothing, such as a directory in a client's name, can neither shut the others out nor
   * push out what they have begun.
   */
  begin(session: GrantedSession): void {
    const isFull = (): boolean =>
      this.#unconfirmed.size >= UNCONFIRMED_SESSIONS || this.#confirmed + this.#unconfirmed.size >= SESSIONS_AT_ONCE;
    while (this.#unconfirmed.size > 0 && isFull()) whoMakesRoom(this.#unconfirmed, session)?.giveUp(madeRoom());
    const revoked = new AbortController();
    const log = this.#options.log.child(aboutOf(session));
    const access = new SessionAccess(session, this.#options.access, log, () => revoked.abort());
    const running: Running = { granted: session, revoked, access, isConfirmed: false };
    const ended = this.#run(running).finally(() => this.#running.delete(running));
    this.#running.set(running, ended);
    if (this.#isRevoked) revoked.abort(); // it was asked for before that was known
  }

  /** Clients that have proved themselves and have sessions. */
  get clients(): LinkParty[] {
    const clients = new Map<string, LinkParty>();
    for (const { granted, isConfirmed } of this.#running.keys()) {
      const { name, member } = granted.claim;
      if (isConfirmed) clients.set(bindingSubject({ name, member }), { name, member });
    }
    return [...clients.values()];
  }

  /** Ends all sessions of a client. */
  revoke({ name, member }: LinkParty): void {
    this.#revokeWhere(({ claim }) => claim.name === name && claim.member === member);
  }

  /** Ends the sessions of a client that were begun with another key than its own of now; the others go on until its binding ends. */
  keepOf({ name, member }: LinkParty, { x25519, expires }: Pick<Binding, "x25519" | "expires">): void {
    for (const { granted, revoked, access } of this.#running.keys()) {
      if (granted.claim.name !== name || granted.claim.member !== member) continue;
      if (granted.clientKey.equals(x25519)) void access.rebound(expires);
      else revoked.abort();
    }
  }

  /** Ends all sessions, because the device itself is revoked, and any that begins until {@link restore}. */
  revokeAll(): void {
    this.#isRevoked = true;
    this.#revokeWhere(() => true);
  }

  /** The device is itself again. */
  restore(): void {
    this.#isRevoked = false;
  }

  /** Ends the sessions, and streams in them, that the rules of now do not grant. */
  async recheck(): Promise<void> {
    await Promise.all([...this.#running.keys()].map(({ access }) => access.recheck()));
  }

  #revokeWhere(matches: (granted: GrantedSession) => boolean): void {
    for (const { granted, revoked } of this.#running.keys()) if (matches(granted)) revoked.abort();
  }

  /** Tells all clients that the device is going away, and resolves when they are gone. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running.values());
  }

  async #run(running: Running): Promise<void> {
    const { granted: session, revoked, access } = running;
    const { claim } = session;
    const log = this.#options.log.child(aboutOf(session));
    const began = performance.now();
    const unconfirmed: Unconfirmed = new Unconfirmed(claim, () => this.#unconfirmed.delete(unconfirmed));
    this.#unconfirmed.add(unconfirmed);
    const signal = AbortSignal.any([this.#stop.signal, unconfirmed.signal]);
    const giveUp = (): void => unconfirmed.giveUp(notAnyMore());
    revoked.signal.addEventListener("abort", giveUp, { once: true });
    void access.recheck(); // its grant may have an end, or be gone since
    try {
      const leg = await this.#dial(session, signal);
      this.#options.distances?.measure(session.ticket.entries, leg, this.#stop.signal);
      try {
        await leg.joined;
        log.debug("leg joined");
        const services = { ...this.#options, log };
        const onConfirmed = (): void => {
          unconfirmed.end();
          running.isConfirmed = true;
          this.#confirmed++;
          this.#tellClients();
          this.#options.observer?.confirmed(performance.now() - began);
          log.info("session confirmed");
        };
        const { end, counts } = await serveSession(leg.socket, session, services, {
          ...{ signal, access, onConfirmed },
          revoked: revoked.signal,
        });
        unconfirmed.signal.throwIfAborted();
        const seconds = Math.round(performance.now() - began) / 1000;
        const fields = endFields(end);
        this.#options.observer?.ended(fields.end);
        log.info({ ...counts, seconds, ...fields }, "session ended");
      } finally {
        leg.socket.destroy();
      }
    } catch (error) {
      this.#options.observer?.ended("given up");
      if (!this.#stop.signal.aborted) logError(log, error, "session given up");
    } finally {
      access.close();
      unconfirmed.end();
      if (running.isConfirmed) {
        running.isConfirmed = false;
        this.#confirmed--;
        this.#tellClients();
      }
    }
  }

  #tellClients(): void {
    const { clients } = this;
    const told = clients.map(bindingSubject).toSorted().join();
    if (told === this.#told) return;
    this.#told = told;
    this.#options.onClients(clients);
  }

  async #dial(session: GrantedSession, signal: AbortSignal): ReturnType<typeof dialLeg> {
    let dials = 0;
    return await dialLeg({
      suite: this.#options.suite,
      ticket: session.ticketBytes,
      entries: session.ticket.entries,
      sid: session.sid,
      legKey: session.legKey,
      role: "device",
      nextDial: () => ++dials,
      allowPrivate: this.#options.allowPrivate(),
      warn: (text) => this.#options.log.debug(text),
      signal,
    });
  }
}

function aboutOf({ sid, claim }: GrantedSession): object {
  return { sid: hex(sid), client: claim.name, member: claim.member };
}

interface Claimed {
  readonly claim: Pick<PeerClaim, "name" | "member">;
}

/**
 * Whichever of `waiting`, the oldest first, is to be given up for `newest`: of the name of which most wait, of its member of
 * which most wait, the oldest. A name can have any number of members made, so that they do not count as others.
 */
export function whoMakesRoom<Session extends Claimed>(
  waiting: Iterable<Session>,
  newest: Claimed,
): Session | undefined {
  const all = [...waiting];
  const ofName = most(all, newest, ({ claim }) => claim.name);
  return most(ofName, newest, ({ claim }) => `${claim.member}${claim.name}`)[0];
}

/** Those of `waiting` that share the key that most have, `newest` counted; of keys that as many have the one that comes first. */
function most<Session extends Claimed>(
  waiting: readonly Session[],
  newest: Claimed,
  key: (one: Claimed) => string,
): Session[] {
  const counts = new Map<string, number>();
  for (const one of [...waiting, newest]) counts.set(key(one), (counts.get(key(one)) ?? 0) + 1);
  const highest = Math.max(...waiting.map((one) => counts.get(key(one)) ?? 0));
  const first = waiting.find((one) => counts.get(key(one)) === highest);
  return waiting.filter((one) => first !== undefined && key(one) === key(first));
}

/** The time that a session has to prove that its client is the true one. */
class Unconfirmed implements Claimed {
  readonly claim: PeerClaim;
  readonly #controller = new AbortController();
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined = setTimeout(() => this.#controller.abort(notInTime()), UNCONFIRMED_MS);

  constructor(claim: PeerClaim, onEnd: () => void) {
    this.claim = claim;
    this.#onEnd = onEnd;
  }

  /** Aborted when the time is over. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the wait, and so the session; of one whose client has proved itself there is nothing to give up. */
  giveUp(reason: SshnpError): void {
    if (this.#timer === undefined) return;
    this.#controller.abort(reason);
    this.end();
  }

  /** Stops the clock; once. */
  end(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#onEnd();
  }
}

function madeRoom(): UnavailableError {
  return new UnavailableError("E_BUSY", "The client had not proved itself when too many others came.");
}

function notAnyMore(): DeniedError {
  return new DeniedError(
    "E_REVOKED",
    "The client or the device was revoked, has other keys, or is granted no more, before the proof came.",
  );
}

function notInTime(): UnavailableError {
  return new UnavailableError("E_TIMEOUT", "The client did not prove itself in time.");
}
