import * as v from "valibot";
import { fromBase64, hex } from "../keys/bytes.ts";
import { Ed25519PublicKey } from "../keys/ed25519.ts";
import { UnavailableError } from "../keys/errors.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { type SignedText, signedTextFromJson, signedTextSchema, signedTextToJson } from "../keys/signed-text.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import { bindingSubject } from "../protocol/statements.ts";
import { Database, type Operation } from "./database.ts";

/** A name as the directory knows it. */
export interface NameRecord {
  /** ms since 1970 UTC. */
  readonly added: number;
  /** Public half of what the one-time secret derives. */
  readonly activationKey: Ed25519PublicKey;
  /** The owner's statement, once there is one. */
  readonly statement: SignedText | undefined;
}

/** A member's newest binding, verified when it was stored. */
export interface BindingRecord {
  readonly role: Role;
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
  /** ms since 1970 UTC, or null. */
  readonly expires: number | null;
  readonly signed: SignedText;
}

export interface RendezvousRecord extends NameRecord {
  /** Whether the secret was used. The root-signed statement of one that is to be replaced stays until then. */
  readonly isActivated: boolean;
}

/** What a rendezvous last said of itself. */
export interface ReportRecord {
  /** 16 bytes. */
  readonly boot: Uint8Array;
  readonly legs: number;
  /** When it came, ms since 1970 UTC. */
  readonly time: number;
}

interface Party {
  readonly name: Name;
  readonly member: MemberName;
}

/**
 * Everything public that the directory knows, in LevelDB. One process has it. No private key and no secret is ever in it.
 *
 * ```
 * name:@acme              added, activation key, name statement
 * binding:@acme/MEMBER    role, keys, expiry, the statement itself
 * key:BASE64              whose key that is: @acme/MEMBER or rendezvous:NAME
 * rendezvous:NAME         added, activation key, statement, whether activated
 * report:NAME             boot, legs, time of its last report
 * seen:@acme/MEMBER       when its link was last alive
 * id:HEX, nonce:HEX       until when a message id is remembered, a nonce accepted
 * meta:KEY                a value of the directory's own
 * ```
 */
export class Store implements AsyncDisposable {
  readonly #database: Database;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(database: Database) {
    this.#database = database;
  }

  /** @throws {SetupError} E_RUNNING when another process has it, E_STORAGE when it cannot be read or is damaged. */
  static async open(path: string): Promise<Store> {
    return new Store(await Database.open(path));
  }

  /** Where it lies, for those who keep tables of their own beside its. */
  get database(): Database {
    return this.#database;
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => {});
    await this.#database.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs what reads, decides and writes; nothing else that is run so comes in between. */
  exclusively<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action, action);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async name(name: Name): Promise<NameRecord | undefined> {
    const value = await this.#get(NAMES, name);
    return value && activatable(value);
  }

  /** All names with their records, sorted. */
  async names(): Promise<[Name, NameRecord][]> {
    const entries = await this.#entries(NAMES);
    return entries.map(([name, value]) => [name as Name, activatable(value)]);
  }

  async putName(name: Name, record: NameRecord): Promise<void> {
    await this.#database.write("acknowledged", [put(NAMES, name, activatableToJson(record))]);
  }

  async binding(party: Party): Promise<BindingRecord | undefined> {
    const value = await this.#get(BINDINGS, bindingSubject(party));
    return (
      value && {
        role: value.role,
        x25519: X25519PublicKey.parse(fromBase64(value.x25519, 32)),
        ed25519: Ed25519PublicKey.parse(fromBase64(value.ed25519, 32)),
        expires: value.expires,
        signed: signedTextFromJson(value.signed),
      }
    );
  }

  /** All members and their roles, sorted by name. */
  async members(): Promise<(Party & { readonly role: Role })[]> {
    const entries = await this.#entries(BINDINGS);
    return entries.map(([subject, { role }]) => {
      const [name, member] = subject.split("/") as [Name, MemberName];
      return { name, member, role };
    });
  }

  /** Whose key that is: `@acme/MEMBER`, `rendezvous:NAME`, or nobody's. */
  async keyHolder(key: X25519PublicKey | Ed25519PublicKey): Promise<string | undefined> {
    return await this.#get(KEYS, key.toJSON());
  }

  /** Stores a member's first binding, and with it the name it activates if it does; all or nothing. */
  async putBinding(party: Party, binding: BindingRecord, activated?: NameRecord): Promise<void> {
    const { role, x25519, ed25519, expires, signed } = binding;
    const subject = bindingSubject(party);
    const keys = { x25519: x25519.toJSON(), ed25519: ed25519.toJSON() };
    await this.#database.write("acknowledged", [
      ...(activated === undefined ? [] : [put(NAMES, party.name, activatableToJson(activated))]),
      put(BINDINGS, subject, { role, ...keys, expires, signed: signedTextToJson(signed) }),
      put(KEYS, keys.x25519, subject),
      put(KEYS, keys.ed25519, subject),
    ]);
  }

  async rendezvous(): Promise<[string, RendezvousRecord][]> {
    const entries = await this.#entries(RENDEZVOUS);
    return entries.map(([name, value]) => [name, { ...activatable(value), isActivated: value.isActivated }]);
  }

  /** Stores a rendezvous; `keys` are its own from now on. */
  async putRendezvous(
    name: string,
    record: RendezvousRecord,
    keys: readonly (X25519PublicKey | Ed25519PublicKey)[],
  ): Promise<void> {
    await this.#database.write("acknowledged", [
      put(RENDEZVOUS, name, { ...activatableToJson(record), isActivated: record.isActivated }),
      ...keys.map((key) => put(KEYS, key.toJSON(), `rendezvous:${name}`)),
    ]);
  }

  async reports(): Promise<[string, ReportRecord][]> {
    const entries = await this.#entries(REPORTS);
    return entries.map(([name, value]) => [name, { ...value, boot: fromBase64(value.boot, 16) }]);
  }

  async putReport(name: string, { boot, legs, time }: ReportRecord): Promise<void> {
    await this.#database.write("kept", [
      put(REPORTS, name, { boot: Buffer.from(boot).toString("base64"), legs, time }),
    ]);
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

  /** Remembered ids or nonces in hex, with the time (ms) they are remembered until. */
  async remembered(what: "id" | "nonce"): Promise<[string, number][]> {
    return await this.#entries(what === "id" ? IDS : NONCES);
  }

  async remember(what: "id" | "nonce", value: Uint8Array, until: number): Promise<void> {
    await this.#database.write("kept", [put(what === "id" ? IDS : NONCES, hex(value), until)]);
  }

  async forget(what: "id" | "nonce", values: readonly string[]): Promise<void> {
    const table = what === "id" ? IDS : NONCES;
    await this.#database.write(
      "kept",
      values.map((value) => ({ type: "del" as const, key: table.prefix + value })),
    );
  }

  async keyList(): Promise<SignedText | undefined> {
    const value = await this.#get(META, "keyList");
    return value && signedTextFromJson(value);
  }

  async putKeyList(keyList: SignedText): Promise<void> {
    await this.#database.write("acknowledged", [put(META, "keyList", signedTextToJson(keyList))]);
  }

  async #get<T>(table: Table<T>, key: string): Promise<T | undefined> {
    const text = await this.#database.get(table.prefix + key);
    return text === undefined ? undefined : parseEntry(table, text);
  }

  async #entries<T>(table: Table<T>): Promise<[string, T][]> {
    const entries = await this.#database.entries(table.prefix);
    return entries.map(([key, text]) => [key.slice(table.prefix.length), parseEntry(table, text)]);
  }
}

