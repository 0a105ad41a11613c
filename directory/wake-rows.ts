import { base64, equalBytes, fromBase64 } from "../keys/bytes.ts";
import type { Name } from "../keys/names.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import { WATCHERS_AT_ONCE } from "../protocol/limits.ts";
import { type Distances, encodeDistances, parseDistances } from "../protocol/messages/rendezvous-distances.ts";
import { bindingSubject } from "../protocol/statements.ts";
import { ConflictError } from "./conflict.ts";
import type { Database, Operation } from "./database.ts";
import type { Party } from "./presence.ts";
import { partyOf } from "./said-by-owner.ts";
import { parseEntry, put, type Table, WAKE_WATCHES, WAKES } from "./tables.ts";

/** A device that waits at an MQTT broker, as its last hello said and as it was told since then. */
export interface WakeRow {
  /** 16 bytes: the freshness of what it is told. */
  readonly epoch: Uint8Array;
  /** 16 bytes: the freshness of what it says. */
  readonly nonce: Uint8Array;
  /** 16 bytes of its connection to the broker. */
  readonly connection: Uint8Array;
  readonly device: X25519PublicKey;
  /** The sealing key that its hello was sealed to: what it is told comes from that one. */
  readonly recipient: X25519PublicKey;
  /** Messages that it was told since the hello. */
  readonly sent: number;
  /** The count of the newest list of clients that it has told. */
  readonly heard: number;
  /** The count of the newest distances that it has told, and these. */
  readonly heardDistances: number;
  readonly distances: Distances;
  /** Of the newest key list that it was told of. */
  readonly keyListSeq: number;
  readonly checkpointSize: number;
  readonly policyHash: Uint8Array;
  /** Names whose owners it has yet to learn. */
  readonly names: readonly string[];
  /** Subjects of the clients that it watches. */
  readonly clients: readonly string[];
  /** ms since 1970 UTC. */
  readonly since: number;
  readonly version: string;
  /** Whether it has said goodbye, or did not answer. */
  readonly isAway: boolean;
}

/**
 * The rows of devices at a broker, in the store alone: none is in memory but while something is done with it. What is done
 * with one comes one after the other.
 */
export class WakeRows {
  readonly #database: Database;
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Rows that were read or written, as they stand in the store. */
  readonly #texts = new WeakMap<WakeRow, string>();

  #counted: { readonly since: number; readonly count: Promise<number> } | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws {UnavailableError} E_STORAGE. */
  async get(party: Party): Promise<WakeRow | undefined> {
    const text = await this.#database.get(WAKES.prefix + bindingSubject(party));
    if (text === undefined) return undefined;
    const row = rowFromJson(parseEntry(WAKES, text));
    this.#texts.set(row, text);
    return row;
  }

  /**
   * Runs what reads one row and replaces it, and then does what follows from that; nothing else that is run so for it comes in
   * between. Where another process was faster, it is run again.
   */
  async inTurn<T>(party: Party, action: () => Promise<T>): Promise<T> {
    const subject = bindingSubject(party);
    const run = (): Promise<T> => this.#persistently(action);
    const turn = (this.#turns.get(subject) ?? Promise.resolve()).then(run, run);
    const settled = turn.catch(() => {});
    this.#turns.set(subject, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(subject) === settled) this.#turns.delete(subject);
    }
  }

  /** Puts `next` in the place of `before`, which inTurn has read, and what it watches with it. @throws {ConflictError}; E_STORAGE. */
  async replace(party: Party, before: WakeRow | undefined, next: WakeRow | undefined): Promise<void> {
    const subject = bindingSubject(party);
    const [old, young] = [watchedBy(before), watchedBy(next)];
    const operations: Operation[] = [
      ...[...old].filter((what) => !young.has(what)).map((what) => remove(WAKE_WATCHES, `${what} ${subject}`)),
      ...[...young].filter((what) => !old.has(what)).map((what) => put(WAKE_WATCHES, `${what} ${subject}`, 1 as const)),
    ];
    const key = WAKES.prefix + subject;
    const known = before && this.#texts.get(before);
    const value = next && JSON.stringify(rowToJson(next));
    if (known === undefined && value === undefined) return;
    await this.#database.write("kept", [...operations, { type: "replace", key, before: known, value }]);
    if (next !== undefined && value !== undefined) this.#texts.set(next, value);
  }

