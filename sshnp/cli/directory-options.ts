import type { WitnessOptions } from "../../directory/client.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { parseKeysFolder } from "../command-line.ts";
import { keysFolderOf } from "../destination.ts";
import type { DestinationFlags } from "./destination-options.ts";

/** What every verb has that asks the directory, with a device or without one. */
export type DirectoryFlags = Omit<DestinationFlags, "wait">;

/** The address as given, else undefined; the keys folder's path; the witnesses. @throws {SetupError} E_USAGE. */
export function directoryOf(flags: DirectoryFlags): {
  readonly directory: string | undefined;
  readonly keys: string;
  readonly witnesses: WitnessOptions;
} {
  const { directory, keys, witness, witnesses, maxCheckpointAge } = flags;
  return {
    directory: directory === undefined ? undefined : parseDirectoryAddress(directory).text,
    keys: keysFolderOf({ keys: keys === undefined ? undefined : parseKeysFolder(keys) }),
    witnesses: { witness, witnesses, maxCheckpointAge },
  };
}
