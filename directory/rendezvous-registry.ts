import { equalBytes, hex } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { Ed25519PrivateKey, type Ed25519PublicKey } from "../keys/ed25519.ts";
import { assert, SetupError, UnavailableError } from "../keys/errors.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import {
  RENDEZVOUS_MOVE_MS,
  RENDEZVOUS_MOVES,
  RENDEZVOUS_REPORT_GAP_MS,
  TICKET_ENTRY_BYTES,
} from "../protocol/limits.ts";
import {
  type RendezvousActivation,
  type RendezvousReport,
  rendezvousActivationProof,
} from "../protocol/messages/activation.ts";
import type { Distances } from "../protocol/messages/rendezvous-distances.ts";
import {
  rendezvousSubject,
  type RendezvousStatement,
  signRendezvousStatement,
  verifyRendezvousStatement,
} from "../protocol/statements.ts";
import { entriesLength } from "../protocol/ticket.ts";
import type { Keyring } from "./keyring.ts";
import type { Log } from "./log/log.ts";
import { NameLimiter } from "./rate-limit.ts";
import { keyOperation, rendezvousOperation, statementOperation } from "./records.ts";
import { newestReport, RendezvousReports } from "./rendezvous-reports.ts";
import {
  type Offer,
  offerOf,
  type Rendezvous,
  type RendezvousAnswer,
  type RendezvousSummary,
  summaryOf,
} from "./rendezvous-standing.ts";
import type { Store } from "./store.ts";

/** The rendezvous of this directory: who they are, by statements that the root key signs, and which of them are up. */
export class RendezvousRegistry {
  readonly #suite: CipherSuite;
  readonly #random: RandomBytes;
  readonly #store: Store;
  readonly #keyring: Keyring;
  readonly #log: Pick<Log, "append" | "settle">;
  readonly #known: Map<string, Rendezvous>;
  /** How often each may have a statement with other addresses. */
  readonly #moves = new NameLimiter<string>(MOVES);
  readonly reports: RendezvousReports;

  private constructor(
    primitives: { readonly suite: CipherSuite; readonly random: RandomBytes },
    store: Store,
    keyring: Keyring,
    log: Pick<Log, "append" | "settle">,
    known: Map<string, Rendezvous>,
  ) {
    this.#suite = primitives.suite;
    this.#random = primitives.random;
    this.#store = store;
    this.#keyring = keyring;
    this.#log = log;
    this.#known = known;
    this.reports = new RendezvousReports(store);
  }

  /** Reads what the store has; reports of less than RENDEZVOUS_SILENCE_MS ago still count. @throws {UnavailableError} E_STORAGE. */
  static async load(
    primitives: { readonly suite: CipherSuite; readonly random: RandomBytes },
    store: Store,
    keyring: Keyring,
    log: Pick<Log, "append" | "settle">,
  ): Promise<RendezvousRegistry> {
    const registry = new RendezvousRegistry(primitives, store, keyring, log, new Map());
    await registry.#read();
    return registry;
  }

  /** Takes notice of what other directories on the same store have heard. @throws {UnavailableError} E_STORAGE. */
  async refresh(): Promise<void> {
    if (this.#store.database.isShared) await this.#read();
  }

  async #read(): Promise<void> {
    const reports = new Map(await this.#store.reports());
    for (const [name, record] of await this.#store.rendezvous()) {
      const known = this.#known.get(name);
      const signed = record.statement;
      const isKnown = known?.record.statement?.text === signed?.text;
      const statement = isKnown
        ? known?.statement
        : signed && verifyRendezvousStatement(this.#suite, signed, this.#keyring.rootLine);
      const report = newestReport(known?.report, reports.get(name));
      this.#known.set(name, { name, record, statement, report });
    }
  }

  /**
   * Gives a rendezvous a one-time secret, as a name gets one.
   * @throws {SetupError} E_NAME_TAKEN when it is activated; {UnavailableError} E_STORAGE.
   */
  async add(name: string, activationKey: Ed25519PublicKey, now: number): Promise<"new" | "again"> {
    return await this.#store.exclusively(async () => {
      await this.refresh();
      const known = this.#known.get(name);
      if (known?.record.isActivated === true) {
        throw new SetupError("E_NAME_TAKEN", `The rendezvous ${name} is activated already.`, {
          next: "Choose another name for a new one.",
        });
      }
      await this.#arm(name, activationKey, now, { isActivated: false });
      return known === undefined ? "new" : "again";
    });
  }

