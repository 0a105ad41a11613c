import { join } from "node:path";
import { type DirectoryClient, openSeenLog, readWitnessDemand } from "../../directory/client.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { enrolmentCode } from "../../protocol/enrolment.ts";
import { CLIENT_BINDING_MS } from "../../protocol/limits.ts";
import { verifyChainOf } from "../../protocol/owner-chain.ts";
import { judgeOwn } from "../../protocol/own-standing.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { firstBinding } from "../../protocol/statements.ts";
import { readAcknowledged, writeAcknowledged } from "../activation-files.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { Ed25519PrivateKey } from "../ed25519.ts";
import { listKeyFiles, type MemberKeys, readMemberFile, writeMemberFile } from "../end-key-files.ts";
import { type ApplicantKeys, readApplicant, removeApplicant, writeApplicant } from "../enrolment-files.ts";
import { delegationKey, passwordKey } from "../enrolment-secrets.ts";
import { SecurityError, SetupError, SshnpError } from "../errors.ts";
import { holdFile, type HeldFile } from "../held-file.ts";
import { writeKeyListFile } from "../key-list-files.ts";
import type { MemberName, Name, Role } from "../names.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import { removeEmptyState } from "../state-files.ts";
import { X25519PrivateKey } from "../x25519.ts";
import {
  askNonce,
  askOwnStatements,
  askToEnrol,
  NOTHING_KEPT,
  type OwnBinding,
  publicHalves,
  putOwnBinding,
} from "./enrolment-exchange.ts";
import { anotherRole, pending, turnedAway, waitsWithPassword } from "./enrolment-texts.ts";
import { tellLogNotStored } from "./say.ts";

export interface Enrolling {
  readonly name: Name;
  /** The owner's fingerprint that a person gave; undefined: whoever the directory names. */
  readonly owner: Fingerprint | undefined;
  readonly member: MemberName;
  readonly role: Role;
  /** Undefined when none was given: then this can only tell whether the owner has decided. */
  readonly secret: { readonly kind: "password" | "token"; readonly secret: Secret } | undefined;
  readonly directory: DirectoryAddress | undefined;
  /** The keys folder. */
  readonly path: string;
  readonly isWaiting: boolean;
}

export interface Enrolled {
  readonly member: MemberKeys;
  readonly ownerFingerprint: Fingerprint;
  /** Whether it was a member before. */
  readonly isBefore: boolean;
}

interface Surroundings {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly connect: (
    address: DirectoryAddress,
    log: Awaited<ReturnType<typeof openSeenLog>>["follower"],
  ) => DirectoryClient;
}

