import { REPLICA_LEASE_MS, REPLICA_LOOK_MS } from "../../protocol/limits.ts";
import type { Clock } from "../clock.ts";
import type { Leased, SharedDatabase } from "../postgres/shared.ts";

interface Services {
  readonly shared: Pick<SharedDatabase, "renew" | "leave">;
  readonly clock: Pick<Clock, "monotonic">;
  /** Whether this process has a connection to the MQTT broker. */
  readonly isAtBroker: () => boolean;
}

/** Which directories on the store are there, and which of them are at the MQTT broker, as they said when they were last asked. */
export class Leases {
  readonly #services: Services;
  /** Of this process, in hex. */
  readonly #name: string;
  readonly #renewed: () => void;
  #held: Leased = { alive: new Set(), atBroker: new Set() };
  /** The one that is under way, which rejects nothing. */
  #renewal: Promise<unknown> = Promise.resolve();
  /** The one after that. */
  #next: Promise<void> | undefined;
  #isOver = false;
  /** The last look for who is new, and when (monotonic ms). */
  #look: Promise<void> = Promise.resolve();
  #looked = -Infinity;

  /** `renewed` is told whenever it was learned who is there. */
  constructor(services: Services, name: string, renewed: () => void) {
    this.#services = services;
    this.#name = name;
    this.#renewed = renewed;
  }

  get alive(): ReadonlySet<string> {
    return this.#held.alive;
  }

  /** Others that are at the broker. */
  get atBroker(): readonly string[] {
    return [...this.#held.atBroker].filter((replica) => replica !== this.#name);
  }

  /**
   * Says that this process is there, and learns who else is. One comes after the other, so that what is true now is what stands; many
   * that ask meanwhile are told by the same. @throws {UnavailableError} E_STORAGE.
   */
  async renew(): Promise<void> {
    this.#next ??= this.#renewal.then(() => this.#renew());
    await this.#next;
  }

  /** Says that this process is there no more. @throws {UnavailableError} E_STORAGE. */
  async leave(): Promise<void> {
    this.#isOver = true;
    await this.#renewal;
    await this.#services.shared.leave(this.#name);
  }

  /** One that is new is not known yet. @throws {UnavailableError} E_STORAGE. */
  async isThere(replica: string): Promise<boolean> {
    if (!this.alive.has(replica)) await this.look();
    return this.alive.has(replica);
  }

  /** Looks who is new; whoever asks for others meanwhile is told by the same look. @throws {UnavailableError} E_STORAGE. */
  async look(): Promise<void> {
    const now = this.#services.clock.monotonic();
    if (now - this.#looked >= REPLICA_LOOK_MS) {
      this.#looked = now;
      this.#look = this.renew();
    }
    await this.#look;
  }

  async #renew(): Promise<void> {
    this.#next = undefined;
    if (this.#isOver) return;
    const { shared, isAtBroker } = this.#services;
    const renewed = shared.renew(this.#name, REPLICA_LEASE_MS, isAtBroker());
    this.#renewal = renewed.catch(() => {});
    this.#held = await renewed;
    this.#renewed();
  }
}
