import type { DirectoryClient } from "../../directory/client.ts";
import { demandLogged, refusalError } from "../../directory/client.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { ACTIVATION_MS, CLIENT_BINDING_MS } from "../../protocol/limits.ts";
import {
  ACTIVATION_NAMESPACE,
  activationProof,
  encodeActivation,
  encodeActivationStart,
} from "../../protocol/messages/activation.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";
import { activationKey } from "../activation-key.ts";
import type { CipherSuite, RandomBytes } from "../cipher-suite.ts";
import { Ed25519PrivateKey } from "../ed25519.ts";
import { type AskPassphrase, listKeyFiles, type MemberKeys, type OwnerKeys, readMemberFile } from "../end-key-files.ts";
import { DeniedError, PeerError, SetupError, type SshnpError, UnavailableError } from "../errors.ts";
import type { Name } from "../names.ts";
import { readSeenLog, writeSeenLog } from "../log-files.ts";
import { ed25519Line, type Fingerprint } from "../openssh.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { signSshsig } from "../sshsig.ts";
import { X25519PrivateKey } from "../x25519.ts";
import {
  acknowledgedMembers,
  type ActivationKeys,
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
  /** What is to guard a new owner key; called only when one is made. */
  readonly newPassphrase: () => Promise<Secret | undefined>;
  /** For the files of an activation that was begun before. */
  readonly askPassphrase: AskPassphrase;
}

export type ActivationResult =
  | { readonly kind: "already"; readonly members: readonly MemberEntry[] }
  | { readonly kind: "activated"; readonly member: MemberKeys; readonly ownerPath: string };

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
 * {UnavailableError} E_DIRECTORY, E_BUSY, E_RATE; {SecurityError} E_DIRECTORY_KEY. The signal's reason when it is aborted.
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
  const { secret } = request;
  if (secret === undefined) throw notActivated(request.name);
  const begun = folder === undefined ? undefined : await findBegun(suite, folder, request, request.askPassphrase);
  const address = directoryOf(request, begun);
  const passphrase = begun === undefined ? await request.newPassphrase() : begun.passphrase;
  const client = surroundings.connect(address);

  return await withDeadline(address, signal, async (soon) => {
    const sender = begun?.member?.x25519 ?? X25519PrivateKey.generate(suite, surroundings.random);
    const start = { type: REQUEST.activationStart, body: encodeActivationStart(request.name) };
    const challenge = await ask(client, sender, start, soon);
    if (challenge.type === "refused") throw refusal(request.name, challenge);
    if (challenge.type !== "activation") throw outOfTurn();

    const made = { sender, issued: challenge.time, directory: address.text, passphrase };
    const keys =
      begun?.member === undefined ? makeKeys(surroundings, request, begun, made) : { ...begun, member: begun.member };
    const stored: StoredKeys =
      folder !== undefined && begun?.member !== undefined
        ? { folder, undo: async () => {} }
        : await storeKeys(request.path, keys, { isOwnerNew: begun === undefined });
    if (soon.aborted) await stored.undo();
    soon.throwIfAborted();
    const body = signActivation(suite, secret, keys, { nonce: challenge.nonce, address });
    const answer = await ask(client, sender, { type: REQUEST.activate, body }, soon);
    if (answer.type === "refused") {
      if (NOT_STORED.includes(answer.code)) await stored.undo();
      throw refusal(request.name, answer);
    }
    demandLogged(client, answer, Object.values(statementsOf(keys.member)));
    await rememberLog(stored.folder, address.fingerprint, client.checkpoint);
    const { signed } = await client.keyList({ signal: soon });
    const ownerPath = await confirmKeys(stored.folder, keys, signed);
    return { kind: "activated", member: keys.member, ownerPath };
  });
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
  const { name, member, role, directory } = request;
  for (const entry of done) {
    const isReadable = entry.role !== undefined; // else a passphrase guards it
    const keys = isReadable ? await readMemberFile(suite, folder, entry) : undefined;
    if (keys !== undefined) refuseAnotherDirectory(name, keys.directory, directory);
    if (entry.member === member && isReadable && entry.role !== role)
      throw anotherRole(request, entry.path, entry.role);
  }
  if (role === "client") return;
  // One that its daemon has begun to make is its daemon's to finish.
  const files = await listKeyFiles(folder, name);
  if (files.some((file) => file.kind === "member" && file.member === member)) return;
  const members = done.map((entry) => entry.member).join(", ");
  throw new SetupError("E_KEY_EXISTS", `${name} is activated on this machine already, as ${members}.`, {
    next: `With the owner key in the same folder, the daemon makes the member itself: sshnpd -a ${name} -m @client -d ${member}`,
  });
}

