import { randomBytes } from "node:crypto";
import { type Ahead, dialAhead, hangUp } from "../directory/client.ts";
import type { RandomBytes } from "../keys/cipher-suite.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../protocol/directory-address.ts";
import { loadSuite } from "../protocol/suite/load.ts";
import { loadClient } from "./client-keys.ts";
import type { Destination } from "./command-line.ts";
import { DirectoryAccess, statedAddress } from "./directory-access.ts";
import type { Surroundings } from "./negotiate.ts";
import type { Session } from "./session.ts";
import { tuneHeap } from "./tune-heap.ts";

export type { Milestone, Surroundings } from "./negotiate.ts";

/**
 * From a destination to a session: own keys, what is known of the device, the request and the device's answer by way of
 * the directory, and the leg, which is dialled while the answer is still on its way. When this returns, the device has
 * proved its keys; they and its SSH host keys are pinned, and nothing of SSH has been relayed yet.
 * @throws {SshnpError} with a next step; the signal's reason.
 */
export async function connect(destination: Destination, surroundings: Surroundings): Promise<Session> {
  const { keys, progress, signal } = surroundings;
  let ahead: Ahead | undefined;
  const begin = (address: DirectoryAddress): void => {
    ahead ??= dialAhead(address, { signal, warn: (text) => progress.step(text) });
  };
  try {
    const stated = statedAddress(destination.directory);
    if (stated !== undefined) begin(stated);
    const ask =
      surroundings.passphrase ??
      (async (file) => await (await import("../keys/passphrase.ts")).askPassphrase(file, { signal }));
    const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
    const client = await loadClient(
      suite,
      keys,
      destination.client,
      async (file) => {
        hangUp(ahead); // a person takes longer than anybody keeps a connection that says nothing
        ahead = undefined;
        return await ask(file);
      },
      (own) => begin(stated ?? parseDirectoryAddress(own.directory)),
    );
    const { witnesses } = destination;
    const directory = await DirectoryAccess.of(suite, random, client, { stated, progress, witnesses, ahead });
    ahead = undefined;
    tuneHeap();
    // It is loaded while the first packet travels.
    const { negotiate } = await import("./negotiate.ts");
    return await negotiate({ suite, random }, { client, directory }, destination, surroundings);
  } finally {
    hangUp(ahead);
  }
}

const random: RandomBytes = (length) => new Uint8Array(randomBytes(length));
