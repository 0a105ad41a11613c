import type { Client, ClientBase, Pool } from "pg";
import { setTimeout as delay } from "node:timers/promises";
import { POSTGRES_LISTEN_AGAIN_MS, POSTGRES_LISTEN_PROBE_MS } from "../../protocol/limits.ts";
import { Gathered } from "./gathered.ts";
import { reading, writing } from "./asking.ts";
import { Parts, partsOf } from "./parts.ts";

/** A part of a message, on its channel. */
export interface Sent {
  readonly to: string;
  readonly text: string;
}

interface Entry {
  readonly key: string;
  readonly value: string;
}

/** Ids of processes that are there, and of those among them that are at the MQTT broker. */
export interface Leased {
  readonly alive: ReadonlySet<string>;
  readonly atBroker: ReadonlySet<string>;
}

export interface Listener {
  /** A message came for this process, or for all. */
  message(bytes: Uint8Array): void;
  /** It hears again after a time in which it may have missed something; also at the first time. */
  listening(): void;
  failed(error: unknown): void;
}

/**
 * By what processes that share a database know of each other: leases, by the database's own clock, so that theirs need not agree;
 * short messages (NOTIFY), of which those to a process that does not listen are lost; and entries that change hands.
 */
export class SharedDatabase {
  readonly #pool: Pool;
  readonly #connect: () => Promise<Client>;
  readonly #withTurn: (messages: readonly Sent[]) => void;
  readonly #sent: Gathered<Sent, undefined>;
  readonly #swaps: Gathered<Entry, string | undefined>;
  readonly #removals: Gathered<Entry, undefined>;

