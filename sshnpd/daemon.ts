import type { BrokerFlags, WitnessOptions } from "../directory/client.ts";
import { randomBytes } from "node:crypto";
import { type Link, openLink } from "../directory/client.ts";
import type { RandomBytes } from "../keys/cipher-suite.ts";
import { SecurityError, SetupError, SshnpError } from "../keys/errors.ts";
import { hostName, type MemberName, type Name } from "../keys/names.ts";
import { printable } from "../keys/print-error.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import { VERSION } from "../keys/version.ts";
import type { LinkParty } from "../protocol/messages/link.ts";
import type { DirectoryAddress } from "../protocol/directory-address.ts";
import { loadKem, loadSuite } from "../protocol/suite/load.ts";
import { OwnDistances } from "./own-distances.ts";
import { accountFor } from "./accounts.ts";
import type { SshMode } from "./ssh-server.ts";
import { awaitSshServer } from "./await-ssh-server.ts";
import { Clients, type ListedClients } from "./clients.ts";
import { DeviceAccess } from "./device-access.ts";
import type { DeviceWatch } from "./device-metrics.ts";
import { keepLinked } from "./link.ts";
import { createLog, type Log, logError } from "./log.ts";
import { announceMember, findMember, noKeysIn, type OwnMember } from "./member.ts";
import { unknownClientsTeller } from "./unknown-clients.ts";
import { watchNetwork } from "./network-watch.ts";
import type { InetdProgram } from "./inetd-program.ts";
import { grantedInstead } from "./granted-instead.ts";
import { openSshServer } from "./open-ssh-server.ts";
import { OwnDirectory } from "./own-directory.ts";
import { LinkEvents } from "./link-events.ts";
import { OwnPolicy, type StatedPolicy } from "./own-policy.ts";
import { OwnStatements } from "./own-statements.ts";
import { Requests } from "./requests.ts";
import { takeRunningLock } from "./running-lock.ts";
import { openSessionKeys } from "./open-session-keys.ts";
import type { CertifiedLogins } from "./session-keys.ts";
import { Sessions } from "./sessions.ts";
import { watchDevice } from "./watch-device.ts";
import { StatusFile } from "./status-file.ts";

export interface DaemonOptions {
  readonly name: Name;
  readonly member: MemberName;
  readonly clients: ListedClients;
  readonly directory: DirectoryAddress | undefined;
  /** Path of the keys folder. */
  readonly keys: string;
  /** Which witnesses of the directory's log are demanded, beside SSHNP_WITNESSES. */
  readonly witnesses?: WitnessOptions;
  readonly sshMode: SshMode;
  readonly sshPort: number;
  readonly sshProgram: Pick<InetdProgram, "name" | "file"> | undefined;
  /** Services beside ssh that -m grants where there is no policy, as `tcp:HOST:PORT`. */
  readonly permitOpen: ReadonlySet<string>;
  /** Where the newest line of stdout is kept, if anywhere. */
  readonly statusFile: string | undefined;
  /** Whether public keys that clients push go into authorized_keys. */
  readonly acceptsKeys: boolean;
  /** For which logins keys of sessions are certified; undefined: for none. */
  readonly sessionKeys?: CertifiedLogins | undefined;
  /** The broker to wait at, and the files that it takes. */
  readonly mqtt?: (BrokerFlags & { readonly url: string }) | undefined;
  /** Where metrics are served: HOST:PORT. */
  readonly metrics?: string | undefined;
  readonly isVerbose: boolean;
  /** Whether the device may be made beside others that are there. */
  readonly isNewDevice?: boolean;
  /** Whether heartbeats are to be rare, as each costs something. */
  readonly isMetered?: boolean;
}

/**
 * Runs the daemon until `signal` is aborted. stdout gets a line at each change, `online: HOST` or `offline: HOST`;
 * stderr gets a log in JSON, and between it plain lines for people about keys and pins.
 * @throws {SshnpError} what keeps it from starting; {DeniedError} E_REPLACED when another one has taken over.
 */
