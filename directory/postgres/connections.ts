import type { Pool, PoolConfig } from "pg";
import { SetupError, SshnpError } from "../../keys/errors.ts";
import {
  POSTGRES_CONNECT_MS,
  POSTGRES_LOCK_MS,
  POSTGRES_READERS,
  POSTGRES_STATEMENT_MS,
  POSTGRES_TURN_MS,
} from "../../protocol/limits.ts";
import { migrate } from "./migrations.ts";

/** Connections by what they are for. A server that is gone fails what is under way; the next use connects anew. */
export interface Connections {
  readonly reading: Pool;
  /** One whose commits do not wait for the disk. */
  readonly keeping: Pool;
  /** One for turns. */
  readonly turns: Pool;
  close(): Promise<void>;
}

/** @throws {SetupError} E_USAGE for a URL that is none, E_STORAGE when it cannot be reached or used. */
export async function openConnections(url: string): Promise<Connections> {
  const config = await connectionConfig(url);
  const { Pool } = (await import("pg")).default;
  const open = (max: number, settings: readonly string[] = []): Pool => {
    const pool = new Pool({ ...config, max, options: [...SETTINGS, ...settings].map((one) => `-c ${one}`).join(" ") });
    // Of a connection that nobody uses at the moment; whoever uses one is told by what he asked.
    return pool.on("error", () => {});
  };
  const pools = {
    reading: open(POSTGRES_READERS),
    keeping: open(1, ["synchronous_commit=off"]),
    turns: open(1),
  };
  const close = async (): Promise<void> => {
    await Promise.all(Object.values(pools).map((pool) => pool.end()));
  };
  try {
    const client = await pools.turns.connect();
    try {
      await migrate(client);
    } finally {
      client.release(true);
    }
  } catch (cause) {
    await close();
    throw cause instanceof SshnpError ? cause : unusable(url, cause);
  }
  return { ...pools, close };
}

/** What a database URL says. @throws {SetupError} E_USAGE. */
async function connectionConfig(url: string): Promise<PoolConfig> {
  if (!/^postgres(?:ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new SetupError("E_USAGE", "That is no URL of a PostgreSQL database.", {
      next: "It reads postgres://USER@HOST:PORT/DATABASE; the password comes from PGPASSWORD or ~/.pgpass.",
    });
  }
  return {
    connectionString: url,
    application_name: "sshnp-directory",
    connectionTimeoutMillis: POSTGRES_CONNECT_MS,
    query_timeout: POSTGRES_STATEMENT_MS + 1000,
    keepAlive: true,
    idleTimeoutMillis: 0,
  };
}

/** So that a replica that hangs holds nothing up for longer. */
const SETTINGS = [
  `statement_timeout=${POSTGRES_STATEMENT_MS}`,
  `lock_timeout=${POSTGRES_LOCK_MS}`,
  `idle_in_transaction_session_timeout=${POSTGRES_TURN_MS}`,
];

/** The URL is not shown: it may have a password in it. */
function unusable(url: string, cause: unknown): SetupError {
  const { host, pathname } = new URL(url);
  const reason = cause instanceof Error ? cause.message || cause.name : "unknown reason";
  return new SetupError("E_STORAGE", `The database at ${host}${pathname} cannot be used (${reason}).`, {
    next: "Check that it runs, and the URL, user and password; psql with the same URL tells more.",
    cause,
  });
}
