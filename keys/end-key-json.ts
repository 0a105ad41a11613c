/**
 * What the key files of the ends hold, in this order.
 *
 * ```
 * owner     v, kind "owner", name, ed25519, statement
 * member    v, kind "member", name, member, role, x25519, ed25519, owner, directory, statements
 * ```
 * Private keys are base64 of 32 B, statements {text, signature} with the signature armored.
 */
import * as v from "valibot";
import { isMember, isName, type MemberName, type Name, type Role } from "./names.ts";
import { parsePublicKeyLine } from "./openssh.ts";
import { type SignedTextJson, signedTextSchema } from "./signed-text.ts";

export interface OwnerJson {
  v: 1;
  kind: "owner";
  name: Name;
  ed25519: string;
  statement: SignedTextJson;
}

export interface MemberJson {
  v: 1;
  kind: "member";
  name: Name;
  member: MemberName;
  role: Role;
  x25519: string;
  ed25519: string;
  owner: string;
  directory: string;
  statements: SignedTextJson[];
}

/** As many statements of a name as travel together, binding and delegation. */
const MAX_STATEMENTS = 10;
const MAX_DIRECTORY_CHARACTERS = 512;

const name = v.custom<Name>((text) => typeof text === "string" && isName(text));
const member = v.custom<MemberName>((text) => typeof text === "string" && isMember(text));
const key = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/));

export const ownerSchema: v.GenericSchema<OwnerJson> = v.strictObject({
  v: v.literal(1),
  kind: v.literal("owner"),
  name,
  ed25519: key,
  statement: signedTextSchema,
});

export const memberSchema: v.GenericSchema<MemberJson> = v.strictObject({
  v: v.literal(1),
  kind: v.literal("member"),
  name,
  member,
  role: v.picklist(["client", "device"]),
  x25519: key,
  ed25519: key,
  owner: v.pipe(
    v.string(),
    v.check((line) => isPublicKeyLine(line)),
  ),
  directory: v.pipe(
    v.string(),
    v.maxLength(MAX_DIRECTORY_CHARACTERS),
    v.regex(/^https?:\/\/[!-~]+#SHA256:[A-Za-z0-9+/]{43}$/),
  ),
  statements: v.pipe(v.array(signedTextSchema), v.minLength(1), v.maxLength(MAX_STATEMENTS)),
});

function isPublicKeyLine(line: string): boolean {
  try {
    return parsePublicKeyLine(line).line === line;
  } catch {
    return false;
  }
}
