/**
 * A device on its link to the directory, in whose place the test speaks, and who may lie: its log is the test's. The
 * rendezvous is the test's, too, and so are the clients; all that is the device's is real.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Link, LinkEvent, WitnessOptions } from "../../directory/client.ts";
import { writeKeyListFile } from "../../keys/key-list-files.ts";
import type { Name } from "../../keys/names.ts";
import { ed25519Line, type Fingerprint, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { bindChannel, type ChannelBinding } from "../../protocol/channel/bind-channel.ts";
import { Channel } from "../../protocol/channel/channel.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import type { LinkParty } from "../../protocol/messages/link.ts";
import type { Answer, Notify } from "../../protocol/messages/session-request.ts";
import type { SessionInitiator } from "../../protocol/session/initiator.ts";
import { signRendezvousStatement } from "../../protocol/statements.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { Clients, type ListedClients } from "../../sshnpd/clients.ts";
import { CLOCK } from "../../sshnpd/clock.ts";
import { DeviceAccess } from "../../sshnpd/device-access.ts";
import { LinkEvents } from "../../sshnpd/link-events.ts";
import { OwnDirectory } from "../../sshnpd/own-directory.ts";
import { OwnPolicy } from "../../sshnpd/own-policy.ts";
import { OwnStatements } from "../../sshnpd/own-statements.ts";
import { Requests } from "../../sshnpd/requests.ts";
import { TcpServer } from "../../sshnpd/tcp-server.ts";
import { Sessions } from "../../sshnpd/sessions.ts";
import { NOW } from "../protocol/fixtures.ts";
import { StatementLog } from "../support/statement-log.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import {
  clientOwner,
  deviceKeys,
  keyList,
  notifyOf,
  ORIGIN,
  people,
  random,
  readAnswer,
  SILENT,
  startRequest,
  statementsOf,
  subjectsOf,
  suite,
  ticketFor,
} from "./stage.ts";

export const DIRECTORY: Fingerprint = fingerprint(
  suite,
  parsePublicKeyLine(ed25519Line(people.directory.root.publicKey)).blob,
);
const ADDRESS = parseDirectoryAddress(`http://127.0.0.1:1#${DIRECTORY}`);

export interface LinkedDeviceOptions {
  readonly listed?: ListedClients;
  /** A keys folder, of an earlier run. */
  readonly keys?: PrivateFolder;
  /** ms since 1970 UTC, by the device's clock. */
  readonly now?: () => number;
  /** Where its SSH server is. */
  readonly sshPort?: number;
  readonly witnesses?: WitnessOptions;
}

export class LinkedDevice implements AsyncDisposable {
  readonly keys: PrivateFolder;
  /** The directory's. */
  log = new StatementLog(suite, people.directory.log, ORIGIN);
  /** What the device has answered on the link. */
  readonly answers: Answer[] = [];
  /** The clients that it said it has sessions with, each time. */
  readonly watched: (readonly LinkParty[])[] = [];
  /** Why it wants to be rid of the link. */
  readonly failures: unknown[] = [];
  /** How often it has closed the link. */
  closed = 0;
  readonly directory: OwnDirectory;
  readonly own: OwnStatements;
  readonly clients: Clients;
  readonly sessions: Sessions;
  readonly #events: LinkEvents;
  readonly #rendezvous: Server;
  /** Where the rendezvous is, and the statement that says so. */
  readonly #place: { readonly addresses: readonly string[]; readonly statement: SignedText };
  readonly #legs: Socket[] = [];
  readonly #folder: TemporaryFolder | undefined;
  readonly #link: Link;

  static async start({ listed, keys: before, witnesses, ...rest }: LinkedDeviceOptions = {}): Promise<LinkedDevice> {
    const folder = before === undefined ? await temporaryFolder() : undefined;
    const keys = before ?? (await PrivateFolder.openOrCreate(join(folder?.path ?? "", "keys")));
    await writeKeyListFile(keys, deviceKeys.name, keyList.signed);
    const surroundings = { suite, random, folder: keys, log: SILENT, signal: new AbortController().signal };
    const directory = await OwnDirectory.open(surroundings, { directory: ADDRESS, keys: deviceKeys }, witnesses);
    const own = await OwnStatements.open(suite, keys, deviceKeys);
    const known = listed ?? new Map<Name, Fingerprint | undefined>([[people.client.name, clientOwner]]);
    const policy = new OwnPolicy(own, SILENT);
    const clients = new Clients(
      suite,
      keys,
      known,
      () => {},
      () => policy.current(),
    );
    const rendezvous = createServer().listen(0, "127.0.0.1");
    await once(rendezvous, "listening");
    return new LinkedDevice({ keys, directory, own, policy, clients, rendezvous, folder }, rest);
  }

