import {
  type Ahead,
  DirectoryClient,
  openSeenLog,
  readWitnessDemand,
  type RememberedLog,
  type WitnessOptions,
} from "../directory/client.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { SecurityError, SshnpError } from "../keys/errors.ts";
import { readKeyListFile, writeKeyListFile } from "../keys/key-list-files.ts";
import { type DirectoryAddress, directoryInEnvironment, parseDirectoryAddress } from "../protocol/directory-address.ts";
import { type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { CLOCK_TRUST_MS } from "../protocol/limits.ts";
import type { Client } from "./client-keys.ts";
import type { Progress } from "./progress.ts";
import type { TicketFrame } from "./request-session.ts";
import { type CheckedTicket, checkTicket } from "../protocol/session/ticket-check.ts";

/** The address of the command line, else the one in SSHNP_DIRECTORY. @throws {SetupError} E_USAGE. */
export function statedAddress(given: string | undefined): DirectoryAddress | undefined {
  return given === undefined ? directoryInEnvironment(process.env) : parseDirectoryAddress(given);
}

/** The directory of one client: its keys as remembered, and the time by it. */
export class DirectoryAccess {
  readonly client: DirectoryClient;
  readonly #suite: CipherSuite;
  readonly #progress: Progress;
  readonly #log: RememberedLog;
  #reportedClock = false;

  private constructor(client: DirectoryClient, suite: CipherSuite, progress: Progress, log: RememberedLog) {
    this.client = client;
    this.#suite = suite;
    this.#progress = progress;
    this.#log = log;
  }

  /** At the address that is stated, else the one in the client's key file. @throws {SetupError} E_USAGE. */
  static async of(
    suite: CipherSuite,
    random: RandomBytes,
    { folder, keys }: Client,
    {
      stated,
      progress,
      witnesses,
      ahead,
    }: {
      readonly stated: DirectoryAddress | undefined;
      readonly progress: Progress;
      readonly witnesses?: WitnessOptions | undefined;
      readonly ahead?: Ahead | undefined;
    },
  ): Promise<DirectoryAccess> {
    const address = stated ?? parseDirectoryAddress(keys.directory);
    const remembered = await readKeyListFile(folder, keys.name);
    const log = await openSeenLog(suite, folder, address.fingerprint, {
      demand: readWitnessDemand(suite, witnesses, process.env),
      now: Date.now,
      onError: (error) => {
        const text = `what was seen of the directory's log was not written: ${String(error)}`;
        if (error instanceof SecurityError) progress.note(text);
        else progress.step(text);
      },
      onUnproved: (error) => progress.step(`a checkpoint that a peer has seen is not proved yet: ${inShort(error)}`),
    });
    const client = new DirectoryClient({
      address,
      log: log.follower,
      suite,
      random,
      keyList: remembered === undefined ? undefined : keyListOf(suite, remembered, address),
      onKeyList: ({ signed }) => {
        writeKeyListFile(folder, keys.name, signed).catch((error: unknown) => {
          progress.step(`the directory's new key list was not written: ${String(error)}`);
        });
      },
      warn: (text) => progress.step(text),
      ahead,
    });
    return new DirectoryAccess(client, suite, progress, log);
  }

  /** The time in ms: by this machine's clock, unless that is far off the directory's; never before what witnesses have said. */
  now(): number {
    return Math.max(this.#clock(), this.client.witnessTime);
  }

  #clock(): number {
    const offset = this.client.clockOffset ?? 0;
    if (Math.abs(offset) < CLOCK_TRUST_MS) return Date.now();
    if (!this.#reportedClock) {
      this.#reportedClock = true;
      const how = `${Math.round(Math.abs(offset) / 60_000)} min ${offset > 0 ? "behind" : "ahead of"}`;
      this.#progress.note(
        `this machine's clock is ${how} the directory's, whose time is used. Set it: timedatectl set-ntp true`,
      );
    }
    return Date.now() + offset;
  }

  /** Waits until what was seen of the log is on disk. */
  async remembered(): Promise<void> {
    await this.#log.settled();
  }

  /** Has what the peer has seen of the log proved to be of the same one, in the background; no process waits for it. */
  proveSeen(signal: AbortSignal): void {
    const work = async (): Promise<void> => {
      const { list } = await this.client.keyList({ signal });
      const at = { base: this.client.address.url, signal, warn: (text: string) => this.#progress.step(text) };
      await this.#log.provePending(list, at, (text) => this.#progress.note(text));
    };
    work().catch((error: unknown) =>
      this.#progress.step(`the device's checkpoint is not proved yet: ${inShort(error)}`),
    );
  }

  /** As {@link checkTicket}; a key that signs tickets may be newer than the list remembered. */
  async checkTicket(
    frame: TicketFrame,
    session: { readonly sid: Uint8Array; readonly legKey: Ed25519PublicKey },
    signal: AbortSignal,
  ): Promise<CheckedTicket> {
    try {
      return checkTicket(this.#suite, await this.client.keyList({ signal }), session, frame, this.now());
    } catch (error) {
      if (!(error instanceof SecurityError)) throw error;
      return checkTicket(this.#suite, await this.client.fetchKeyList({ signal }), session, frame, this.now());
    }
  }
}

function inShort(error: unknown): string {
  return error instanceof SshnpError ? `${error.message} [${error.code}]` : String(error);
}

/** The list remembered, when it is of this directory. */
function keyListOf(
  suite: CipherSuite,
  remembered: Parameters<typeof verifyKeyList>[1],
  address: DirectoryAddress,
): VerifiedKeyList | undefined {
  try {
    return verifyKeyList(suite, remembered, address.fingerprint);
  } catch {
    return undefined;
  }
}
