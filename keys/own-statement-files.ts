import * as v from "valibot";
import type { MemberName, Name } from "./names.ts";
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
 * What its owner has said about a member of this machine after its key file was written: rotations, newer bindings, the
 * policy of its name. Whoever reads them verifies them, from the owner key that was known when they came; that of the key file
 * may be longer ago than a chain reaches back.
 */

export interface OwnStatements {
  /** The name statement and the rotations after it, the newest last. */
  readonly names: readonly SignedText[];
  /** The member's newest binding. */
  readonly member: SignedText;
  readonly delegation: SignedText | undefined;
  /** Devices alone remember it. */
  readonly policy: SignedText | undefined;
  /** The owner key that was known when they came, an OpenSSH public key line; undefined: that of the key file. */
  readonly owner: string | undefined;
}

interface OwnStatementsJson {
  v: 1;
  names: SignedTextJson[];
  member: SignedTextJson;
  delegation: SignedTextJson | null;
  policy: SignedTextJson | null;
  owner?: string | undefined;
}

export const ownStatementsSchema: v.GenericSchema<OwnStatementsJson> = v.strictObject({
  v: v.literal(1),
  names: v.pipe(v.array(signedTextSchema), v.minLength(1), v.maxLength(8)),
  member: signedTextSchema,
  delegation: v.nullable(signedTextSchema),
  policy: v.nullable(signedTextSchema),
  owner: v.optional(v.string()), // files from before it was kept have none
});

interface Member {
  readonly name: Name;
  readonly member: MemberName;
}

/** Undefined when nothing newer than the key file is known. @throws {SetupError} as {@link readState}. */
export async function readOwnStatements(keys: PrivateFolder, member: Member): Promise<OwnStatements | undefined> {
  const json = await readState(keys, fileOf(member), ownStatementsSchema);
  return (
    json && {
      names: json.names.map(signedTextFromJson),
      member: signedTextFromJson(json.member),
      delegation: json.delegation === null ? undefined : signedTextFromJson(json.delegation),
      policy: json.policy === null ? undefined : signedTextFromJson(json.policy),
      owner: json.owner,
    }
  );
}

/** @throws {SetupError} as {@link writeState}. */
export async function writeOwnStatements(keys: PrivateFolder, member: Member, own: OwnStatements): Promise<void> {
  await writeState(keys, fileOf(member), ownStatementsSchema, {
    v: 1,
    names: own.names.map(signedTextToJson),
    member: signedTextToJson(own.member),
    delegation: own.delegation === undefined ? null : signedTextToJson(own.delegation),
    policy: own.policy === undefined ? null : signedTextToJson(own.policy),
    owner: own.owner,
  });
}

function fileOf({ name, member }: Member): string {
  return `own.${name}.${member}.json`;
}
