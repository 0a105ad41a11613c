import * as v from "valibot";
import { base64, fromBase64 } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { Ed25519PrivateKey } from "./ed25519.ts";
import { SetupError } from "./errors.ts";
import { isMember, isName, type MemberName, type Name, type Role } from "./names.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { shellWord } from "./shell-word.ts";
import { listState, readState, removeState, writeState } from "./state-files.ts";
import { X25519PrivateKey } from "./x25519.ts";

/*
 * The keys of a machine that has asked to become a member and is none yet. They are written before anything is sent, so
 * that a lost answer loses no key; they become a key file once there is a binding for it.
 */

export interface ApplicantKeys {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
  /** The directory's address with its fingerprint. */
  readonly directory: string;
}

interface ApplicantJson {
  v: 1;
  role: Role;
  x25519: string;
  ed25519: string;
  directory: string;
}

const key = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/));

export const applicantSchema: v.GenericSchema<ApplicantJson> = v.strictObject({
  v: v.literal(1),
  role: v.picklist(["client", "device"]),
  x25519: key,
  ed25519: key,
  directory: v.pipe(v.string(), v.maxLength(512)),
});

interface Member {
  readonly name: Name;
  readonly member: MemberName;
}

/** Who was asked for from this folder and has no key file yet. @throws {SetupError} as {@link listState}. */
export async function listApplicants(keys: PrivateFolder): Promise<Member[]> {
  return (await listState(keys)).flatMap((file): Member[] => {
    const [, name = "", member = ""] = FILE.exec(file) ?? [];
    return isName(name) && isMember(member) ? [{ name, member }] : [];
  });
}

/** Undefined when that member was never asked for from this folder. @throws {SetupError} as {@link readState}. */
export async function readApplicant(
  suite: CipherSuite,
  keys: PrivateFolder,
  { name, member }: Member,
): Promise<ApplicantKeys | undefined> {
  const json = await readState(keys, fileOf({ name, member }), applicantSchema);
  if (json === undefined) return undefined;
  return {
    ...{ name, member, role: json.role, directory: json.directory },
    x25519: X25519PrivateKey.parse(suite, fromBase64(json.x25519, 32)),
    ed25519: Ed25519PrivateKey.parse(suite, fromBase64(json.ed25519, 32)),
  };
}

/** @throws {SetupError} as {@link writeState}. */
export async function writeApplicant(keys: PrivateFolder, applicant: ApplicantKeys): Promise<void> {
  const { role, x25519, ed25519, directory } = applicant;
  await writeState(keys, fileOf(applicant), applicantSchema, {
    ...{ v: 1, role },
    x25519: base64(x25519.secretBytes()),
    ed25519: base64(ed25519.secretBytes()),
    directory,
  });
}

/** For one that has its key file now, or that came to nothing. @throws {SetupError} as {@link writeState}. */
export async function removeApplicant(keys: PrivateFolder, member: Member): Promise<void> {
  await removeState(keys, fileOf(member));
}

/** Why there are no keys yet where an enrolment was begun. `code`: the one to compare. */
export function stillWaiting(
  { name, member, role }: Pick<ApplicantKeys, "name" | "member" | "role">,
  { folder, code }: { readonly folder: string; readonly code: string },
): SetupError {
  const device = role === "device" ? " -d" : "";
  return new SetupError("E_NO_KEYS", `Enrolment of ${member} of ${name} waits for its owner (code ${code}).`, {
    next: `When he has approved, or to see how it stands, run this again: sshnp-keys enroll ${name} ${member}${device} --keys ${shellWord(folder)}`,
  });
}

const FILE = /^enrolment\.([^.]+)\.([^.]+)\.json$/;

function fileOf({ name, member }: Member): string {
  return `enrolment.${name}.${member}.json`;
}
