import type { DirectoryClient } from "../../directory/client.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { CLIENT_BINDING_MS } from "../../protocol/limits.ts";
import { ACTIVATION_NAMESPACE, activationProof, encodeActivation } from "../../protocol/messages/activation.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { firstBinding, firstNameStatement } from "../../protocol/statements.ts";
import { activationKey } from "../activation-key.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { Ed25519PrivateKey } from "../ed25519.ts";
import { type AskPassphrase, listKeyFiles, type MemberKeys, readMemberFile } from "../end-key-files.ts";
import { SetupError, UnavailableError } from "../errors.ts";
import type { Name } from "../names.ts";
import { readSeenLog, writeSeenLog } from "../log-files.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { keySigner, type OwnerKeyInAgent, type OwnerSigner, signText } from "../owner-signer.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { X25519PrivateKey } from "../x25519.ts";
import {
  type Asking,
  askChallenge,
  askKeyList,
  askToActivate,
  type Challenge,
  refusal,
} from "./activation-exchange.ts";
import {
  acknowledgedMembers,
  type ActivationKeys,
  type ActivationOwner,
  anotherRole,
  type Begun,
  confirmKeys,
  findBegun,
  type MemberEntry,
  statementsOf,
  type StoredKeys,
  storeKeys,
  type Wanted,
} from "./activation-keys.ts";

export interface ActivationRequest extends Wanted {
  /** Undefined when none was given: then this can only tell whether all is done already. */
  readonly secret: Secret | undefined;
  readonly directory: DirectoryAddress | undefined;
  /** The keys folder. */
  readonly path: string;
  /** An owner key that is in an agent, and how to reach it; undefined for one in a file. */
  readonly ownerKey: (OwnerKeyInAgent & { readonly signer: () => Promise<OwnerSigner> }) | undefined;
  /** What is to guard a new owner key; called only when one is made. */
  readonly newPassphrase: () => Promise<Secret | undefined>;
  /** For the files of an activation that was begun before. */
  readonly askPassphrase: AskPassphrase;
}

export type ActivationResult =
  | { readonly kind: "already"; readonly members: readonly MemberEntry[] }
  | {
      readonly kind: "activated";
      readonly member: MemberKeys;
      /** Of the owner's file; undefined when its key is in an agent. */
      readonly ownerPath: string | undefined;
    };

export interface Surroundings {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly connect: (address: DirectoryAddress) => DirectoryClient;
}

/**
 * Activates a name, or repeats an activation whose answer was lost, or tells that it is done already.
 *
 * Key files are written before anything that needs them is sent, so that a lost answer loses no key. When it is certain
 * that the directory did not take them, those that this call made are removed again, and all is as it was.
 * @throws {SetupError} E_USAGE, E_NOT_ACTIVATED, E_KEY_EXISTS, those of key files; {DeniedError} E_CRAM_WRONG, E_CRAM_USED;
 * {UnavailableError} E_DIRECTORY, E_BUSY, E_RATE; {SecurityError} E_DIRECTORY_KEY; E_AGENT in all classes. The signal's
 * reason when it is aborted.
 */
