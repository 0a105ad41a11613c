import type { Name } from "../keys/names.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Party } from "./presence.ts";

/** Links by the devices whose they are: nearly always one each, so that a set for each would be most of what this takes. */
export class OwnLinks<Link extends object> {
  readonly #links = new Map<string, Link | readonly Link[]>();
  readonly #subjects = new Map<Name, Set<string>>();

  add(link: Link, device: Party): void {
    const subject = bindingSubject(device);
    const others = this.of(subject).filter((other) => other !== link);
    this.#links.set(subject, others.length === 0 ? link : [...others, link]);
    this.#subjects.set(device.name, (this.#subjects.get(device.name) ?? new Set()).add(subject));
  }

  remove(link: Link, device: Party): void {
    const subject = bindingSubject(device);
    const others = this.of(subject).filter((other) => other !== link);
    if (others.length > 0) return void this.#links.set(subject, others);
    this.#links.delete(subject);
    const subjects = this.#subjects.get(device.name);
    subjects?.delete(subject);
    if (subjects?.size === 0) this.#subjects.delete(device.name);
  }

  /** Those of the device with that subject, the newest last. */
  of(subject: string): readonly Link[] {
    const links = this.#links.get(subject);
    if (links === undefined) return [];
    return isSeveral(links) ? links : [links];
  }

  /** The subjects of the devices of a name that have links. */
  subjectsOf(name: Name): readonly string[] {
    return [...(this.#subjects.get(name) ?? [])];
  }

  /** All links there are now. */
  all(): readonly Link[] {
    return [...this.#links.values()].flat() as readonly Link[];
  }
}

function isSeveral<Link>(links: Link | readonly Link[]): links is readonly Link[] {
  return Array.isArray(links);
}
