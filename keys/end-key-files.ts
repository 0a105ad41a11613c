/**
 * The key files of the ends, `@acme.owner.npkeys` and `@acme.MEMBER.npkeys`: written once, never overwritten.
 * With a passphrase the whole file is an age file. end-key-json.ts has the fields.
 */
import { isAgeFile } from "./age-file.ts";
import { base64, fromBase64 } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { Ed25519PrivateKey } from "./ed25519.ts";
import { areAnsweredFor } from "./kept-statements.ts";
import { type MemberJson, memberSchema, type OwnerJson, ownerSchema } from "./end-key-json.ts";
import {
  type AskPassphrase,
  damaged,
  MAX_KEY_FILE_BYTES,
  orDamaged,
  type Protection,
  readGuarded,
  writeGuarded,
} from "./guarded-files.ts";
import { parseJsonFile, printJsonFile } from "./json-file.ts";
import { isMember, isName, type MemberName, type Name, type Role } from "./names.ts";
import { ed25519Line } from "./openssh.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { type SignedText, signedTextFromJson, signedTextToJson } from "./signed-text.ts";
import { X25519PrivateKey } from "./x25519.ts";

export type { AskPassphrase, Protection } from "./guarded-files.ts";

/** The key that speaks for a name, with the statement that says so: its own, or the rotation by the owner before. */
export interface OwnerKeys {
  readonly name: Name;
  readonly privateKey: Ed25519PrivateKey;
  readonly statement: SignedText;
}

/** One machine or terminal under a name: its own keys, whom it belongs to, and where its directory is. */
export interface MemberKeys {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
  /** The owner key as an OpenSSH public key line without comment. */
  readonly owner: string;
  /** The directory's address with its fingerprint. */
  readonly directory: string;
  /** Name statement and rotations, binding, and the delegation that made it if one did. */
  readonly statements: readonly SignedText[];
}

/** What lies in a keys folder. The role of a member is undefined while a passphrase guards its file. */
export type KeyFileEntry =
  | { readonly kind: "owner"; readonly name: Name; readonly path: string }
  | {
      readonly kind: "member";
      readonly name: Name;
      readonly member: MemberName;
      readonly role: Role | undefined;
      readonly path: string;
    };

/** Writes an owner file and returns its path. @throws {SetupError} E_KEY_EXISTS, E_STORAGE, E_PASSPHRASE (empty). */
export async function writeOwnerFile(
  folder: PrivateFolder,
  owner: OwnerKeys,
  protection: Protection = {},
): Promise<string> {
  return await writeGuarded(folder, ownerFile(owner.name), printOwnerFile(owner), protection);
}

/** The bytes of an owner file without passphrase. */
export function printOwnerFile(owner: OwnerKeys): Uint8Array {
  const json: OwnerJson = {
    v: 1,
    kind: "owner",
    name: owner.name,
    ed25519: base64(owner.privateKey.secretBytes()),
    statement: signedTextToJson(owner.statement),
  };
  return printJsonFile(ownerSchema, json);
}

/** Writes a member file and returns its path. Throws as {@link writeOwnerFile}. */
export async function writeMemberFile(
  folder: PrivateFolder,
  keys: MemberKeys,
  protection: Protection = {},
): Promise<string> {
  return await writeGuarded(folder, memberFile(keys), printMemberFile(keys), protection);
}

/** The bytes of a member file without passphrase. */
export function printMemberFile(keys: MemberKeys): Uint8Array {
  const json: MemberJson = {
    v: 1,
    kind: "member",
    name: keys.name,
    member: keys.member,
    role: keys.role,
    x25519: base64(keys.x25519.secretBytes()),
    ed25519: base64(keys.ed25519.secretBytes()),
    owner: keys.owner,
    directory: keys.directory,
    statements: keys.statements.map(signedTextToJson),
  };
  return printJsonFile(memberSchema, json);
}

/**
 * The owner keys of `name`, or undefined when they are not in this folder. The statement is signed by them, or is a
 * rotation to them.
 * @throws {SetupError} E_BAD_KEY_FILE, E_PASSPHRASE, E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function readOwnerFile(
  suite: CipherSuite,
  folder: PrivateFolder,
  name: Name,
  askPassphrase?: AskPassphrase,
): Promise<OwnerKeys | undefined> {
  const path = folder.pathOf(ownerFile(name));
  const bytes = await readGuarded(folder, ownerFile(name), askPassphrase);
  if (bytes === undefined) return undefined;
  const owner = orDamaged(path, () => parseOwnerFile(suite, bytes));
  if (owner?.name !== name) throw damaged(path);
  return owner;
}

/** The keys in the bytes of an owner file, or undefined when it is none. @throws {SshnpError} when it does not hold. */
export function parseOwnerFile(suite: CipherSuite, bytes: Uint8Array): OwnerKeys | undefined {
  const json = parseJsonFile(ownerSchema, bytes);
  if (json === undefined) return undefined;
  const privateKey = Ed25519PrivateKey.parse(suite, fromBase64(json.ed25519, 32));
  const statement = signedTextFromJson(json.statement);
  // One wrong character makes another key, as valid as the first; the signature tells.
  if (!areAnsweredFor(suite, ed25519Line(privateKey.publicKey), [statement])) return undefined;
  return { name: json.name, privateKey, statement };
}

