import { AsyncLocalStorage } from "node:async_hooks";
import type { ClientBase, Pool } from "pg";
import { assert } from "../../keys/errors.ts";
import { ConflictError, replaceOf } from "../conflict.ts";
import type { Database, Durability, Operation, Snapshot } from "../database.ts";
import { type Connections, openConnections } from "./connections.ts";
import { LOCK_SPACE, TURN_LOCK } from "./migrations.ts";
import { Reads } from "./reads.ts";
import { isOfStatement, reading, writing } from "./asking.ts";
import { Gathered } from "./gathered.ts";
import { sendAll, type Sent, SharedDatabase } from "./shared.ts";
import { TurnQueue } from "./turn-queue.ts";
import { claim, write, writeAlone } from "./writes.ts";

/** A turn's transaction, which is begun when the turn is, and ends with its write. */
interface Turn {
  readonly client: ClientBase;
  /** What is sent with its write. */
  readonly messages: Sent[];
  hasWritten: boolean;
  isOver: boolean;
}

/** A write that replaces something, and who waits for it. */
interface Replacing {
  readonly operations: readonly Operation[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * In PostgreSQL, for any number of processes. A turn is a transaction that holds an advisory lock, so whoever loses it (its
 * connection, or its time) can write no more.
 */
export class PostgresDatabase implements Database {
  readonly isShared = true;
  readonly shared: SharedDatabase;
  readonly #connections: Connections;
  readonly #reads: Reads;
  readonly #kept: Gathered<readonly Operation[], undefined>;
  /** One statement each: one that finds that something has changed fails no other. */
  readonly #replaced: Gathered<Replacing, undefined>;
  readonly #claims: Gathered<{ readonly key: string; readonly until: number; readonly now: number }, boolean>;
  readonly #turn = new AsyncLocalStorage<Turn>();
  /** The turns of this process: it takes part in the queue of all with one connection. */
  readonly #turns = new TurnQueue();

  private constructor(connections: Connections) {
    this.#connections = connections;
    this.#reads = new Reads(connections.reading);
    this.shared = new SharedDatabase(
      connections.keeping,
      () => connections.listen(),
      (messages) => {
        const turn = this.#turn.getStore();
        assert(turn?.hasWritten === false && !turn.isOver, "a message goes with the write of a turn");
        turn.messages.push(...messages);
      },
    );
    this.#kept = new Gathered(async (writes) => {
      await writeAlone(connections.keeping, writes.flat());
      return writes.map(() => undefined);
    });
    this.#replaced = new Gathered(async (writes) => {
      await replaceAll(connections.keeping, writes);
      return writes.map(() => undefined);
    });
    this.#claims = new Gathered((claims) => claimAll(connections.keeping, claims));
  }

  /**
   * Connects, and brings the tables to the version of this program. A signal is the end of all waiting, some seconds later.
   * @throws {SetupError} E_USAGE for a URL that is none, E_STORAGE when it cannot be reached or used.
   */
  static async open(url: string, signal?: AbortSignal): Promise<PostgresDatabase> {
    return new PostgresDatabase(await openConnections(url, signal));
  }

  async get(key: string): Promise<string | undefined> {
    const [text] = await this.getMany([key]);
    return text;
  }

  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    return await reading(() => this.#reads.getMany(keys));
  }

  async entries(prefix: string): Promise<[string, string][]> {
    return await reading(() => range(this.#connections.reading, prefix, prefix, ">=", undefined));
  }

  async entriesAfter(after: string, prefix: string, limit: number): Promise<[string, string][]> {
    return await reading(() => range(this.#connections.reading, after, prefix, ">", limit));
  }

  async snapshot(): Promise<Snapshot> {
    const client = await reading(() => this.#connections.reading.connect());
    let isBroken = false;
    const asking = async <T>(ask: () => Promise<T>): Promise<T> => {
      try {
        return await reading(ask);
      } catch (error) {
        isBroken = true;
        throw error;
      }
    };
    const dispose = async (): Promise<void> => {
      if (!isBroken) await asking(() => client.query("ROLLBACK")).catch(() => {});
      client.release(isBroken);
    };
    try {
      await asking(() => client.query(BEGIN_SNAPSHOT));
    } catch (error) {
      client.release(true);
      throw error;
    }
    return {
      entriesAfter: (after, prefix, limit) => asking(() => range(client, after, prefix, ">", limit)),
      [Symbol.asyncDispose]: dispose,
    };
  }

  async write(durability: Durability, operations: readonly Operation[]): Promise<void> {
    if (durability === "kept") return await writing(() => this.#keep(operations));
    const turn = this.#turn.getStore();
    // What a turn has started may go on after it.
    if (turn === undefined || turn.isOver) return await this.exclusively(() => this.write(durability, operations));
    assert(!turn.hasWritten, "a turn writes once");
    turn.hasWritten = true;
    await writing(async () => {
      await write(turn.client, operations);
      await sendAll(turn.client, turn.messages);
      await turn.client.query("COMMIT");
    });
  }

  exclusively<T>(action: () => Promise<T>): Promise<T> {
    assert(this.#turn.getStore()?.isOver !== false, "turns are not nested");
    return this.#turns.run(() => this.#takeTurn(action));
  }

  async claim(key: string, until: number, now: number): Promise<boolean> {
    return await writing(() => this.#claims.add({ key, until, now }));
  }

  async forgetClaims(_past: readonly string[], now: number): Promise<void> {
    await writing(() => this.#connections.keeping.query("DELETE FROM sshnp_claim WHERE until < $1", [now]));
  }

  /** What was written and not confirmed has landed or not once nobody's connection goes on with it, which the next turn waits for. */
  async settle(): Promise<void> {}

  async close(): Promise<void> {
    await this.#turns.settled();
    await Promise.all([this.#kept.settled(), this.#replaced.settled(), this.#claims.settled(), this.shared.settled()]);
    await this.#connections.close();
  }

  async #keep(operations: readonly Operation[]): Promise<void> {
    if (replaceOf(operations) === undefined) return await this.#kept.add(operations);
    await new Promise<void>((resolve, reject) => {
      this.#replaced.add({ operations, resolve, reject }).catch(reject);
    });
  }

  async #takeTurn<T>(action: () => Promise<T>): Promise<T> {
    const client = await writing(() => this.#connections.turns.connect());
    const turn: Turn = { client, messages: [], hasWritten: false, isOver: false };
    let isBroken = true;
    try {
      await writing(async () => {
        await client.query("BEGIN");
        await client.query(LOCK);
      });
      const result = await this.#turn.run(turn, action);
      if (!turn.hasWritten) await writing(() => client.query("ROLLBACK"));
      isBroken = false;
      return result;
    } finally {
      turn.isOver = true;
      client.release(isBroken);
    }
  }
}

async function range(
  client: Pick<ClientBase, "query">,
  from: string,
  prefix: string,
  comparison: ">" | ">=",
  limit: number | undefined,
): Promise<[string, string][]> {
  const text = `SELECT key, value FROM sshnp_entry WHERE key ${comparison} $1 AND key < $2 ORDER BY key LIMIT $3`;
  const values = [from, `${prefix}\u{10ffff}`, limit];
  const { rows } = await client.query<[string, string]>({ text, values, rowMode: "array" });
  return rows;
}

/** Whoever reads it may take his time. The moment is that of the first question. */
const BEGIN_SNAPSHOT = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
  SET LOCAL idle_in_transaction_session_timeout = 0; SELECT version FROM sshnp_schema`;
const LOCK = { name: "sshnp_turn", text: `SELECT pg_advisory_xact_lock(${LOCK_SPACE}, ${TURN_LOCK})` };

/**
 * Each is told as soon as it is done, and one that the database does not do fails alone; but where there is no connection the others
 * fail as well, or each would wait for one in vain.
 */
async function replaceAll(pool: Pool, writes: readonly Replacing[]): Promise<void> {
  let lost: { readonly error: unknown } | undefined;
  for (const { operations, resolve, reject } of writes) {
    try {
      if (lost !== undefined) throw lost.error;
      await writeAlone(pool, operations);
      resolve();
    } catch (error) {
      reject(error);
      if (!(error instanceof ConflictError) && !isOfStatement(error)) lost = { error };
    }
  }
}

/** One of those that want the same key has it. */
async function claimAll(
  pool: Pool,
  claims: readonly { readonly key: string; readonly until: number; readonly now: number }[],
): Promise<boolean[]> {
  const wanted = new Map<string, number>();
  const isFirst = claims.map(({ key, until }) => !wanted.has(key) && wanted.set(key, until) === wanted);
  const had = await claim(pool, wanted, Math.min(...claims.map(({ now }) => now)));
  return claims.map(({ key }, at) => isFirst[at] === true && had.has(key));
}