function refuseAnotherDirectory(name: Name, known: string, given: DirectoryAddress | undefined): void {
  if (given === undefined || parseDirectoryAddress(known).fingerprint === given.fingerprint) return;
  throw new SetupError("E_KEY_EXISTS", `The keys of ${name} here are for another directory: ${known}`, {
    next: "Give that one, or none; for the same name at another directory use another folder: --keys DIR",
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

/** New keys and what the owner signs about them; with the owner key of an earlier run if there is one. */
function makeKeys(
  { suite, random }: Surroundings,
  { name, member, role }: Wanted,
  begun: Begun | undefined,
  made: {
    readonly sender: X25519PrivateKey;
    readonly issued: number;
    readonly directory: string;
    readonly passphrase: Secret | undefined;
  },
): ActivationKeys {
  const { sender: x25519, issued, directory, passphrase } = made;
  const owner = begun?.owner ?? makeOwner({ suite, random }, name, issued);
  const ed25519 = Ed25519PrivateKey.generate(suite, random);
  const binding = signFirstBinding(suite, random, owner.privateKey, {
    ...{ name, member, role, issued },
    x25519: x25519.publicKey,
    ed25519: ed25519.publicKey,
    expires: role === "client" ? issued + CLIENT_BINDING_MS : null,
  });
  const line = ed25519Line(owner.privateKey.publicKey);
  const statements = [owner.statement, binding];
  return {
    owner,
    passphrase,
    member: { name, member, role, x25519, ed25519, owner: line, directory, statements },
  };
}

function makeOwner({ suite, random }: Pick<Surroundings, "suite" | "random">, name: Name, issued: number): OwnerKeys {
  const privateKey = Ed25519PrivateKey.generate(suite, random);
  const owner = ed25519Line(privateKey.publicKey);
  return { name, privateKey, statement: signFirstNameStatement(suite, random, privateKey, { name, owner, issued }) };
}

/** The body of the message that activates: both statements, and the two proofs over the directory's nonce. */
function signActivation(
  suite: CipherSuite,
  secret: Secret,
  { owner, member }: ActivationKeys,
  { nonce, address }: { readonly nonce: Uint8Array; readonly address: DirectoryAddress },
): Uint8Array {
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
    ownerSignature: signSshsig(suite, owner.privateKey, ACTIVATION_NAMESPACE, proof),
  });
}

/** Sends one message and returns the last frame of its answer, a refusal included. */
async function ask(
  client: DirectoryClient,
  sender: X25519PrivateKey,
  message: { readonly type: number; readonly body: Uint8Array },
  signal: AbortSignal,
): Promise<Frame> {
  let last: Frame | undefined;
  for await (const frame of client.send(sender, message, { signal })) last = frame;
  if (last === undefined) throw outOfTurn();
  return last;
}

/** A slow drip of bytes keeps every single wait alive; so all of them together have an end too. */
async function withDeadline<T>(
  { url }: DirectoryAddress,
  signal: AbortSignal,
  action: (soon: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    const next = "Try again; if it stays so, look for a proxy in between.";
    late.abort(new UnavailableError("E_DIRECTORY", `The directory at ${url.origin} is too slow.`, { next }));
  }, ACTIVATION_MS);
  try {
    return await action(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

/** The directory's refusals, said of this name. */
function refusal(name: Name, { code, detail }: Extract<Frame, { readonly type: "refused" }>): SshnpError {
  switch (code) {
    case "E_CRAM_WRONG":
      return new DeniedError(code, `The activation secret for ${name} was not accepted.`, {
        next: `It is good for one name at one directory. Lost it? There, sshnp-directory name add ${name} --data DIR makes a new one.`,
      });
    case "E_CRAM_USED":
      return new DeniedError(code, `${name} is activated already, with other keys, and its secret is used up.`, {
        next: "If that was you, use those keys. If not, tell whoever runs the directory at once.",
      });
    default:
      return refusalError(code, detail);
  }
}

function outOfTurn(): PeerError {
  return new PeerError("E_PROTOCOL", "The directory answers out of turn.", {
    next: "Bring sshnp to the same version here and at the directory.",
  });
}