/**
 * The keys of a member, or undefined when they are not in this folder. The owner named in the file answers for
 * each statement, and one of them names the public halves of both keys.
 * @throws {SetupError} E_BAD_KEY_FILE, E_PASSPHRASE, E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function readMemberFile(
  suite: CipherSuite,
  folder: PrivateFolder,
  { name, member }: Member,
  askPassphrase?: AskPassphrase,
): Promise<MemberKeys | undefined> {
  const file = memberFile({ name, member });
  const path = folder.pathOf(file);
  const bytes = await readGuarded(folder, file, askPassphrase);
  if (bytes === undefined) return undefined;
  const keys = orDamaged(path, () => parseMemberFile(suite, bytes));
  if (keys?.name !== name || keys.member !== member) throw damaged(path);
  return keys;
}

/** The keys in the bytes of a member file, or undefined when it is none. @throws {SshnpError} when it does not hold. */
export function parseMemberFile(suite: CipherSuite, bytes: Uint8Array): MemberKeys | undefined {
  const json = parseJsonFile(memberSchema, bytes);
  if (json === undefined) return undefined;
  const { name, member, role, owner, directory } = json;
  const x25519 = X25519PrivateKey.parse(suite, fromBase64(json.x25519, 32));
  const ed25519 = Ed25519PrivateKey.parse(suite, fromBase64(json.ed25519, 32));
  const statements = json.statements.map(signedTextFromJson);
  if (!areAnsweredFor(suite, owner, statements)) return undefined;
  const publicKeys = [x25519, ed25519].map((key) => JSON.stringify(key.publicKey));
  if (!statements.some(({ text }) => publicKeys.every((key) => text.includes(key)))) return undefined;
  return { name, member, role, x25519, ed25519, owner, directory, statements };
}

/**
 * The key files in a folder, of `name` alone if given, sorted by file name. Files that are not called like key files
 * are passed over. @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function listKeyFiles(folder: PrivateFolder, name?: Name): Promise<KeyFileEntry[]> {
  const entries: KeyFileEntry[] = [];
  for (const file of await folder.list()) {
    const [of = "", member = "", suffix, ...more] = file.split(".");
    if (suffix !== "npkeys" || more.length > 0 || !isName(of) || (name !== undefined && of !== name)) continue;
    const path = folder.pathOf(file);
    if (member === "owner") entries.push({ kind: "owner", name: of, path });
    if (!isMember(member)) continue;
    const bytes = await folder.read(file, MAX_KEY_FILE_BYTES);
    if (bytes !== undefined) entries.push({ kind: "member", name: of, member, role: roleIn(path, bytes), path });
  }
  return entries;
}

/** Removes an owner file of an activation that came to nothing; that there is none is no error. @throws {SetupError} E_STORAGE. */
export async function removeOwnerFile(folder: PrivateFolder, name: Name): Promise<void> {
  await folder.remove(ownerFile(name));
}

/** The same for a member file. */
export async function removeMemberFile(folder: PrivateFolder, member: Member): Promise<void> {
  await folder.remove(memberFile(member));
}

interface Member {
  readonly name: Name;
  readonly member: MemberName;
}

/** The name of the file of the owner key that speaks for a name. */
export function ownerFile(of: Name): string {
  return `${of}.owner.npkeys`;
}

/** The name of the file of an owner key that a rotation is to hand the name on to. */
export function nextOwnerFile(of: Name): string {
  return `${of}.owner.next.npkeys`;
}

/** The name of the file of an owner key that was rotated away; its statement was the name's `seq`-th. */
export function formerOwnerFile(of: Name, seq: number): string {
  return `${of}.owner.${seq}.npkeys`;
}

/** Whether a file is called like one of those. */
export function isFormerOwnerFile(of: Name, file: string): boolean {
  const seq = Number(file.slice(`${of}.owner.`.length).split(".")[0]);
  return Number.isSafeInteger(seq) && seq > 0 && file === formerOwnerFile(of, seq);
}

function memberFile({ name, member }: Member): string {
  return `${name}.${member}.npkeys`;
}

function roleIn(path: string, bytes: Uint8Array): Role | undefined {
  if (isAgeFile(bytes)) return undefined;
  const json = parseJsonFile(memberSchema, bytes);
  if (json === undefined) throw damaged(path);
  return json.role;
}
