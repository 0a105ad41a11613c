import type { ClientBase, Pool } from "pg";
import { ConflictError, replaceOf } from "../conflict.ts";
import type { Operation } from "../database.ts";

type Query = Pick<ClientBase, "query">;

/**
 * Does the operations in a statement of their own. What is new for several statements is waited for where each puts it, so that three
 * of them can still wait in a circle: the database ends one, which has written nothing and is tried once more. @throws {ConflictError}.
 */
export async function writeAlone(pool: Pool, operations: readonly Operation[]): Promise<void> {
  try {
    await write(pool, operations);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === DEADLOCK_DETECTED)) throw error;
    await write(pool, operations);
  }
}

/** PostgreSQL, appendix A. */
const DEADLOCK_DETECTED = "40P01";

/** Does the operations within the transaction of `client`, or outside of one: all of them or none. @throws {ConflictError}. */
export async function write(client: Query, operations: readonly Operation[]): Promise<void> {
  const puts = new Map<string, string>();
  const gone = new Set<string>();
  for (const operation of operations) {
    const { key } = operation;
    gone.delete(key);
    puts.delete(key);
    if (operation.type === "put") puts.set(key, operation.value);
    else if (operation.type === "del") gone.add(key);
  }
  const replaced = replaceOf(operations);
  if (replaced === undefined && puts.size === 0 && gone.size === 0) return;
  const deleted = [...gone];
  // Puts alone as well: they would have put what is new before they wait for what is not, and others wait the other way round.
  const locked = [...deleted, ...puts.keys()];
  const values = [deleted, [...puts.keys()], [...puts.values()]];
  if (replaced === undefined) {
    await client.query({ ...WRITE, values: [...values, locked] });
    return;
  }
  const { key, before, value } = replaced;
  const { rowCount } = await client.query({ ...REPLACE, values: [...values, [...locked, key], key, before, value] });
  if (rowCount !== 1) throw new ConflictError();
}

/** Claims these keys, each until its time, where no earlier claim lasts beyond `now`; gives those that could be had. */
export async function claim(pool: Pool, claims: ReadonlyMap<string, number>, now: number): Promise<Set<string>> {
  const values = [[...claims.keys()], [...claims.values()], now];
  const { rows } = await pool.query<[string]>({ ...CLAIM, values });
  return new Set(rows.map(([key]) => key));
}

/**
 * Before anything is written, what is there already is locked in the order of the keys, by the bytes as in the table, whatever the
 * order of the database's own language: two statements would wait for each other otherwise.
 */
const LOCKED = "locked AS (SELECT key FROM sshnp_entry WHERE key = ANY($4::text[]) ORDER BY key FOR UPDATE)";
const AFTER_LOCKED = "(SELECT count(*) FROM locked) >= 0";

/** In one statement, so that it is all or nothing without a transaction; no key is in two lists. */
const WRITE = {
  name: "sshnp_write",
  text: `WITH ${LOCKED},
    gone AS (DELETE FROM sshnp_entry WHERE key = ANY($1::text[]) AND ${AFTER_LOCKED})
    INSERT INTO sshnp_entry SELECT * FROM unnest($2::text[], $3::text[]) AS put (key, value) WHERE ${AFTER_LOCKED}
    ORDER BY key COLLATE "C" ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
};

/** The same where `replace` finds what it is to find, and nothing otherwise. Gives one row if it did. */
const REPLACE = {
  name: "sshnp_replace",
  text: `WITH ${LOCKED},
    updated AS (UPDATE sshnp_entry SET value = $7::text WHERE key = $5 AND value = $6::text AND $7::text IS NOT NULL AND ${AFTER_LOCKED}
      RETURNING 1),
    removed AS (DELETE FROM sshnp_entry WHERE key = $5 AND value = $6::text AND $7::text IS NULL AND ${AFTER_LOCKED}
      RETURNING 1),
    inserted AS (INSERT INTO sshnp_entry SELECT $5, $7::text WHERE $6::text IS NULL AND ${AFTER_LOCKED}
      ON CONFLICT DO NOTHING RETURNING 1),
    done AS (SELECT 1 FROM updated UNION ALL SELECT 1 FROM inserted UNION ALL SELECT 1 FROM removed),
    gone AS (DELETE FROM sshnp_entry WHERE key = ANY($1::text[]) AND EXISTS (SELECT FROM done)),
    put AS (INSERT INTO sshnp_entry SELECT * FROM unnest($2::text[], $3::text[]) AS put (key, value)
      WHERE EXISTS (SELECT FROM done) ORDER BY key COLLATE "C" ON CONFLICT (key) DO UPDATE SET value = excluded.value)
    SELECT FROM done`,
};

/** In the order of the keys, as the puts above. */
const CLAIM = {
  name: "sshnp_claim",
  text: `INSERT INTO sshnp_claim AS known
    SELECT * FROM unnest($1::text[], $2::bigint[]) AS asked (key, until) ORDER BY key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE known.until < $3::bigint
    RETURNING key`,
  rowMode: "array",
} as const;
