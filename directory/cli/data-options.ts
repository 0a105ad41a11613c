import { Option } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";

/** Where a directory's data are. */
export interface DataOptions {
  readonly data: string;
  /** URL of a PostgreSQL database; undefined: LevelDB in the data folder. */
  readonly store?: string;
  /** Folder of the directory's private keys, if not the data folder. */
  readonly keys?: string;
}

export const DATA = ["--data <folder>", "the directory's data folder"] as const;

export function storeOption(): Option {
  const description = "PostgreSQL in place of the data folder's own store: postgres://USER@HOST/DATABASE";
  return new Option("--store <url>", description).env("SSHNP_STORE").argParser(parseStoreUrl);
}

export function keysOption(): Option {
  return new Option("--keys <folder>", "private keys that directories on one store share; the data folder if not said");
}

/** The folder of the directory's keys. @throws {SetupError} E_KEY_PERMISSIONS, E_STORAGE. */
export async function keysFolder({ keys }: DataOptions, data: PrivateFolder): Promise<PrivateFolder> {
  return keys === undefined ? data : await PrivateFolder.openOrCreate(keys);
}

/** Everybody on the machine can read the arguments of a process. */
function parseStoreUrl(url: string): string {
  const hasPassword = URL.canParse(url) && new URL(url).password !== "";
  if (!hasPassword || !process.argv.some((word) => word.endsWith(url))) return url;
  throw new SetupError("E_USAGE", "A password may not stand in the arguments of a command.", {
    next: "Put the URL into SSHNP_STORE, or the password into PGPASSWORD or ~/.pgpass.",
  });
}