  async #persistently<T>(action: () => Promise<T>): Promise<T> {
    for (let left = ROW_TRIES; ; left--) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof ConflictError) || !this.#database.isShared || left === 1) throw error;
      }
    }
  }

  /** The devices that watch what begins so, with what each watches, some at a time. @throws {UnavailableError} E_STORAGE. */
  async *watchers(start: string): AsyncGenerator<{ readonly what: string; readonly device: Party }, void, void> {
    for await (const key of this.#keys(WAKE_WATCHES, start)) {
      const [what = "", device = ""] = key.split(" ");
      yield { what, device: partyOf(device) };
    }
  }

  /** The devices of a name. @throws {UnavailableError} E_STORAGE. */
  async *devicesOf(name: Name): AsyncGenerator<Party, void, void> {
    for await (const key of this.#keys(WAKES, `${name}/`)) yield partyOf(key);
  }

  /**
   * How many are not away. All rows are read for it, some at a time, so it is counted once in COUNT_MS at most, however often it
   * is asked; a failure is not kept. @throws {UnavailableError} E_STORAGE.
   */
  async count(): Promise<number> {
    const now = performance.now();
    if (this.#counted === undefined || now - this.#counted.since >= COUNT_MS) {
      const counted = { since: now, count: this.#count() };
      this.#counted = counted;
      counted.count.catch(() => {
        if (this.#counted === counted) this.#counted = undefined;
      });
    }
    return await this.#counted.count;
  }

  async #count(): Promise<number> {
    let count = 0;
    for (let after = WAKES.prefix as string; ; ) {
      const entries = await this.#database.entriesAfter(after, WAKES.prefix, WATCHERS_AT_ONCE);
      for (const [, text] of entries) if (!parseEntry(WAKES, text).isAway) count += 1;
      const last = entries.at(-1);
      if (last === undefined || entries.length < WATCHERS_AT_ONCE) return count;
      [after] = last;
    }
  }

  async *#keys<T>({ prefix }: Table<T>, start: string): AsyncGenerator<string, void, void> {
    for (let after = prefix + start; ; ) {
      const entries = await this.#database.entriesAfter(after, prefix + start, WATCHERS_AT_ONCE);
      for (const [key] of entries) yield key.slice(prefix.length);
      const last = entries.at(-1);
      if (last === undefined || entries.length < WATCHERS_AT_ONCE) return;
      [after] = last;
    }
  }
}

/** Of one change of a row, which processes do at the same moment where its device is asked for at many of them. */
const ROW_TRIES = 8;

/** A count of 15,000 rows takes some 0.3 s of the processor. */
const COUNT_MS = 60_000;

/** Whether two rows are of the same hello. */
export function isSameHello(one: WakeRow | undefined, other: WakeRow | undefined): boolean {
  return one !== undefined && other !== undefined && equalBytes(one.epoch, other.epoch);
}

function watchedBy(row: WakeRow | undefined): ReadonlySet<string> {
  return new Set(row === undefined ? [] : [...row.names, ...row.clients]);
}

function remove<T>({ prefix }: Table<T>, key: string): Operation {
  return { type: "del", key: prefix + key };
}

type Json<T> = T extends Table<infer Value> ? Value : never;

function rowToJson({ epoch, nonce, connection, policyHash, distances, ...row }: WakeRow): Json<typeof WAKES> {
  return {
    ...row,
    ...{ epoch: base64(epoch), nonce: base64(nonce), connection: base64(connection), policyHash: base64(policyHash) },
    ...{ device: row.device.toJSON(), recipient: row.recipient.toJSON() },
    ...{ names: [...row.names], clients: [...row.clients] },
    distances: base64(encodeDistances(distances)),
  };
}

function rowFromJson(json: Json<typeof WAKES>): WakeRow {
  return {
    ...json,
    ...{ epoch: fromBase64(json.epoch, 16), nonce: fromBase64(json.nonce, 16) },
    ...{ connection: fromBase64(json.connection, 16), policyHash: fromBase64(json.policyHash, 32) },
    distances: parseDistances(fromBase64(json.distances)),
    device: X25519PublicKey.parse(fromBase64(json.device, 32)),
    recipient: X25519PublicKey.parse(fromBase64(json.recipient, 32)),
  };
}
