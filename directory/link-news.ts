import type { CipherSuite } from "../keys/cipher-suite.ts";
import { isName, type Name } from "../keys/names.ts";
import { LINK_NAMES_AT_ONCE } from "../protocol/limits.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { DeviceLink } from "./device-link.ts";
import { OwnLinks } from "./own-links.ts";
import type { Party } from "./presence.ts";
import { partyOf, saidByOwnerOf } from "./said-by-owner.ts";
import type { Store } from "./store.ts";

/** A link, as far as it is told things. */
export type ToldLink = Pick<DeviceLink, "tellNames" | "tellOwn" | "tellChanged">;

/** Links by what they watch, and what each of them watches. */
class Watch<Key> {
  readonly #links = new Map<Key, Set<ToldLink>>();
  readonly #keys = new Map<ToldLink, ReadonlySet<Key>>();

  /** What `link` watches from now on; gives what it did not before. */
  set(link: ToldLink, keys: ReadonlySet<Key>): Key[] {
    const before = this.#keys.get(link);
    for (const key of before ?? []) if (!keys.has(key)) this.#remove(link, key);
    for (const key of keys) this.#links.set(key, (this.#links.get(key) ?? new Set()).add(link));
    if (keys.size === 0) this.#keys.delete(link);
    else this.#keys.set(link, keys);
    return [...keys].filter((key) => before?.has(key) !== true);
  }

  /** Everybody who watches `key`. */
  watchersOf(key: Key): ToldLink[] {
    return [...(this.#links.get(key) ?? [])];
  }

  /** Everybody who watches a key that `matches`, with the key. */
  *watchers(matches: (key: Key) => boolean): Iterable<readonly [ToldLink, Key]> {
    for (const [key, links] of this.#links) if (matches(key)) for (const link of links) yield [link, key];
  }

  keysOf(link: ToldLink): ReadonlySet<Key> {
    return this.#keys.get(link) ?? new Set();
  }

  #remove(link: ToldLink, key: Key): void {
    const links = this.#links.get(key);
    links?.delete(link);
    if (links?.size === 0) this.#links.delete(key);
  }
}

/**
 * What devices are told without asking: who owns the names that they list, what stands about themselves and about the
 * clients that have sessions with them. Each is told when it comes, and when it changes.
 */
export class LinkNews {
  readonly #suite: CipherSuite;
  readonly #store: Store;
  /** Names whose owner is to be reported once they are activated. */
  readonly #names = new Watch<Name>();
  /** Clients by their subjects. */
  readonly #clients = new Watch<string>();
  /** Devices: what is said of them and of their names concerns them. */
  readonly #own = new OwnLinks<ToldLink>();

  constructor({ suite, store }: { readonly suite: CipherSuite; readonly store: Store }) {
    this.#suite = suite;
    this.#store = store;
  }

  /**
   * Tells a link that is up what its hello asked for and what stands about its device. What changes from now on it hears of as
   * well: nothing is read before it is watched.
   */
  greet(link: ToldLink, device: Party, names: readonly Name[]): void {
    this.#own.add(link, device);
    this.#names.set(link, new Set(names));
    void link.tellOwn();
    for (let i = 0; i < names.length; i += LINK_NAMES_AT_ONCE) {
      void this.#tellNames(link, names.slice(i, i + LINK_NAMES_AT_ONCE));
    }
  }

  /**
   * Takes the clients that have sessions with a device now. How those stand that it did not watch before is told at once:
   * since their sessions began they may have been revoked, or got other keys, unseen by a device whose link was away.
   */
  watch(link: ToldLink, clients: readonly Party[]): void {
    for (const subject of this.#clients.set(link, new Set(clients.map(bindingSubject)))) {
      void link.tellChanged(partyOf(subject));
    }
  }

  /** Tells every link all of it once more. */
  async tellAgain(): Promise<void> {
    for (const link of this.#own.all()) {
      await link.tellOwn();
      await this.#tellNames(link, [...this.#names.keysOf(link)]);
      for (const client of this.#clients.keysOf(link)) await link.tellChanged(partyOf(client));
    }
  }

  /** Forgets a link of a device. */
  end(link: ToldLink, device: Party): void {
    this.#names.set(link, new Set());
    this.#clients.set(link, new Set());
    this.#own.remove(link, device);
  }

  /** Tells everybody whom new statements on these subjects concern; returns when they are told. @throws {UnavailableError} E_STORAGE. */
  async changed(subjects: readonly string[]): Promise<void> {
    await Promise.all(Array.from(new Set(subjects), (subject) => this.#changed(subject)));
  }

  async #changed(subject: string): Promise<void> {
    const [name] = subject.split(/[/:]/) as [Name];
    if (!isName(name)) return;
    if (subject.includes("/")) {
      const told = this.#clients.watchersOf(subject).map((link) => link.tellChanged(partyOf(subject)));
      await Promise.all([...told, ...this.#own.of(subject).map((link) => link.tellOwn())]);
    } else await this.#nameChanged(name, subject);
  }

  /**
   * A rotation, a policy or a delegation concerns all members of a name. After a rotation its new owner says them again, in as
   * many messages as that takes: until a member's turn has come nothing is told of it, or its sessions would end.
   */
  async #nameChanged(name: Name, subject: string): Promise<void> {
    const told: Promise<void>[] = [];
    if (subject === name) for (const link of this.#names.watchersOf(name)) told.push(this.#tellNames(link, [name]));
    const isOfName = (other: string): boolean => other.startsWith(`${name}/`);
    const isSaid = await saidByOwnerOf({ suite: this.#suite, store: this.#store }, name);
    for (const [link, client] of [...this.#clients.watchers(isOfName)]) {
      if (await isSaid(client)) told.push(link.tellChanged(partyOf(client)));
    }
    for (const device of this.#own.subjectsOf(name)) {
      if (await isSaid(device)) for (const link of this.#own.of(device)) told.push(link.tellOwn());
    }
    await Promise.all(told);
  }

  /** The statements on those names that are activated, which are watched no more. */
  async #tellNames(link: ToldLink, names: readonly Name[]): Promise<void> {
    const activated = await link.tellNames(names);
    this.#names.set(link, new Set([...this.#names.keysOf(link)].filter((name) => !activated.includes(name))));
  }
}