interface Table<T> {
  readonly prefix: `${string}:`;
  readonly schema: v.GenericSchema<T>;
}

const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const activatableEntries = { added: time, activationKey: v.string(), statement: v.nullable(signedTextSchema) };
type Activatable = v.InferOutput<v.StrictObjectSchema<typeof activatableEntries, undefined>>;

const NAMES = tableOf("name:", v.strictObject(activatableEntries));
const BINDINGS = tableOf(
  "binding:",
  v.strictObject({
    role: v.picklist(["client", "device"]),
    x25519: v.string(),
    ed25519: v.string(),
    expires: v.nullable(time),
    signed: signedTextSchema,
  }),
);
const KEYS = tableOf("key:", v.string());
const RENDEZVOUS = tableOf("rendezvous:", v.strictObject({ ...activatableEntries, isActivated: v.boolean() }));
const REPORTS = tableOf("report:", v.strictObject({ boot: v.string(), legs: time, time }));
const SEEN = tableOf("seen:", time);
const IDS = tableOf("id:", time);
const NONCES = tableOf("nonce:", time);
const META = tableOf("meta:", signedTextSchema);
/** All of them, for whoever checks what may stand in an entry. */
export const TABLES: readonly Table<unknown>[] = [NAMES, BINDINGS, KEYS, RENDEZVOUS, REPORTS, SEEN, IDS, NONCES, META];

function tableOf<T>(prefix: `${string}:`, schema: v.GenericSchema<T>): Table<T> {
  return { prefix, schema };
}

function put<T>({ prefix }: Table<T>, key: string, value: T): Operation {
  return { type: "put", key: prefix + key, value: JSON.stringify(value) };
}

/** The value of an entry. @throws {UnavailableError} E_STORAGE when it is none that was written here. */
export function parseEntry<T>({ schema, prefix }: Table<T>, text: string): T {
  const result = v.safeParse(schema, parseJson(text));
  if (!result.success)
    throw new UnavailableError("E_STORAGE", `The store is damaged (a ${prefix.slice(0, -1)} entry).`);
  return result.output;
}

/** Undefined, which no schema takes, for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function activatable(value: Activatable): NameRecord {
  return {
    added: value.added,
    activationKey: Ed25519PublicKey.parse(fromBase64(value.activationKey, 32)),
    statement: value.statement === null ? undefined : signedTextFromJson(value.statement),
  };
}

function activatableToJson({ added, activationKey, statement }: NameRecord): Activatable {
  return {
    added,
    activationKey: activationKey.toJSON(),
    statement: statement === undefined ? null : signedTextToJson(statement),
  };
}
