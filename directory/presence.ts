import type { MemberName, Name } from "../keys/names.ts";
import { TAKEOVERS_PER_MINUTE } from "../protocol/limits.ts";
import type { Distances } from "../protocol/messages/rendezvous-distances.ts";
import type { Notify } from "../protocol/messages/session-request.ts";
import { bindingSubject } from "../protocol/statements.ts";

export interface Party {
  readonly name: Name;
  readonly member: MemberName;
}

/** A Notify that still lacks its log proof, and what stands about its client then. */
export type UnprovedNotify = Omit<Notify, "prologue" | "proof" | "client"> & { readonly client: Party };

/** A device's living link, as the rest of the directory sees it. */
export interface PresentDevice {
  /** From rendezvous, as it said last. */
  readonly distances?: Distances | undefined;
  /** Seals and sends a Notify, with a log proof from what this device has seen; false when that cannot be had. */
  notify(notify: UnprovedNotify): Promise<boolean>;
  /** Tells it that a newer link took its place, and closes. */
  replace(): void;
  /** After how many ms without an answer it counts as offline, where that is not DEVICE_ANSWER_MS. */
  readonly answerMs?: number;
  /** It has not answered for so long. */
  unanswered?(): void;
}

/** What is told of a device that is online. */
export interface PresenceAccount {
  /** ms since 1970 UTC. */
  readonly since: number;
  /** Of its sshnpd, as its link hello told. */
  readonly version: string;
}

/** Devices that can be woken though they have no link to this process. */
export interface Elsewhere {
  /** @throws {UnavailableError} E_STORAGE. */
  find(party: Party): Promise<({ readonly device: PresentDevice } & PresenceAccount) | undefined>;
}

/** Which devices have a link to this directory. The newest link of a member is the one that counts. */
export class Presence {
  readonly #elsewhere: readonly Elsewhere[];
  readonly #links = new Map<string, { readonly party: Party; readonly link: PresentDevice } & PresenceAccount>();
  /** Times (ms, monotonic) at which living links of a member were taken over, in the last minute. */
  readonly #takeovers = new Map<string, number[]>();

  /** `elsewhere`: where to look for who has no link here, in this order. */
  constructor(elsewhere: readonly Elsewhere[] = []) {
    this.#elsewhere = elsewhere;
  }

  /** How many have a link here. */
  get size(): number {
    return this.#links.size;
  }

  /** The link to this process. */
  get(party: Party): PresentDevice | undefined {
    return this.#links.get(bindingSubject(party))?.link;
  }

  /** The device, wherever it is. @throws {UnavailableError} E_STORAGE. */
  async find(party: Party): Promise<PresentDevice | undefined> {
    return this.get(party) ?? (await this.#findElsewhere(party))?.device;
  }

  /** @throws {UnavailableError} E_STORAGE. */
  async about(party: Party): Promise<PresenceAccount | undefined> {
    const entry = this.#links.get(bindingSubject(party)) ?? (await this.#findElsewhere(party));
    return entry && { since: entry.since, version: entry.version };
  }

  /** All that have a link here. */
  parties(): Party[] {
    return Array.from(this.#links.values(), ({ party }) => party);
  }

  /** A link is up; an older one of the same member is replaced. `clone` says that this happens too often. `now` is monotonic. */
  connect(
    party: Party,
    link: PresentDevice,
    { since, version }: PresenceAccount,
    now: number,
  ): { readonly replaced: boolean; readonly clone: boolean } {
    const subject = bindingSubject(party);
    const older = this.#links.get(subject)?.link;
    this.#links.set(subject, { party, link, since, version });
    if (older === undefined) return { replaced: false, clone: false };
    older.replace();
    return { replaced: true, clone: this.changedHands(party, now) };
  }

  /** A living link of a member gave way to a newer one, wherever either of them is; whether that happens too often. `now` is monotonic. */
  changedHands(party: Party, now: number): boolean {
    const subject = bindingSubject(party);
    const recent = [...(this.#takeovers.get(subject) ?? []), now].filter((time) => now - time < 60_000);
    this.#takeovers.set(subject, recent.slice(-TAKEOVERS_PER_MINUTE - 1));
    return recent.length > TAKEOVERS_PER_MINUTE;
  }

  /** A link is gone; false when a newer one has its place. */
  disconnect(party: Party, link: PresentDevice): boolean {
    const subject = bindingSubject(party);
    return this.#links.get(subject)?.link === link && this.#links.delete(subject);
  }

  /**
   * A device came elsewhere at `at` (ms since 1970): a link to this process from before is told so and ends. False when it has one
   * that came later, which stays.
   */
  leave(party: Party, at: number): boolean {
    const subject = bindingSubject(party);
    const entry = this.#links.get(subject);
    if (entry !== undefined && entry.since > at) return false;
    if (entry !== undefined) this.#links.delete(subject);
    entry?.link.replace();
    return true;
  }

  /** Whether it has a link to this process that came later than `at`. */
  hasNewer(party: Party, at: number): boolean {
    return (this.#links.get(bindingSubject(party))?.since ?? 0) > at;
  }

  async #findElsewhere(party: Party): ReturnType<Elsewhere["find"]> {
    for (const place of this.#elsewhere) {
      const found = await place.find(party);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Forgets old takeovers. */
  sweep(now: number): void {
    for (const [subject, times] of this.#takeovers) {
      if (times.every((time) => now - time >= 60_000)) this.#takeovers.delete(subject);
    }
  }
}
