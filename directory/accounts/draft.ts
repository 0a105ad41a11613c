import type { Ed25519PublicKey } from "../../keys/ed25519.ts";
import type { MemberName, Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { OWNER_CHAIN } from "../../protocol/limits.ts";
import { delegationSubject, policySubject } from "../../protocol/owner-statements.ts";
import type { StatementFields, Verified } from "../../protocol/statement-fields.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import type { Operation } from "../database.ts";
import { enrolmentRemoval } from "../enrolment-records.ts";
import type { LogEntry } from "../log/log.ts";
import {
  type DelegationRecord,
  delegationOperation,
  keyOperation,
  type MemberRecord,
  memberOperation,
  nameOperation,
  type NameRecord,
  policyOperation,
  statementOperation,
} from "../records.ts";
import type { Store } from "../store.ts";

interface Party {
  readonly name: Name;
  readonly member: MemberName;
}

/** What a statement is written with. */
type Said = Verified<StatementFields>;

interface NewStatement extends LogEntry {
  /** Whose it is, and whether a delegation of his has made it. */
  readonly name: Name;
  readonly isDelegated: boolean;
}

/**
 * What the directory knows of names, with changes that are decided one after the other and written together with the log's
 * entries of them, or not at all. Reads see the changes before them.
 */
export class Draft {
  readonly #store: Store;
  readonly #names = new Map<Name, NameRecord>();
  readonly #members = new Map<string, MemberRecord>();
  readonly #delegations = new Map<string, DelegationRecord>();
  readonly #policies = new Map<Name, SignedText>();
  readonly #keys = new Map<string, string>();
  /** The newest change of each row, by its key. */
  readonly #operations = new Map<string, Operation>();
  readonly #entries: NewStatement[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  get operations(): readonly Operation[] {
    return [...this.#operations.values()];
  }

  /** What the log gets, in this order. */
  get entries(): readonly NewStatement[] {
    return this.#entries;
  }

  async name(name: Name): Promise<NameRecord | undefined> {
    return this.#names.get(name) ?? (await this.#store.name(name));
  }

  async member(party: Party): Promise<MemberRecord | undefined> {
    return this.#members.get(bindingSubject(party)) ?? (await this.#store.member(party));
  }

  async delegation(name: Name, id: string): Promise<DelegationRecord | undefined> {
    return this.#delegations.get(delegationSubject({ name, id })) ?? (await this.#store.delegation(name, id));
  }

  async policy(name: Name): Promise<SignedText | undefined> {
    return this.#policies.get(name) ?? (await this.#store.policy(name));
  }

  async keyHolder(key: X25519PublicKey | Ed25519PublicKey): Promise<string | undefined> {
    return this.#keys.get(key.toJSON()) ?? (await this.#store.keyHolder(key));
  }

  /** A name or rotation statement. */
  addToName(name: Name, record: NameRecord, said: Said): void {
    const statements = [...record.statements, said.signed].slice(-OWNER_CHAIN);
    const next = { ...record, statements };
    this.#names.set(name, next);
    this.#put(nameOperation(name, next));
    this.#say(name, name, said);
  }

  /** A binding, whose keys are the member's from now on, or a revocation. Who waited to become that member waits no more. */
  putMember(party: Party, record: MemberRecord, said: Said): void {
    const subject = bindingSubject(party);
    this.#members.set(subject, record);
    this.#put(memberOperation(party, record));
    this.#put(enrolmentRemoval(party));
    for (const key of [record.x25519, record.ed25519]) this.#hold(key, subject);
    this.#say(party.name, subject, said, record.delegation !== undefined && record.newest === record.binding);
  }

  /** A delegation or its revocation; `key` is the delegation's. */
  putDelegation(
    of: { readonly name: Name; readonly id: string },
    key: Ed25519PublicKey,
    record: DelegationRecord,
    said: Said,
  ): void {
    const subject = delegationSubject(of);
    this.countDelegation(of, record);
    this.#hold(key, subject);
    this.#say(of.name, subject, said);
  }

  /** That it has made one more. */
  countDelegation(of: { readonly name: Name; readonly id: string }, record: DelegationRecord): void {
    this.#delegations.set(delegationSubject(of), record);
    this.#put(delegationOperation(of.name, of.id, record));
  }

  putPolicy(name: Name, said: Said): void {
    this.#policies.set(name, said.signed);
    this.#put(policyOperation(name, said.signed));
    this.#say(name, policySubject(name), said);
  }

  #hold(key: X25519PublicKey | Ed25519PublicKey, holder: string): void {
    this.#keys.set(key.toJSON(), holder);
    this.#put(keyOperation(key, holder));
  }

  #say(name: Name, subject: string, { statement, signed, hash }: Said, isDelegated = false): void {
    this.#put(statementOperation(subject, statement.seq, signed));
    this.#entries.push({ subject, hash, name, isDelegated });
  }

  #put(operation: Operation): void {
    this.#operations.set(operation.key, operation);
  }
}
