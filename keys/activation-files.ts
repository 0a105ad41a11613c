import * as v from "valibot";
import type { MemberName, Name } from "./names.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { readState, removeState, writeState } from "./state-files.ts";

/*
 * Whether the directory has acknowledged a member that was made here. The key files are written before anything is
 * sent, so that a lost answer loses no key; until the acknowledgement the same statements are sent again.
 */

export const acknowledgedSchema: v.GenericSchema<{ v: 1; acknowledged: boolean }> = v.strictObject({
  v: v.literal(1),
  acknowledged: v.boolean(),
});

interface Member {
  readonly name: Name;
  readonly member: MemberName;
}

/** Undefined when the member was never sent from this folder. @throws {SetupError} as {@link readState}. */
export async function readAcknowledged(keys: PrivateFolder, member: Member): Promise<boolean | undefined> {
  return (await readState(keys, fileOf(member), acknowledgedSchema))?.acknowledged;
}

/** @throws {SetupError} as {@link writeState}. */
export async function writeAcknowledged(keys: PrivateFolder, member: Member, acknowledged: boolean): Promise<void> {
  await writeState(keys, fileOf(member), acknowledgedSchema, { v: 1, acknowledged });
}

/** Forgets a member that came to nothing; that there is none is no error. @throws {SetupError} as {@link writeState}. */
export async function removeAcknowledged(keys: PrivateFolder, member: Member): Promise<void> {
  await removeState(keys, fileOf(member));
}

function fileOf({ name, member }: Member): string {
  return `activation.${name}.${member}.json`;
}
