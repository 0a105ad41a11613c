import { isName, type Name } from "../keys/names.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Party } from "./presence.ts";
import { partyOf, saidByOwnerOf } from "./said-by-owner.ts";
import { WakeDevice } from "./wake-device.ts";
import type { WakeHost } from "./wake-host.ts";

/** What devices at a broker are told without asking, as link-news.ts has it for links: here the store knows who watches what. */
export class WakeNews {
  readonly #host: WakeHost;

  constructor(host: WakeHost) {
    this.#host = host;
  }

  /** Tells everybody whom new statements on these subjects concern; returns when the broker has it. @throws {UnavailableError}. */
  async changed(subjects: readonly string[]): Promise<void> {
    for (const subject of new Set(subjects)) await this.#changed(subject);
  }

  async #changed(subject: string): Promise<void> {
    const [name] = subject.split(/[/:]/) as [Name];
    if (!isName(name)) return;
    if (!subject.includes("/")) return await this.#nameChanged(name, subject);
    const { rows } = this.#host;
    for await (const { device } of rows.watchers(`${subject} `))
      await this.#tell(device, (each) => each.tellChanged(partyOf(subject)));
    await this.#tell(partyOf(subject), (each) => each.tellOwn());
  }

  async #nameChanged(name: Name, subject: string): Promise<void> {
    const { rows } = this.#host;
    if (subject === name) {
      for await (const { device } of rows.watchers(`${name} `))
        await this.#tell(device, (each) => each.tellNames([name]));
    }
    const isSaid = await saidByOwnerOf(this.#host, name);
    for await (const { what, device } of rows.watchers(`${name}/`)) {
      if (await isSaid(what)) await this.#tell(device, (each) => each.tellChanged(partyOf(what)));
    }
    for await (const device of rows.devicesOf(name)) {
      if (await isSaid(bindingSubject(device))) await this.#tell(device, (each) => each.tellOwn());
    }
  }

  /** What one cannot be told keeps nothing from the others: it hears of it with its next hello, which it is asked for. */
  async #tell(party: Party, tell: (device: WakeDevice) => Promise<void>): Promise<void> {
    try {
      await tell(new WakeDevice(this.#host, party));
    } catch (error) {
      this.#host.failed(error);
      this.#host.untold(party);
    }
  }
}
