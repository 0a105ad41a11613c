import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { activationKey } from "../../keys/activation-key.ts";
import { hex, utf8 } from "../../keys/bytes.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import type { LogEvidence } from "../../keys/log-files.ts";
import { readSeenLog } from "../../keys/log-files.ts";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import { policySubject } from "../../protocol/owner-statements.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { Log, type LogEntry } from "../../directory/log/log.ts";
import { copyFolder } from "../support/copy-folder.ts";
import type { Exit, RunningProcess } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { Machine } from "../support/stack.ts";
import { random, suite, TestClock, World } from "../directory/world.ts";

type Proof = Log["proof"];

/** Whether a proof is for a device: nobody else is told what stands about a policy, or about a name alone. */
function isForDevice(subjects: readonly string[]): boolean {
  return (
    subjects.includes(policySubject(parseName("@device"))) || subjects.every((subject) => /^@[^/:]+$/.test(subject))
  );
}

/** Whether a proof goes to a device with a client's request; what a device is told of itself may be on its way at any time. */
function isForRequest(subjects: readonly string[]): boolean {
  return isForDevice(subjects) && subjects.some((subject) => subject.startsWith("@client/"));
}

/** Whether a proof goes to a client that asks for a device; what stands about a client alone may be for a device with sessions of it. */
function isForClient(subjects: readonly string[]): boolean {
  return !isForDevice(subjects) && subjects.some((subject) => subject.startsWith("@device/"));
}

const SHOWN = {
  all: () => true,
  client: isForClient,
  device: isForDevice,
  request: isForRequest,
};

/**
 * The real directory, in this process, of an operator who forges one thing at a time with its own private keys; a rendezvous, an
 * OpenSSH server, mygateway of @device and a member of @client are real processes that take it for honest.
 */
export class ForgingDirectory implements AsyncDisposable {
  readonly world: World;
  readonly sshd: SshServer;
  /** As they were when they had been activated; copies of them go to work ({@link machine}). */
  readonly device: Machine;
  readonly client: Machine;
  readonly #rendezvous: Machine;
  readonly #running: RunningProcess[] = [];
  readonly #batches: (readonly LogEntry[])[] = [];
  readonly #databases: LevelDatabase[] = [];
  #undo: (() => void)[] = [];
  #machines = 0;

  private constructor(world: World, sshd: SshServer) {
    this.world = world;
    this.sshd = sshd;
    this.device = this.#newMachine("device");
    this.client = this.#newMachine("client");
    this.#rendezvous = this.#newMachine("rendezvous");
    const log = world.directory.statementLog;
    log.proves = () => true; // an honest directory would notice what is forged below
    const append = log.append.bind(log);
    Object.defineProperty(log, "append", {
      configurable: true,
      value: async (...[entries, operations]: Parameters<Log["append"]>) => {
        await append(entries, operations);
        if (entries.length > 0) this.#batches.push(entries);
      },
    });
  }

  static async start(): Promise<ForgingDirectory> {
    const clock = new TestClock(); // whose timers never come, so that its house-keeping puts nothing into the log
    const forging = new ForgingDirectory(await World.start({ clock }), await startSshServer());
    try {
      await forging.#startRendezvous();
      await forging.activate(forging.device, "@device", "-d", "mygateway");
      await forging.activate(forging.client, "@client");
      return forging;
    } catch (error) {
      await forging[Symbol.asyncDispose]();
      throw error;
    }
  }

  get log(): Log {
    return this.world.directory.statementLog;
  }

  /** Activates a name on a machine, by its own command. */
  async activate(machine: Machine, name: string, ...words: string[]): Promise<void> {
    const exit = await this.tryActivate(machine, name, ...words);
    if (exit.code !== 0) throw new Error(exit.stderr);
  }

  async tryActivate(machine: Machine, name: string, ...words: string[]): Promise<Exit> {
    const secret = await this.world.addName(parseName(name));
    const given = ["-c", textOf(secret), "--directory", this.world.address.text];
    return await machine.run("sshnp-keys", "activate", "-a", name, ...given, ...words);
  }

  /** A new machine, or one that has all that `of` has. */
  machine(of?: Machine): Machine {
    return this.#newMachine(`machine-${++this.#machines}`, of);
  }

  /** Starts sshnpd, and waits until its link is up unless `isUp` is false. */
  async startDaemon(machine: Machine, { isUp = true } = {}): Promise<RunningProcess> {
    const words = ["-a", "@device", "-m", "@client", "-d", "mygateway", "--ssh-port", String(this.sshd.port)];
    const daemon = machine.start("sshnpd", ...words);
    this.#running.push(daemon);
    if (isUp) await daemon.line(/^online: mygateway\.device\.np$/);
    return daemon;
  }

