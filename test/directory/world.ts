import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { pino } from "pino";
import { activationKey } from "../../keys/activation-key.ts";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type MemberName, type Name, parseMember, parseName, type Role } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { signSshsig } from "../../keys/sshsig.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { DirectoryClient, type Link, openLink } from "../../directory/client.ts";
import { administer, type Administration } from "../../directory/administration.ts";
import type { Clock } from "../../directory/clock.ts";
import { type Directory, type DirectoryOptions, startDirectory } from "../../directory/server.ts";
import type { Database } from "../../directory/database.ts";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { databaseIn } from "../support/postgres.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Store } from "../../directory/store.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import {
  ACTIVATION_NAMESPACE,
  activationProof,
  encodeActivation,
  encodeActivationStart,
  encodeRendezvousActivation,
  encodeRendezvousActivationStart,
  encodeRendezvousReport,
  RENDEZVOUS_ACTIVATION,
  rendezvousActivationProof,
} from "../../protocol/messages/activation.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { encodePutStatements } from "../../protocol/messages/put-statements.ts";
import { encodeSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { encodePrologue } from "../../protocol/messages/prologue.ts";
import { bindingSubject, signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

export { suite };
export const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
export const patience = (): AbortSignal => AbortSignal.timeout(20_000);

type Observe = (database: Database) => Database;

/** A directory in this process, on a free port, with a store of its own. */
export class World implements AsyncDisposable {
  readonly folder: TemporaryFolder;
  readonly data: PrivateFolder;
  readonly #options: Partial<DirectoryOptions>;
  #store: Store | undefined;
  #directory: Directory | undefined;
  #url: string | undefined;

  private constructor(folder: TemporaryFolder, data: PrivateFolder, options: Partial<DirectoryOptions>) {
    this.folder = folder;
    this.data = data;
    this.#options = options;
  }

  /** What `observe` gives, if given, stands in front of its database until it is paused. */
  static async start(options: Partial<DirectoryOptions> = {}, observe?: Observe): Promise<World> {
    const folder = await temporaryFolder();
    const world = new World(folder, await PrivateFolder.openOrCreate(join(folder.path, "np")), options);
    await world.resume(0, {}, observe);
    return world;
  }

  /** One more directory on the PostgreSQL database and the keys of another one. */
  static async beside(other: Pick<World, "data" | "url">, options: Partial<DirectoryOptions> = {}): Promise<World> {
    const folder = await temporaryFolder();
    const data = await PrivateFolder.openOrCreate(join(folder.path, "np"));
    const world = new World(folder, data, { keysFolder: other.data, ...options });
    world.#url = other.url;
    await world.resume();
    return world;
  }

  get directory(): Directory {
    if (this.#directory === undefined) throw new Error("the directory is not running");
    return this.#directory;
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error("the directory is not running");
    return this.#store;
  }

  /** Of its PostgreSQL database. */
  get url(): string {
    if (this.#url === undefined) throw new Error("its store is a folder");
    return this.#url;
  }

  get address(): DirectoryAddress {
    const { port, keyring } = this.directory;
    return parseDirectoryAddress(`http://127.0.0.1:${port}#${keyring.fingerprint}`);
  }

  get administration(): Administration {
    return administer({ ...this.directory, store: this.store }, this.directory.presence);
  }

  /** Stops it; the data stay. */
  async pause(): Promise<void> {
    await this.#directory?.[Symbol.asyncDispose]();
    await this.#store?.close();
    this.#directory = undefined;
    this.#store = undefined;
  }

  /** Starts it again, on another port if none is given. */
  async resume(
    port = 0,
    options: Partial<DirectoryOptions> = {},
    observe: Observe = (database) => database,
  ): Promise<void> {
    this.#store = new Store(observe(await this.#database()));
    this.#directory = await startDirectory({
      suite,
      random,
      folder: this.data,
      store: this.#store,
      listen: { host: "127.0.0.1", port },
      maxConnections: 1000,
      log: pino({ level: "fatal" }),
      ...this.#options,
      ...options,
    });
  }

  /** LevelDB, or in suites that run on both a database of its own at the PostgreSQL server that the environment names. */
  async #database(): Promise<Database> {
    const server = process.env["SSHNP_TEST_POSTGRES"];
    if (server !== undefined) this.#url ??= await databaseIn(server);
    if (this.#url !== undefined) return await PostgresDatabase.open(this.#url);
    return await LevelDatabase.open(join(this.data.path, "store"));
  }

  client(options: Partial<ConstructorParameters<typeof DirectoryClient>[0]> = {}): DirectoryClient {
    return new DirectoryClient({ address: this.address, suite, random, ...options });
  }

  /** Makes a name with its secret. */
  async addName(name: Name): Promise<Secret> {
    const secret = Secret.fromBytes(random(32));
    await this.administration.addName(name, activationKey(suite, secret, name).publicKey);
    return secret;
  }

  /** An activated name with its first member. */
  async activated(text: string, memberText: string, role: Role): Promise<Person> {
    const name = parseName(text);
    const secret = await this.addName(name);
    const issued = this.#options.clock?.now() ?? Date.now();
    const person = newPerson(name, parseMember(memberText), role, { issued });
    await activate(this.client(), person, secret);
    return person;
  }

  /** A rendezvous that is registered and up; nothing listens there. */
  async rendezvous(name = "rz1", addresses: readonly string[] = ["tcp://127.0.0.1:7801"]): Promise<TestRendezvous> {
    const secret = Secret.fromBytes(random(32));
    const key = activationKey(suite, secret, RENDEZVOUS_ACTIVATION);
    await this.administration.addRendezvous(name, key.publicKey);
    const rendezvous = newRendezvous(addresses);
    await activateRendezvous(this.client(), rendezvous, key);
    await report(this.client(), rendezvous);
    return rendezvous;
  }

  async link(
    device: Person,
    options: { names?: readonly Name[]; client?: DirectoryClient; signal?: AbortSignal } = {},
  ) {
    return await openDeviceLink(options.client ?? this.client(), device, options.names ?? [], options.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause();
    await this.folder.remove();
  }
}

/** A clock that goes as the system's does, and can be set forward; what is due by then happens at once. */
export class TestClock implements Clock {
  #ahead: number;
  readonly #timers = new Set<{ readonly ms: number; readonly action: () => void; due: number }>();

  /** `ahead`: ms by which it is ahead of the system's from the start. */
  constructor(ahead = 0) {
    this.#ahead = ahead;
  }

  now(): number {
    return Math.floor(Date.now() + this.#ahead);
  }

  monotonic(): number {
    return performance.now() + this.#ahead;
  }

  every(ms: number, action: () => void): () => void {
    const timer = { ms, action, due: this.monotonic() + ms };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Sets it forward in one leap, as after a sleep of the machine: what is due happens once. */
  leap(ms: number): void {
    this.#ahead += ms;
    for (const timer of this.#timers) {
      if (timer.due > this.monotonic()) continue;
      timer.due = this.monotonic() + timer.ms;
      timer.action();
    }
  }

  advance(ms: number): void {
    const end = this.monotonic() + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.due - b.due);
      if (next === undefined || next.due > end) break;
      this.#ahead += Math.max(0, next.due - this.monotonic());
      next.due += next.ms;
      next.action();
    }
    this.#ahead += Math.max(0, end - this.monotonic());
  }
}

/** A member with all its keys, and its owner's. */
export interface Person {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly owner: Ed25519PrivateKey;
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
  readonly statement: SignedText;
  readonly binding: SignedText;
}

export function newPerson(
  name: Name,
  member: MemberName,
  role: Role,
  {
    owner = Ed25519PrivateKey.generate(suite, random),
    x25519 = X25519PrivateKey.generate(suite, random),
    ed25519 = Ed25519PrivateKey.generate(suite, random),
    issued = Date.now(),
    expires = null as number | null,
    statement = undefined as SignedText | undefined,
  } = {},
): Person {
  const line = ed25519Line(owner.publicKey);
  return {
    ...{ name, member, role, owner, x25519, ed25519 },
    statement: statement ?? signFirstNameStatement(suite, random, owner, { name, owner: line, issued }),
    binding: signFirstBinding(suite, random, owner, {
      ...{ name, member, role, issued, expires },
      x25519: x25519.publicKey,
      ed25519: ed25519.publicKey,
    }),
  };
}

/** What is sent to activate: nonce first, then the proofs over it. */
export async function activate(client: DirectoryClient, person: Person, secret: Secret): Promise<Frame> {
  const nonce = await challenge(client, person);
  return await client.request(person.x25519, activateMessage(client, person, secret, nonce), { signal: patience() });
}

export async function challenge(client: DirectoryClient, person: Person): Promise<Uint8Array> {
  const start = { type: REQUEST.activationStart, body: encodeActivationStart(person.name) };
  const frame = await client.request(person.x25519, start, { signal: patience() });
  if (frame.type !== "activation") throw new Error(`the directory answers ${frame.type}`);
  return frame.nonce;
}

export function activateMessage(client: DirectoryClient, person: Person, secret: Secret, nonce: Uint8Array) {
  const keys = { x25519: person.x25519.publicKey, ed25519: person.ed25519.publicKey };
  const proof = activationProof(
    { nonce, directoryFingerprint: client.address.fingerprint },
    ed25519Line(person.owner.publicKey),
    { ...person, ...keys },
  );
  const body = encodeActivation({
    nonce,
    name: person.statement,
    binding: person.binding,
    activationSignature: suite.sign(activationKey(suite, secret, person.name), proof),
    ownerSignature: signSshsig(suite, person.owner, ACTIVATION_NAMESPACE, proof),
  });
  return { type: REQUEST.activate, body };
}

export interface TestRendezvous {
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
  readonly boot: Uint8Array;
  readonly addresses: readonly string[];
}

export function newRendezvous(addresses: readonly string[]): TestRendezvous {
  const x25519 = X25519PrivateKey.generate(suite, random);
  const ed25519 = Ed25519PrivateKey.generate(suite, random);
  return { x25519, ed25519, boot: random(16), addresses };
}

export async function activateRendezvous(
  client: DirectoryClient,
  rendezvous: TestRendezvous,
  key: Ed25519PrivateKey,
): Promise<Frame> {
  const signal = patience();
  const start = { type: REQUEST.rendezvousActivationStart, body: encodeRendezvousActivationStart(key.publicKey) };
  const frame = await client.request(rendezvous.x25519, start, { signal });
  if (frame.type !== "activation") throw new Error(`the directory answers ${frame.type}`);
  const identity = { x25519: rendezvous.x25519.publicKey, ed25519: rendezvous.ed25519.publicKey };
  const { nonce } = frame;
  const proof = rendezvousActivationProof({ nonce, directoryFingerprint: client.address.fingerprint }, identity);
  const body = encodeRendezvousActivation({
    ...identity,
    nonce,
    activationKey: key.publicKey,
    addresses: rendezvous.addresses,
    activationSignature: suite.sign(key, proof),
    ownSignature: suite.sign(rendezvous.ed25519, proof),
  });
  return await client.request(rendezvous.x25519, { type: REQUEST.rendezvousActivate, body }, { signal });
}

export async function report(
  client: DirectoryClient,
  rendezvous: TestRendezvous,
  legs = 0,
  more: { readonly isDraining?: boolean; readonly region?: string; readonly most?: number } = {},
): Promise<Frame> {
  const { boot, addresses } = rendezvous;
  const message = {
    type: REQUEST.rendezvousReport,
    body: encodeRendezvousReport({ boot, legs, most: 16_000, isDraining: false, region: "", ...more, addresses }),
  };
  return await client.request(rendezvous.x25519, message, { signal: patience() });
}

export async function openDeviceLink(
  client: DirectoryClient,
  device: Person,
  names: readonly Name[] = [],
  signal: AbortSignal = patience(),
): Promise<Link> {
  const { name, member, x25519: sender } = device;
  return await openLink({
    client,
    sender,
    hello: { name, member, version: "0.1.0", names, policyHash: NO_POLICY },
    signal,
  });
}

/** The message of a session request. msg1 is noise here: the directory cannot read it anyway. */
export function sessionMessage(
  client: Person,
  device: Person,
  {
    sid = random(16),
    message1 = random(1400),
    waitSeconds = 0,
    deviceBinding = device.binding,
    clientBinding = client.binding,
    legKey = Ed25519PrivateKey.generate(suite, random).publicKey,
  } = {},
) {
  const party = ({ name, member }: Person, binding: SignedText) => ({
    ...{ name, member },
    bindingHash: suite.sha256(new TextEncoder().encode(binding.text)),
  });
  const prologueBytes = encodePrologue({
    ...{ sid, legKey, service: "ssh", login: "pi" },
    client: party(client, clientBinding),
    device: party(device, deviceBinding),
  });
  const body = encodeSessionRequest({ prologueBytes, message1, waitSeconds, checkpointSize: 0, distances: new Map() });
  return { type: REQUEST.session, body, sid, message1 };
}

/** The hash of a policy that a device does not have. */
export const NO_POLICY: Uint8Array = new Uint8Array(32);

/** The message that gives the directory statements, from somebody who has seen nothing of its log. */
export function putMessage(...statements: readonly SignedText[]) {
  return { type: REQUEST.putStatements, body: encodePutStatements({ checkpointSize: 0, statements }) };
}

export function subject(person: Person): string {
  return bindingSubject(person);
}
