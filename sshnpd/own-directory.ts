import { setTimeout as delay } from "node:timers/promises";
import {
  answeringAddress,
  DirectoryClient,
  type Link,
  openSeenLog,
  readWitnessDemand,
  type RememberedLog,
  type WitnessOptions,
} from "../directory/client.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { SshnpError } from "../keys/errors.ts";
import { readKeyListFile, writeKeyListFile } from "../keys/key-list-files.ts";
import type { Name } from "../keys/names.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { DirectoryAddress } from "../protocol/directory-address.ts";
import { type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { CLOCK_OFF_MS } from "../protocol/limits.ts";
import { isTicketKeyKnown } from "../protocol/ticket.ts";
import { isPrivateAddress } from "../rendezvous/client.ts";
import { Backoff } from "./backoff.ts";
import { type Log, logError } from "./log.ts";

/** Below what a person waits for a session, and above what separates the requests of a script. */
const PROVE_AFTER_MS = 1000;

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
  readonly #seen: RememberedLog;
  readonly #signal: AbortSignal;
  #remoteAddress: string | undefined;
  #answeringAddress: string | undefined;
  #proving: Promise<void> | undefined;

  private constructor(client: DirectoryClient, suite: CipherSuite, seen: RememberedLog, signal: AbortSignal) {
    this.client = client;
    this.#suite = suite;
    this.#seen = seen;
    this.#signal = signal;
  }

  /** With the key list from before, if there is one of this directory. */
  static async open(
    { suite, random, folder, log, signal }: Surroundings,
    {
      directory: address,
      keys: { name },
    }: { readonly directory: DirectoryAddress; readonly keys: { readonly name: Name } },
    witnesses?: WitnessOptions,
  ): Promise<OwnDirectory> {
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
    let prove = (): void => {};
    const seen = await openSeenLog(suite, folder, address.fingerprint, {
      demand: readWitnessDemand(suite, witnesses, process.env),
      now: Date.now,
      onError: (error) => logError(log, error, "what was seen of the directory's log is not stored"),
      onUnproved: (error) => logError(log, error, "a checkpoint that a peer has seen is not proved yet"),
      onPending: () => prove(),
    });
    const client = new DirectoryClient({ address, suite, random, keyList, log: seen.follower, onKeyList, warn });
    const own = new OwnDirectory(client, suite, seen, signal);
    prove = () => own.#provePending(log);
    return own;
  }

  /** One proof at a time, a moment after it is asked for, so that what comes at once is proved at once. */
  #provePending(log: Log): void {
    if (this.#proving !== undefined) return;
    const signal = this.#signal;
    const work = async (): Promise<void> => {
      await delay(PROVE_AFTER_MS, undefined, { signal, ref: false });
      this.#proving = undefined;
      const { list } = await this.client.keyList({ signal });
      const at = { base: this.client.address.url, signal, warn: (text: string) => log.debug(text) };
      await this.#seen.provePending(list, at, (text) => log.error(text));
    };
    this.#proving = work().catch((error: unknown) => {
      if (!signal.aborted) logError(log, error, "checkpoints of clients are not proved yet");
    });
  }

  /** Waits until what was seen of the log is on disk, or could not be written. */
  async remembered(): Promise<void> {
    await this.#seen.settled();
  }

  /** Milliseconds by which this machine's clock is behind, where that is so much that it is not used. */
  get clockError(): number | undefined {
    const offset = this.client.clockOffset ?? 0;
    return Math.abs(offset) > CLOCK_OFF_MS ? offset : undefined;
  }

  /** ms since 1970 UTC: by this machine's clock, or the directory's where that is far off; never before what witnesses have said. */
  now(): number {
    return Math.max(Date.now() + (this.clockError ?? 0), this.client.witnessTime);
  }

  /** The key list, a newer one when this one lacks the key that `ticket` says it is signed with. */
  async keyListFor(ticket: Uint8Array): Promise<VerifiedKeyList> {
    const options = { signal: this.#signal };
    const known = await this.client.keyList(options);
    return isTicketKeyKnown(this.#suite, known.list.ticket, ticket) ? known : await this.client.fetchKeyList(options);
  }

  /** Notes where the directory is: at the other end of this link. */
  noteLink({ remoteAddress }: Pick<Link, "remoteAddress">): void {
    this.#remoteAddress = remoteAddress;
  }

  /**
   * Has the directory asked for its key list meanwhile, as a link by a broker does not tell where it is; again and again until
   * it answers or `signal` ends it, which is to be that of one attempt and its link: the next one asks anew. Nobody waits for
   * that: sessions that come earlier meet at public addresses.
   */
  askWhere(log: Log, signal: AbortSignal): void {
    this.#askWhere(log, signal).catch(() => {}); // it was told to end
  }

  async #askWhere(log: Log, signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(Math.random);
    for (let isFirst = true; ; isFirst = false) {
      let wait: number;
      try {
        this.#answeringAddress = await answeringAddress(this.client, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const fact = "where the directory is, is not known: it may name no rendezvous at private addresses";
        if (isFirst) logError(log, error, fact);
        wait = backoff.after(error, undefined);
      }
      await delay(wait, undefined, { signal, ref: false });
    }
  }

  /**
   * Whether the last link led to a private address, or, where it does not tell, the key list came from one: then the directory
   * may name rendezvous at such addresses. What its host name leads to otherwise does not count, since whoever runs its DNS
   * can say that anew each time.
   */
  get isPrivate(): boolean {
    const address = this.#remoteAddress ?? this.#answeringAddress;
    return address !== undefined && isPrivateAddress(address);
  }
}
