import { fromHex, hex } from "../../keys/bytes.ts";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { REPLICA_DEVICES_AT_ONCE, REPLICA_RENEW_MS } from "../../protocol/limits.ts";
import { parsePrologue } from "../../protocol/messages/prologue.ts";
import type { Distances } from "../../protocol/messages/rendezvous-distances.ts";
import type { Answer } from "../../protocol/messages/session-request.ts";
import type { Clock } from "../clock.ts";
import type { Database } from "../database.ts";
import type { SharedDatabase } from "../postgres/shared.ts";
import type { Elsewhere, Party, PresenceAccount, PresentDevice, UnprovedNotify } from "../presence.ts";
import { Askers } from "./askers.ts";
import { BrokerByOthers, type BrokerHost } from "./broker-by-others.ts";
import { Leases } from "./leases.ts";
import { Listening } from "./listening.ts";
import { encodeReplicaMessage, parseReplicaMessage, type ReplicaMessage } from "./messages.ts";
import { PresenceRows } from "./presence-rows.ts";

interface Services {
  readonly shared: SharedDatabase;
  readonly database: Pick<Database, "get" | "getMany" | "write">;
  readonly random: RandomBytes;
  readonly clock: Clock;
  /** Whether this process has a connection to the MQTT broker. */
  readonly isAtBroker: () => boolean;
  readonly failed: (error: unknown) => void;
}

/** Whom this process tells of what it hears. */
export interface ReplicaHost extends BrokerHost {
  /** A link to this process. */
  link(device: Party): PresentDevice | undefined;
  /** A device answers what this process has asked it by another. */
  answered(device: Party, answer: Answer): void;
  /** A device could not be asked. */
  unwoken(sid: Uint8Array): void;
  /** A device is back, at another process. */
  isBack(device: Party, found: PresentDevice): void;
  /** A device is back at the MQTT broker, as another process has heard. */
  isAtBroker(device: Party): Promise<void>;
  said(subjects: readonly string[]): Promise<void>;
  withdraw(sid: Uint8Array, sender: X25519PublicKey): void;
  /** A device's link to this process gave way to one at another. */
  lost(device: Party): void;
  /** A request is put at another process now. */
  taken(sid: Uint8Array, sender: X25519PublicKey): void;
  /** Something may have been missed. */
  missed(): Promise<void>;
}

/**
 * The other directories on the same store, any of which may have a device's link. Where a device is stands in the store, and
 * counts while the lease of the directory that has it lasts; what it is asked and answers goes from one to the other.
 */
export class Replicas implements Elsewhere, AsyncDisposable {
  readonly #services: Services;
  readonly #id: Uint8Array;
  readonly #name: string;
  readonly #rows: PresenceRows;
  readonly #askers: Askers;
  readonly #leases: Leases;
  /** The broker, where this process cannot reach it. */
  readonly broker: BrokerByOthers;
  readonly #back = { up: [] as Party[], atBroker: [] as Party[] };
  readonly #listening = new Listening();
  #stopTimer: () => void = () => {};

