import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sealWithPassphrase } from "../../keys/age-file.ts";
import { Secret } from "../../keys/secret.ts";
import type { Owned } from "./owner-commands.ts";

/*
 * Guarded files where what guards them is set-up, and not what is shown: of the same format as the commands make, but by
 * scrypt at its cheapest. Whoever opens one takes the cost from it.
 */

/** Guards the owner file on a machine in its place. */
export async function guardOwner(
  { machine, name }: Pick<Owned, "machine" | "name">,
  passphrase: string,
): Promise<void> {
  await guardFile(join(machine.keys, `${name}.owner.npkeys`), passphrase);
}

/** A backup as `sshnp-keys backup` makes it of an owner key without a passphrase. */
export async function cheapBackup(
  { machine, name }: Pick<Owned, "machine" | "name">,
  to: string,
  passphrase: string,
): Promise<void> {
  writeFileSync(to, readFileSync(join(machine.keys, `${name}.owner.npkeys`)), { mode: 0o600 });
  await guardFile(to, passphrase);
}

/** Guards any file in its place. */
export async function guardFile(path: string, passphrase: string): Promise<void> {
  writeFileSync(path, await sealWithPassphrase(readFileSync(path), Secret.fromText(passphrase), CHEAPEST));
  chmodSync(path, 0o600);
}

/** scrypt's log2(N). */
const CHEAPEST = 1;
