import type { ClientBase } from "pg";
import { SetupError } from "../../keys/errors.ts";

/**
 * How the tables came to be, each step once and in this order. A step is never changed after it was published; a new one goes to
 * the end, and leaves everything in place that the version before needs while replicas of both run.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE sshnp_entry (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
   CREATE TABLE sshnp_claim (key text COLLATE "C" PRIMARY KEY, until bigint NOT NULL);
   CREATE INDEX sshnp_claim_until ON sshnp_claim (until);
   CREATE TABLE sshnp_replica (id text COLLATE "C" PRIMARY KEY, until timestamptz NOT NULL);`,
  // Of a version that does not say it, it is false.
  `ALTER TABLE sshnp_replica ADD COLUMN at_broker boolean NOT NULL DEFAULT false;`,
];

/** What advisory locks of ours begin with; the second half says what for. */
export const LOCK_SPACE = 0x73_73_68;
export const TURN_LOCK = 1;
const MIGRATION_LOCK = 2;

/**
 * Brings the tables to the newest version, at one replica while the others wait.
 * @throws {SetupError} E_STORAGE when they are of a newer version than this program knows; what the database throws.
 */
export async function migrate(client: ClientBase): Promise<void> {
  await client.query("BEGIN");
  try {
    await client.query("SELECT pg_advisory_xact_lock($1, $2)", [LOCK_SPACE, MIGRATION_LOCK]);
    await client.query(
      "CREATE TABLE IF NOT EXISTS sshnp_schema (version integer PRIMARY KEY, applied timestamptz NOT NULL)",
    );
    const { rows } = await client.query<{ version: number | null }>("SELECT max(version) AS version FROM sshnp_schema");
    const version = rows[0]?.version ?? 0;
    if (version > MIGRATIONS.length) throw tooNew(version);
    for (const [step, sql] of MIGRATIONS.entries()) {
      if (step < version) continue;
      await client.query(sql);
      await client.query("INSERT INTO sshnp_schema VALUES ($1, now())", [step + 1]);
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

function tooNew(version: number): SetupError {
  return new SetupError("E_STORAGE", `The store has schema ${version}, and this program knows ${MIGRATIONS.length}.`, {
    next: "Run the newer sshnp-directory; schemas only go forward.",
  });
}
