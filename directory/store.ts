import { fromBase64 } from "../keys/bytes.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { type SignedText, signedTextFromJson, type SignedTextJson, signedTextToJson } from "../keys/signed-text.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { LOG_PROOF_SUBJECTS } from "../protocol/limits.ts";
import { subjectOf } from "../protocol/statement-fields.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { PendingEnrolment } from "../protocol/enrolment.ts";
import type { Database, Operation } from "./database.ts";
import { RecentRecords } from "./recent-records.ts";
import { enrolmentFromJson, passwordEntry, passwordFromJson, type PasswordRecord } from "./enrolment-records.ts";
import {
  type DelegationRecord,
  delegationFromJson,
  type MemberRecord,
  memberFromJson,
  nameFromJson,
  nameOperation,
  type NameRecord,
  rendezvousFromJson,
  rendezvousOperation,
  type RendezvousRecord,
  type ReportRecord,
  type WitnessRecord,
} from "./records.ts";
import {
  DELEGATIONS,
  ENROLMENTS,
  IDS,
  KEYS,
  MEMBERS,
  META,
  NAMES,
  NONCES,
  parseEntry,
  PASSWORDS,
  POLICIES,
  put,
  RENDEZVOUS,
  REPORTS,
  SEEN,
  STATEMENTS,
  type Table,
  WITNESSES,
} from "./tables.ts";

interface Party {
  readonly name: Name;
  readonly member: MemberName;
}

/**
 * Everything public that the directory knows; tables.ts has its entries. No private key and no secret is ever in it. Statements
 * are written together with the log (accounts/draft.ts).
 */
