import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { utf8, utf8Text } from "../keys/bytes.ts";
import { SetupError } from "../keys/errors.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import { STORE_LOCK_MS } from "../protocol/limits.ts";
import type { Database } from "./database.ts";
import { holdsData, LevelDatabase } from "./level-database.ts";
import { Store } from "./store.ts";

/** The data folder of a directory that has run before. @throws {SetupError} E_NO_KEYS when there is none, E_KEY_PERMISSIONS. */
export async function openDataFolder(path: string): Promise<PrivateFolder> {
  const folder = await PrivateFolder.open(path);
  if (folder === undefined) {
    throw new SetupError("E_NO_KEYS", `There is no directory in ${shellWord(path)}.`, {
      next: `Check the path, or begin a new one: sshnp-directory run --data ${shellWord(path)}`,
    });
  }
  return folder;
}

/**
 * The store of a data folder: LevelDB in it, or the PostgreSQL database at `url`. Another command may have LevelDB for a moment,
 * so it is asked for again for a while. After the signal, PostgreSQL is waited for some seconds more, whatever is done there.
 * @throws {SetupError} E_RUNNING, E_STORAGE, E_USAGE, also for the folder's own store when its directory last ran on another one ({@link rememberStore}), and for `onlyIfThere`; the signal's reason.
 */
export async function openStore(
  folder: PrivateFolder,
  {
    url,
    signal,
    evenIfLeft = false,
    onlyIfThere = false,
    observe = (database) => database,
  }: {
    readonly url: string | undefined;
    readonly signal: AbortSignal;
    /** For those who mean the folder's own store wherever the directory ran last. */
    readonly evenIfLeft?: boolean;
    /** For those who want what is in it: none is made in the folder. */
    readonly onlyIfThere?: boolean;
    /** Stands in front of the database, to count. */
    readonly observe?: ((database: Database) => Database) | undefined;
  },
): Promise<Store> {
  if (url !== undefined) {
    const { PostgresDatabase } = await import("./postgres/database.ts");
    return new Store(observe(await PostgresDatabase.open(url, signal)));
  }
  if (!evenIfLeft) await demandNotLeft(folder);
  const path = join(folder.path, "store");
  if (onlyIfThere && !(await holdsData(path))) throw noStore(folder);
  const end = performance.now() + STORE_LOCK_MS;
  for (;;) {
    try {
      return new Store(observe(await LevelDatabase.open(path)));
    } catch (error) {
      if (!(error instanceof SetupError) || error.code !== "E_RUNNING" || performance.now() >= end) throw error;
    }
    await delay(100, undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  }
}

/** Remembers whether this directory goes on in its folder's own store (no `url`) or in another one. @throws {SetupError} E_STORAGE. */
export async function rememberStore(folder: PrivateFolder, url: string | undefined): Promise<void> {
  if (url === undefined) await folder.remove(LEFT_FILE);
  else await folder.replace(LEFT_FILE, utf8("This directory has last run with --store.\n"));
}

/** An old store takes whatever is written into it, and nobody would ever see it again. */
async function demandNotLeft(folder: PrivateFolder): Promise<void> {
  if ((await folder.read(LEFT_FILE, 1024)) === undefined) return;
  throw new SetupError("E_USAGE", `The directory in ${shellWord(folder.path)} has last run with --store.`, {
    next: "Say --store URL here as well, or set SSHNP_STORE. How to go back to a store in the data folder: docs/self-hosting.md",
  });
}

function noStore({ path }: PrivateFolder): SetupError {
  return new SetupError("E_USAGE", `There is no store in ${shellWord(path)}.`, {
    next: "Name the data folder that has it, or the database: --store URL",
  });
}

/** Remembers where this directory was last served. @throws {SetupError} E_STORAGE. */
export async function writeAddress(folder: PrivateFolder, address: string): Promise<void> {
  await folder.replace(ADDRESS_FILE, utf8(`${address}\n`));
}

/** Where this directory was last served, or undefined before the first time. @throws {SetupError} E_STORAGE. */
export async function readAddress(folder: PrivateFolder): Promise<string | undefined> {
  const bytes = await folder.read(ADDRESS_FILE, 1024);
  return bytes && utf8Text(bytes).trimEnd();
}

const ADDRESS_FILE = "address";
const LEFT_FILE = "store-left";
