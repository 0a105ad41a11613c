import { randomUUID } from "node:crypto";
import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { Client } from "pg";
import { freePort } from "./free-port.ts";
import { type RunAs, type RunningProcess, runProcess, startProcess } from "./processes.ts";
import { type TemporaryFolder, temporaryFolder } from "./temp-folder.ts";

const ROOT = join(import.meta.dirname, "../..");
const BINARIES = "/usr/lib/postgresql/15/bin";

/** A real PostgreSQL cluster of its own on 127.0.0.1, which user postgres runs, with a database `sshnp`. */
export class Postgres implements AsyncDisposable {
  readonly port: number;
  readonly #folder: TemporaryFolder;
  #server: RunningProcess | undefined;

  private constructor(folder: TemporaryFolder, port: number) {
    this.#folder = folder;
    this.port = port;
  }

  static async start(): Promise<Postgres> {
    const postgres = new Postgres(await ownFolder(), await freePort());
    await postgres.#run("initdb", ["-D", postgres.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
    await postgres.#configure();
    await postgres.resume();
    await postgres.sql("CREATE DATABASE sshnp");
    return postgres;
  }

  /** A standby that streams from `primary` under this name, for `synchronous_standby_names`. */
  static async standbyOf(primary: Postgres, name: string): Promise<Postgres> {
    const postgres = new Postgres(await ownFolder(), await freePort());
    const from = `host=127.0.0.1 port=${primary.port} user=postgres application_name=${name}`;
    await postgres.#run("pg_basebackup", ["-D", postgres.data, "-R", "-X", "stream", "-c", "fast", "-d", from]);
    await postgres.#configure();
    await postgres.resume();
    return postgres;
  }

  /** What --store takes. */
  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/sshnp`;
  }

  /** Where databases are made. */
  get serverUrl(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  get data(): string {
    return join(this.#folder.path, "data");
  }

  /** One statement, as a superuser; gives what psql prints of it. */
  async sql(statement: string, database = "postgres"): Promise<string> {
    const url = new URL(database, this.serverUrl).href;
    const { stdout } = await this.#run("psql", ["-XqtA", "-v", "ON_ERROR_STOP=1", "-c", statement, url]);
    return stdout.trimEnd();
  }

  /** What its own log says, up to now. */
  async log(): Promise<string> {
    const end = randomUUID();
    await this.sql(`DO $$BEGIN RAISE LOG '${end}'; END$$`);
    await this.#server?.errorLine(new RegExp(end));
    return this.#server?.stderr ?? "";
  }

  /** Starts it again with the data that are there. */
  async resume(): Promise<void> {
    const server = startProcess(join(BINARIES, "postgres"), ["-D", this.data], {
      env: { HOME: this.#folder.path },
      ...(IS_ROOT ? { user: AS_POSTGRES } : {}),
    });
    this.#server = server;
    await server.errorLine(/database system is ready to accept/);
  }

  /** The same on a disk of its own of that size (`128m`), which is gone with it; as root alone. */
  async resumeOnDisk(size: string): Promise<void> {
    const disk = join(this.#folder.path, "disk");
    await mkdir(disk);
    const script =
      'mount -t tmpfs -o "size=$1,mode=777" none "$2" && cp -a "$3" "$2/data" && ' +
      'exec setpriv --reuid postgres --regid postgres --init-groups "$4" -D "$2/data"';
    const words = ["--mount", "sh", "-c", script, "sh", size, disk, this.data, join(BINARIES, "postgres")];
    const server = startProcess("unshare", words, { env: { HOME: this.#folder.path } });
    this.#server = server;
    await server.errorLine(/database system is ready to accept/);
  }

  /** Where that disk is for others. */
  get disk(): string {
    return join(`/proc/${this.#server?.pid}/root`, this.#folder.path, "disk");
  }

  /** Stops all of its processes where they are, until {@link thaw}. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  /** Pulls its plug: the postmaster and all its children at once. */
  async kill(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  /** Makes a standby the primary. */
  async promote(): Promise<void> {
    await this.#run("pg_ctl", ["promote", "-D", this.data, "-w"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#folder.remove();
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#server ?? {};
    if (pid === undefined) throw new Error("the server does not run");
    process.kill(pid, signal); // first, so that it starts no more
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    for (const child of children) {
      try {
        process.kill(Number(child), signal);
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error; // it has ended meanwhile
      }
    }
  }

  /** Writes its settings, for the next start. */
  async #configure(): Promise<void> {
    const own = [
      `port = ${this.port}`,
      "listen_addresses = '127.0.0.1'",
      "unix_socket_directories = ''",
      "shared_buffers = 32MB",
      "max_connections = 60",
      "autovacuum_naptime = 1h",
    ];
    await writeFile(join(this.data, "postgresql.conf"), own.map((line) => `${line}\n`).join(""));
  }

  async #run(program: string, args: readonly string[]): Promise<{ readonly stdout: string }> {
    const exit = await runProcess(join(BINARIES, program), args, {
      env: { HOME: this.#folder.path, LC_ALL: "C" },
      timeoutMs: 60_000,
      ...(IS_ROOT ? { user: AS_POSTGRES } : {}),
    });
    if (exit.code !== 0) throw new Error(`${program} failed: ${exit.stderr}`);
    return exit;
  }
}

/** A new database at that server, where only tests are; its URL. */
export async function databaseIn(server: string): Promise<string> {
  const url = new URL(server);
  const name = `np_${randomUUID().replaceAll("-", "")}`;
  const client = new Client({ connectionString: server });
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  url.pathname = name;
  return url.href;
}

const IS_ROOT = process.getuid?.() === 0;

/** PostgreSQL refuses to run as root. */
const AS_POSTGRES: RunAs = {
  setprivArguments: ["--reuid", "postgres", "--regid", "postgres", "--init-groups"],
  installation: ROOT,
};

async function ownFolder(): Promise<TemporaryFolder> {
  const folder = await temporaryFolder();
  if (IS_ROOT) await chown(folder.path, ...postgresIds());
  return folder;
}

function postgresIds(): [number, number] {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith("postgres:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  return [Number(uid), Number(gid)];
}
