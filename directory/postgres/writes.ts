import type { ClientBase, Pool } from "pg";
import { UnavailableError } from "../../keys/errors.ts";
import type { Operation } from "../database.ts";

type Query = Pick<ClientBase, "query">;

/** Does the operations within the transaction of `client`, or outside of one: all of them or none. */
export async function write(client: Query, operations: readonly Operation[]): Promise<void> {
  const puts = new Map<string, string>();
  const gone = new Set<string>();
  const replaced: Extract<Operation, { type: "replace" }>[] = [];
  for (const operation of operations) {
    const { key } = operation;
    gone.delete(key);
    puts.delete(key);
    if (operation.type === "put") puts.set(key, operation.value);
    else if (operation.type === "del") gone.add(key);
    else replaced.push(operation);
  }
  for (const operation of replaced) await replace(client, operation);
  if (puts.size === 0 && gone.size === 0) return;
  await client.query({ ...WRITE, values: [[...gone], [...puts.keys()], [...puts.values()]] });
}

/** Claims these keys, each until its time, where no earlier claim lasts beyond `now`; gives those that could be had. */
export async function claim(pool: Pool, claims: ReadonlyMap<string, number>, now: number): Promise<Set<string>> {
  const values = [[...claims.keys()], [...claims.values()], now];
  const { rows } = await pool.query<[string]>({ ...CLAIM, values });
  return new Set(rows.map(([key]) => key));
}

async function replace(client: Query, { key, before, value }: Extract<Operation, { type: "replace" }>): Promise<void> {
  const { rowCount } =
    before === undefined
      ? await client.query("INSERT INTO sshnp_entry VALUES ($1, $2) ON CONFLICT DO NOTHING", [key, value])
      : await client.query("UPDATE sshnp_entry SET value = $3 WHERE key = $1 AND value = $2", [key, before, value]);
  if (rowCount === 1) return;
  throw new UnavailableError("E_STORAGE", "The store has changed since it was read.", { next: "Ask again." });
}

/** In one statement, so that it is all or nothing without a transaction; no key is in two lists. */
const WRITE = {
  name: "sshnp write",
  text: `WITH gone AS (DELETE FROM sshnp_entry WHERE key = ANY($1::text[]))
    INSERT INTO sshnp_entry SELECT * FROM unnest($2::text[], $3::text[]) AS put (key, value) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
};

/** In the order of the keys, as the puts above: two statements would wait for each other otherwise. */
const CLAIM = {
  name: "sshnp claim",
  text: `INSERT INTO sshnp_claim AS known
    SELECT * FROM unnest($1::text[], $2::bigint[]) AS asked (key, until) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE known.until < $3::bigint
    RETURNING key`,
  rowMode: "array",
} as const;