  /**
   * Has no new ticket name it, and gives it no way back but by a secret that {@link add} gives out. Its sessions go on. Whether
   * there was one. @throws {UnavailableError} E_STORAGE.
   */
  async remove(name: string, now: number): Promise<boolean> {
    return await this.#store.exclusively(async () => {
      await this.refresh();
      if (!this.#known.has(name)) return false;
      const { publicKey } = Ed25519PrivateKey.generate(this.#suite, this.#random); // nobody has the secret of this one
      await this.#arm(name, publicKey, now, { isActivated: false });
      return true;
    });
  }

  /**
   * Gives a secret to a rendezvous that the directory itself starts, activated or not. `hasKeys`: it may have used one before
   * and still has its keys, which then stay the ones that count. @throws {UnavailableError} E_STORAGE.
   */
  async addOwn(
    name: string,
    activationKey: Ed25519PublicKey,
    now: number,
    { hasKeys }: { readonly hasKeys: boolean },
  ): Promise<void> {
    await this.#store.exclusively(async () => {
      const isActivated = hasKeys && this.#known.get(name)?.record.isActivated === true;
      await this.#arm(name, activationKey, now, { isActivated });
    });
  }

  /** The activation's nonce is known to be the directory's. @throws {UnavailableError} E_STORAGE. */
  async activate(activation: RendezvousActivation, sender: X25519PublicKey, now: number): Promise<RendezvousAnswer> {
    const { x25519, ed25519, activationKey, addresses } = activation;
    const challenge = { nonce: activation.nonce, directoryFingerprint: this.#keyring.fingerprint };
    const proof = rendezvousActivationProof(challenge, { x25519, ed25519 });
    if (this.#suite.verify(activationKey, proof, activation.activationSignature) !== true) return WRONG;
    if (this.#suite.verify(ed25519, proof, activation.ownSignature) !== true) return { refused: "E_STATEMENT" };
    if (!x25519.equals(sender)) return { refused: "E_NOT_AUTHORIZED" };
    const isOfKey = ({ record }: Rendezvous): boolean => record.activationKey.equals(activationKey);
    await this.refresh();
    if (this.#find(isOfKey) === undefined) return WRONG; // without a turn
    return await this.#store.exclusively(async () => {
      await this.refresh();
      const known = this.#find(isOfKey);
      if (known === undefined) return WRONG;
      if (known.record.isActivated && known.statement !== undefined) {
        const { statement } = known.statement;
        const isSame = statement.x25519.equals(x25519) && statement.ed25519.equals(ed25519);
        return isSame ? await this.#withAddresses(known, addresses, now) : { refused: "E_CRAM_USED" };
      }
      const holders = [await this.#store.keyHolder(x25519), await this.#store.keyHolder(ed25519)];
      if (holders.some((holder) => holder !== undefined && holder !== `rendezvous:${known.name}`)) {
        return { refused: "E_MEMBER_KEY" };
      }
      return await this.#sign(known, { x25519, ed25519, addresses }, now);
    });
  }

  /** One that has the addresses that it had takes no turn. @throws {UnavailableError} E_STORAGE. */
  async report(report: RendezvousReport, sender: X25519PublicKey, now: number): Promise<RendezvousAnswer> {
    const asking = this.#reporter(sender);
    if (asking !== undefined && !this.reports.mayCome(asking.name, now)) {
      return { refused: "E_RATE", wait: RENDEZVOUS_REPORT_GAP_MS };
    }
    await this.refresh();
    const known = this.#reporter(sender);
    if (known === undefined) return { refused: "E_NOT_AUTHORIZED" };
    const hasMoved = known.statement?.statement.addresses.join() !== report.addresses.join();
    if (!hasMoved) return await this.#report(known, report, now);
    return await this.#store.exclusively(async () => {
      await this.refresh();
      const reporter = this.#reporter(sender);
      return reporter === undefined ? { refused: "E_NOT_AUTHORIZED" } : await this.#report(reporter, report, now);
    });
  }

  /**
   * Keeps the last report of a rendezvous for the next start of the directory. @throws {UnavailableError} E_STORAGE, which is
   * no reason not to use the rendezvous now.
   */
  async keepReport(name: string): Promise<void> {
    await this.reports.keep(name, this.#known.get(name)?.report);
  }

  /** What a new ticket offers: those that are up in the order of the choice, as many as fit. Empty when none is up. */
  offer(now: number, ends: readonly Distances[] = []): Offer {
    return offerOf(this.#known.values(), ends, now, Math.random);
  }

  list(now: number): RendezvousSummary[] {
    return [...this.#known.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map((one) => summaryOf(one, now));
  }

  #reporter(sender: X25519PublicKey): Rendezvous | undefined {
    const known = this.#find(({ statement }) => statement?.statement.x25519.equals(sender) === true);
    return known?.record.isActivated === true ? known : undefined;
  }

  async #report(known: Rendezvous, report: RendezvousReport, now: number): Promise<RendezvousAnswer> {
    const answer = await this.#withAddresses(known, report.addresses, now);
    if ("refused" in answer) return answer;
    const { addresses: _, ...said } = report;
    const signed = this.#known.get(known.name) ?? known;
    this.#known.set(known.name, { ...signed, report: { ...said, time: now } });
    const isNew = answer.isNew || known.report === undefined || !equalBytes(known.report.boot, report.boot);
    return { ...answer, isNew };
  }

  #find(matches: (rendezvous: Rendezvous) => boolean): Rendezvous | undefined {
    return [...this.#known.values()].find((rendezvous) => matches(rendezvous));
  }

  /** Sets what the secret derives. A statement from before stays, because the next one continues it; a report does not. */
  async #arm(
    name: string,
    activationKey: Ed25519PublicKey,
    now: number,
    { isActivated }: { readonly isActivated: boolean },
  ): Promise<void> {
    const known = this.#known.get(name);
    if (known !== undefined) await this.#demandNewest(known);
    const added = known?.record.added ?? now;
    const record = { added, activationKey, isActivated, statement: known?.record.statement };
    await this.#store.putRendezvous(name, record);
    this.#known.set(name, { name, record, statement: known?.statement, report: undefined });
  }

  /** Its statement, made anew when the addresses have changed. */
  async #withAddresses(known: Rendezvous, addresses: readonly string[], now: number): Promise<RendezvousAnswer> {
    const { statement } = known;
    assert(statement !== undefined, "what is activated has a statement");
    const { x25519, ed25519 } = statement.statement;
    const { addresses: before } = statement.statement;
    // One that cannot make up its mind keeps the addresses that it has, and is up all the same.
    if (before.join() === addresses.join() || !this.#moves.take(known.name, now)) {
      return { name: known.name, statement: statement.signed, addresses: before, isNew: false };
    }
    return await this.#sign(known, { x25519, ed25519, addresses }, now);
  }

  /** That nothing else is on disk, as after a write that failed and came there all the same. @throws {UnavailableError} E_STORAGE. */
  async #demandNewest(known: Rendezvous): Promise<void> {
    await this.#log.settle();
    const [, record] = (await this.#store.rendezvous()).find(([name]) => name === known.name) ?? [];
    const signed = record?.statement;
    if (record === undefined || signed?.text === known.record.statement?.text) return;
    const statement = signed && verifyRendezvousStatement(this.#suite, signed, this.#keyring.rootLine);
    this.#known.set(known.name, { ...known, record, statement });
    throw new UnavailableError("E_STORAGE", "What the store had taken was not known.", { next: "Ask again." });
  }

  /** Makes and stores the statement that follows the one there is. */
  async #sign(
    known: Rendezvous,
    what: Pick<RendezvousStatement, "x25519" | "ed25519" | "addresses">,
    now: number,
  ): Promise<RendezvousAnswer> {
    const entry = { key: what.ed25519, boot: new Uint8Array(16), addresses: what.addresses };
    if (entriesLength([entry]) - entriesLength([]) > TICKET_ENTRY_BYTES) return { refused: "E_PROTOCOL" };
    await this.#demandNewest(known);
    const before = known.statement;
    const seq = (before?.statement.seq ?? 0) + 1;
    const prev = before === undefined ? null : hex(before.hash);
    const next = { ...what, rendezvous: known.name, seq, prev, issued: now, expires: null };
    const signed = signRendezvousStatement(this.#suite, this.#random, this.#keyring.root, next);
    const record = { ...known.record, isActivated: true, statement: signed };
    const statement = verifyRendezvousStatement(this.#suite, signed, this.#keyring.rootLine);
    const subject = rendezvousSubject(known.name);
    await this.#log.append(
      [{ subject, hash: statement.hash }],
      [
        rendezvousOperation(known.name, record),
        statementOperation(subject, seq, signed),
        ...[what.x25519, what.ed25519].map((key) => keyOperation(key, subject)),
      ],
      "rendezvous",
    );
    this.#known.set(known.name, { ...known, record, statement });
    return { name: known.name, statement: signed, addresses: what.addresses, isNew: true };
  }
}

const MOVES = { perSecond: 1000 / RENDEZVOUS_MOVE_MS, burst: RENDEZVOUS_MOVES };
const WRONG = { refused: "E_CRAM_WRONG" } as const;
