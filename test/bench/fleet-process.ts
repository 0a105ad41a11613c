/**
 * Some devices of a fleet in one process (told-process.ts). A device is what sshnpd is towards its directory and the rendezvous, and
 * nothing else: keys of its own, a binding that its owner signed and the directory took, one link, kept by sshnpd/link.ts, and
 * the sessions that it is asked for (simulated-session.ts).
 */
import { randomBytes } from "node:crypto";
import { EventEmitter, once, setMaxListeners } from "node:events";
import {
  AskAgainError,
  DirectoryClient,
  type Link,
  openBrokerLink,
  openLink,
  readBrokerPlace,
} from "../../directory/client.ts";
import { hex, utf8 } from "../../keys/bytes.ts";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { readOwnerFile } from "../../keys/end-key-files.ts";
import { type MemberName, type Name, parseMember, parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { VERSION } from "../../keys/version.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import type { VerifiedKeyList } from "../../protocol/key-list.ts";
import { encodePutStatements } from "../../protocol/messages/put-statements.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { bindingText } from "../../protocol/statements.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import type { Party } from "../../protocol/messages/prologue.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { keepLinked } from "../../sshnpd/link.ts";
import { type SlowProxy, startSlowProxy } from "../support/slow-proxy.ts";
import { answerCommands } from "./answer-commands.ts";
import { ENROL_MS, type FleetAnswer, type FleetCommand, type Return } from "./fleet-commands.ts";
import { partyOf, serveRequest } from "./simulated-session.ts";

/** First acts of devices that are under way together; what comes back by itself later is as many as the product lets be. */
const AT_ONCE = 64;

/**
 * Devices that are between their dial and their hello. A device has a processor of its own and says hello a moment after it is
 * connected. Here thousands share one: if all of them began together, none would say hello before all were connected.
 */
const DIALS_AT_ONCE = 16;
let dials = 0;
const waitingToDial: (() => void)[] = [];

/** Says when the hello of its link is made, which is when the directory's time is read for the second time. */
class DeviceClient extends DirectoryClient {
  onHello: () => void = () => {};
  #readings = 0;

  override get directoryTime(): number {
    if (++this.#readings === 2) this.onHello();
    return super.directoryTime;
  }

  begin(onHello: () => void): void {
    this.#readings = 0;
    this.onHello = onHello;
  }
}

const SESSION_MS = 60_000; // of which each lasts a moment

interface Device {
  readonly number: number;
  readonly party: Party;
  readonly name: Name;
  readonly member: MemberName;
  x25519: X25519PrivateKey;
  /** The newest. */
  binding: SignedText;
  seq: number;
}

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
/** Aborted when the devices are to stand down. */
let up = standby();

let owner: Awaited<ReturnType<typeof readOwnerFile>>;
let address: DirectoryAddress | undefined;
/** A slow line to it, once there is one. */
let line: SlowProxy | undefined;
/** What a device keeps from its activation. */
let keyList: VerifiedKeyList | undefined;
const devices: Device[] = [];
/** When the link that a device has now came up, ms since 1970. */
const linked = new Map<Device, number>();
/** Emits `change`. */
const links = new EventEmitter();
/** Those that have lost a link and have not tried again yet. */
const waiting = new Map<Device, Omit<Return, "tried">>();
/** The link that each has. */
const current = new Map<Device, Link>();
let returns: Return[] = [];
let losses = 0;

await answerCommands(perform);
up.abort();
await line?.[Symbol.asyncDispose]();

async function perform(command: FleetCommand): Promise<FleetAnswer> {
  switch (command.do) {
    case "enrol":
      await enrol(command);
      return { ...report(), bindings: devices.map(({ party }) => hex(party.bindingHash)) };
    case "bringUp":
      if (command.address !== undefined) address = parseDirectoryAddress(command.address);
      await inTurns(devices, (device) => bringUp(device, command));
      return report();
    case "standDown":
      up.abort();
      up = standby();
      linked.clear();
      return report();
    case "lengthen":
      await lengthen(command.roundTripMs);
      return report();
    case "wait":
      while (!isWhole(command.since)) await once(links, "change");
      return { ...report(), linkedAt: [...linked.values()] };
    case "relink":
      for (const device of some(command.count)) current.get(device)?.close();
      return report();
    case "rotate":
      await inTurns(some(command.count), rotate);
      return report();
    case "returns": {
      const told = returns;
      returns = [];
      return { ...report(), returns: told };
    }
    case "report":
      return report();
  }
}

function standby(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // each device listens
  return controller;
}

/** Whether each device has a link that came up later than `since`. */
function isWhole(since: number): boolean {
  return linked.size === devices.length && [...linked.values()].every((at) => at > since);
}

function report(): FleetAnswer {
  const { user, system } = process.cpuUsage();
  return { devices: devices.length, linked: linked.size, losses, cpuSeconds: (user + system) / 1e6 };
}

/** Makes devices of an owner and has the directory take their bindings, as `sshnpd -d NAME` does beside the owner's key. */
async function enrol(command: Extract<FleetCommand, { do: "enrol" }>): Promise<void> {
  const name = parseName(command.name);
  const folder = await PrivateFolder.open(command.keys);
  owner = folder && (await readOwnerFile(suite, folder, name));
  if (owner === undefined) throw new Error(`no owner key of ${name} in ${command.keys}`);
  address = parseDirectoryAddress(command.address);
  const client = new DirectoryClient({ address, suite, random });
  const signal = AbortSignal.timeout(ENROL_MS);
  keyList = await client.fetchKeyList({ signal });
  const numbers = Array.from({ length: command.count }, (_, i) => command.first + i);
  await inTurns(numbers, async (number) => {
    const device = newDevice(number, name, client.directoryTime);
    await putBinding(client, device, signal);
    devices.push(device);
  });
  devices.sort((a, b) => a.number - b.number);
}

function newDevice(number: number, name: Name, issued: number): Device {
  const member = parseMember(`d${number}`);
  const made = newBinding({ name, member, seq: 0, binding: undefined }, issued);
  return { number, name, member, ...made, party: partyOf({ suite, random }, { name, member, binding: made.binding }) };
}

/** New keys, and the owner's statement of them. */
function newBinding(
  { name, member, seq, binding: before }: Pick<Device, "name" | "member" | "seq"> & { binding: SignedText | undefined },
  issued: number,
): Pick<Device, "x25519" | "binding" | "seq"> {
  if (owner === undefined) throw new Error(`there is no owner key of ${name}`);
  const x25519 = X25519PrivateKey.generate(suite, random);
  const keys = { x25519: x25519.publicKey, ed25519: Ed25519PrivateKey.generate(suite, random).publicKey };
  const prev = before === undefined ? null : hex(suite.sha256(utf8(before.text)));
  const content = { name, member, role: "device", ...keys, seq: seq + 1, prev, issued, expires: null } as const;
  return { x25519, binding: signWith(suite, owner.privateKey, bindingText(random, content)), seq: seq + 1 };
}

async function putBinding(
  client: DirectoryClient,
  { x25519, binding }: Pick<Device, "x25519" | "binding">,
  signal: AbortSignal,
): Promise<void> {
  const body = encodePutStatements({ checkpointSize: 0, statements: [binding] });
  await client.request(x25519, { type: REQUEST.putStatements, body }, { signal });
}

async function rotate(device: Device): Promise<void> {
  if (address === undefined) throw new Error("no device is enrolled");
  const client = new DirectoryClient({ address, suite, random, keyList });
  const made = newBinding(device, client.directoryTime);
  await putBinding(client, made, AbortSignal.timeout(SESSION_MS));
  Object.assign(device, made);
  current.get(device)?.close();
}

function some(count: number): Device[] {
  return Array.from({ length: count }, () => devices[Math.floor(Math.random() * devices.length)]).filter(
    (device) => device !== undefined,
  );
}

/** Puts a slow line before the directory. */
async function lengthen(roundTripMs: number): Promise<void> {
  if (address === undefined) throw new Error("no device is enrolled");
  const port = Number(address.url.port);
  line = await startSlowProxy(() => port, roundTripMs);
  address = parseDirectoryAddress(address.text.replace(`:${port}`, `:${line.port}`));
}

/** Starts what keeps a device linked, and waits for its first link. */
async function bringUp(
  device: Device,
  { broker: brokerUrl, isMetered }: Extract<FleetCommand, { do: "bringUp" }>,
): Promise<void> {
  const { name, member } = device;
  if (address === undefined) throw new Error("no device is enrolled");
  const client = new DeviceClient({ address, suite, random, keyList });
  const { signal } = up;
  const broker = brokerUrl === undefined ? undefined : await readBrokerPlace(brokerUrl, {});
  await new Promise<void>((resolve, reject) => {
    const kept = keepLinked({
      signal,
      random: Math.random,
      open: () => {
        const before = waiting.get(device);
        if (before !== undefined) returns.push({ ...before, tried: timersNow() });
        waiting.delete(device);
        const hello = { name, member, version: VERSION, names: [], policyHash: new Uint8Array(32) };
        const options = { client, sender: device.x25519, hello, isMetered, signal };
        return broker === undefined ? dialInTurn(client, options) : openBrokerLink({ ...options, broker });
      },
      onLinked: (link) => {
        current.set(device, link);
        linked.set(device, Date.now());
        links.emit("change");
        resolve();
      },
      onLost: (error, wait) => {
        losses += 1;
        const isTold = error instanceof AskAgainError;
        const { number } = device;
        if (linked.delete(device)) waiting.set(device, { device: number, wait, due: timersNow() + wait, isTold });
      },
      onEvent: (event, link) => {
        if (event.type === "notify") serve(client, link, event);
      },
    });
    kept.catch(reject);
  });
}

/** The time by which Node's timers begin, ms: when its loop last looked at the clock. */
function timersNow(): number {
  const timer = setTimeout(() => {}, 0);
  clearTimeout(timer);
  return (timer as unknown as { readonly _idleStart: number })._idleStart;
}

/** Whoever asks counts what fails. */
function serve(client: DirectoryClient, link: Link, event: Parameters<typeof serveRequest>[3]): void {
  serveRequest({ suite, random }, client, link, event, AbortSignal.timeout(SESSION_MS)).catch(() => {});
}

async function dialInTurn(client: DeviceClient, options: Parameters<typeof openLink>[0]): ReturnType<typeof openLink> {
  if (dials >= DIALS_AT_ONCE) await new Promise<void>((resolve) => waitingToDial.push(resolve));
  dials += 1;
  client.begin(() => {
    client.onHello = () => {};
    dials -= 1;
    waitingToDial.shift()?.();
  });
  try {
    return await openLink(options);
  } finally {
    client.onHello();
  }
}

/** Does `act` for all items, AT_ONCE of them at a time. */
async function inTurns<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
