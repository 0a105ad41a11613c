/**
 * A device that answers requests, and those who ask it: everything is real but the directory and the rendezvous, in whose
 * place the test speaks.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { LogFollower, type ProvedHeads } from "../../directory/client.ts";
import { hex } from "../../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import type { MemberKeys } from "../../keys/end-key-files.ts";
import type { Name } from "../../keys/names.ts";
import { keySigner, signText } from "../../keys/owner-signer.ts";
import { type Fingerprint, ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { policySubject, policyText } from "../../protocol/owner-statements.ts";
import { signKeyList, type VerifiedKeyList, verifyKeyList } from "../../protocol/key-list.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import { parsePrologue } from "../../protocol/messages/prologue.ts";
import type { Answer, Notify } from "../../protocol/messages/session-request.ts";
import { SessionInitiator } from "../../protocol/session/initiator.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { bindingSubject, verifyBinding } from "../../protocol/statements.ts";
import { mlKem768 } from "../../protocol/suite/ml-kem.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { signTicket } from "../../protocol/ticket.ts";
import { Clients, type ListedClients } from "../../sshnpd/clients.ts";
import { DeviceAccess } from "../../sshnpd/device-access.ts";
import type { HostKeys } from "../../sshnpd/host-keys.ts";
import type { Log } from "../../sshnpd/log.ts";
import { OwnPolicy } from "../../sshnpd/own-policy.ts";
import { OwnStatements } from "../../sshnpd/own-statements.ts";
import { type GrantedSession, Requests, type RequestsOptions } from "../../sshnpd/requests.ts";
import { cast, NOW } from "../protocol/fixtures.ts";
import { StatementLog } from "../support/statement-log.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

export { suite };
export const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
export const people: ReturnType<typeof cast> = cast(suite);
export const SILENT: Log = pino({ level: "silent" });

const { client, device, directory, rendezvous } = people;
export const clientBinding = verifyBinding(suite, client.binding, ed25519Line(client.owner.publicKey));
export const deviceBinding = verifyBinding(suite, device.binding, ed25519Line(device.owner.publicKey));
export const clientStatements: MemberStatements = {
  names: [client.nameStatement],
  member: client.binding,
  delegation: undefined,
};
export const clientOwner: Fingerprint = fingerprint(
  suite,
  parsePublicKeyLine(ed25519Line(client.owner.publicKey)).blob,
);

export const ORIGIN = "np.example.org/log";
/** As the device's key file has them. */
export const deviceKeys: MemberKeys = {
  ...{ name: device.name, member: device.member, role: "device", x25519: device.x25519, ed25519: device.ed25519 },
  owner: ed25519Line(device.owner.publicKey),
  directory: "http://np.example.org:7800#SHA256:of-no-concern-here",
  statements: [device.nameStatement, device.binding],
};

export const keyList: VerifiedKeyList = verifyKeyList(
  suite,
  signKeyList(suite, directory.root, {
    seq: 1,
    issued: NOW,
    expires: NOW + 1e12, // of concern to whoever goes by the system's clock
    sealing: [directory.sealing.publicKey],
    ticket: [directory.ticket.publicKey],
    log: directory.log.publicKey,
    origin: ORIGIN,
  }),
  fingerprint(suite, parsePublicKeyLine(ed25519Line(directory.root.publicKey)).blob),
);

export interface Stage extends AsyncDisposable {
  readonly keys: PrivateFolder;
  readonly clients: Clients;
  readonly requests: Requests;
  readonly own: OwnStatements;
  readonly access: DeviceAccess;
  /** The directory's log, and what the device has seen of it. */
  readonly log: StatementLog;
  readonly follower: LogFollower;
  /**
   * Answers a request whose statements the directory has logged and proves, whatever they are: who has its keys can do that.
   * Its own proof is put in place of the request's.
   */
  answer(notify: Notify): Promise<Answer>;
  /** Takes a policy that the device's owner has signed, as it comes from a directory that proves it. */
  obey(text: string): Promise<void>;
  /** The sessions that were granted. */
  readonly granted: GrantedSession[];
  /** What was told to people. */
  readonly told: string[];
}

