import type { Client, Pool, PoolConfig } from "pg";
import { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { SetupError, SshnpError, UnavailableError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import {
  POSTGRES_CONNECT_MS,
  POSTGRES_END_MS,
  POSTGRES_LOCK_MS,
  POSTGRES_READERS,
  POSTGRES_STATEMENT_MS,
  POSTGRES_TURN_MS,
} from "../../protocol/limits.ts";
import { reasonOf } from "./asking.ts";
import { migrate } from "./migrations.ts";

/** Connections by what they are for. A server that is gone fails what is under way; the next use connects anew. */
export interface Connections {
  readonly reading: Pool;
  /** One whose commits do not wait for the disk. */
  readonly keeping: Pool;
  /** One for turns. */
  readonly turns: Pool;
  /** One of its own, for listening. */
  listen(): Promise<Client>;
  /** Ends them; those that say no good-bye in time are cut. */
  close(): Promise<void>;
}

/**
 * What is not done POSTGRES_END_MS after the signal is cut off: a database that hangs keeps no process from its end.
 * @throws {SetupError} E_USAGE for a URL that is none, E_STORAGE when it cannot be reached or used.
 */
export async function openConnections(url: string, signal?: AbortSignal): Promise<Connections> {
  const sockets = new Set<Socket>();
  const config = { ...connectionConfig(url), stream: () => keptIn(sockets) };
  const { Client, Pool } = await import("pg");
  const open = (max: number, settings: readonly string[] = []): Pool => {
    const pool = new Pool({ ...config, max, options: [...SETTINGS, ...settings].map((one) => `-c ${one}`).join(" ") });
    // Whoever uses a connection is told by what he asked; without a listener of its own an error would end the process.
    return pool.on("error", ignore).on("connect", (client) => client.on("error", ignore));
  };
  const pools = {
    reading: open(POSTGRES_READERS),
    keeping: open(1, ["synchronous_commit=off"]),
    turns: open(1),
  };
  let isEnding = false;
  const end = async (): Promise<void> => {
    if (isEnding) return;
    isEnding = true;
    await Promise.all(Object.values(pools).map((pool) => pool.end())).catch(ignore);
  };
  const cut = (): void => {
    void end();
    for (const socket of sockets) socket.destroy();
  };
  let timer: NodeJS.Timeout | undefined;
  const onSignal = (): void => {
    timer = setTimeout(cut, POSTGRES_END_MS).unref();
  };
  signal?.addEventListener("abort", onSignal, { once: true });
  const close = async (): Promise<void> => {
    signal?.removeEventListener("abort", onSignal);
    clearTimeout(timer);
    await Promise.race([end(), delay(POSTGRES_END_MS, undefined, { ref: false })]);
    cut();
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
  const listen = async (): Promise<Client> => {
    const client = new Client({ ...config, query_timeout: POSTGRES_STATEMENT_MS });
    client.on("error", ignore);
    if (isEnding) throw new UnavailableError("E_STORAGE", "The connections to the database are closed.");
    await client.connect();
    return client;
  };
  return { ...pools, listen, close };
}

/** What a database URL says. @throws {SetupError} E_USAGE. */
function connectionConfig(url: string): PoolConfig {
  if (!/^postgres(?:ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new SetupError("E_USAGE", "That is no URL of a PostgreSQL database.", {
      next: "It reads postgres://USER@HOST:PORT/DATABASE; the password comes from PGPASSWORD or ~/.pgpass.",
    });
  }
  // Others, `options` above all, would take the place of what is set here.
  const other = [...new URL(url).searchParams.keys()].find((name) => !PARAMETERS.includes(name));
  if (other !== undefined) {
    throw new SetupError("E_USAGE", `${quoted(other)} is no parameter that the database's URL may have.`, {
      next: `It may have ${PARAMETERS.join(", ")}.`,
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

const PARAMETERS = ["host", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/** So that a replica that hangs holds nothing up for longer. */
const SETTINGS = [
  `statement_timeout=${POSTGRES_STATEMENT_MS}`,
  `lock_timeout=${POSTGRES_LOCK_MS}`,
  `idle_in_transaction_session_timeout=${POSTGRES_TURN_MS}`,
];

/** The URL is not shown: it may have a password in it. */
function unusable(url: string, cause: unknown): SetupError {
  const { host, pathname } = new URL(url);
  return new SetupError("E_STORAGE", `The database at ${host}${pathname} cannot be used (${reasonOf(cause)}).`, {
    next: "Check that it runs, and the URL, user and password; psql with the same URL tells more.",
    cause,
  });
}

function keptIn(sockets: Set<Socket>): Socket {
  const socket = new Socket();
  sockets.add(socket);
  return socket.once("close", () => sockets.delete(socket));
}

function ignore(): void {}
