import { randomBytes } from "node:crypto";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import type { Name } from "../../keys/names.ts";
import { askPassphrase } from "../../keys/passphrase.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { type Client, loadClient } from "../client-keys.ts";
import { DirectoryAccess, statedAddress } from "../directory-access.ts";
import type { Progress } from "../progress.ts";
import type { DirectoryFlags } from "./directory-options.ts";
import { directoryOf } from "./directory-options.ts";

/** The directory as one of this machine's clients asks it. */
export interface OpenDirectory {
  readonly suite: CipherSuite;
  readonly client: Client;
  readonly directory: DirectoryAccess;
}

/** For verbs that ask the directory and make no session. @throws as loadClient; {SetupError} E_USAGE. */
export async function openDirectory(
  flags: DirectoryFlags,
  client: Name | undefined,
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<OpenDirectory> {
  const { directory: address, keys, witnesses } = directoryOf(flags);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const own = await loadClient(suite, keys, client, (file) => askPassphrase(file, { signal }));
  const directory = await DirectoryAccess.of(suite, random, own, {
    stated: statedAddress(address),
    progress,
    witnesses,
  });
  return { suite, client: own, directory };
}

export const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