export async function runDaemon(options: DaemonOptions, signal: AbortSignal): Promise<void> {
  const log = createLog(options.isVerbose);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const folder = await PrivateFolder.open(options.keys);
  if (folder === undefined) throw noKeysIn(options.keys, options);
  const watch = await watchDevice(options);
  const lock = await takeRunningLock(folder, options);
  try {
    const surroundings = { suite, random, folder, log, signal };
    const own = await findMember(surroundings, options);
    const { keys } = own;
    const statements = await OwnStatements.open(suite, folder, keys);
    const policy = new OwnPolicy(statements, log);
    const clients = new Clients(suite, folder, options.clients, tell, () => policy.current());
    const directory = await OwnDirectory.open(surroundings, own, options.witnesses);
    await tellAboutClients(clients, await policy.current(), options);
    if (options.mqtt !== undefined) {
      const { tellAboutBrokerFiles } = await import("./wakeable-link.ts");
      await tellAboutBrokerFiles(options.mqtt, tell);
    }
    if (options.acceptsKeys && process.geteuid?.() === 0) tell(ROOT_ADMITS_KEYS);

    const now = (): number => directory.now();
    const { permitOpen } = options;
    const access = new DeviceAccess({ device: keys.member, clients, policy, permitOpen, now });
    const { sshPort, sshMode, acceptsKeys } = options;
    const granted = async (): Promise<string> => grantedInstead(await policy.current(), permitOpen);
    const sshServer = await openSshServer({
      ...options,
      ...{ mode: sshMode, port: sshPort, program: options.sshProgram, folder, granted, log, signal },
    });
    const hostKeys = { current: (login = "") => sshServer.hostKeys(login) };
    const awaited = sshMode === "off" ? undefined : awaitSshServer({ hostKeys, port: sshPort, log, signal });
    awaited?.catch((error: unknown) => {
      if (error instanceof SetupError) tell(`${error.message} ${error.next ?? ""}`);
      else logError(log, error, "the SSH server is not looked for any more");
    });
    const allowPrivate = (): boolean => directory.isPrivate;
    const line: { current: Link | undefined } = { current: undefined };
    const onClients = (list: readonly LinkParty[]): void => line.current?.watch(list);
    const distances = new OwnDistances(line, allowPrivate);
    const sessions = new Sessions({
      ...{ suite, clients, access, sshServer, accountFor, now, log, allowPrivate, onClients, distances },
      observer: watch?.observer,
    });
    const sessionKeys = await openSessionKeys(options.sessionKeys, {
      ...{ suite, random, folder, device: keys.member, policy, now, tell },
      overLoopback: () => sshServer.mode === "tcp",
    });
    const requests = new Requests({
      sessionKeys,
      suite,
      random,
      loadKem,
      own: statements,
      checkpoint: () => directory.client.checkpoint,
      compareCheckpoint: (note) => directory.client.compareCheckpoint(note),
      deviceKey: keys.x25519,
      clients,
      access,
      hostKeys,
      acceptsKeys,
      keyListFor: (ticket) => directory.keyListFor(ticket),
      now,
      hasRoom: () => sessions.hasRoom,
      begin: (session) => sessions.begin(session),
      answered: watch?.answered,
      log,
    });
    const host = hostName(options);
    const status =
      options.statusFile === undefined ? undefined : new StatusFile(options.statusFile, `offline: ${host}`);
    const announce = (word: "online" | "offline"): void => {
      process.stdout.write(`${word}: ${host}\n`);
      try {
        status?.write(`${word}: ${host}`);
      } catch (error) {
        logError(log, error, "the status file cannot be written");
      }
    };
    try {
      await using _metrics = await watch?.serve({ sessions, sshServer }, log);
      const answering = watch?.timed(requests) ?? requests;
      const events = new LinkEvents({ directory, own: statements, clients, requests: answering, sessions, log });
      await keepOnline({
        ...{ own, statements, folder, directory, clients, sessions, events, line, log, signal, announce, distances },
        ...{ mqtt: options.mqtt, isMetered: options.isMetered, watch },
      });
    } finally {
      status?.remove();
      await sessions.close();
      await sshServer.close();
      await directory.remembered();
    }
  } finally {
    await lock.release();
  }
}

interface Parts {
  readonly mqtt: DaemonOptions["mqtt"];
  readonly watch: DeviceWatch | undefined;
  readonly isMetered: boolean | undefined;
  readonly own: OwnMember;
  readonly folder: PrivateFolder;
  readonly directory: OwnDirectory;
  readonly clients: Clients;
  readonly statements: OwnStatements;
  readonly sessions: Sessions;
  readonly events: LinkEvents;
  /** The link that is up. */
  readonly line: { current: Link | undefined };
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly distances: OwnDistances;
  readonly announce: (word: "online" | "offline") => void;
}