export async function activate(
  surroundings: Surroundings,
  request: ActivationRequest,
  { signal }: { readonly signal: AbortSignal },
): Promise<ActivationResult> {
  const { suite } = surroundings;
  const folder = await PrivateFolder.open(request.path);
  const done = folder === undefined ? [] : await acknowledgedMembers(folder, request.name);
  if (folder !== undefined && done.length > 0) {
    await refuseWhatIsNotDone(suite, folder, request, done);
    return { kind: "already", members: done };
  }
  const { secret, name } = request;
  if (secret === undefined) throw notActivated(name);
  const agent = await request.ownerKey?.signer();
  const begun =
    folder === undefined ? undefined : await findBegun(suite, folder, request, agent, request.askPassphrase);
  const address = directoryOf(request, begun);
  const owner = begun?.owner ?? (agent === undefined ? undefined : { signer: agent, file: undefined });
  const passphrase = owner === undefined ? await request.newPassphrase() : undefined;

  const sender = begun?.member?.x25519 ?? X25519PrivateKey.generate(suite, surroundings.random);
  const asking: Asking = { client: surroundings.connect(address), address, sender, signal };
  const challenge = await askChallenge(asking, name);
  const keys =
    begun?.member === undefined
      ? await makeKeys(surroundings, request, owner, { sender, address, issued: challenge.time, passphrase })
      : { owner: begun.owner, member: begun.member };
  const prove = ({ nonce }: Challenge): Promise<Uint8Array> => signActivation(suite, secret, keys, { nonce, address });
  // Whoever has to touch a token to sign may take longer than a nonce lives.
  const isSlow = agent !== undefined && begun === undefined;
  const proofs = await prove(isSlow ? await askChallenge(asking, name) : challenge);
  signal.throwIfAborted();
  const stored: StoredKeys =
    folder !== undefined && begun?.member !== undefined
      ? { folder, undo: async () => {} }
      : await storeKeys(request.path, keys, { isOwnerNew: begun === undefined });
  if (signal.aborted) await stored.undo();
  signal.throwIfAborted();
  const statements = Object.values(statementsOf(keys.member));
  const refused = await askToActivate(asking, proofs, statements).catch(async (error: unknown) => {
    if (agent === undefined || !(error instanceof UnavailableError) || error.code !== "E_CLOCK") throw error;
    return await askToActivate(asking, await prove(await askChallenge(asking, name)), statements);
  });
  if (refused !== undefined) {
    if (NOT_STORED.includes(refused.code)) await stored.undo();
    throw refusal(name, refused);
  }
  await rememberLog(stored.folder, address.fingerprint, asking.client.checkpoint);
  const ownerPath = await confirmKeys(stored.folder, keys, await askKeyList(asking));
  return { kind: "activated", member: keys.member, ownerPath };
}

/** What the directory's log was at the activation, unless this machine has seen it before. */
async function rememberLog(folder: PrivateFolder, directory: Fingerprint, checkpoint: string): Promise<void> {
  const seen = await readSeenLog(folder, directory);
  if (seen.checkpoint === null) await writeSeenLog(folder, { ...seen, checkpoint });
}

/** Refusals that the directory decides on, so that nothing was stored. After any other it may have failed on the way. */
const NOT_STORED: readonly RefusalCode[] = [
  "E_CRAM_WRONG",
  "E_CRAM_USED",
  "E_MEMBER_KEY",
  "E_NOT_AUTHORIZED",
  "E_RATE",
  "E_STATEMENT",
];

/** A name is activated once, at one directory; a second device on this machine makes itself. */
async function refuseWhatIsNotDone(
  suite: CipherSuite,
  folder: PrivateFolder,
  request: ActivationRequest,
  done: readonly MemberEntry[],
): Promise<void> {
  const { name, member, role, directory, ownerKey } = request;
  for (const entry of done) {
    const isReadable = entry.role !== undefined; // else a passphrase guards it
    const keys = isReadable ? await readMemberFile(suite, folder, entry) : undefined;
    if (keys !== undefined) {
      refuseAnotherDirectory(name, keys.directory, directory);
      refuseAnotherOwner(suite, keys, ownerKey);
    }
    if (entry.member === member && isReadable && entry.role !== role)
      throw anotherRole(request, entry.path, entry.role);
  }
  if (role === "client") return;
  // One that its daemon has begun to make is its daemon's to finish.
  const files = await listKeyFiles(folder, name);
  if (files.some((file) => file.kind === "member" && file.member === member)) return;
  const members = done.map((entry) => entry.member).join(", ");
  throw new SetupError("E_KEY_EXISTS", `${name} is activated on this machine already, as ${members}.`, {
    next: `With the owner key in the same folder, the daemon makes the member itself: sshnpd -a ${name} -m @client -d ${member} -s`,
  });
}

function refuseAnotherDirectory(name: Name, known: string, given: DirectoryAddress | undefined): void {
  if (given === undefined || parseDirectoryAddress(known).fingerprint === given.fingerprint) return;
  throw new SetupError("E_KEY_EXISTS", `The keys of ${name} here are for another directory: ${known}`, {
    next: "Give that one, or none; for the same name at another directory use another folder: --keys DIR",
  });
}

