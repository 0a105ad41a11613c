import { randomBytes } from "node:crypto";
import { connectAdministration } from "../../directory/admin-socket.ts";
import type { Administration } from "../../directory/administration.ts";
import { activationKey } from "../../keys/activation-key.ts";
import type { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { Secret } from "../../keys/secret.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";

/*
 * What `sshnp-directory name add` and `rendezvous add` ask of the running directory with this data folder, asked by this
 * process: to start one for each takes longer than all that it does. test/directory/command.test.ts has the commands.
 */

/** A new one-time secret for a name, 64 hex digits. */
export async function addName(data: string, text: string): Promise<string> {
  const name = parseName(text);
  return await oneTimeSecret(data, name, (administration, key) => administration.addName(name, key));
}

/** The same for a rendezvous. */
export async function addRendezvous(data: string, name: string): Promise<string> {
  return await oneTimeSecret(data, RENDEZVOUS_ACTIVATION, (administration, key) =>
    administration.addRendezvous(name, key),
  );
}

async function oneTimeSecret(
  data: string,
  purpose: Parameters<typeof activationKey>[2],
  add: (administration: Administration, key: Ed25519PublicKey) => Promise<unknown>,
): Promise<string> {
  const secret = randomBytes(32);
  const administration = await connectAdministration(await PrivateFolder.openOrCreate(data));
  if (administration === undefined) throw new Error("the directory does not run");
  await add(administration, activationKey(nativeSuite, Secret.fromBytes(new Uint8Array(secret)), purpose).publicKey);
  return secret.toString("hex");
}