  private constructor(
    parts: {
      readonly keys: PrivateFolder;
      readonly directory: OwnDirectory;
      readonly own: OwnStatements;
      readonly policy: OwnPolicy;
      readonly clients: Clients;
      readonly rendezvous: Server;
      readonly folder: TemporaryFolder | undefined;
    },
    { now = () => NOW + 1000, sshPort = 1 }: LinkedDeviceOptions,
  ) {
    const { keys, directory, own, policy, clients, rendezvous, folder } = parts;
    this.keys = keys;
    this.directory = directory;
    this.own = own;
    this.clients = clients;
    this.#rendezvous = rendezvous;
    this.#folder = folder;
    const { x25519, ed25519 } = people.rendezvous;
    const addresses = [`tcp://127.0.0.1:${(rendezvous.address() as AddressInfo).port}`];
    const statement = signRendezvousStatement(suite, random, people.directory.root, {
      ...{ rendezvous: "eu1", seq: 1, prev: null, issued: NOW, expires: null, addresses },
      ...{ x25519: x25519.publicKey, ed25519: ed25519.publicKey },
    });
    this.#place = { addresses, statement };
    rendezvous.on("connection", (leg) => this.#legs.push(leg.on("error", () => {})));
    this.#link = {
      events: noEvents(),
      remoteAddress: "127.0.0.1",
      answer: (answer) => void this.answers.push(answer),
      tellDistances: () => {},
      watch: (list) => void this.watched.push(list),
      probe: () => {},
      close: () => void this.closed++,
    };
    const { member: device } = deviceKeys;
    const access = new DeviceAccess({ device, clients, policy, permitOpen: new Set(), now });
    this.sessions = new Sessions({
      ...{
        suite,
        clients,
        access,
        sshServer: new TcpServer({ port: sshPort, hostKeys: { current: () => Promise.resolve([]) } }),
        accountFor: () => Promise.resolve(undefined),
        now,
        log: SILENT,
      },
      ...{ allowPrivate: () => true, onClients: (list) => this.#link.watch(list) },
    });
    const requests = new Requests({
      ...{
        suite,
        random,
        loadKem: () => Promise.resolve(mlKem768),
        own,
        deviceKey: deviceKeys.x25519,
        clients,
        access,
      },
      checkpoint: () => directory.client.checkpoint,
      compareCheckpoint: (note) => directory.client.compareCheckpoint(note),
      hostKeys: { current: () => Promise.resolve([people.client.x25519.publicKey.bytes]) },
      ...{ acceptsKeys: false, now, log: SILENT },
      keyListFor: (ticket) => directory.keyListFor(ticket),
      hasRoom: () => this.sessions.hasRoom,
      begin: (session) => this.sessions.begin(session),
    });
    this.#events = new LinkEvents({ directory, own, clients, requests, sessions: this.sessions, log: SILENT });
  }

  /** Size of the newest checkpoint that the device has seen. */
  get seen(): number {
    return this.directory.client.checkpointSize;
  }

  /** Says something on the link. @throws what the device cannot bear at once. */
  say(event: LinkEvent): void {
    this.#events.handle(
      event,
      this.#link,
      () => this.#link,
      (error) => this.failures.push(error),
    );
  }

  /** A proof by the directory's log of now, for somebody who has seen what the device has. */
  prove(subjects: readonly string[]): Uint8Array {
    return this.log.prove(subjects, this.seen);
  }

  /** A request with a ticket to where the test listens, its statements logged; `proof` is to be added. */
  request(initiator = startRequest(), changes: Partial<Notify> = {}): Notify {
    const { ed25519, boot } = people.rendezvous;
    const { addresses, statement } = this.#place;
    const entries = [{ key: ed25519.publicKey, boot, addresses }];
    const notify = notifyOf(initiator, {
      ...{ ticket: ticketFor(initiator, { entries }), rendezvous: [statement] },
      ...changes,
    });
    this.log.hold(...statementsOf(notify));
    return notify;
  }

  /** Its answer to a request with an honest proof; what is said `meanwhile` comes right behind it. */
  async ask(
    initiator: SessionInitiator = startRequest(),
    notify = this.request(initiator),
    meanwhile = () => {},
  ): Promise<Answer> {
    const count = this.answers.length;
    this.say({ type: "notify", notify: { ...notify, proof: this.prove(subjectsOf(notify)) } });
    meanwhile();
    while (this.answers.length === count) await new Promise(setImmediate);
    return this.answers[count] as Answer;
  }

  /** A client's end of a session in which both have proved themselves. */
  async connect(initiator: SessionInitiator = startRequest(), changes: Partial<Notify> = {}): Promise<ChannelBinding> {
    const connected = once(this.#rendezvous, "connection") as Promise<[Socket]>;
    const notify = this.request(initiator, changes);
    const answer = await this.ask(initiator, notify);
    const { keys, payload } = readAnswer(initiator, answer, notify.ticket);
    if (payload.refusal !== undefined) throw new Error(`refused: ${payload.refusal.code} ${payload.refusal.reason}`);
    const [leg] = await connected;
    await once(leg, "data"); // the device's hello
    leg.write(Uint8Array.of(LEG_STATUS.joined, 0));
    const channel = new Channel({
      role: "client",
      send: suite.aead(keys.initiatorToResponder),
      receive: suite.aead(keys.responderToInitiator),
      limits: payload.limits,
    });
    const { signal } = new AbortController();
    return await new Promise((resolve) => {
      const binding = bindChannel(channel, leg, {
        ...{ signal, clock: CLOCK },
        onConfirmed: () => binding.ping(),
        onPong: () => resolve(binding), // the device has read our CONFIRM too
      });
    });
  }

  /** Ends it; a folder that it was given stays. */
  async stop(): Promise<void> {
    await this.sessions.close();
    await this.directory.remembered();
    for (const leg of this.#legs) leg.destroy();
    this.#rendezvous.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#folder?.remove();
  }
}

async function* noEvents(): AsyncGenerator<LinkEvent> {}
