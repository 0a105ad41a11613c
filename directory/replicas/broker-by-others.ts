import { hex } from "../../keys/bytes.ts";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { BROKER_ANSWER_MS, REPLICA_BROKER_MS, REPLICA_RENEW_MS, REPLICA_TELL_MS } from "../../protocol/limits.ts";
import { parsePrologue } from "../../protocol/messages/prologue.ts";
import type { Distances } from "../../protocol/messages/rendezvous-distances.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import type { Clock } from "../clock.ts";
import type { Party, PresentDevice, UnprovedNotify } from "../presence.ts";
import type { Askers } from "./askers.ts";
import type { Leases } from "./leases.ts";
import type { ReplicaMessage } from "./messages.ts";

interface Services {
  /** Of this process, 16 bytes. */
  readonly id: Uint8Array;
  readonly random: RandomBytes;
  readonly clock: Pick<Clock, "monotonic">;
  readonly leases: Leases;
  readonly askers: Askers;
  readonly send: (to: string, message: ReplicaMessage) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/** What of this process is at the MQTT broker. */
export interface BrokerHost {
  /** A device that waits there; undefined where this process has no connection. */
  atBroker(device: Party): PresentDevice | undefined;
  /** Asks it to say hello; false where this process has no connection. @throws {UnavailableError} E_STORAGE, E_BUSY, E_DIRECTORY. */
  probe(device: Party): Promise<boolean>;
  /** Tells devices there whom new statements on these subjects concern; false where this process has no connection. @throws {UnavailableError}. */
  tell(subjects: readonly string[]): Promise<boolean>;
  /** A device cannot be asked where it was. */
  gone(sid: Uint8Array, at?: PresentDevice): Promise<void>;
}

export type BrokerMessage = Extract<
  ReplicaMessage,
  { type: "wakeByBroker" | "probeByBroker" | "saidByBroker" | "byBroker" | "notByBroker" }
>;

/**
 * What the directories on one store say for each other at the MQTT broker: who has no connection there asks one that has, and is
 * told whether the broker has it. What a directory is asked for it does itself or not at all, so nothing goes round.
 */
export class BrokerByOthers implements Disposable {
  readonly #services: Services;
  /** Who waits for whom, by the question's id in hex; undefined: who was asked is gone, or says nothing in time. */
  readonly #waiting = new Map<string, { readonly to: string; readonly end: (isTold: boolean | undefined) => void }>();
  /** When others were last not to be had (monotonic ms). */
  readonly #failures = new Map<string, number>();
  /** When others last said no to what concerns one device, by {@link pairOf} (monotonic ms). */
  readonly #refusals = new Map<string, number>();
  #host: BrokerHost | undefined;
  #whenThere: (isNew: boolean) => void = () => {};
  #wereThere = false;
  #isOver = false;

  constructor(services: Services) {
    this.#services = services;
  }

  start(host: BrokerHost): void {
    this.#host = host;
  }

  /** Who is told, again and again, that there are others to be asked; `isNew`: where there were none before. */
  onThere(whenThere: (isNew: boolean) => void): void {
    this.#whenThere = whenThere;
  }

  /** Whether others are known that can be asked. */
  get areThere(): boolean {
    return this.#usable().length > 0;
  }

