import { DirectoryClient } from "../directory/client.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { SshnpError } from "../keys/errors.ts";
import { readKeyListFile, writeKeyListFile } from "../keys/key-list-files.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { CLOCK_OFF_MS } from "../protocol/limits.ts";
import { isTicketKeyKnown } from "../protocol/ticket.ts";
import { isPrivateHost } from "../rendezvous/client.ts";
import { type Log, logError } from "./log.ts";
import type { OwnMember } from "./member.ts";

interface Surroundings {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The directory that the daemon belongs to, and what is taken from it. */
export class OwnDirectory {
  readonly client: DirectoryClient;
  readonly #suite: CipherSuite;
  readonly #signal: AbortSignal;
  #isPrivate: Promise<boolean> | undefined;

  private constructor(client: DirectoryClient, suite: CipherSuite, signal: AbortSignal) {
    this.client = client;
    this.#suite = suite;
    this.#signal = signal;
  }

  /** With the key list from before, if there is one of this directory. */
  static async open({ suite, random, folder, log, signal }: Surroundings, own: OwnMember): Promise<OwnDirectory> {
    const { directory: address } = own;
    const { name } = own.keys;
    const stored = await readKeyListFile(folder, name);
    const onKeyList = ({ signed, list }: VerifiedKeyList): void => {
      writeKeyListFile(folder, name, signed).catch((error: unknown) => {
        logError(log, error, "key list not stored", { seq: list.seq });
      });
    };
    let keyList: VerifiedKeyList | undefined;
    try {
      keyList = stored && verifyKeyList(suite, stored, address.fingerprint);
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      logError(log, error, "stored key list passed over");
    }
    const warn = (text: string): void => log.debug(text);
    const client = new DirectoryClient({ address, suite, random, keyList, onKeyList, warn });
    return new OwnDirectory(client, suite, signal);
  }

  /** Milliseconds by which this machine's clock is behind, where that is so much that it is not used. */
  get clockError(): number | undefined {
    const offset = this.client.clockOffset ?? 0;
    return Math.abs(offset) > CLOCK_OFF_MS ? offset : undefined;
  }

  /** ms since 1970 UTC: by this machine's clock, or the directory's where that is far off. */
  now(): number {
    return Date.now() + (this.clockError ?? 0);
  }

  /** The key list, a newer one when this one lacks the key that `ticket` says it is signed with. */
  async keyListFor(ticket: Uint8Array): Promise<VerifiedKeyList> {
    const options = { signal: this.#signal };
    const known = await this.client.keyList(options);
    return isTicketKeyKnown(this.#suite, known.list.ticket, ticket) ? known : await this.client.fetchKeyList(options);
  }

  /** Looks up, beside what goes on, whether the directory is at a private address now. */
  lookUpPlace(): void {
    const { hostname } = this.client.address.url;
    this.#isPrivate = isPrivateHost(hostname, { signal: this.#signal }).catch(() => false);
  }

  /** Whether it was at a private address when it was last looked up: then it may name rendezvous at such addresses. */
  async isPrivate(): Promise<boolean> {
    return (await this.#isPrivate) ?? false;
  }
}