/** A device of its own folder; the clients listed are by default @client, with its true owner key given. */
export async function setStage(
  hostKeys: Pick<HostKeys, "current">,
  changes: Partial<RequestsOptions> & {
    readonly listed?: ListedClients;
    readonly permitOpen?: ReadonlySet<string>;
    readonly statementLog?: StatementLog;
  } = {},
): Promise<Stage> {
  const folder: TemporaryFolder = await temporaryFolder();
  const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
  const told: string[] = [];
  const granted: GrantedSession[] = [];
  const listed = changes.listed ?? new Map<Name, Fingerprint | undefined>([[client.name, clientOwner]]);
  const own = await OwnStatements.open(suite, keys, deviceKeys);
  const policy = new OwnPolicy(own, SILENT);
  const clients = new Clients(
    suite,
    keys,
    listed,
    (text) => told.push(text),
    () => policy.current(),
  );
  const now = changes.now ?? (() => NOW + 1000);
  const permitOpen = changes.permitOpen ?? new Set();
  const access = new DeviceAccess({ device: device.member, clients, policy, permitOpen, now });
  const log = changes.statementLog ?? new StatementLog(suite, directory.log, ORIGIN);
  const follower = new LogFollower(suite);
  const requests = new Requests({
    suite,
    random,
    loadKem: () => Promise.resolve(mlKem768),
    own,
    checkpoint: () => follower.checkpoint,
    compareCheckpoint: (note) => follower.compare(keyList.list, note),
    deviceKey: device.x25519,
    clients,
    access,
    hostKeys,
    acceptsKeys: false,
    keyListFor: () => Promise.resolve(keyList),
    now,
    hasRoom: () => true,
    begin: (session) => granted.push(session),
    log: SILENT,
    ...changes,
  });
  const answer = (notify: Notify): Promise<Answer> => {
    log.hold(...statementsOf(notify));
    const proof = log.prove(subjectsOf(notify), follower.size(keyList.list));
    const proved: ProvedHeads = follower.accept(keyList.list, proof, NOW);
    return requests.answer({ ...notify, proof }, proved);
  };
  const obey = async (text: string): Promise<void> => {
    const before = own.policy;
    const statement = {
      ...{ name: device.name, policy: text, issued: NOW, expires: null },
      seq: (before?.statement.seq ?? 0) + 1,
      prev: before === undefined ? null : hex(before.hash),
    };
    const signed = await signText(keySigner(suite, device.owner), policyText(random, statement));
    const statements: MemberStatements = {
      names: [device.nameStatement],
      member: device.binding,
      delegation: undefined,
    };
    log.hold(device.nameStatement, device.binding, signed);
    const proof = log.prove(
      [device.name, bindingSubject(device), policySubject(device.name)],
      follower.size(keyList.list),
    );
    await own.take({ statements, policy: signed, proof }, follower.accept(keyList.list, proof, NOW));
  };
  return {
    ...{ keys, clients, requests, own, access, log, follower, answer, obey, granted, told },
    [Symbol.asyncDispose]: () => folder.remove(),
  };
}

/** What a request brings, in the order of {@link subjectsOf}. */
export function statementsOf({ client: { names, member, delegation }, rendezvous: brought }: Notify): SignedText[] {
  return [...names.slice(-1), member, ...(delegation === undefined ? [] : [delegation]), ...brought];
}

/** What a device demands proof of with a request. */
export function subjectsOf({ prologue, client: { delegation }, rendezvous: brought }: Notify): string[] {
  return [
    prologue.client.name,
    bindingSubject(prologue.client),
    ...(delegation === undefined ? [] : [subjectOf(delegation)]),
    policySubject(device.name),
    ...brought.map(subjectOf),
  ];
}

export type RequestChanges = Partial<ConstructorParameters<typeof SessionInitiator>[2]> & {
  readonly clientKey?: X25519PrivateKey;
  readonly suite?: CipherSuite;
};

/** What @client would send, before the directory adds its part. */
export function startRequest(changes: RequestChanges = {}): SessionInitiator {
  const { clientKey, suite: other, ...session } = changes;
  return new SessionInitiator(
    { suite: other ?? suite, kem: mlKem768, random },
    { client: clientKey ?? client.x25519, device: device.x25519.publicKey },
    {
      client: { name: client.name, member: client.member, bindingHash: clientBinding.hash },
      device: { name: device.name, member: device.member, bindingHash: deviceBinding.hash },
      service: "ssh",
      login: "",
      sshKey: undefined,
      checkpoint: "",
      ...session,
    },
  );
}

/** A request as an honest directory hands it on, with some of it changed, and no proof yet. */
export function notifyOf(initiator: SessionInitiator, changes: Partial<Notify> = {}): Notify {
  const prologueBytes = changes.prologueBytes ?? initiator.prologue;
  return {
    prologueBytes,
    prologue: parsePrologue(prologueBytes),
    message1: initiator.message1,
    ticket: ticketFor(initiator),
    client: clientStatements,
    rendezvous: [rendezvous.statement],
    proof: new Uint8Array(0),
    ...changes,
  };
}

export function ticketFor(
  initiator: SessionInitiator,
  changes: Partial<Parameters<typeof signTicket>[2]> = {},
  key = directory.ticket,
): Uint8Array {
  return signTicket(suite, key, {
    sid: initiator.sid,
    legKey: initiator.legKey.publicKey,
    entries: [{ key: rendezvous.ed25519.publicKey, boot: rendezvous.boot, addresses: rendezvous.addresses }],
    issued: NOW,
    expires: NOW + 60_000,
    ...changes,
  });
}

/** What the client reads in an answer that the device sealed for it. */
export function readAnswer(initiator: SessionInitiator, answer: Answer, ticket: Uint8Array) {
  if (!("message2" in answer)) throw new Error(`only a code came back: ${answer.code}`);
  return initiator.readMessage2(answer.message2, ticket);
}

/** Two ends of one TCP connection over loopback. */
export async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const near = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const [far] = (await once(server, "connection")) as [Socket];
  server.close();
  return [near, far];
}