interface Waiting {
  /** Told the code to compare, and until when (ms) it waits, when it waits for the owner. */
  readonly onPending: (code: string, until: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Makes this machine a member of a name: by a fleet token at once, by a one-time password when the owner has approved. Its
 * keys are made here and written before anything is sent; a rerun goes on with them. The key file is written when the log has
 * proved the binding.
 * @throws {SetupError} E_USAGE, E_KEY_EXISTS, E_RUNNING, those of key files; {UnavailableError} E_PENDING when the owner has not decided
 * and it is not to wait; {DeniedError} E_TOKEN, E_MEMBER_TAKEN, E_NOT_AUTHORIZED, E_REVOKED; {SecurityError} E_OWNER_KEY, E_MEMBER_KEY,
 * E_STATEMENT, E_LOG; {UnavailableError} E_DIRECTORY. The signal's reason when it is aborted.
 */
export async function enrol(surroundings: Surroundings, enrolling: Enrolling, waiting: Waiting): Promise<Enrolled> {
  const folder = await PrivateFolder.openOrCreate(enrolling.path);
  const lock = await takeEnrolmentLock(folder, enrolling);
  try {
    return await enrolAlone(surroundings, folder, enrolling, waiting);
  } finally {
    lock.release();
    // As far as nothing is left in them.
    await removeEmptyState(folder);
    await folder.removeMade();
  }
}

async function enrolAlone(
  surroundings: Surroundings,
  folder: PrivateFolder,
  enrolling: Enrolling,
  waiting: Waiting,
): Promise<Enrolled> {
  const { suite } = surroundings;
  const before = await memberBefore(suite, folder, enrolling);
  if (before !== undefined) return before;
  const known = await readApplicant(suite, folder, enrolling);
  if (known !== undefined && known.role !== enrolling.role) throw anotherRole(enrolling, known.role);
  const applicant = known ?? (await newApplicant(surroundings, folder, enrolling));
  const address = directoryOf(enrolling, applicant);
  const demand = readWitnessDemand(suite, {}, process.env);
  const seen = await openSeenLog(suite, folder, address.fingerprint, {
    demand,
    now: Date.now,
    onError: tellLogNotStored,
  });
  const client = surroundings.connect(address, seen.follower);
  try {
    const answer = await becomeMember(surroundings, { client, applicant }, enrolling, waiting);
    const member = judge(suite, client, applicant, answer, { ...enrolling, directory: address });
    await store(folder, client, member, waiting.signal);
    return { member, ownerFingerprint: ownerOf(suite, member), isBefore: false };
  } catch (error) {
    if (known === undefined && error instanceof SshnpError && NOTHING_KEPT.includes(error.code)) {
      await removeApplicant(folder, applicant);
    }
    throw error;
  } finally {
    await seen.settled();
  }
}

/** Two at once would each make keys, and one write over the other's. */
async function takeEnrolmentLock(folder: PrivateFolder, { name, member }: Enrolling): Promise<HeldFile> {
  const state = await PrivateFolder.openOrCreate(join(folder.path, "state"));
  const held = await holdFile(state, `enrolment.${name}.${member}.lock`, { wait: 0 });
  if (held !== undefined) return held;
  throw new SetupError("E_RUNNING", `Another sshnp-keys enroll for ${member} of ${name} runs on this machine.`, {
    next: "Leave that one running, or end it first. Another machine needs a name of its own.",
  });
}

interface Asking {
  readonly client: DirectoryClient;
  readonly applicant: ApplicantKeys;
}

async function becomeMember(
  { suite, random }: Surroundings,
  { client, applicant }: Asking,
  { secret, isWaiting, name }: Enrolling,
  { onPending, signal }: Waiting,
): Promise<OwnBinding> {
  const code = enrolmentCode(suite, publicHalves(applicant));
  if (secret?.kind !== "password") {
    const done = await askOwnStatements(client, applicant, signal);
    if (done !== undefined && done !== "pending") return done;
    if (secret === undefined) {
      if (done === undefined) throw turnedAway(applicant);
      throw isWaiting ? waitsWithPassword(applicant, code) : pending(applicant, code);
    }
    const key = delegationKey(suite, secret.secret, name);
    const { time } = await askNonce(client, applicant, signal);
    const binding = firstBinding(random, {
      ...publicHalves(applicant),
      issued: time,
      expires: applicant.role === "client" ? time + CLIENT_BINDING_MS : null,
    });
    await putOwnBinding(client, applicant, signWith(suite, key, binding), signal);
    const made = await askOwnStatements(client, applicant, signal);
    if (made !== undefined && made !== "pending") return made;
    throw new SecurityError("E_LOG", "The directory has taken a binding and does not know it any more.");
  }
  await client.keyList({ signal }); // the checkpoint seen before is signed with a key in it
  const answer = await askToEnrol(client, applicant, passwordKey(suite, secret.secret, name), {
    ...{ isWaiting, signal },
    onPending: ({ until }) => onPending(code, until),
  });
  if (answer.type === "binding") return answer;
  throw pending(applicant, code);
}

/** What the directory says about this very member, held against its own keys, the owner that was given, and the log. */
function judge(
  suite: CipherSuite,
  client: DirectoryClient,
  applicant: ApplicantKeys,
  { statements, proof }: OwnBinding,
  { owner: given, directory }: { readonly owner: Fingerprint | undefined; readonly directory: DirectoryAddress },
): MemberKeys {
  const { name, member, role, x25519, ed25519 } = applicant;
  const chain = verifyChainOf(suite, name, statements.names);
  const owners = [chain.owner, ...chain.former];
  const owner =
    given === undefined
      ? chain.owner
      : owners.find((line) => fingerprint(suite, parsePublicKeyLine(line).blob) === given);
  if (owner === undefined) {
    throw new SecurityError("E_OWNER_KEY", `The directory says that another owner speaks for ${name} than ${given}.`, {
      next: "Do not go on before you know why: compare the fingerprint with the owner's sshnp-keys show.",
    });
  }
  const { binding, newest } = judgeOwn(suite, { ...publicHalves(applicant), owner }, statements, undefined);
  if (binding.statement.role !== role) {
    throw new SecurityError(
      "E_STATEMENT",
      `${member} of ${name} is bound as a ${binding.statement.role}, not as a ${role}.`,
    );
  }
  client.acceptProof(proof).demand(newest);
  const { names, member: signed, delegation } = statements;
  return {
    ...{ name, member, role, x25519, ed25519, owner: chain.owner, directory: directory.text },
    statements: [...names, signed, ...(delegation === undefined ? [] : [delegation])],
  };
}

async function store(
  folder: PrivateFolder,
  client: DirectoryClient,
  member: MemberKeys,
  signal: AbortSignal,
): Promise<void> {
  const { signed } = await client.keyList({ signal });
  await writeKeyListFile(folder, member.name, signed);
  await writeAcknowledged(folder, member, true);
  await writeMemberFile(folder, member);
  await removeApplicant(folder, member);
}

async function memberBefore(
  suite: CipherSuite,
  folder: PrivateFolder,
  { name, member, role }: Enrolling,
): Promise<Enrolled | undefined> {
  const entry = (await listKeyFiles(folder, name)).find((file) => file.kind === "member" && file.member === member);
  if (entry?.kind !== "member") return undefined;
  if (entry.role !== undefined && entry.role !== role) throw anotherRole({ name, member, role }, entry.role);
  const keys = entry.role === undefined ? undefined : await readMemberFile(suite, folder, entry);
  if (keys === undefined || (await readAcknowledged(folder, entry)) === false) {
    throw new SetupError("E_KEY_EXISTS", `${shellWord(entry.path)} exists and is never overwritten.`, {
      next: "Finish what it was made for, or move that file to a safe place first.",
    });
  }
  return { member: keys, ownerFingerprint: ownerOf(suite, keys), isBefore: true };
}

async function newApplicant(
  { suite, random }: Surroundings,
  folder: PrivateFolder,
  enrolling: Enrolling,
): Promise<ApplicantKeys> {
  const { name, member, role, secret, directory } = enrolling;
  if (secret === undefined || directory === undefined) {
    throw new SetupError(
      "E_USAGE",
      `${member} of ${name} was not asked for on this machine, and ${secret === undefined ? "no one-time password or token" : "no directory"} is given.`,
      {
        next: `With a password or a token, and the directory's address: ${enrollLine(enrolling)}`,
      },
    );
  }
  const applicant: ApplicantKeys = {
    ...{ name, member, role, directory: directory.text },
    x25519: X25519PrivateKey.generate(suite, random),
    ed25519: Ed25519PrivateKey.generate(suite, random),
  };
  await writeApplicant(folder, applicant);
  return applicant;
}

function directoryOf({ name, directory }: Enrolling, applicant: ApplicantKeys): DirectoryAddress {
  const known = parseDirectoryAddress(applicant.directory);
  if (directory === undefined) return known;
  if (directory.fingerprint === known.fingerprint) return directory;
  throw new SetupError("E_KEY_EXISTS", `The enrolment for ${name} was begun here at another directory: ${known.text}`, {
    next: "Give that one, or none; for another directory use another folder: --keys DIR",
  });
}

function ownerOf(suite: CipherSuite, { owner }: MemberKeys): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(owner).blob);
}

/** The command with what was given, and with what was not. */
function enrollLine({ name, owner, member, role, secret, directory, isWaiting }: Enrolling): string {
  const whose = owner === undefined ? name : `${name}=${owner}`;
  const device = role === "device" ? " -d" : "";
  const how = secret?.kind === "token" ? "--token FILE" : "--otp -";
  const where = directory === undefined ? "ADDRESS" : shellWord(directory.text);
  return `sshnp-keys enroll ${whose} ${member}${device} ${how}${isWaiting ? " --wait" : ""} --directory ${where}`;
}