export class Store implements AsyncDisposable {
  readonly #database: Database;
  readonly #records = new RecentRecords();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Where it lies, for those who keep tables of their own beside its. */
  get database(): Database {
    return this.#database;
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs what reads, decides and writes, once; nothing else that is run so comes in between. */
  exclusively<T>(action: () => Promise<T>): Promise<T> {
    return this.#database.exclusively(action);
  }

  async name(name: Name): Promise<NameRecord | undefined> {
    return await this.#record(NAMES, name, nameFromJson);
  }

  /** All names with their records, sorted. */
  async names(): Promise<[Name, NameRecord][]> {
    const entries = await this.#entries(NAMES);
    return entries.map(([name, value]) => [name as Name, nameFromJson(value)]);
  }

  async putName(name: Name, record: NameRecord): Promise<void> {
    await this.#database.write("acknowledged", [nameOperation(name, record)]);
  }

  async member(party: Party): Promise<MemberRecord | undefined> {
    return await this.#record(MEMBERS, bindingSubject(party), memberFromJson);
  }

  /** All members, or those of one name, sorted by name. */
  async members(name?: Name): Promise<(Party & MemberRecord)[]> {
    const entries = await this.#entries(MEMBERS, name === undefined ? "" : `${name}/`);
    return entries.map(([subject, value]) => {
      const [of, member] = subject.split("/") as [Name, MemberName];
      return { name: of, member, ...memberFromJson(value) };
    });
  }

  /** The devices of one name, sorted by member, those included that are revoked; some at a time. */
  async *devices(name: Name): AsyncGenerator<(Pick<Party, "member"> & MemberRecord)[], void, void> {
    for await (const page of this.#pages(MEMBERS, `${name}/`)) {
      yield page.flatMap((value) => {
        const record = memberFromJson(value);
        const [, member] = subjectOf(record.binding).split("/");
        return record.role === "device" ? [{ member: member as MemberName, ...record }] : [];
      });
    }
  }

  async delegation(name: Name, id: string): Promise<DelegationRecord | undefined> {
    return await this.#record(DELEGATIONS, `${name}/${id}`, delegationFromJson);
  }

  /** IDs and delegations of a name, sorted by ID. */
  async delegations(name: Name): Promise<[string, DelegationRecord][]> {
    const entries = await this.#entries(DELEGATIONS, `${name}/`);
    return entries.map(([key, value]) => [key.slice(name.length + 1), delegationFromJson(value)]);
  }

  async password(name: Name, key: Ed25519PublicKey): Promise<PasswordRecord | undefined> {
    const value = await this.#get(PASSWORDS, passwordEntry(name, key));
    return value && passwordFromJson(value);
  }

  /** How many one-time passwords of a name are kept, without a look into them. */
  async passwordCount(name: Name): Promise<number> {
    return (await this.#database.entries(`${PASSWORDS.prefix}${name}/`)).length;
  }

  /** All one-time passwords, each by the key of its row. */
  async passwords(): Promise<[string, PasswordRecord][]> {
    const entries = await this.#entries(PASSWORDS);
    return entries.map(([key, value]) => [PASSWORDS.prefix + key, passwordFromJson(value)]);
  }

  async enrolment(party: Party): Promise<PendingEnrolment | undefined> {
    const subject = bindingSubject(party);
    const value = await this.#get(ENROLMENTS, subject);
    return value && enrolmentFromJson(subject, value);
  }

  /** The enrolments of a name, or all, sorted by member; also those whose time is over. */
  async enrolments(name?: Name): Promise<PendingEnrolment[]> {
    const entries = await this.#entries(ENROLMENTS, name === undefined ? "" : `${name}/`);
    return entries.map(([subject, value]) => enrolmentFromJson(subject, value));
  }

  /** Writes one-time passwords and enrolments, all or none; on disk when it returns. */
  async writeEnrolments(operations: readonly Operation[]): Promise<void> {
    await this.#database.write("acknowledged", operations);
  }

  /** The newest policy of a name. */
  async policy(name: Name): Promise<SignedText | undefined> {
    return await this.#record(POLICIES, name, signedTextFromJson);
  }

  /** The newest statement on every subject of a name: on itself, its members, its delegations, its policy; some at a time. */
  async *newest(name: Name): AsyncGenerator<SignedText[], void, void> {
    yield (await this.name(name))?.statements.slice(-1) ?? [];
    for (const table of [MEMBERS, DELEGATIONS]) {
      for await (const page of this.#pages<{ readonly newest: SignedTextJson }>(table, `${name}/`)) {
        yield page.map(({ newest }) => signedTextFromJson(newest));
      }
    }
    const policy = await this.policy(name);
    yield policy === undefined ? [] : [policy];
  }

  /** Every statement that ever stood on one of them, in the same order, and the oldest of each first; some at a time. */
  async *past(name: Name): AsyncGenerator<SignedText[], void, void> {
    for (const start of [`${name} `, `${name}/`, `${name}:`]) {
      for await (const page of this.#pages(STATEMENTS, start)) yield page.map((value) => signedTextFromJson(value));
    }
  }

  /** Whose key that is: `@acme/MEMBER`, `@acme:delegation:ID`, `rendezvous:NAME`, or nobody's. */
  async keyHolder(key: X25519PublicKey | Ed25519PublicKey): Promise<string | undefined> {
    return await this.#get(KEYS, key.toJSON());
  }

  async rendezvous(): Promise<[string, RendezvousRecord][]> {
    const entries = await this.#entries(RENDEZVOUS);
    return entries.map(([name, value]) => [name, rendezvousFromJson(value)]);
  }

  /** Stores a rendezvous that has no new statement. */
  async putRendezvous(name: string, record: RendezvousRecord): Promise<void> {
    await this.#database.write("acknowledged", [rendezvousOperation(name, record)]);
  }

  async reports(): Promise<[string, ReportRecord][]> {
    const entries = await this.#entries(REPORTS);
    return entries.map(([name, value]) => [name, { ...value, boot: fromBase64(value.boot, 16) }]);
  }

  async putReport(name: string, { boot, ...rest }: ReportRecord): Promise<void> {
    await this.#database.write("kept", [put(REPORTS, name, { boot: Buffer.from(boot).toString("base64"), ...rest })]);
  }

  /** The witnesses that are asked for cosignatures, by name. */
  async witnesses(): Promise<[string, WitnessRecord][]> {
    return await this.#entries(WITNESSES);
  }

  /** Undefined removes it. */
  async putWitness(name: string, record: WitnessRecord | undefined): Promise<void> {
    const key = WITNESSES.prefix + name;
    const operation = record === undefined ? { type: "del" as const, key } : put(WITNESSES, name, record);
    await this.#database.write("acknowledged", [operation]);
  }

  /** When a member's link was last known alive (ms), or undefined when it never had one. */
  async lastSeen(party: Party): Promise<number | undefined> {
    return await this.#get(SEEN, bindingSubject(party));
  }

  async putLastSeen(parties: Iterable<Party>, time: number): Promise<void> {
    await this.#database.write(
      "kept",
      Array.from(parties, (party) => put(SEEN, bindingSubject(party), time)),
    );
  }

  /** The message ids and nonces, in hex, that are remembered, with the time (ms) they are remembered until. */
  async remembered(): Promise<{ readonly ids: [string, number][]; readonly nonces: [string, number][] }> {
    return { ids: await this.#entries(IDS), nonces: await this.#entries(NONCES) };
  }

  /** Whether a message id came for the first time; it is remembered until then. */
  async claimId(id: string, until: number, now: number): Promise<boolean> {
    return await this.#database.claim(id, until, now);
  }

  /** Until when a nonce counts that was handed out, perhaps by another process. */
  async nonce(nonce: string): Promise<number | undefined> {
    return await this.#get(NONCES, nonce);
  }

  async putNonce(nonce: string, until: number): Promise<void> {
    await this.#database.write("kept", [put(NONCES, nonce, until)]);
  }

  /** Forgets those ids and nonces, in hex, whose time is over. */
  async forget(
    past: { readonly ids: readonly string[]; readonly nonces: readonly string[] },
    now: number,
  ): Promise<void> {
    await this.#database.forgetClaims(past.ids, now);
    const nonces = past.nonces.map((nonce) => ({ type: "del" as const, key: NONCES.prefix + nonce }));
    if (nonces.length > 0) await this.#database.write("kept", nonces);
  }

  async keyList(): Promise<SignedText | undefined> {
    return await this.#record(META, "keyList", signedTextFromJson);
  }

  async putKeyList(keyList: SignedText): Promise<void> {
    await this.#database.write("acknowledged", [put(META, "keyList", signedTextToJson(keyList))]);
  }

  async #record<T, R>(table: Table<T>, key: string, fromJson: (value: T) => R): Promise<R | undefined> {
    const text = await this.#database.get(table.prefix + key);
    return this.#records.of(table.prefix + key, text, (value) => fromJson(parseEntry(table, value)));
  }

  async #get<T>(table: Table<T>, key: string): Promise<T | undefined> {
    const text = await this.#database.get(table.prefix + key);
    return text === undefined ? undefined : parseEntry(table, text);
  }

  /** Values of a table whose keys begin with `start`, some at a time; in between nothing is held. */
  async *#pages<T>(table: Table<T>, start: string): AsyncGenerator<T[], void, void> {
    const prefix = table.prefix + start;
    for (let after = prefix; ; ) {
      const entries = await this.#database.entriesAfter(after, prefix, LOG_PROOF_SUBJECTS);
      yield entries.map(([, text]) => parseEntry(table, text));
      const last = entries.at(-1);
      if (last === undefined || entries.length < LOG_PROOF_SUBJECTS) return;
      [after] = last;
    }
  }

  /** Entries of a table whose keys begin with `start`. */
  async #entries<T>(table: Table<T>, start = ""): Promise<[string, T][]> {
    const entries = await this.#database.entries(table.prefix + start);
    return entries.map(([key, text]) => [key.slice(table.prefix.length), parseEntry(table, text)]);
  }
}