function refuseAnotherOwner(suite: CipherSuite, { name, owner }: MemberKeys, given: OwnerKeyInAgent | undefined): void {
  const known = fingerprint(suite, parsePublicKeyLine(owner).blob);
  if (given === undefined || given.fingerprint === known) return;
  throw new SetupError("E_KEY_EXISTS", `${name} is activated on this machine with another owner key: ${known}`, {
    next: "Give that one, or none; a name has one owner key at a time.",
  });
}

function directoryOf({ name, directory }: ActivationRequest, begun: Begun | undefined): DirectoryAddress {
  if (begun?.member !== undefined) refuseAnotherDirectory(name, begun.member.directory, directory);
  const address = directory ?? (begun?.member && parseDirectoryAddress(begun.member.directory));
  if (address !== undefined) return address;
  throw new SetupError("E_USAGE", "No directory is given.", {
    next: "Give --directory or SSHNP_DIRECTORY; on the directory's machine `sshnp-directory address --data DIR` prints it.",
  });
}

function notActivated(name: Name): SetupError {
  return new SetupError("E_NOT_ACTIVATED", `${name} is not activated on this machine, and no secret is given.`, {
    next: `Give its one-time secret: sshnp-keys activate -a ${name} -c SECRET`,
  });
}

/** New keys of a member and what the owner signs about them; with a new owner key, too, unless there is one. */
async function makeKeys(
  surroundings: Surroundings,
  { name, member, role }: Wanted,
  known: ActivationOwner | undefined,
  made: {
    readonly sender: X25519PrivateKey;
    readonly issued: number;
    readonly address: DirectoryAddress;
    readonly passphrase: Secret | undefined;
  },
): Promise<ActivationKeys> {
  const { suite, random } = surroundings;
  const { sender: x25519, issued, address } = made;
  const owner = known ?? (await makeOwner(surroundings, name, made));
  const { signer, file } = owner;
  const ed25519 = Ed25519PrivateKey.generate(suite, random);
  const binding = firstBinding(random, {
    ...{ name, member, role, issued },
    x25519: x25519.publicKey,
    ed25519: ed25519.publicKey,
    expires: role === "client" ? issued + CLIENT_BINDING_MS : null,
  });
  const statements = [
    file?.keys.statement ?? (await signText(signer, firstNameStatement(random, { name, owner: signer.line, issued }))),
    await signText(signer, binding),
  ];
  const directory = address.text;
  return { owner, member: { name, member, role, x25519, ed25519, owner: signer.line, directory, statements } };
}

async function makeOwner(
  { suite, random }: Surroundings,
  name: Name,
  { issued, passphrase }: { readonly issued: number; readonly passphrase: Secret | undefined },
): Promise<ActivationOwner> {
  const privateKey = Ed25519PrivateKey.generate(suite, random);
  const signer = keySigner(suite, privateKey);
  const statement = await signText(signer, firstNameStatement(random, { name, owner: signer.line, issued }));
  return { signer, file: { keys: { name, privateKey, statement }, passphrase } };
}

/** The body of the message that activates: both statements, and the two proofs over the directory's nonce. */
async function signActivation(
  suite: CipherSuite,
  secret: Secret,
  { owner, member }: ActivationKeys,
  { nonce, address }: { readonly nonce: Uint8Array; readonly address: DirectoryAddress },
): Promise<Uint8Array> {
  const proof = activationProof({ nonce, directoryFingerprint: address.fingerprint }, member.owner, {
    name: member.name,
    member: member.member,
    role: member.role,
    x25519: member.x25519.publicKey,
    ed25519: member.ed25519.publicKey,
  });
  return encodeActivation({
    nonce,
    ...statementsOf(member),
    activationSignature: suite.sign(activationKey(suite, secret, member.name), proof),
    ownerSignature: await owner.signer.sign(ACTIVATION_NAMESPACE, proof),
  });
}
