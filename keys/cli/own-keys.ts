import { readKeptBinding } from "../../protocol/kept-binding.ts";
import { verifyRotation } from "../../protocol/owner-chain.ts";
import { kindOf } from "../../protocol/statement-fields.ts";
import { isAgeFile } from "../age-file.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import {
  type KeyFileEntry,
  listKeyFiles,
  type MemberKeys,
  parseOwnerFile,
  readMemberFile,
  readOwnerFile,
} from "../end-key-files.ts";
import { SetupError } from "../errors.ts";
import { memberFingerprints } from "../member-fingerprints.ts";
import type { MemberName, Name, Role } from "../names.ts";
import { ed25519Line, type Fingerprint, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { readOwnStatements } from "../own-statement-files.ts";
import { formerOwnerFiles } from "../owner-succession-files.ts";
import type { PrivateFolder } from "../private-folder.ts";
import { shellWord } from "../shell-word.ts";
import type { SignedText } from "../signed-text.ts";
import { parseSshsig } from "../sshsig.ts";

/** What a keys folder has of a name, its public half. */
export interface OwnKeys {
  /** Undefined when a passphrase guards every file that tells. */
  readonly owner: Fingerprint | undefined;
  /** Undefined when the owner key is elsewhere, as it should be. */
  readonly ownerFile: OwnFile | undefined;
  readonly members: readonly OwnMember[];
}

export interface OwnFile {
  readonly path: string;
  readonly isGuarded: boolean;
}

export interface OwnMember extends OwnFile {
  readonly member: MemberName;
  /** Undefined when a passphrase guards the file. */
  readonly known: KnownMember | undefined;
}

export interface KnownMember {
  readonly role: Role;
  readonly noise: Fingerprint;
  readonly signing: Fingerprint;
  /** End of the binding in ms since 1970 UTC; undefined when it has none. */
  readonly expires: number | undefined;
  readonly directory: string;
}

/**
 * The public half of the key files of a name; undefined when there is none. Files with a passphrase stay closed. The owner
 * key is that of now, as far as rotations in the folder tell.
 * @throws {SetupError} E_BAD_KEY_FILE when a file is damaged, or two name different owner keys; E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function readOwnKeys(suite: CipherSuite, folder: PrivateFolder, name: Name): Promise<OwnKeys | undefined> {
  const files = await listKeyFiles(folder, name);
  if (files.length === 0) return undefined;
  const handedOn = await rotationsIn(suite, folder, name);
  const owners = new Map<Fingerprint, string>();
  const told = (line: string, path: string): unknown =>
    owners.set(fingerprint(suite, parsePublicKeyLine(newestOwner(line, handedOn)).blob), path);
  let ownerFile: OwnFile | undefined;
  const members: OwnMember[] = [];
  for (const entry of files) {
    const { path } = entry;
    if (entry.kind === "owner") {
      const keys = await unlessGuarded(() => readOwnerFile(suite, folder, name));
      ownerFile = { path, isGuarded: keys === GUARDED };
      if (keys !== GUARDED && keys !== undefined) told(ed25519Line(keys.privateKey.publicKey), path);
    } else {
      const keys = await readMember(suite, folder, entry);
      members.push({ member: entry.member, path, isGuarded: keys === undefined, known: keys && known(suite, keys) });
      if (keys !== undefined) told(keys.owner, path);
    }
  }
  if (owners.size > 1) throw differentOwners(name, owners);
  return { owner: [...owners.keys()][0], ownerFile, members };
}

/** Which owner key each handed the name on to, by what is in the folder: OpenSSH public key lines. Guarded files stay closed. */
async function rotationsIn(
  suite: CipherSuite,
  folder: PrivateFolder,
  name: Name,
): Promise<ReadonlyMap<string, string>> {
  const statements: SignedText[] = [];
  for (const entry of await listKeyFiles(folder, name)) {
    if (entry.kind === "owner") {
      const keys = await unlessGuarded(() => readOwnerFile(suite, folder, name));
      if (keys !== GUARDED && keys !== undefined) statements.push(keys.statement);
    } else {
      const keys = await readMember(suite, folder, entry);
      statements.push(...(keys?.statements ?? []), ...((await readOwnStatements(folder, entry))?.names ?? []));
    }
  }
  for (const bytes of (await formerOwnerFiles(folder, name)).values()) {
    const former = isAgeFile(bytes) ? undefined : parseOwnerFile(suite, bytes);
    if (former !== undefined) statements.push(former.statement);
  }
  return new Map(statements.flatMap((signed) => rotationOf(suite, signed)));
}

function rotationOf(suite: CipherSuite, signed: SignedText): [string, string][] {
  if (kindOf(signed) !== "rotation") return [];
  const { statement, signer } = verifyRotation(suite, signed);
  return [[signer, statement.owner]];
}

/** No key comes twice, as a former one takes no name over again; should it all the same, this ends. */
function newestOwner(line: string, handedOn: ReadonlyMap<string, string>): string {
  let newest = line;
  for (let i = 0; i < handedOn.size; i += 1) newest = handedOn.get(newest) ?? newest;
  return newest;
}

type MemberEntry = Extract<KeyFileEntry, { readonly kind: "member" }>;

const GUARDED = "guarded";

async function readMember(
  suite: CipherSuite,
  folder: PrivateFolder,
  entry: MemberEntry,
): Promise<MemberKeys | undefined> {
  return entry.role === undefined ? undefined : await readMemberFile(suite, folder, entry);
}

async function unlessGuarded<T>(read: () => Promise<T>): Promise<T | typeof GUARDED> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SetupError && error.code === "E_PASSPHRASE") return GUARDED;
    throw error;
  }
}

function known(suite: CipherSuite, keys: MemberKeys): KnownMember {
  const { role, directory, x25519, ed25519 } = keys;
  const fingerprints = memberFingerprints(suite, { x25519: x25519.publicKey, ed25519: ed25519.publicKey });
  return { role, directory, ...fingerprints, expires: endOfBinding(suite, keys) };
}

/** Of the newest one that the file has. */
function endOfBinding(suite: CipherSuite, { name, member, statements }: MemberKeys): number | undefined {
  const bindings = statements
    .filter(({ signature }) => parseSshsig(signature).namespace === "sshnp-binding@v1")
    .map((signed) => readKeptBinding(suite, { name, member }, signed));
  return bindings.toSorted((a, b) => b.seq - a.seq)[0]?.expires ?? undefined;
}

function differentOwners(name: Name, owners: ReadonlyMap<Fingerprint, string>): SetupError {
  const each = [...owners].map(([key, path]) => `${key} in ${shellWord(path)}`);
  return new SetupError("E_BAD_KEY_FILE", `The key files of ${name} name different owner keys: ${each.join(", ")}.`, {
    next: "Move those away that do not belong here.",
  });
}
