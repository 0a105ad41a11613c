import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { hex } from "../../keys/bytes.ts";
import { POSTGRES_KEYS_AT_ONCE } from "../../protocol/limits.ts";
import type { Distances } from "../../protocol/messages/rendezvous-distances.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import type { Database } from "../database.ts";
import type { SharedDatabase } from "../postgres/shared.ts";
import type { Party, PresenceAccount, PresentDevice } from "../presence.ts";
import { DISTANCES, PRESENCES, parseEntry } from "../tables.ts";
import { distancesOf, distancesOperation } from "./kept-distances.ts";

interface Services {
  readonly shared: Pick<SharedDatabase, "swap" | "removeIf" | "restore">;
  readonly database: Pick<Database, "get" | "getMany" | "write">;
  readonly random: RandomBytes;
}

export interface PresenceRow extends PresenceAccount {
  /** Of the directory, in hex. */
  readonly replica: string;
  /** Of the link, in hex. */
  readonly link: string;
}

/** Where a device is, and what it has measured of rendezvous over that link. */
export interface FoundRow extends PresenceRow {
  readonly distances: Distances | undefined;
}

interface OwnRow {
  readonly party: Party;
  readonly link: PresentDevice;
  readonly id: string;
  readonly since: number;
  readonly value: string;
  readonly written: Promise<unknown>;
  /** Whether what the device has measured is being written. */
  isKeeping: boolean;
}

/** What the store says of where devices are, and what stands there of those that have a link to this process. */
export class PresenceRows {
  readonly #services: Services;
  /** Of this process, in hex. */
  readonly #replica: string;
  /** Of the links to this process, by device. */
  readonly #own = new Map<string, OwnRow>();
  #isOwed = false;

  constructor(services: Services, replica: string) {
    this.#services = services;
    this.#replica = replica;
  }

  /** Whether the store may lack a row of this process. */
  get isOwed(): boolean {
    return this.#isOwed;
  }

  /** Where a device is said to be. @throws {UnavailableError} E_STORAGE. */
  async get(party: Party): Promise<FoundRow | undefined> {
    const keys = [keyOf(party), DISTANCES.prefix + bindingSubject(party)];
    const [text, measured] = await this.#services.database.getMany(keys);
    if (text === undefined) return undefined;
    const row = parseEntry(PRESENCES, text);
    return { ...row, distances: distancesOf(row.link, measured) };
  }

  /** Puts the row of a link; gives what stood there. @throws {UnavailableError} E_STORAGE. */
  async put(party: Party, link: PresentDevice, { since, version }: PresenceAccount): Promise<PresenceRow | undefined> {
    const { shared, random } = this.#services;
    const id = hex(random(16));
    const value = JSON.stringify({ replica: this.#replica, link: id, since, version });
    const swapped = shared.swap(keyOf(party), value);
    const written = swapped.catch(() => {});
    this.#own.set(bindingSubject(party), { party, link, id, since, value, written, isKeeping: false });
    try {
      const before = await swapped;
      return before === undefined ? undefined : parseEntry(PRESENCES, before);
    } catch (error) {
      this.#isOwed = true;
      throw error;
    }
  }

  /** Removes the row of a link that is gone, unless another stands there. @throws {UnavailableError} E_STORAGE. */
  async remove(party: Party, link: PresentDevice): Promise<void> {
    const row = this.#rowOf(party, link);
    if (row === undefined) return;
    this.#own.delete(bindingSubject(party));
    await row.written;
    await this.#services.shared.removeIf(keyOf(party), row.value);
  }

  /** Keeps what the device of a link has measured: the newest, one write after the other. @throws {UnavailableError} E_STORAGE. */
  async measured(party: Party, link: PresentDevice): Promise<void> {
    const row = this.#rowOf(party, link);
    if (row === undefined || row.isKeeping) return;
    row.isKeeping = true;
    try {
      for (let kept: Distances | undefined; link.distances !== undefined && kept !== link.distances; ) {
        kept = link.distances;
        await this.#services.database.write("kept", [distancesOperation(party, row.id, kept)]);
      }
    } finally {
      row.isKeeping = false;
    }
  }

  /** Removes what says that a device has a link to this process, though it has none. @throws {UnavailableError} E_STORAGE. */
  async removeStray(party: Party): Promise<void> {
    const text = await this.#services.database.get(keyOf(party));
    if (text === undefined || parseEntry(PRESENCES, text).replica !== this.#replica) return;
    if (this.#own.get(bindingSubject(party))?.value !== text) await this.#services.shared.removeIf(keyOf(party), text);
  }

  /** Whether a link is the one with that id, in hex. */
  hasId(party: Party, link: PresentDevice, id: string): boolean {
    return this.#rowOf(party, link)?.id === id;
  }

  /** Whether a link's device has a newer one, by the store. @throws {UnavailableError} E_STORAGE. */
  async isReplaced(party: Party, link: PresentDevice): Promise<boolean> {
    const row = this.#rowOf(party, link);
    if (row === undefined) return false;
    await row.written;
    const text = await this.#services.database.get(keyOf(party));
    return text !== undefined && text !== row.value;
  }

  /**
   * Puts the rows of this process once more that the store lacks, or has in an older version: a server that crashed has lost its
   * last moments, and some could not be written. Gives whose those are. Links whose device has a newer one are ended.
   * @throws {UnavailableError} E_STORAGE; the store may lack some still.
   */
  async restore(): Promise<Party[]> {
    this.#isOwed = false; // from here on whatever fails owes again
    try {
      return await this.#restoreAll();
    } catch (error) {
      this.#isOwed = true;
      throw error;
    }
  }

  async #restoreAll(): Promise<Party[]> {
    const { database, shared } = this.#services;
    const rows = [...this.#own.values()];
    const restored: Party[] = [];
    for (let i = 0; i < rows.length; i += POSTGRES_KEYS_AT_ONCE) {
      const some = rows.slice(i, i + POSTGRES_KEYS_AT_ONCE);
      const texts = await database.getMany(some.map(({ party }) => keyOf(party)));
      const missing: { readonly key: string; readonly before: string | undefined; readonly value: string }[] = [];
      for (const [at, row] of some.entries()) {
        const before = texts[at];
        if (before === row.value || this.#rowOf(row.party, row.link) !== row) continue;
        if (before !== undefined && parseEntry(PRESENCES, before).since > row.since) row.link.replace();
        else {
          missing.push({ key: keyOf(row.party), before, value: row.value });
          restored.push(row.party);
        }
      }
      await shared.restore(missing);
    }
    return restored;
  }

  #rowOf(party: Party, link: PresentDevice): OwnRow | undefined {
    const row = this.#own.get(bindingSubject(party));
    return row?.link === link ? row : undefined;
  }
}

function keyOf(party: Party): string {
  return PRESENCES.prefix + bindingSubject(party);
}
