import { isName, type MemberName, type Name } from "../keys/names.ts";
import { LINK_NAMES_AT_ONCE } from "../protocol/limits.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { DeviceLink } from "./device-link.ts";
import type { Party, Presence } from "./presence.ts";
import { memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";

/** Links by what they watch, and what each of them watches. */
class Watch<Key> {
  readonly #links = new Map<Key, Set<DeviceLink>>();
  readonly #keys = new Map<DeviceLink, ReadonlySet<Key>>();

  /** What `link` watches from now on; gives what it did not before. */
  set(link: DeviceLink, keys: ReadonlySet<Key>): Key[] {
    const before = this.#keys.get(link);
    for (const key of before ?? []) if (!keys.has(key)) this.#remove(link, key);
    for (const key of keys) this.#links.set(key, (this.#links.get(key) ?? new Set()).add(link));
    if (keys.size === 0) this.#keys.delete(link);
    else this.#keys.set(link, keys);
    return [...keys].filter((key) => before?.has(key) !== true);
  }

  /** Everybody who watches `key`. */
  watchersOf(key: Key): DeviceLink[] {
    return [...(this.#links.get(key) ?? [])];
  }

  /** Everybody who watches a key that `matches`, with the key. */
  *watchers(matches: (key: Key) => boolean): Iterable<readonly [DeviceLink, Key]> {
    for (const [key, links] of this.#links) if (matches(key)) for (const link of links) yield [link, key];
  }

  keysOf(link: DeviceLink): ReadonlySet<Key> {
    return this.#keys.get(link) ?? new Set();
  }

  #remove(link: DeviceLink, key: Key): void {
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
  readonly #store: Store;
  readonly #presence: Presence;
  /** Names whose owner is to be reported once they are activated. */
  readonly #names = new Watch<Name>();
  /** Clients by their subjects. */
  readonly #clients = new Watch<string>();

  constructor(store: Store, presence: Presence) {
    this.#store = store;
    this.#presence = presence;
  }

  /** Tells a link that is up what its hello asked for and what stands about its device. @throws {UnavailableError} E_STORAGE. */
  async greet(link: DeviceLink, device: Party, names: readonly Name[]): Promise<void> {
    await this.#tellOwn(link, device);
    this.#names.set(link, new Set(names));
    for (let i = 0; i < names.length; i += LINK_NAMES_AT_ONCE) {
      await this.#tellNames(link, names.slice(i, i + LINK_NAMES_AT_ONCE));
    }
  }

  /**
   * Takes the clients that have sessions with a device now. How those stand that it did not watch before is told at once:
   * since their sessions began they may have been revoked, or got other keys, unseen by a device whose link was away.
   * @throws {UnavailableError} E_STORAGE.
   */
  async watch(link: DeviceLink, clients: readonly Party[]): Promise<void> {
    for (const subject of this.#clients.set(link, new Set(clients.map(bindingSubject)))) {
      await this.#tellChanged(link, subject);
    }
  }

  /** Forgets a link. */
  end(link: DeviceLink): void {
    this.#names.set(link, new Set());
    this.#clients.set(link, new Set());
  }

  /** Tells everybody whom new statements on these subjects concern. @throws {UnavailableError} E_STORAGE. */
  async changed(subjects: readonly string[]): Promise<void> {
    for (const subject of new Set(subjects)) {
      const [name] = subject.split(/[/:]/) as [Name];
      if (!isName(name)) continue;
      const [, member] = subject.split("/");
      if (member === undefined) await this.#nameChanged(name, subject);
      else await this.#memberChanged({ name, member: member as MemberName });
    }
  }

  async #memberChanged(party: Party): Promise<void> {
    const subject = bindingSubject(party);
    for (const link of this.#clients.watchersOf(subject)) await this.#tellChanged(link, subject);
    await this.#tellOwnOf(party);
  }

  /** A rotation, a policy or a delegation concerns all members of a name. */
  async #nameChanged(name: Name, subject: string): Promise<void> {
    if (subject === name) for (const link of this.#names.watchersOf(name)) await this.#tellNames(link, [name]);
    const isOfName = (other: string): boolean => other.startsWith(`${name}/`);
    for (const [link, client] of this.#clients.watchers(isOfName)) await this.#tellChanged(link, client);
    for (const party of this.#presence.parties()) if (party.name === name) await this.#tellOwnOf(party);
  }

  /** The statements on those names that are activated, which are watched no more. */
  async #tellNames(link: DeviceLink, names: readonly Name[]): Promise<void> {
    const records = await Promise.all(names.map((name) => this.#store.name(name)));
    const activated = names.flatMap((name, i) => {
      const statements = records[i]?.statements ?? [];
      return statements.length > 0 ? [{ name, statements }] : [];
    });
    if (activated.length === 0) return;
    link.sendNames(
      activated.map(({ name }) => name),
      activated.map(({ statements }) => statements),
    );
    const rest = [...this.#names.keysOf(link)].filter((name) => activated.every((one) => one.name !== name));
    this.#names.set(link, new Set(rest));
  }

  async #tellChanged(link: DeviceLink, subject: string): Promise<void> {
    const [name, member] = subject.split("/") as [Name, MemberName];
    const standing = await memberStanding(this.#store, { name, member });
    if (standing !== undefined) link.sendChanged({ name, member }, standing);
  }

  async #tellOwnOf(party: Party): Promise<void> {
    const link = this.#presence.get(party);
    if (link !== undefined) await this.#tellOwn(link, party);
  }

  async #tellOwn(link: Pick<DeviceLink, "sendOwn">, device: Party): Promise<void> {
    const [standing, policy] = await Promise.all([
      memberStanding(this.#store, device),
      this.#store.policy(device.name),
    ]);
    if (standing !== undefined) link.sendOwn(standing, device.name, policy);
  }
}