  constructor(services: Services) {
    this.#services = services;
    this.#id = services.random(16);
    this.#name = hex(this.#id);
    this.#rows = new PresenceRows(services, this.#name);
    this.#askers = new Askers(services.clock);
    this.#leases = new Leases(services, this.#name, () => this.broker.renewed());
    this.broker = new BrokerByOthers({
      ...services,
      ...{ id: this.#id, leases: this.#leases, askers: this.#askers },
      send: (to, message) => this.#send(to, message),
    });
  }

  /** How many there are, this one counted, as far as is known. */
  get alive(): number {
    return this.#leases.alive.size;
  }

  /** Takes part from here on: hears what the others say, unless the database keeps it waiting. @throws {UnavailableError} E_STORAGE. */
  async start(host: ReplicaHost): Promise<void> {
    const { clock, failed } = this.#services;
    this.broker.start(host);
    await this.#leases.renew();
    this.#stopTimer = clock.every(REPLICA_RENEW_MS, () => {
      this.#askers.sweep();
      this.#leases
        .renew()
        .then(() => (this.#rows.isOwed ? this.#restore() : undefined))
        .catch(failed);
    });
    await this.#listening.start(this.#services, this.#name, {
      message: (bytes) => this.#heard(host, parseReplicaMessage(bytes)),
      missed: () => {
        host.missed().catch(failed);
        this.#restore().catch(failed);
      },
      failed,
    });
  }

  async find(party: Party): Promise<({ readonly device: PresentDevice } & PresenceAccount) | undefined> {
    const row = await this.#rows.get(party);
    if (row === undefined || row.replica === this.#name || !(await this.#leases.isThere(row.replica))) return undefined;
    const { replica, since, version, distances } = row;
    return { device: this.#at(replica, party, distances), since, version };
  }

  /** A device has a link to this process, which takes the place of one elsewhere; whether there was one. */
  async connected(party: Party, link: PresentDevice, account: PresenceAccount): Promise<boolean> {
    const older = await this.#rows.put(party, link, account);
    this.#tellBack("up", party);
    if (older === undefined || older.replica === this.#name || !(await this.#leases.isThere(older.replica)))
      return false;
    await this.#send(older.replica, { type: "replaced", device: party, link: fromHex(older.link, 16) });
    return true;
  }

  /** A device has said hello by the MQTT broker to this process. */
  atBroker(party: Party): void {
    this.#tellBack("atBroker", party);
  }

  /** It has none any more. */
  async disconnected(party: Party, link: PresentDevice): Promise<void> {
    await this.#rows.remove(party, link);
  }

  /** Keeps for the others what a device with a link to this process has measured: the newest, one write after the other. */
  async measured(party: Party, link: PresentDevice): Promise<void> {
    await this.#rows.measured(party, link);
  }

  /** Whether another directory has had this one ask a device this, which has not answered. */
  isAsked(sid: Uint8Array): boolean {
    return this.#askers.has(sid);
  }

  /** Passes on a device's first answer to who has asked it; false for any other. */
  answered(device: Party, answer: Answer): boolean {
    const to = this.#askers.take(device, answer);
    if (to === undefined) return false;
    this.#send(to, { type: "answer", device, answer }).catch(this.#services.failed);
    return true;
  }

  /** Tells the others that something was stated anew. */
  async said(subjects: readonly string[]): Promise<void> {
    await this.#send("all", { type: "said", from: this.#id, subjects });
  }

  /** The same with the write of the turn that is under way: nobody hears of the one without the other. */
  saidWithTurn(subjects: readonly string[]): void {
    this.#services.shared.sendWithTurn("all", encodeReplicaMessage({ type: "said", from: this.#id, subjects }));
  }

  /** Ends a request that another directory may have. */
  async withdraw(sid: Uint8Array, sender: X25519PublicKey): Promise<void> {
    await this.#send("all", { type: "withdraw", sid, sender });
  }

  /** A request waits here: wherever it was put before, it waits no more, or its device would get two tickets for one session. */
  taken(sid: Uint8Array, sender: X25519PublicKey): void {
    this.#send("all", { type: "taken", from: this.#id, sid, sender }).catch(this.#services.failed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopTimer();
    this.broker[Symbol.dispose]();
    await this.#listening.stop();
    await this.#leases.leave().catch(this.#services.failed);
  }

  #heard(host: ReplicaHost, message: ReplicaMessage): void {
    switch (message.type) {
      case "wake":
        return void this.#wake(host, message).catch(this.#services.failed);
      case "answer":
        return host.answered(message.device, message.answer);
      case "unwoken":
        return host.unwoken(message.sid);
      case "gone":
        return void host.gone(message.sid).catch(this.#services.failed);
      case "up": {
        const from = hex(message.from);
        if (from === this.#name) return;
        for (const device of message.devices) {
          host.isBack(device, this.#at(from, device));
          const link = host.link(device);
          if (link !== undefined) this.#demandOwn(device, link).catch(this.#services.failed);
        }
        return;
      }
      case "atBroker":
        if (hex(message.from) === this.#name) return;
        for (const device of message.devices) host.isAtBroker(device).catch(this.#services.failed);
        return;
      case "replaced": {
        const link = host.link(message.device);
        if (link === undefined || !this.#rows.hasId(message.device, link, hex(message.link))) return;
        link.replace();
        return host.lost(message.device);
      }
      case "said":
        if (hex(message.from) !== this.#name) host.said(message.subjects).catch(this.#services.failed);
        return;
      case "taken":
        return hex(message.from) === this.#name ? undefined : host.taken(message.sid, message.sender);
      case "withdraw":
        return host.withdraw(message.sid, message.sender);
      default:
        return this.broker.heard(message);
    }
  }

  async #wake(host: ReplicaHost, { from, device, notify }: Extract<ReplicaMessage, { type: "wake" }>): Promise<void> {
    const link = host.link(device);
    const { sid } = parsePrologue(notify.prologueBytes);
    if (link === undefined) {
      await this.#rows.removeStray(device);
      return await this.#send(hex(from), { type: "gone", sid });
    }
    this.#askers.note(sid, hex(from), device);
    if (!(await link.notify(notify))) await this.#send(hex(from), { type: "unwoken", sid });
  }

  /** Ends a link whose device is said to be elsewhere: of two that came at one moment neither was told of the other. */
  async #demandOwn(device: Party, link: PresentDevice): Promise<void> {
    if (await this.#rows.isReplaced(device, link)) link.replace();
  }

  async #restore(): Promise<void> {
    for (const party of await this.#rows.restore()) this.#tellBack("up", party);
  }

  /** A device whose link is at another directory. */
  #at(replica: string, party: Party, distances?: Distances): PresentDevice {
    return {
      distances,
      notify: async (notify: UnprovedNotify) => {
        try {
          await this.#send(replica, { type: "wake", from: this.#id, device: party, notify });
          return true;
        } catch (error) {
          this.#services.failed(error);
          return false;
        }
      },
      replace: () => {},
    };
  }

  /** Those that come back at one moment are told of together. */
  #tellBack(type: "up" | "atBroker", party: Party): void {
    const back = this.#back[type];
    if (back.push(party) > 1) return;
    setImmediate(() => {
      for (let some = back.splice(0, REPLICA_DEVICES_AT_ONCE); some.length > 0; ) {
        this.#send("all", { type, from: this.#id, devices: some }).catch(this.#services.failed);
        some = back.splice(0, REPLICA_DEVICES_AT_ONCE);
      }
    });
  }

  async #send(to: string, message: ReplicaMessage): Promise<void> {
    await this.#services.shared.send(to, encodeReplicaMessage(message));
  }
}
