import { setImmediate as othersTurn } from "node:timers/promises";
import { ByteReader } from "../keys/bytes.ts";
import { isMember, type MemberName, type Name } from "../keys/names.ts";
import { DEVICE_LIST_MS, DEVICE_LISTS_BURST, DEVICE_LISTS_PER_SECOND, DEVICES_AT_ONCE } from "../protocol/limits.ts";
import { type DeviceEntry, parseListDevices } from "../protocol/messages/devices.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { OpenedMessage } from "../protocol/sealed-message.ts";
import { isExpired } from "../protocol/statement-fields.ts";
import type { Clock } from "./clock.ts";
import { type Policies, seenBy } from "./policies.ts";
import type { Party, Presence } from "./presence.ts";
import { NameLimiter } from "./rate-limit.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";
import type { ResponseStream } from "./response-stream.ts";
import { isRevokedRecord, memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";

interface Services {
  readonly store: Store;
  readonly policies: Policies;
  readonly presence: Pick<Presence, "about">;
  readonly registry: Pick<RendezvousRegistry, "offer">;
  readonly clock: Clock;
}

/** Answers what clients look at: which devices of a name they may reach and whether they are online, and the rendezvous. */
export class DeviceLists {
  readonly #services: Services;
  readonly #byClient = new NameLimiter({ perSecond: DEVICE_LISTS_PER_SECOND, burst: DEVICE_LISTS_BURST });
  /** Whose are being answered, by their keys. */
  readonly #asking = new Set<string>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** @throws {PeerError} when it does not parse; {UnavailableError} E_STORAGE. */
  async answer(
    { type, body, sender }: Pick<OpenedMessage, "type" | "body" | "sender">,
    stream: Pick<ResponseStream, "send" | "drained" | "end" | "cut" | "isOpen">,
  ): Promise<void> {
    if (type === REQUEST.listRendezvous) return await this.#rendezvous({ body, sender }, stream);
    const { clock } = this.#services;
    const name = parseListDevices(body);
    const refuse = (code: RefusalCode, detail = 0): void => stream.end({ type: "refused", code, detail });
    const client = await this.#clientOf(sender);
    if (typeof client === "string") return refuse(client);
    const key = sender.toJSON();
    if (this.#asking.has(key)) return refuse("E_BUSY", 1000);
    if (!this.#byClient.take(client.name, clock.monotonic())) return refuse("E_RATE", 1000);
    this.#asking.add(key);
    const stop = clock.every(DEVICE_LIST_MS, () => stream.cut());
    try {
      for await (const devices of listDevices(this.#services, client, name)) {
        stream.send({ type: "devices", devices });
        await stream.drained();
        if (!stream.isOpen) return;
        await othersTurn();
      }
    } finally {
      stop();
      this.#asking.delete(key);
    }
    stream.end({ type: "done" });
  }

  /** Those that a ticket would name now, by their root-signed statements. */
  async #rendezvous(
    { body, sender }: Pick<OpenedMessage, "body" | "sender">,
    stream: Pick<ResponseStream, "send" | "end">,
  ): Promise<void> {
    const { clock, registry } = this.#services;
    new ByteReader(body).end();
    const client = await this.#clientOf(sender);
    if (typeof client === "string") return stream.end({ type: "refused", code: client, detail: 0 });
    if (!this.#byClient.take(client.name, clock.monotonic())) {
      return stream.end({ type: "refused", code: "E_RATE", detail: 1000 });
    }
    for (const statement of registry.offer(clock.now()).statements) stream.send({ type: "rendezvous", statement });
    stream.end({ type: "done" });
  }

  /** Forgets the names that have not asked for a while. */
  sweep(now: number): void {
    this.#byClient.sweep(now);
  }

  /** The client that holds a key now, or why there is none. */
  async #clientOf(sender: OpenedMessage["sender"]): Promise<Party | RefusalCode> {
    const { store, clock } = this.#services;
    const [of, member = ""] = (await store.keyHolder(sender))?.split("/") ?? [];
    if (!isMember(member)) return "E_NOT_AUTHORIZED";
    const party = { name: of as Name, member };
    const standing = await memberStanding(store, party);
    if (standing?.record.role !== "client" || !standing.record.x25519.equals(sender)) return "E_NOT_AUTHORIZED";
    if (standing.isRevoked) return "E_REVOKED";
    return isExpired(standing.record, clock.now()) ? "E_STATEMENT" : party;
  }
}

/** The devices of a name that a client may ask for a session, some at a time, read as they are asked for. */
async function* listDevices(
  { store, policies, presence }: Services,
  client: Party,
  name: Name,
): AsyncGenerator<DeviceEntry[], void, void> {
  const isSeen = seenBy(await policies.of(name), client);
  let page: DeviceEntry[] = [];
  for await (const records of store.devices(name)) {
    const entries = records.map(async (record): Promise<DeviceEntry | undefined> => {
      if (!isSeen(record.member) || (await isRevokedRecord(store, name, record))) return undefined;
      return await entryOf({ store, presence }, { name, member: record.member });
    });
    for (const entry of await Promise.all(entries)) {
      if (entry === undefined) continue;
      page.push(entry);
      if (page.length < DEVICES_AT_ONCE) continue;
      yield page;
      page = [];
    }
  }
  if (page.length > 0) yield page;
}

async function entryOf(
  { store, presence }: Pick<Services, "store" | "presence">,
  device: { readonly name: Name; readonly member: MemberName },
): Promise<DeviceEntry> {
  const { member } = device;
  const present = await presence.about(device);
  if (present !== undefined) return { member, state: "online", ...present };
  const lastSeen = await store.lastSeen(device);
  return lastSeen === undefined ? { member, state: "never seen" } : { member, state: "offline", lastSeen };
}