  /** `connect`: makes a connection for listening, of its own. `withTurn`: sends with the write of the turn that is under way. */
  constructor(pool: Pool, connect: () => Promise<Client>, withTurn: (messages: readonly Sent[]) => void) {
    this.#pool = pool;
    this.#connect = connect;
    this.#withTurn = withTurn;
    this.#sent = new Gathered(async (messages) => {
      await writing(() => sendAll(pool, messages));
      return messages.map(() => undefined);
    });
    this.#swaps = new Gathered((entries) => this.#swap(entries));
    this.#removals = new Gathered(async (entries) => {
      const values = [entries.map(({ key }) => key), entries.map(({ value }) => value)];
      await writing(() => pool.query({ ...REMOVE, values }));
      return entries.map(() => undefined);
    });
  }

  /** The database's time, ms since 1970 UTC. */
  async time(): Promise<number> {
    const { rows } = await reading(() => this.#pool.query<[number]>(TIME));
    return rows[0]?.[0] ?? 0;
  }

  /** Says for `ms` more that this process is there, and whether it is at the MQTT broker; gives all that are. */
  async renew(id: string, ms: number, isAtBroker: boolean): Promise<Leased> {
    const values = [id, ms, isAtBroker];
    const { rows } = await writing(() => this.#pool.query<[string, boolean]>({ ...RENEW, values }));
    const others = rows.filter(([other]) => other !== id);
    const atBroker = others.filter(([, isThere]) => isThere).map(([other]) => other);
    return {
      alive: new Set(others.map(([other]) => other).concat(id)),
      atBroker: new Set(isAtBroker ? atBroker.concat(id) : atBroker),
    };
  }

  /** Says that this process is there no more. */
  async leave(id: string): Promise<void> {
    await writing(() => this.#pool.query("DELETE FROM sshnp_replica WHERE id = $1", [id]));
  }

  /** Puts an entry, `kept`; gives the value that stood there. */
  async swap(key: string, value: string): Promise<string | undefined> {
    return await this.#swaps.add({ key, value });
  }

  /** Removes an entry that still has this value. */
  async removeIf(key: string, value: string): Promise<void> {
    await this.#removals.add({ key, value });
  }

  /** Puts entries, `kept`, each where `before` is what stands there, undefined being nothing. */
  async restore(
    entries: readonly { readonly key: string; readonly before: string | undefined; readonly value: string }[],
  ): Promise<void> {
    if (entries.length === 0) return;
    const values = [
      entries.map(({ key }) => key),
      entries.map(({ before }) => before ?? null),
      entries.map(({ value }) => value),
    ];
    await writing(() => this.#pool.query({ ...RESTORE, values }));
  }

  /** Sends a message to one process by its id, or to `all` that listen. */
  async send(to: string, bytes: Uint8Array): Promise<void> {
    await Promise.all(partsOf(bytes).map((text) => this.#sent.add({ to: channelOf(to), text })));
  }

  /** Sends a message with what the turn that is under way will write: when that is there, the message is on its way. */
  sendWithTurn(to: string, bytes: Uint8Array): void {
    this.#withTurn(partsOf(bytes).map((text) => ({ to: channelOf(to), text })));
  }

  /** Listens until the signal, with a new connection whenever one is lost. */
  async listen(id: string, listener: Listener, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#listenOnce(id, listener, signal);
      } catch (error) {
        if (!signal.aborted) listener.failed(error);
      }
      await delay(POSTGRES_LISTEN_AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Waits until all that is to be sent and written is. */
  async settled(): Promise<void> {
    await Promise.all([this.#sent.settled(), this.#swaps.settled(), this.#removals.settled()]);
  }

  async #listenOnce(id: string, listener: Listener, signal: AbortSignal): Promise<void> {
    const client = await this.#connect();
    const ended = new Promise<void>((resolve) => {
      client.on("error", () => resolve()).on("end", () => resolve());
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    try {
      const parts = new Parts();
      client.on("notification", ({ payload = "" }) => {
        try {
          const bytes = parts.add(payload);
          if (bytes !== undefined) listener.message(bytes);
        } catch (error) {
          listener.failed(error);
        }
      });
      await client.query(`LISTEN ${channelOf(id)}; LISTEN ${channelOf("all")}`);
      listener.listening();
      await Promise.race([ended, probing(client, ended)]);
    } finally {
      // One that does not answer does not say good-bye either.
      await Promise.race([client.end().catch(() => {}), delay(POSTGRES_LISTEN_AGAIN_MS, undefined, { ref: false })]);
    }
  }

  /** Of those for the same key only the last is put. */
  async #swap(entries: readonly Entry[]): Promise<(string | undefined)[]> {
    const last = new Map(entries.map(({ key, value }) => [key, value]));
    const values = [[...last.keys()], [...last.values()]];
    const { rows } = await writing(() => this.#pool.query<[string, string]>({ ...SWAP, values }));
    const before = new Map(rows);
    return entries.map(({ key }) => before.get(key));
  }
}

/** Sends these, in their order. */
export async function sendAll(client: Pick<ClientBase, "query">, messages: readonly Sent[]): Promise<void> {
  if (messages.length === 0) return;
  await client.query({ ...SEND, values: [messages.map(({ to }) => to), messages.map(({ text }) => text)] });
}

/** Asks the server now and then whether the connection lives; rejects when it does not, or not in time. */
async function probing(client: Client, ended: Promise<void>): Promise<void> {
  const stop = new AbortController();
  void ended.then(() => stop.abort());
  while (!stop.signal.aborted) {
    await delay(POSTGRES_LISTEN_PROBE_MS, undefined, { signal: stop.signal, ref: false }).catch(() => {});
    if (!stop.signal.aborted) await client.query("SELECT 1");
  }
}

/** Ids are lower-case hex. */
function channelOf(id: string): string {
  return `sshnp_${id}`;
}

const TIME = {
  name: "sshnp_time",
  text: "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8",
  rowMode: "array",
} as const;
const SEND = {
  name: "sshnp_send",
  text: "SELECT count(pg_notify(channel, payload)) FROM unnest($1::text[], $2::text[]) AS sent (channel, payload)",
};
const RENEW = {
  name: "sshnp_renew",
  text: `WITH gone AS (DELETE FROM sshnp_replica WHERE until < now() AND id <> $1), renewed AS (
      INSERT INTO sshnp_replica (id, until, at_broker) VALUES ($1, now() + $2 * interval '1 millisecond', $3)
      ON CONFLICT (id) DO UPDATE SET until = excluded.until, at_broker = excluded.at_broker)
    SELECT id, at_broker FROM sshnp_replica WHERE until >= now()`,
  rowMode: "array",
} as const;
const SWAP = {
  name: "sshnp_swap",
  text: `WITH asked AS (SELECT * FROM unnest($1::text[], $2::text[]) AS asked (key, value) ORDER BY key COLLATE "C"),
    before AS (SELECT entry.key, entry.value FROM sshnp_entry entry JOIN asked USING (key) ORDER BY key FOR UPDATE OF entry),
    put AS (INSERT INTO sshnp_entry SELECT * FROM asked ON CONFLICT (key) DO UPDATE SET value = excluded.value)
    SELECT key, value FROM before`,
  rowMode: "array",
} as const;
const RESTORE = {
  name: "sshnp_restore",
  text: `WITH asked AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (key, before, value)),
    older AS (SELECT entry.key, asked.value FROM sshnp_entry entry JOIN asked ON asked.key = entry.key AND asked.before = entry.value
      ORDER BY entry.key FOR UPDATE OF entry),
    put AS (INSERT INTO sshnp_entry SELECT key, value FROM asked WHERE before IS NULL ORDER BY key COLLATE "C" ON CONFLICT DO NOTHING)
    UPDATE sshnp_entry SET value = older.value FROM older WHERE sshnp_entry.key = older.key`,
};
const REMOVE = {
  name: "sshnp_remove",
  // Locked in the order of the keys, as in the swap: two statements would wait for each other otherwise.
  text: `WITH asked AS (SELECT * FROM unnest($1::text[], $2::text[]) AS asked (key, value)),
    gone AS (SELECT entry.key FROM sshnp_entry entry JOIN asked USING (key, value) ORDER BY key FOR UPDATE OF entry)
    DELETE FROM sshnp_entry USING gone WHERE sshnp_entry.key = gone.key`,
};