  /** Whether one can be asked for this device, after a look where there seems to be none. @throws {UnavailableError} E_STORAGE. */
  async areFound(device: Party): Promise<boolean> {
    if (this.#usable(device).length === 0) await this.#services.leases.look();
    return this.#usable(device).length > 0;
  }

  /** This process has come to the broker, or has lost it. */
  changed(): void {
    this.#services.leases.renew().catch(this.#services.failed);
  }

  /** It was heard who is there. */
  renewed(): void {
    const { leases } = this.#services;
    for (const replica of this.#failures.keys()) if (!leases.alive.has(replica)) this.#failures.delete(replica);
    for (const { to, end } of this.#waiting.values()) if (!leases.atBroker.includes(to)) end(undefined);
    for (const [pair, since] of this.#refusals) if (!this.#isPausing(since)) this.#refusals.delete(pair);
    const { areThere } = this;
    if (areThere) this.#whenThere(!this.#wereThere);
    this.#wereThere = areThere;
  }

  /** A device at the broker, asked by another; `unanswered`: it was, and has not answered. */
  device(party: Party, distances: Distances, unanswered: () => void): PresentDevice {
    let isTold = false;
    const device: PresentDevice = {
      distances,
      answerMs: BROKER_ANSWER_MS,
      notify: async (notify: UnprovedNotify) => {
        const { id: from } = this.#services;
        const message = { type: "wakeByBroker", from, device: party, notify } as const;
        try {
          if (await this.#ask((id) => ({ ...message, id }), { device: party })) isTold = true;
          else await this.#host?.gone(parsePrologue(notify.prologueBytes).sid, device);
          return true; // or it is looked for
        } catch (error) {
          this.#services.failed(error);
          return false;
        }
      },
      replace: () => {},
      unanswered: () => {
        if (isTold) unanswered();
      },
    };
    return device;
  }

  /** Has a device asked to say hello. @throws {UnavailableError} E_DIRECTORY when nobody has told it. */
  async probe(device: Party): Promise<void> {
    const { id: from } = this.#services;
    if (await this.#ask((id) => ({ type: "probeByBroker", from, id, device }), { device })) return;
    throw new UnavailableError("E_DIRECTORY", "No other directory can reach the MQTT broker.");
  }

  /** Has devices told whom new statements on these subjects concern; false when nobody has told them, as far as is known. */
  async tell(subjects: readonly string[]): Promise<boolean> {
    const { id: from } = this.#services;
    return await this.#ask((id) => ({ type: "saidByBroker", from, id, subjects }), { limitMs: REPLICA_TELL_MS });
  }

  heard(message: BrokerMessage): void {
    if ("from" in message) this.#answer(message).catch(this.#services.failed);
    else this.#waiting.get(hex(message.id))?.end(message.type === "byBroker");
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const { end } of this.#waiting.values()) end(undefined);
  }

  async #answer(message: Extract<BrokerMessage, { from: Uint8Array }>): Promise<void> {
    const to = hex(message.from);
    const isTold = await this.#say(to, message).catch((error: unknown) => {
      this.#services.failed(error);
      return false;
    });
    await this.#services.send(to, { type: isTold ? "byBroker" : "notByBroker", id: message.id });
  }

  async #say(to: string, message: Extract<BrokerMessage, { from: Uint8Array }>): Promise<boolean> {
    if (message.type === "saidByBroker") return (await this.#host?.tell(message.subjects)) === true;
    const { device } = message;
    if (message.type === "probeByBroker") return (await this.#host?.probe(device)) === true;
    const found = this.#host?.atBroker(device);
    if (found === undefined) return false;
    const { notify } = message;
    this.#services.askers.note(parsePrologue(notify.prologueBytes).sid, to, device);
    return await found.notify(notify);
  }

  /** Whether another one has had the broker take it. `device`: the only one that it concerns, if it is one. */
  async #ask(
    message: (id: Uint8Array) => ReplicaMessage,
    { device, limitMs = REPLICA_BROKER_MS }: { readonly device?: Party; readonly limitMs?: number },
  ): Promise<boolean> {
    const { random, send, clock, leases, failed } = this.#services;
    const to = this.#choose(device);
    if (to === undefined || this.#isOver) return false;
    const id = random(16);
    // No signal of this one's own life is made part of another: each such part would stay with it.
    const told = new Promise<boolean | undefined>((end) => this.#waiting.set(hex(id), { to, end }));
    const late = setTimeout(() => this.#waiting.get(hex(id))?.end(undefined), limitMs).unref();
    let isTold: boolean | undefined;
    try {
      await send(to, message(id));
      isTold = await told;
    } catch (error) {
      failed(error);
    } finally {
      clearTimeout(late);
      this.#waiting.delete(hex(id));
    }
    if (isTold === true) {
      this.#failures.delete(to);
      return true;
    }
    if (isTold === undefined || device === undefined) this.#failures.set(to, clock.monotonic());
    else {
      this.#refusals.set(pairOf(to, device), clock.monotonic());
      await leases.look().catch(failed); // one that has lost the broker says so there
    }
    return false;
  }

  /** Any of those that have failed last, or never. */
  #choose(device: Party | undefined): string | undefined {
    const usable = this.#usable(device);
    const failedAt = (replica: string): number => this.#failures.get(replica) ?? -Infinity;
    const longest = Math.min(...usable.map(failedAt));
    const best = usable.filter((replica) => failedAt(replica) === longest);
    return best[Math.floor(Math.random() * best.length)];
  }

  /**
   * One that was just not to be had is not asked at once again: it may be gone though its lease lasts. Nor is one for the device to
   * which it has just said no.
   */
  #usable(device?: Party): string[] {
    return this.#services.leases.atBroker.filter((replica) => {
      if (this.#isPausing(this.#failures.get(replica))) return false;
      return device === undefined || !this.#isPausing(this.#refusals.get(pairOf(replica, device)));
    });
  }

  #isPausing(since = -Infinity): boolean {
    return this.#services.clock.monotonic() - since < REPLICA_RENEW_MS;
  }
}

function pairOf(replica: string, device: Party): string {
  return `${replica} ${bindingSubject(device)}`;
}
