import { basename } from "node:path";
import { DirectoryClient, putStatements } from "../directory/client.ts";
import { readAcknowledged, removeAcknowledged, writeAcknowledged } from "../keys/activation-files.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../keys/ed25519.ts";
import {
  type AskPassphrase,
  listKeyFiles,
  type MemberKeys,
  type OwnerKeys,
  readMemberFile,
  readOwnerFile,
  writeMemberFile,
} from "../keys/end-key-files.ts";
import { readApplicant, stillWaiting } from "../keys/enrolment-files.ts";
import { DeniedError, PeerError, SetupError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { ed25519Line } from "../keys/openssh.ts";
import { askPassphrase } from "../keys/passphrase.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import { X25519PrivateKey } from "../keys/x25519.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../protocol/directory-address.ts";
import { enrolmentCode } from "../protocol/enrolment.ts";
import { encodeActivationStart } from "../protocol/messages/activation.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import { judgeOwn, statementsIn } from "../protocol/own-standing.ts";
import type { Verified } from "../protocol/statement-fields.ts";
import { type Binding, signFirstBinding } from "../protocol/statements.ts";

/** The device that a daemon is. */
export interface OwnMember {
  readonly keys: MemberKeys;
  readonly binding: Verified<Binding>;
  readonly directory: DirectoryAddress;
  /** Whether the directory has yet to acknowledge the binding. */
  readonly isPending: boolean;
  /** The key file, if it was made just now, and the owner's beside it. */
  readonly made: { readonly path: string; readonly ownerPath: string } | undefined;
}

interface Wanted {
  readonly name: Name;
  readonly member: MemberName;
  /** What the command line or the environment says; it stands above what the key file remembers. */
  readonly directory: DirectoryAddress | undefined;
  /** Whether it may be one more device beside those whose keys are there. */
  readonly isNewDevice?: boolean;
}

interface Surroundings {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  readonly signal: AbortSignal;
}

/**
 * The keys of the device. When they are missing and the owner key is there, they are made, and their binding is signed:
 * the one time that the daemon opens the owner's file. The directory must answer then, for the time of issue is its own.
 * @throws {SetupError} E_NO_KEYS when there is neither; E_KEY_EXISTS when they are a client's; E_USAGE without a directory;
 * those of key files. {UnavailableError} E_DIRECTORY, {SecurityError} E_DIRECTORY_KEY when keys are to be made.
 */
export async function findMember(surroundings: Surroundings, wanted: Wanted): Promise<OwnMember> {
  const { suite, folder, signal } = surroundings;
  const keys = await readMemberFile(suite, folder, wanted, asking(signal));
  if (keys === undefined) return await makeMember(surroundings, wanted);
  if (keys.role !== "device") {
    throw new SetupError("E_KEY_EXISTS", `${wanted.member} of ${wanted.name} is a client here, and no device.`, {
      next: "Choose another name for the device: sshnpd -d NAME",
    });
  }
  return {
    keys,
    binding: bindingOf(suite, keys),
    directory: wanted.directory ?? parseDirectoryAddress(keys.directory),
    isPending: (await readAcknowledged(folder, wanted)) === false,
    made: undefined,
  };
}

/**
 * Sends the directory the binding that it has not acknowledged yet. The same one again is no harm.
 * When another member of that name is there already, a key file that was made just now is removed again.
 * @throws {DeniedError} E_MEMBER_TAKEN, E_NOT_ACTIVATED and others; {UnavailableError} E_DIRECTORY.
 */
export async function announceMember(
  folder: PrivateFolder,
  own: OwnMember,
  client: DirectoryClient,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { keys, binding, made } = own;
  try {
    await putStatements(client, keys.x25519, [binding.signed], { signal });
  } catch (error) {
    if (error instanceof DeniedError && error.code === "E_NOT_AUTHORIZED") throw notActivated(keys, error);
    if (!(error instanceof DeniedError) || error.code !== "E_MEMBER_TAKEN") throw error;
    if (made !== undefined) {
      await folder.remove(basename(made.path));
      await removeAcknowledged(folder, keys);
    }
    throw new DeniedError("E_MEMBER_TAKEN", `${keys.name} has a ${keys.member} already, with other keys.`, {
      next: "Choose another name for this device (sshnpd -d NAME), or use the keys folder that has those keys (--keys DIR).",
      cause: error,
    });
  }
  await writeAcknowledged(folder, keys, true);
}

async function makeMember(surroundings: Surroundings, wanted: Wanted): Promise<OwnMember> {
  const { suite, folder, signal } = surroundings;
  const { name, member } = wanted;
  const missing = await whatIsMissing(surroundings, wanted);
  if (missing !== undefined) throw missing;
  const owner = await readOwnerFile(suite, folder, name, asking(signal));
  if (owner === undefined) throw noKeysIn(folder.path, wanted); // it was there a moment ago
  const directory = wanted.directory ?? (await directoryOfOthers(surroundings, name));
  if (directory === undefined) {
    throw new SetupError("E_USAGE", "No directory is given.", {
      next: "Give --directory or SSHNP_DIRECTORY; on the directory's machine `sshnp-directory address` prints it.",
    });
  }
  const keys = await signMember(surroundings, owner, member, directory);
  const ownerPath = (await listKeyFiles(folder, name)).find((entry) => entry.kind === "owner")?.path ?? folder.path;
  const path = await writeMemberFile(folder, keys);
  await writeAcknowledged(folder, keys, false);
  return { keys, binding: bindingOf(suite, keys), directory, isPending: true, made: { path, ownerPath } };
}

async function signMember(
  { suite, random, signal }: Surroundings,
  owner: OwnerKeys,
  member: MemberName,
  directory: DirectoryAddress,
): Promise<MemberKeys> {
  const x25519 = X25519PrivateKey.generate(suite, random);
  const ed25519 = Ed25519PrivateKey.generate(suite, random);
  const { name, privateKey } = owner;
  const client = new DirectoryClient({ address: directory, suite, random });
  const question = { type: REQUEST.activationStart, body: encodeActivationStart(name) };
  const answer = await client.request(x25519, question, { signal });
  if (answer.type !== "activation") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");
  const binding = signFirstBinding(suite, random, privateKey, {
    name,
    member,
    role: "device",
    x25519: x25519.publicKey,
    ed25519: ed25519.publicKey,
    issued: answer.time,
    expires: null,
  });
  const statements = [owner.statement, binding];
  const line = ed25519Line(privateKey.publicKey);
  return { name, member, role: "device", x25519, ed25519, owner: line, directory: directory.text, statements };
}

/** The binding in a key file, as the owner in it answers for it. @throws as judgeOwn. */
function bindingOf(suite: CipherSuite, keys: MemberKeys): Verified<Binding> {
  const { name, member, owner, x25519, ed25519 } = keys;
  const own = { name, member, owner, x25519: x25519.publicKey, ed25519: ed25519.publicKey };
  return judgeOwn(suite, own, statementsIn(keys), undefined).binding;
}

/** The directory that the other members of the name on this machine know. */
async function directoryOfOthers(
  { suite, folder, signal }: Surroundings,
  name: Name,
): Promise<DirectoryAddress | undefined> {
  for (const entry of await listKeyFiles(folder, name)) {
    if (entry.kind !== "member") continue;
    const other = await readMemberFile(suite, folder, entry, asking(signal));
    if (other !== undefined) return parseDirectoryAddress(other.directory);
  }
  return undefined;
}

function notActivated({ name, member }: MemberKeys, cause: unknown): DeniedError {
  return new DeniedError("E_NOT_ACTIVATED", `The directory does not know ${name} with this owner key.`, {
    next: `If its activation was cut off, finish it with the same secret: sshnp-keys activate -a ${name} -c SECRET -d ${member}`,
    cause,
  });
}

function asking(signal: AbortSignal): AskPassphrase {
  return (path) => askPassphrase(path, { signal });
}

/** Why keys that are not there are not made; undefined: they are, for the owner key is beside. */
export async function whatIsMissing(
  { suite, folder }: Pick<Surroundings, "suite" | "folder">,
  { name, member, isNewDevice }: Pick<Wanted, "name" | "member" | "isNewDevice">,
): Promise<SetupError | undefined> {
  const others = await listKeyFiles(folder, name);
  if (others.some(({ kind }) => kind === "owner")) {
    const devices = others.flatMap((entry) =>
      entry.kind === "member" && entry.role === "device" ? [entry.member] : [],
    );
    const [device] = devices;
    return device === undefined || isNewDevice === true ? undefined : otherDevice({ name, member }, device);
  }
  const applicant = await readApplicant(suite, folder, { name, member });
  if (applicant !== undefined) {
    const { x25519, ed25519 } = applicant;
    const code = enrolmentCode(suite, { ...applicant, x25519: x25519.publicKey, ed25519: ed25519.publicKey });
    return stillWaiting(applicant, { folder: folder.path, code });
  }
  return noKeysIn(folder.path, { name, member }, others.length > 0);
}

/** A member is made for good, so a typing error must not make one. */
function otherDevice({ name, member }: Pick<Wanted, "name" | "member">, device: MemberName): SetupError {
  return new SetupError("E_NO_KEYS", `There are no keys of ${member} of ${name} here, but those of ${device}.`, {
    next: `Is that the one? sshnpd -a ${name} -d ${device}   If ${member} is to be one more device, for good: sshnpd -a ${name} -d ${member} --new-device`,
  });
}

/** `isActivated`: whether other keys of the name are there. */
export function noKeysIn(
  path: string,
  { name, member }: Pick<Wanted, "name" | "member">,
  isActivated = false,
): SetupError {
  const next = isActivated
    ? `Put the owner key of ${name} beside the other keys and run this again: it makes ${member} by itself, once.   Is it elsewhere? sshnp-keys enroll ${name} ${member} -d --otp -`
    : `First machine of ${name}: sshnp-keys activate -a ${name} -c SECRET --directory ADDRESS -d ${member}   One more: sshnp-keys enroll ${name} ${member} -d --otp - --directory ADDRESS   Elsewhere? Say where: sshnpd --keys DIR`;
  return new SetupError(
    "E_NO_KEYS",
    `No keys of ${member} of ${name} on this machine (looked in ${shellWord(path)}).`,
    {
      next,
    },
  );
}