  /** Runs `sshnp @client @device mygateway ... true` on a client; `device` may carry a fingerprint. */
  async connect(machine: Machine, device = "@device", member = "mygateway"): Promise<Exit> {
    return await machine.run("sshnp", "@client", device, member, ...this.#sshWords, "true");
  }

  /** Starts `sshnp ... @client @device mygateway ... cat`: a session that lasts until its input ends. */
  startSession(machine: Machine, ...words: string[]): RunningProcess {
    const session = machine.start("sshnp", ...words, "@client", "@device", "mygateway", ...this.#sshWords, "cat");
    this.#running.push(session);
    return session;
  }

  get #sshWords(): string[] {
    const options = [
      "BatchMode=yes",
      `IdentityFile=${this.sshd.identityFile}`,
      "IdentitiesOnly=yes",
      "IdentityAgent=none",
    ];
    return ["-F", "none", ...options.flatMap((option) => ["-o", option])];
  }

  /** What a machine keeps that shows that the log lies. */
  async evidence({ keys }: Machine): Promise<readonly LogEvidence[]> {
    const folder = await PrivateFolder.open(keys);
    if (folder === undefined) return [];
    return (await readSeenLog(folder, this.world.directory.keyring.fingerprint)).evidence;
  }

  /** The same, once it is clear that whoever sits at the machine can see it: both notes, their size, and a status for cron. */
  async shownEvidence(machine: Machine): Promise<readonly LogEvidence[]> {
    const evidence = await this.evidence(machine);
    const shown = await machine.run("sshnp", "trust", "evidence");
    expect(shown.code, shown.stderr).toBe(evidence.length > 0 ? 1 : 0);
    const sections = shown.stdout.split(/^(?=The log of the directory )/m).filter((section) => section !== "");
    expect(sections.length).toBe(evidence.length);
    for (const [i, { notes }] of evidence.entries()) {
      const lines = sections[i]?.split("\n").map((line) => line.trim());
      for (const note of notes) {
        const [, size = ""] = note.split("\n");
        expect(sections[i]).toContain(` has signed two different trees of ${size} entries (`);
        expect(lines).toEqual(expect.arrayContaining(note.split("\n")));
      }
    }
    return evidence;
  }

  /** Puts a method of the forger's in the place of an honest one, until {@link beHonest}. */
  forge<Service extends object, Method extends keyof Service>(
    service: Service,
    method: Method,
    forged: Service[Method],
  ): void {
    const own = Object.getOwnPropertyDescriptor(service, method);
    Object.defineProperty(service, method, { value: forged, configurable: true });
    this.#undo.push(() => {
      delete service[method];
      if (own !== undefined) Object.defineProperty(service, method, own);
    });
  }

  /** Shows this log's proofs to whom `to` says, the true ones to the others; request: to a device with a client's request. */
  show(proof: (...asked: Parameters<Proof>) => ReturnType<Proof>, to: keyof typeof SHOWN = "all"): void {
    const honest = this.log.proof.bind(this.log);
    this.forge(this.log, "proof", (subjects, since) => {
      return SHOWN[to](subjects) ? proof(subjects, since) : honest(subjects, since);
    });
  }

  /** Serves everybody the tiles of this log, whatever they were shown. */
  serveTiles(of: Log): void {
    this.forge(this.log, "hashes", (ids) => of.hashes(ids));
    Object.defineProperty(this.log, "checkpoint", { get: () => of.checkpoint, configurable: true });
    this.#undo.push(() => Reflect.deleteProperty(this.log, "checkpoint"));
  }

  beHonest(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.#undo = [];
  }

  /**
   * Another log of the same key and origin, or of others: with the first `batches` appends of the true one, all by default; a
   * negative number leaves out as many.
   */
  async fork({
    batches = this.#batches.length,
    privateKey = this.world.directory.keyring.log,
    origin = this.world.directory.keyring.origin,
  }: {
    readonly batches?: number;
    readonly privateKey?: Ed25519PrivateKey;
    readonly origin?: string;
  } = {}): Promise<Log> {
    const database = await LevelDatabase.open(join(this.world.folder.path, `fork-${this.#databases.length}`));
    this.#databases.push(database);
    const log = await Log.open({ suite, database, privateKey, origin });
    for (const entries of this.#batches.slice(0, batches)) await log.append(entries, []);
    return log;
  }

  /** Stops daemons and sessions, and is honest from here on. */
  async rest(): Promise<void> {
    for (const running of this.#running.splice(0)) await running.stop();
    this.beHonest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest();
    await this.rendezvousProcess?.stop();
    await this.sshd.stop();
    for (const database of this.#databases) await database.close();
    await this.world[Symbol.asyncDispose]();
  }

  rendezvousProcess: RunningProcess | undefined;

  async #startRendezvous(): Promise<void> {
    const secret = Secret.fromBytes(random(32));
    await this.world.administration.addRendezvous("rz1", activationKey(suite, secret, RENDEZVOUS_ACTIVATION).publicKey);
    const data = join(this.#rendezvous.home, "np");
    const words = ["run", "--data", data, "--directory", this.world.address.text, "--listen", "127.0.0.1:0"];
    this.rendezvousProcess = this.#rendezvous.start("sshnp-rendezvous", ...words, "-c", textOf(secret));
    await this.rendezvousProcess.line(/:\d+$/);
  }

  #newMachine(name: string, of?: Machine): Machine {
    const home = join(this.world.folder.path, name);
    if (of === undefined) mkdirSync(home, { mode: 0o700 });
    else copyFolder(of.home, home);
    return new Machine(home);
  }
}

/** An entry of the log that makes this statement the newest of its subject. */
export function entryOf(statement: Pick<SignedText, "text">): LogEntry {
  return { subject: subjectOf(statement), hash: suite.sha256(utf8(statement.text)) };
}

/** Something that is logged and concerns nobody. */
export function anything(): LogEntry {
  return { subject: `@nobody-${hex(random(4))}`, hash: random(32) };
}

function textOf(secret: Secret): string {
  return hex(secret.secretBytes());
}
