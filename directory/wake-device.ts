import type { Name } from "../keys/names.ts";
import { BROKER_ANSWER_MS } from "../protocol/limits.ts";
import { encodeWake } from "../protocol/messages/broker.ts";
import { encodeLinkRefused, encodeSignedText } from "../protocol/messages/link.ts";
import type { Distances } from "../protocol/messages/rendezvous-distances.ts";
import { LINK } from "../protocol/messages/types.ts";
import type { LinkMessage } from "./link-sealing.ts";
import { LinkWords } from "./link-words.ts";
import type { Party, PresentDevice, UnprovedNotify } from "./presence.ts";
import { tellByBroker, type WakeHost } from "./wake-host.ts";
import { isSameHello, type WakeRow } from "./wake-rows.ts";

/** A device that waits at an MQTT broker. Made for one thing to be told, and forgotten: all that is known of it is its row. */
export class WakeDevice implements PresentDevice {
  readonly answerMs = BROKER_ANSWER_MS;
  readonly #host: WakeHost;
  readonly #party: Party;
  /** As its row had them; undefined where nobody asks. */
  readonly distances: Distances | undefined;

  constructor(host: WakeHost, party: Party, distances?: Distances) {
    this.#host = host;
    this.#party = party;
    this.distances = distances;
  }

  async notify(notify: UnprovedNotify): Promise<boolean> {
    try {
      return (await this.#tell((words) => words.notify(notify))) ?? true; // gone: it will be asked once more when it is back
    } catch (error) {
      this.#host.failed(error);
      this.#host.untold(this.#party);
      return false;
    }
  }

  /** The device has a newer link elsewhere; one here that it has said hello for after `at` (ms since 1970) is newer still, and stays. */
  replace(at = Infinity): void {
    this.#forget(at).catch(this.#host.failed);
  }

  /** What was asked was not answered in time: until it says hello, it is away. It is asked to. */
  unanswered(): void {
    this.away(undefined).catch(this.#host.failed);
  }

  /** Asks it to say hello, by which it is told all that counts. @throws {UnavailableError} E_STORAGE, E_BUSY, E_DIRECTORY. */
  async probe(): Promise<void> {
    const { rows } = this.#host;
    await rows.inTurn(this.#party, async () => {
      const row = await rows.get(this.#party);
      if (row === undefined) return;
      await rows.replace(this.#party, row, { ...row, sent: row.sent + 1 });
      await tellByBroker(this.#host, this.#party, row, [PROBE]);
    });
  }

  /** Notes that it is away, if `isOf` says that it is of its row, and asks whether that is so; tells whether it was present. */
  async away(isOf: ((row: WakeRow) => boolean) | undefined): Promise<boolean> {
    const { rows } = this.#host;
    return await rows.inTurn(this.#party, async () => {
      const row = await rows.get(this.#party);
      if (row === undefined || isOf?.(row) === false) return false;
      const isAsked = this.#host.isConnected();
      await rows.replace(this.#party, row, { ...row, isAway: true, sent: row.sent + (isAsked ? 1 : 0) });
      if (!isAsked) this.#host.untold(this.#party);
      else {
        await tellByBroker(this.#host, this.#party, row, [PROBE]).catch((error: unknown) => {
          this.#host.failed(error);
          this.#host.untold(this.#party);
        });
      }
      return !row.isAway;
    });
  }

  /** Tells the statements on those of these names that are activated, which it then has no need to be told again. */
  async tellNames(names: readonly Name[]): Promise<void> {
    await this.#tell(
      (words) => words.names(names),
      (row, told) => ({ ...row, names: row.names.filter((name) => !told.includes(name as Name)) }),
    );
  }

  /** Tells the device's own statements, and its name's policy unless it has that one. */
  async tellOwn(): Promise<void> {
    await this.#tell((words) => words.own());
  }

  /** Tells what stands about a client that the device watches. */
  async tellChanged(client: Party): Promise<void> {
    await this.#tell((words) => words.changed(client));
  }

  async #forget(at: number): Promise<void> {
    const { rows, clock } = this.#host;
    await rows.inTurn(this.#party, async () => {
      const row = await rows.get(this.#party);
      if (row === undefined || row.since > at) return;
      await rows.replace(this.#party, row, undefined);
      const body = encodeLinkRefused({ code: "E_REPLACED", time: clock.now(), nonce: new Uint8Array(16) });
      await tellByBroker(this.#host, this.#party, row, [{ type: LINK.refused, body }]);
    });
  }

  /**
   * What is said is counted in the row before it is published: a device that misses a count asks for all that matters again.
   * Undefined when the device is away. @throws {UnavailableError} E_STORAGE, E_BUSY, E_DIRECTORY.
   */
  async #tell<T>(
    say: (words: LinkWords) => Promise<T>,
    note: (row: WakeRow, said: T) => WakeRow = (row) => row,
  ): Promise<T | undefined> {
    const { rows, keyring, replica } = this.#host;
    const party = this.#party;
    return await rows.inTurn(party, async () => {
      const row = await rows.get(party);
      if (row === undefined || row.isAway) return undefined;
      const messages: LinkMessage[] = [];
      if (row.keyListSeq < keyring.keyListSeq) {
        messages.push({ type: LINK.keyList, body: encodeSignedText(keyring.keyList) });
      }
      const words = new LinkWords(this.#host, { ...party, ...row }, (type, body) => {
        messages.push(type === LINK.notify ? { type: LINK.wake, body: encodeWake(replica, body) } : { type, body });
      });
      const said = await say(words);
      if (messages.length === 0) return said;
      const { keyListSeq } = keyring;
      const next = { ...note(row, said), ...words.told, keyListSeq, sent: row.sent + messages.length };
      await rows.replace(party, row, next);
      if (await tellByBroker(this.#host, party, row, messages)) return said;
      if (isSameHello(row, await rows.get(party))) await rows.replace(party, next, { ...next, isAway: true });
      return undefined;
    });
  }
}

const PROBE: LinkMessage = { type: LINK.probe, body: new Uint8Array(0) };
