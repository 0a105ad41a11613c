import type { DirectoryClient } from "../../directory/client.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import {
  ACTIVATION_NAMESPACE,
  activationProof,
  encodeActivation,
  encodeActivationStart,
} from "../../protocol/messages/activation.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { CLIENT_BINDING_MS } from "../../protocol/limits.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { readAcknowledged, writeAcknowledged } from "../activation-files.ts";
import { activationKey } from "../activation-key.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { Ed25519PrivateKey } from "../ed25519.ts";
import {
  listKeyFiles,
  type MemberKeys,
  type OwnerKeys,
  readMemberFile,
  readOwnerFile,
  removeMemberFile,
  removeOwnerFile,
  writeMemberFile,
  writeOwnerFile,
} from "../end-key-files.ts";
import { DeniedError, PeerError, SetupError } from "../errors.ts";
import { writeKeyListFile } from "../key-list-files.ts";
import type { MemberName, Name, Role } from "../names.ts";
import { ed25519Line } from "../openssh.ts";
import { askPassphrase } from "../passphrase.ts";
import type { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import { signSshsig } from "../sshsig.ts";
import { X25519PrivateKey } from "../x25519.ts";

export interface ActivationRequest {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  /** Undefined when none was given: then this can only tell whether all is done already. */
  readonly secret: Secret | undefined;
  readonly directory: DirectoryAddress | undefined;
  readonly passphrase: Secret | undefined;
}

export type ActivationResult =
  | { readonly kind: "already"; readonly members: readonly MemberName[] }
  | { readonly kind: "activated"; readonly owner: string; readonly ownerPath: string };

interface Surroundings {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  readonly connect: (suite: CipherSuite, address: DirectoryAddress) => DirectoryClient;
}

/**
 * Activates a name, or repeats an activation whose answer was lost, or tells that it is done already.
 * Key files are written before anything that needs them is sent. When the directory refuses, those that this call
 * made are removed again, and all is as it was.
 * @throws {SetupError} E_USAGE, E_NOT_ACTIVATED, E_KEY_EXISTS, those of key files; {DeniedError} E_CRAM_WRONG, E_CRAM_USED;
 * {UnavailableError} E_DIRECTORY; {SecurityError} E_DIRECTORY_KEY.
 */
export async function activate(
  surroundings: Surroundings,
  request: ActivationRequest,
  { signal }: { readonly signal: AbortSignal },
): Promise<ActivationResult> {
  const { suite, folder, connect } = surroundings;
  const done = await acknowledgedMembers(folder, request.name);
  if (done.length > 0) {
    refuseAnotherMember(request, done);
    return { kind: "already", members: done };
  }
  const pending = await readPending(suite, folder, request);
  const { secret } = request;
  if (secret === undefined) throw noSecret(request.name, pending !== undefined);
  const address =
    request.directory ?? (pending === undefined ? undefined : parseDirectoryAddress(pending.member.directory));
  if (address === undefined) {
    throw new SetupError("E_USAGE", "No directory is given.", {
      next: "Give --directory or SSHNP_DIRECTORY; whoever gave you the secret has its address (sshnp-directory address).",
    });
  }

  const client = connect(suite, address);
  const member = pending?.member.x25519 ?? X25519PrivateKey.generate(suite, surroundings.random);
  const start = { type: REQUEST.activationStart, body: encodeActivationStart(request.name) };
  const challenge = await inRequestsWords(request, client.request(member, start, { signal }));
  if (challenge.type !== "activation") throw new PeerError("E_PROTOCOL", "The directory answers out of turn.");

  const keys = pending ?? (await makeKeys(surroundings, request, { address, member, issued: challenge.time }));
  const ownerLine = ed25519Line(keys.owner.privateKey.publicKey);
  const proof = activationProof({ nonce: challenge.nonce, directoryFingerprint: address.fingerprint }, ownerLine, {
    name: request.name,
    member: keys.member.member,
    role: keys.member.role,
    x25519: keys.member.x25519.publicKey,
    ed25519: keys.member.ed25519.publicKey,
  });
  const [name, binding] = keys.member.statements;
  if (name === undefined || binding === undefined)
    throw new SetupError("E_BAD_KEY_FILE", "The key file lacks its binding.");
  const body = encodeActivation({
    nonce: challenge.nonce,
    name,
    binding,
    activationSignature: suite.sign(activationKey(suite, secret, request.name), proof),
    ownerSignature: signSshsig(suite, keys.owner.privateKey, ACTIVATION_NAMESPACE, proof),
  });
  try {
    await inRequestsWords(request, client.request(member, { type: REQUEST.activate, body }, { signal }));
  } catch (error) {
    if (error instanceof DeniedError && pending === undefined) await removeKeys(folder, keys);
    throw error;
  }
  await writeKeyListFile(folder, request.name, (await client.keyList({ signal })).signed);
  await writeAcknowledged(folder, keys.member, true);
  return { kind: "activated", owner: ownerLine, ownerPath: keys.ownerPath };
}

interface NameKeys {
  readonly owner: OwnerKeys;
  readonly ownerPath: string;
  readonly member: MemberKeys;
}

async function acknowledgedMembers(folder: PrivateFolder, name: Name): Promise<MemberName[]> {
  const members: MemberName[] = [];
  for (const entry of await listKeyFiles(folder, name)) {
    if (entry.kind === "member" && (await readAcknowledged(folder, entry)) === true) members.push(entry.member);
  }
  return members;
}

/** A name is activated once; a second device on this machine makes itself. */
function refuseAnotherMember({ name, member, role, secret }: ActivationRequest, done: readonly MemberName[]): void {
  if (secret === undefined || done.includes(member) || role === "client") return;
  throw new SetupError("E_KEY_EXISTS", `${name} is activated on this machine already, as ${done.join(", ")}.`, {
    next: `With the owner key in the same folder, the daemon makes the member itself: sshnpd -a ${name} -m @client -d ${member}`,
  });
}

/** The keys of an activation that was begun here and never acknowledged. */
async function readPending(
  suite: CipherSuite,
  folder: PrivateFolder,
  { name, member, role }: ActivationRequest,
): Promise<NameKeys | undefined> {
  const entries = await listKeyFiles(folder, name);
  const ownerEntry = entries.find((entry) => entry.kind === "owner");
  const begun = entries.find((entry) => entry.kind === "member" && entry.member === member);
  if (ownerEntry === undefined && entries.length === 0) return undefined;
  if (ownerEntry === undefined || begun === undefined) {
    throw new SetupError("E_KEY_EXISTS", `There are other keys of ${name} in ${shellWord(folder.path)}.`, {
      next: `Use another folder (--keys DIR), or move them away: ${entries.map((entry) => shellWord(entry.path)).join(" ")}`,
    });
  }
  const owner = await readOwnerFile(suite, folder, name, askPassphrase);
  const keys = await readMemberFile(suite, folder, { name, member }, askPassphrase);
  if (owner === undefined || keys === undefined) return undefined;
  if (keys.role !== role) {
    throw new SetupError("E_KEY_EXISTS", `${member} of ${name} is a ${keys.role} here, not a ${role}.`, {
      next: "Choose another name with -d, or move that key file away.",
    });
  }
  return { owner, ownerPath: ownerEntry.path, member: keys };
}

function noSecret(name: Name, pending: boolean): SetupError {
  return pending
    ? new SetupError(
        "E_NOT_ACTIVATED",
        `The activation of ${name} was begun, and the directory has not confirmed it.`,
        {
          next: "Run this again with the same secret (-c SECRET); the same keys are sent again.",
        },
      )
    : new SetupError("E_NOT_ACTIVATED", `${name} is not activated on this machine, and no secret is given.`, {
        next: "Give its one-time secret with -c, --cram-file or SSHNP_CRAM; `sshnp-directory name add` makes it.",
      });
}

async function makeKeys(
  { suite, random, folder }: Surroundings,
  request: ActivationRequest,
  made: { readonly address: DirectoryAddress; readonly member: X25519PrivateKey; readonly issued: number },
): Promise<NameKeys> {
  const { name, member, role } = request;
  const privateKey = Ed25519PrivateKey.generate(suite, random);
  const ed25519 = Ed25519PrivateKey.generate(suite, random);
  const line = ed25519Line(privateKey.publicKey);
  const statement = signFirstNameStatement(suite, random, privateKey, { name, owner: line, issued: made.issued });
  const binding = signFirstBinding(suite, random, privateKey, {
    name,
    member,
    role,
    x25519: made.member.publicKey,
    ed25519: ed25519.publicKey,
    issued: made.issued,
    expires: role === "client" ? made.issued + CLIENT_BINDING_MS : null,
  });
  const owner: OwnerKeys = { name, privateKey, statement };
  const keys: MemberKeys = {
    name,
    member,
    role,
    x25519: made.member,
    ed25519,
    owner: line,
    directory: made.address.text,
    statements: [statement, binding],
  };
  const ownerPath = await writeOwnerFile(folder, owner, { passphrase: request.passphrase });
  await writeMemberFile(folder, keys);
  await writeAcknowledged(folder, keys, false);
  return { owner, ownerPath, member: keys };
}

async function removeKeys(folder: PrivateFolder, { member }: NameKeys): Promise<void> {
  await removeMemberFile(folder, member);
  await removeOwnerFile(folder, member.name);
}

/** The directory's refusals, said of this name. */
async function inRequestsWords({ name }: ActivationRequest, answer: Promise<Frame>): Promise<Frame> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof DeniedError && error.code === "E_CRAM_WRONG") {
      throw new DeniedError("E_CRAM_WRONG", `The activation secret for ${name} was not accepted.`, {
        next: "It is one line of 64 hex digits for this one name; check for a cut-off copy. Lost it? sshnp-directory name add makes a new one.",
        cause: error,
      });
    }
    if (error instanceof DeniedError && error.code === "E_CRAM_USED") {
      throw new DeniedError(
        "E_CRAM_USED",
        `${name} is activated already, with other keys, and its secret is used up.`,
        {
          next: "If that was you, use those keys. If not, tell whoever runs the directory.",
          cause: error,
        },
      );
    }
    throw error;
  }
}
