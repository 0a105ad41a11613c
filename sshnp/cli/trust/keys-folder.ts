import type { Command } from "commander";
import { keysFolderPath } from "../../../keys/keys-folder.ts";
import { PrivateFolder } from "../../../keys/private-folder.ts";
import { parseKeysFolder } from "../../command-line.ts";
import { noClientKeys } from "../../setup-texts.ts";

/** The option that every verb has. */
export interface FolderOption {
  readonly keys?: string;
}

export function withFolderOption(verb: Command): Command {
  return verb.option("--keys <folder>", "the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)");
}

/** @throws {SetupError} E_NO_KEYS when it is not there; E_USAGE, E_KEY_PERMISSIONS, E_STORAGE. */
export async function openKeysFolder({ keys }: FolderOption): Promise<PrivateFolder> {
  const isStated = keys === undefined && Boolean(process.env["SSHNP_KEYS"]);
  const path = parseKeysFolder(keysFolderPath(keys, process.env), isStated ? "SSHNP_KEYS=" : undefined);
  const folder = await PrivateFolder.open(path);
  if (folder === undefined) throw noClientKeys(undefined, path);
  return folder;
}
