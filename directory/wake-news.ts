import { UnavailableError } from "../keys/errors.ts";
import { isName, type Name } from "../keys/names.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Party } from "./presence.ts";
import { partyOf, saidByOwnerOf } from "./said-by-owner.ts";
import { WakeDevice } from "./wake-device.ts";
import type { WakeHost } from "./wake-host.ts";

type Tell = (party: Party, tell: (device: WakeDevice) => Promise<void>) => Promise<void>;

/** What devices at a broker are told without asking, as link-news.ts has it for links: here the store knows who watches what. */
export class WakeNews {
  readonly #host: WakeHost;

  constructor(host: WakeHost) {
    this.#host = host;
  }

  /** Tells everybody whom new statements on these subjects concern; returns when the broker has it. @throws {UnavailableError}. */
  async changed(subjects: readonly string[]): Promise<void> {
    const tell = this.#telling();
    for (const subject of new Set(subjects)) await this.#changed(subject, tell);
  }

  async #changed(subject: string, tell: Tell): Promise<void> {
    const [name] = subject.split(/[/:]/) as [Name];
    if (!isName(name)) return;
    if (!subject.includes("/")) return await this.#nameChanged(name, subject, tell);
    const { rows } = this.#host;
    for await (const { device } of rows.watchers(`${subject} `))
      await tell(device, (each) => each.tellChanged(partyOf(subject)));
    await tell(partyOf(subject), (each) => each.tellOwn());
  }

  async #nameChanged(name: Name, subject: string, tell: Tell): Promise<void> {
    const { rows } = this.#host;
    if (subject === name) {
      for await (const { device } of rows.watchers(`${name} `)) await tell(device, (each) => each.tellNames([name]));
    }
    const isSaid = await saidByOwnerOf(this.#host, name);
    for await (const { what, device } of rows.watchers(`${name}/`)) {
      if (await isSaid(what)) await tell(device, (each) => each.tellChanged(partyOf(what)));
    }
    for await (const device of rows.devicesOf(name)) {
      if (await isSaid(bindingSubject(device))) await tell(device, (each) => each.tellOwn());
    }
  }

  /**
   * What one cannot be told keeps nothing from the others: it hears of it with its next hello, which it is asked for. But where
   * the broker takes nothing from one, the others of the same change are not tried: each would be waited for as long.
   */
  #telling(): Tell {
    let isBrokerLost = !this.#host.isConnected();
    return async (party, tell) => {
      try {
        if (!isBrokerLost) return await tell(new WakeDevice(this.#host, party));
      } catch (error) {
        isBrokerLost = error instanceof UnavailableError && error.code === "E_DIRECTORY";
        this.#host.failed(error);
      }
      this.#host.untold(party);
    };
  }
}
