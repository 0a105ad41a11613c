import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import {
  DirectoryClient,
  openSeenLog,
  readWitnessDemand,
  putStatements,
  refusalError,
  type RememberedLog,
} from "../../directory/client.ts";
import {
  directoryInEnvironment,
  parseDirectoryAddress,
  type DirectoryAddress,
} from "../../protocol/directory-address.ts";
import { type PendingEnrolment, verifyPendingEnrolment } from "../../protocol/enrolment.ts";
import { ENROLMENTS_PER_NAME, LOG_PROOF_SUBJECTS } from "../../protocol/limits.ts";
import { encodeEnrolmentsQuestion } from "../../protocol/messages/enrolment.ts";
import { READING_NAMESPACE, readingProof } from "../../protocol/messages/read-statements.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import type { NameAccount } from "../../protocol/name-account.ts";
import { seqOf, subjectOf } from "../../protocol/statement-fields.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { listKeyFiles, type MemberKeys, readMemberFile, readOwnerFile } from "../end-key-files.ts";
import { DeniedError, PeerError, SecurityError, SetupError } from "../errors.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { type Name, parseName } from "../names.ts";
import { fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { keySigner, type OwnerSigner, parseOwnerKey } from "../owner-signer.ts";
import { askPassphrase } from "../passphrase.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import type { SignedText } from "../signed-text.ts";
import { X25519PrivateKey } from "../x25519.ts";
import { ownerInAgent } from "./owner-in-agent.ts";
import { interruption } from "../interruption.ts";
import { demandNothingOlder, rememberStated } from "./stated.ts";
import { readAccount } from "./read-account.ts";
import { tellLogNotStored } from "./say.ts";

export interface OwnerOptions {
  readonly keys?: string;
  readonly directory?: string;
  readonly ownerKey?: string;
}

/** The options of every command that works for the owner of a name. */
export function ownerOptions(command: Command): Command {
  return command
    .option("--keys <folder>", "where the keys are (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .option("--directory <address>", "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY, else as at activation)")
    .option("--owner-key <key>", "agent:SHA256:..., if the owner key is in ssh-agent and not in a file");
}

/** A name, with what it takes to read what stands about it and to say more in its owner's place. */
export class OwnerWork {
  readonly suite: CipherSuite;
  readonly random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
  readonly folder: PrivateFolder;
  readonly name: Name;
  readonly directory: DirectoryClient;
  readonly signal: AbortSignal;
  readonly #options: OwnerOptions;
  /** The member that asks; undefined when the owner himself does. */
  readonly #member: MemberKeys | undefined;
  readonly #sender: X25519PrivateKey;
  readonly #seen: RememberedLog;
  #signer: Promise<OwnerSigner> | undefined;
  #passphrase: Secret | undefined;
  #readsAsOwner = false;

  private constructor(
    parts: Pick<OwnerWork, "suite" | "folder" | "name" | "directory" | "signal">,
    options: OwnerOptions,
    member: MemberKeys | undefined,
    seen: RememberedLog,
  ) {
    this.suite = parts.suite;
    this.folder = parts.folder;
    this.name = parts.name;
    this.directory = parts.directory;
    this.signal = parts.signal;
    this.#options = options;
    this.#member = member;
    this.#sender = member?.x25519 ?? X25519PrivateKey.generate(parts.suite, this.random);
    this.#seen = seen;
  }

  /** `signer`: an owner key that is at hand. @throws {SetupError} E_NO_KEYS when the folder has nothing of the name; E_USAGE; those of key files. */
  static async open(nameText: string, options: OwnerOptions, signer?: OwnerSigner): Promise<OwnerWork> {
    const name = parseName(nameText);
    const path = keysFolderPath(options.keys, process.env);
    const signal = interruption();
    const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
    const folder = await PrivateFolder.open(path);
    const files = folder === undefined ? [] : await listKeyFiles(folder, name);
    const isAlone = files.length === 0 && options.ownerKey === undefined && signer === undefined;
    if (folder === undefined || isAlone) throw noKeys(name, path);
    const entry = files.find((file) => file.kind === "member" && file.role !== undefined);
    const member =
      entry?.kind === "member"
        ? await readMemberFile(suite, folder, entry, (file) => askPassphrase(file, { signal }))
        : undefined;
    const address = directoryAddress(name, options, member?.directory);
    const seen = await openSeenLog(suite, folder, address.fingerprint, {
      demand: readWitnessDemand(suite, {}, process.env),
      now: Date.now,
      onError: tellLogNotStored,
      onUnproved: () => {}, // after a day it is told
    });
    const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
    const directory = new DirectoryClient({ address, suite, random, log: seen.follower });
    const work = new OwnerWork({ suite, folder, name, directory, signal }, options, member, seen);
    work.#signer = signer && Promise.resolve(signer);
    return work;
  }

  /** What signs for the owner; opened at the first use, as it may take a passphrase or a touch. */
  signer(): Promise<OwnerSigner> {
    this.#signer ??= this.#openSigner();
    return this.#signer;
  }

  /** Whether a member of the name here asks; else the owner himself does. */
  get hasMember(): boolean {
    return this.#member !== undefined;
  }

  /** What guards the owner file that {@link signer} has opened; undefined when nothing does. */
  get passphrase(): Secret | undefined {
    return this.#passphrase;
  }

  /**
   * All that stands about the name, whose owner is the one that the keys here know, or one that he has handed it on to.
   * @throws {SecurityError} E_OWNER_KEY when it is somebody else; as readStatements, judgeNameAccount, demandNothingOlder.
   */
  async account(): Promise<NameAccount> {
    try {
      if (this.#isOwnerAsking) return await this.accountAs(await this.signer());
      return await this.#readAccount(new Uint8Array(0));
    } catch (error) {
      // The member here may be revoked; the owner reads all the same, not least to take that back.
      if (this.#member === undefined || !(error instanceof DeniedError) || !(await this.#hasSigner())) throw error;
      this.#readsAsOwner = true;
      return await this.accountAs(await this.signer());
    }
  }

  /** The same, as the owner with that key. */
  async accountAs(signer: OwnerSigner): Promise<NameAccount> {
    return await this.#readAccount(await this.#ownerRight(signer), signer);
  }

  async #readAccount(ownerSignature: Uint8Array, signer?: OwnerSigner): Promise<NameAccount> {
    const { suite, directory, name, signal } = this;
    const account = await readAccount(suite, directory, this.#sender, { name, ownerSignature }, { signal });
    this.#demandKnown(account, [this.#member?.owner, signer?.line]);
    await this.#seen.settled();
    this.#proveSeen();
    await demandNothingOlder(this.folder, name, account.history);
    return account;
  }

  /** Gives the directory new statements, at most 16 at once; a part of them may be taken when this throws. */
  async put(statements: readonly SignedText[]): Promise<void> {
    for (let i = 0; i < statements.length; i += LOG_PROOF_SUBJECTS) {
      const some = statements.slice(i, i + LOG_PROOF_SUBJECTS);
      await putStatements(this.directory, this.#sender, some, { signal: this.signal });
      const stated = some.map((one) => ({ subject: subjectOf(one), seq: seqOf(one) }));
      await rememberStated(this.folder, this.name, stated);
    }
    await this.#seen.settled();
  }

  /**
   * Who waits to become a member, as they have asked themselves with a one-time password that counts still.
   * @throws as verifyPendingEnrolment; {PeerError} E_PROTOCOL.
   */
  async enrolments(account: NameAccount): Promise<PendingEnrolment[]> {
    const { suite, directory, name, signal } = this;
    const body = encodeEnrolmentsQuestion({ name, ownerSignature: await this.#right() });
    const all: PendingEnrolment[] = [];
    let received = 0;
    for await (const frame of directory.send(this.#sender, { type: REQUEST.readEnrolments, body }, { signal })) {
      if (frame.type === "refused") throw refusalError(frame.code, frame.detail);
      if (frame.type === "done") return all;
      if (frame.type !== "enrolments" || received + frame.entries.length > ENROLMENTS_PER_NAME) break;
      received += frame.entries.length;
      for (const entry of frame.entries) {
        const pending = { ...entry, name };
        const { fingerprint: at } = directory.address;
        const password = verifyPendingEnrolment(suite, at, account.chain, pending, directory.directoryTime);
        if (password !== undefined) all.push(pending);
      }
    }
    throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
  }

  /** Sends a message that is signed in itself, to be answered by a mere yes. @throws as DirectoryClient.request. */
  async tell(type: number, body: Uint8Array): Promise<void> {
    const frame = await this.directory.request(this.#sender, { type, body }, { signal: this.signal });
    if (frame.type !== "done") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
  }

  /** Demands that the owner key at hand is the one that speaks for the name now. @throws {SecurityError} E_OWNER_KEY. */
  demandOwner(account: NameAccount, { line }: OwnerSigner): void {
    if (line === account.chain.owner) return;
    const now = fingerprint(this.suite, parsePublicKeyLine(account.chain.owner).blob);
    const had = fingerprint(this.suite, parsePublicKeyLine(line).blob);
    throw new SecurityError(
      "E_OWNER_KEY",
      `The owner key here, ${had}, does not speak for ${this.name}; ${now} does.`,
      {
        next: account.chain.former.includes(line)
          ? "It was rotated away: use the key that took its place."
          : "Use the folder or the agent that has that key.",
      },
    );
  }

  /** @throws {SecurityError} E_OWNER_KEY unless each of these owner keys, of files or agents here, speaks for the name or did. */
  #demandKnown({ chain }: NameAccount, known: readonly (string | undefined)[]): void {
    const owners = new Set([undefined, chain.owner, ...chain.former]);
    if (known.every((line) => owners.has(line))) return;
    throw new SecurityError("E_OWNER_KEY", `The directory says that another owner speaks for ${this.name}.`, {
      next: `The owner key that this machine knows did not hand ${this.name} on to it. Believe nothing that the directory says of it.`,
    });
  }

  /** Has what other processes with this folder have seen of the log proved to be of the same one; nothing waits for it. */
  #proveSeen(): void {
    const { directory, signal } = this;
    const at = { base: directory.address.url, signal, warn: directory.warn };
    const work = async (): Promise<void> => {
      const { list } = await directory.keyList({ signal });
      await this.#seen.provePending(list, at, (text) => void process.stderr.write(`${text}\n`));
    };
    work().catch(() => {}); // it is tried again at the next command
  }

  async #openSigner(): Promise<OwnerSigner> {
    const { suite, folder, name, signal } = this;
    const { ownerKey } = this.#options;
    if (ownerKey !== undefined) return await ownerInAgent(suite, parseOwnerKey(ownerKey), { signal });
    const ask = async (file: string): Promise<Secret> => (this.#passphrase = await askPassphrase(file, { signal }));
    const owner = await readOwnerFile(suite, folder, name, ask);
    if (owner !== undefined) return keySigner(suite, owner.privateKey);
    throw new SetupError("E_NO_KEYS", `The owner key of ${name} is not in ${shellWord(folder.path)}.`, {
      next: "Put its file there, or give --keys FOLDER, or --owner-key agent:SHA256:...",
    });
  }

  /** A member may read as such; the owner without a member here signs that he may. */
  async #right(): Promise<Uint8Array> {
    return this.#isOwnerAsking ? await this.#ownerRight(await this.signer()) : new Uint8Array(0);
  }

  get #isOwnerAsking(): boolean {
    return this.#member === undefined || this.#readsAsOwner;
  }

  async #hasSigner(): Promise<boolean> {
    if (this.#signer !== undefined || this.#options.ownerKey !== undefined) return true;
    return (await listKeyFiles(this.folder, this.name)).some(({ kind }) => kind === "owner");
  }

  async #ownerRight(signer: OwnerSigner): Promise<Uint8Array> {
    const { fingerprint: directory } = this.directory.address;
    return await signer.sign(READING_NAMESPACE, readingProof(directory, this.name, this.#sender.publicKey));
  }
}

/** Runs the work of a command on a name. */
export async function withOwner(
  name: string,
  options: OwnerOptions,
  action: (work: OwnerWork) => Promise<void>,
): Promise<void> {
  await action(await OwnerWork.open(name, options));
}

function directoryAddress(name: Name, options: OwnerOptions, remembered: string | undefined): DirectoryAddress {
  const stated = options.directory === undefined ? directoryInEnvironment(process.env) : undefined;
  const given = options.directory ?? remembered;
  if (stated !== undefined) return stated;
  if (given !== undefined) return parseDirectoryAddress(given);
  throw new SetupError("E_USAGE", "No directory is given.", {
    next: `Give --directory or SSHNP_DIRECTORY. Any machine of ${name} has the address (sshnp-keys show ${name}), and the directory's own: sshnp-directory address --data DIR`,
  });
}

function noKeys(name: Name, path: string): SetupError {
  return new SetupError("E_NO_KEYS", `No keys of ${name} on this machine (looked in ${shellWord(path)}).`, {
    next: `Elsewhere? Say where: --keys FOLDER. In ssh-agent? --owner-key agent:SHA256:...`,
  });
}
