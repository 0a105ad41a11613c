import * as v from "valibot";
import type { Name } from "./names.ts";
import type { PrivateFolder } from "./private-folder.ts";
import {
  type SignedText,
  type SignedTextJson,
  signedTextFromJson,
  signedTextSchema,
  signedTextToJson,
} from "./signed-text.ts";
import { readState, writeState } from "./state-files.ts";

/*
 * The newest key list that a member of a name has from its directory, so that no connect waits for one. Which key
 * signed it is verified by whoever uses it, against the address in the member's key file.
 */

export const keyListFileSchema: v.GenericSchema<{ v: 1; keyList: SignedTextJson }> = v.strictObject({
  v: v.literal(1),
  keyList: signedTextSchema,
});

/** The key list last written for `name`, or undefined. @throws {SetupError} as {@link readState}. */
export async function readKeyListFile(keys: PrivateFolder, name: Name): Promise<SignedText | undefined> {
  const file = await readState(keys, fileOf(name), keyListFileSchema);
  return file === undefined ? undefined : signedTextFromJson(file.keyList);
}

/** Remembers a verified key list. @throws {SetupError} as {@link writeState}. */
export async function writeKeyListFile(keys: PrivateFolder, name: Name, keyList: SignedText): Promise<void> {
  await writeState(keys, fileOf(name), keyListFileSchema, { v: 1, keyList: signedTextToJson(keyList) });
}

function fileOf(name: Name): string {
  return `directory.${name}.json`;
}
