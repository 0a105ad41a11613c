import type { Command } from "commander";
import type { WitnessOptions } from "../../directory/client.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { DEFAULT_WAIT, type Destination, parseKeysFolder, parseWait, refuseTimeApart } from "../command-line.ts";
import { keysFolderOf } from "../destination.ts";
import { waitOption } from "../session-description.ts";
import type { Target } from "../target.ts";

/** What {@link withDestinationOptions} reads. */
export interface DestinationFlags extends WitnessOptions {
  readonly directory?: string;
  readonly keys?: string;
  readonly wait?: string | boolean;
  readonly verbose?: boolean;
}

/** Adds the options that every verb has which makes a session with a device or asks the directory about one. */
export function withDestinationOptions(command: Command): Command {
  return command
    .option("--directory <address>", "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY, else as in the key file)")
    .option("--keys <folder>", "the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .option(
      "--witness <key>",
      "a witness that must have cosigned the directory's log, for each (else SSHNP_WITNESSES)",
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option("--witnesses <k>", "how many of them must have, more than half if not said")
    .option("--max-checkpoint-age <time>", "how long ago that may be: 24h if not said")
    .option("-v, --verbose", "tell each step, with its time");
}

/** `--wait[=10m]`, for verbs that can wait for a device. */
export function withWaitOption(command: Command): Command {
  const withOption = command
    .addOption(waitOption(`wait for a device that is offline, ${DEFAULT_WAIT} if not said`).env("SSHNP_WAIT"))
    .option("--no-wait", "do not, whatever the settings say");
  // Told after it was taken, and only where the words do not say it themselves.
  return withOption.on("optionEnv:wait", (value: string) => {
    if (value === "") command.setOptionValueWithSource("wait", undefined, "env");
    else parseWait(value, "SSHNP_WAIT=");
  });
}

/** `--wait` by itself takes no word after it for its time, as that is a name: to be called on the words of a verb first. */
export function withJoinedWait(words: readonly string[]): string[] {
  const at = words.indexOf("--wait");
  if (at >= 0) refuseTimeApart(words, at + 1);
  return words.map((word) => (word === "--wait" ? `--wait=${DEFAULT_WAIT}` : word));
}

/** All that the flags say of a destination, beside whom to reach. @throws {SetupError} E_USAGE. */
export function wayOf(flags: DestinationFlags, { client, owner }: Pick<Destination, "client" | "owner">): Way {
  const { wait, witness, witnesses, maxCheckpointAge } = flags;
  const keys = flags.keys === undefined ? undefined : parseKeysFolder(flags.keys);
  return {
    client,
    owner,
    directory: flags.directory === undefined ? undefined : parseDirectoryAddress(flags.directory).text,
    keys: keysFolderOf({ keys }),
    witnesses: { witness, witnesses, maxCheckpointAge },
    waitSeconds: wait === undefined || wait === false ? 0 : parseWait(wait === true ? DEFAULT_WAIT : wait),
    ...(wait === false ? { neverWaits: true } : {}),
    pushKey: undefined,
    verbose: flags.verbose === true,
  };
}

/** Where to, but for the device and the login; the keys folder is an absolute path. */
export type Way = Omit<Destination, "device" | "login"> & { readonly keys: string };

/** @throws {SetupError} E_USAGE. */
export function destinationOf(flags: DestinationFlags, target: Target): Destination {
  return { ...wayOf(flags, target), device: target.device, login: target.user ?? "" };
}