async function keepOnline(parts: Parts): Promise<void> {
  const { own, statements, folder, directory, clients, sessions, events, line, log, signal, announce, mqtt, watch } =
    parts;
  const { client } = directory;
  const { name, member, x25519: sender } = own.keys;
  let { isPending } = own;
  let wasTold = false;
  /** Why the directory was not believed the last time. */
  let doubt: string | undefined;
  const tellUnknown = unknownClientsTeller(clients, tell, signal);

  await keepLinked({
    signal,
    random: Math.random,
    network: watchNetwork(),
    open: async (attempt, onConnected) => {
      if (isPending) {
        await announceMember(folder, own, client, { signal: attempt });
        isPending = false;
        tellMade(own);
      }
      const { policyHash } = statements;
      const names = await clients.unresolved();
      events.asks(names);
      const hello = { name, member, version: VERSION, names, policyHash };
      const link = { client, sender, hello, onConnected, isMetered: parts.isMetered, signal: attempt };
      if (mqtt === undefined) return await openLink(link);
      directory.askWhere(log, attempt);
      const { openWakeableLink } = await import("./wakeable-link.ts");
      return await openWakeableLink(mqtt, link, { log, policyHash: () => statements.policyHash, goes: watch?.goes });
    },
    onLinked: (link) => {
      line.current = link;
      directory.noteLink(link);
      if (sessions.clients.length > 0) link.watch(sessions.clients);
      watch?.linked();
      announce("online");
      parts.distances.tell();
      log.info({ clockError: directory.clockError }, "online");
      tellAboutClock(directory.clockError);
      tellUnknown();
    },
    onLost: (error, wait) => {
      if (line.current !== undefined) announce("offline");
      else if (!wasTold && error instanceof SshnpError) tell(`${error.message} Trying again.`);
      wasTold = true;
      if (error instanceof SecurityError && error.message !== doubt) tell(`${error.message} ${error.next ?? ""}`);
      doubt = error instanceof SecurityError ? error.message : undefined;
      line.current = undefined;
      watch?.lost();
      logError(log, error, "offline", { wait });
    },
    onEvent: (event, link) =>
      events.handle(
        event,
        link,
        () => line.current,
        (error) => {
          logError(log, error, "what the directory says of this device and its clients does not hold");
          link.close();
        },
      ),
  });
}

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));

const ROOT_ADMITS_KEYS =
  "-s as root: whoever is listed with -m can push a key for any login of this machine, root included.";

/** A line for people. */
function tell(text: string): void {
  process.stderr.write(`sshnpd: ${printable(text)}\n`);
}

function tellMade({ keys, made }: OwnMember): void {
  if (made === undefined) return;
  tell(`${keys.member} of ${keys.name} is made: ${shellWord(made.path)}`);
  tell(`Is that a typing error? Stop this, and take it back: sshnp-keys revoke ${keys.name} ${keys.member}`);
  tell(
    `Now move the owner key off this machine, for whoever has it speaks for ${keys.name}: ${shellWord(made.ownerPath)}`,
  );
}

async function tellAboutClients(clients: Clients, policy: StatedPolicy, options: DaemonOptions): Promise<void> {
  if (policy === undefined && !clients.hasList) {
    tell(
      `No client is listed, so every request will be refused until the owner of ${options.name} signs a policy. To list one: sshnpd -m @client ...`,
    );
  }
  if (policy === "unreadable") tell("The policy of the owner cannot be read here, so every request will be refused.");
  if (policy !== undefined && options.permitOpen.size > 0) {
    tell(`${options.name} has a policy, which alone says what may be reached: --permit-open counts for nothing.`);
  }
  for (const line of await clients.describe()) tell(line);
}

function tellAboutClock(error: number | undefined): void {
  if (error === undefined) return;
  const minutes = Math.round(Math.abs(error) / 60_000);
  tell(
    `This machine's clock is ${minutes} min ${error > 0 ? "behind" : "ahead of"} the directory's, which is used instead.`,
  );
}
