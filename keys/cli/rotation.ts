import { handOn } from "../../protocol/handing-on.ts";
import type { NameAccount } from "../../protocol/name-account.ts";
import { rotationText, verifyRotation } from "../../protocol/owner-chain.ts";
import { after, kindOf } from "../../protocol/statement-fields.ts";
import { Ed25519PrivateKey } from "../ed25519.ts";
import { type OwnerKeys, removeOwnerFile } from "../end-key-files.ts";
import { DeniedError, SecurityError, SetupError, UnavailableError } from "../errors.ts";
import { keySigner, type OwnerSigner, signText } from "../owner-signer.ts";
import {
  installNextOwner,
  keepFormerOwner,
  nextOwnerPath,
  readNextOwner,
  removeNextOwner,
  writeNextOwner,
} from "../owner-succession-files.ts";
import { askPassphrase } from "../passphrase.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import type { SignedText } from "../signed-text.ts";
import type { OwnerWork } from "./owner-work.ts";
import { orphanedPolicy } from "./policy-file.ts";
import { say } from "./say.ts";

export interface RotationRequest {
  /** The new owner key where it is in an agent; undefined for a new one in a file. */
  readonly agent: OwnerSigner | undefined;
  /** What is to guard a new file; undefined: what guards the old one. */
  readonly newPassphrase: (() => Promise<Secret>) | undefined;
  readonly removesOld: boolean;
}

export interface Rotated {
  /** The owner key of now, an OpenSSH public key line; and the one before, as far as it is known. */
  readonly owner: string;
  readonly former: string | undefined;
  /** Undefined when the key is in an agent. */
  readonly ownerPath: string | undefined;
  /** Of the old key, if it is kept. */
  readonly formerPath: string | undefined;
  /** How many statements the new key has made, beside the rotation. */
  readonly saidAgain: number;
}

/**
 * Hands a name on, or goes on with a rotation that was cut off: the log tells how far it came.
 *
 * A new key is on disk before anything that needs it is sent, under another name than the owner file's, whose place it takes
 * when the directory has proved that the rotation is in its log and all that is to go on was said again. The rotation and the
 * first 15 of those statements are taken together or not at all. {@link finishRotation} is the last step.
 * @throws {SecurityError} E_OWNER_KEY when neither key speaks for the name, or the new one did before; {SetupError}
 * E_KEY_EXISTS; as OwnerWork.account, OwnerWork.put and the signers.
 */
export async function rotate(work: OwnerWork, request: RotationRequest): Promise<Rotated> {
  const begun = await findBegun(work, request);
  if (begun !== undefined && request.agent !== undefined) throw begunInFile(work);
  const to = request.agent ?? begun?.signer;
  const account = await accountFor(work, to);
  const { owner, former, newest } = account.chain;
  const { seq } = newest.statement;
  if (to !== undefined && former.includes(to.line)) throw wasOwner(work, begun);
  if (to?.line === owner) {
    const before = former.at(-1);
    const statements = before === undefined ? [] : await sayAgain(work, account, before, to);
    await work.put(statements);
    return await settle(work, request, { owner, former: before, seq, saidAgain: statements.length });
  }
  const old = await work.signer();
  work.demandOwner(account, old);
  const next =
    request.agent === undefined
      ? await prepareFile(work, request, account, old, begun)
      : { signer: request.agent, rotation: await signRotation(work, account, old, request.agent.line) };
  const statements = await sayAgain(work, account, owner, next.signer);
  await work.put([next.rotation, ...statements]);
  const done = { owner: next.signer.line, former: owner, seq: seq + 1, saidAgain: statements.length };
  return await settle(work, request, done);
}

/** Forgets that a rotation was under way here, when all of it is done and told. @throws {SetupError} E_STORAGE. */
export async function finishRotation({ folder, name }: OwnerWork): Promise<void> {
  await removeNextOwner(folder, name);
}

/** A rotation to a key in a file that an earlier run has begun here. */
interface Begun {
  readonly keys: OwnerKeys;
  readonly signer: OwnerSigner;
  readonly passphrase: Secret | undefined;
}

interface Next {
  readonly signer: OwnerSigner;
  readonly rotation: SignedText;
}

/** A passphrase that is to guard the new key must be the one that guards it already. */
async function findBegun(work: OwnerWork, { newPassphrase }: RotationRequest): Promise<Begun | undefined> {
  const { suite, folder, name, signal } = work;
  const given: { passphrase?: Secret } = {};
  const ask = async (path: string): Promise<Secret> =>
    (given.passphrase = await (newPassphrase?.() ?? askPassphrase(path, { signal })));
  const keys = await readNextOwner(suite, folder, name, ask);
  if (keys !== undefined && newPassphrase !== undefined && given.passphrase === undefined) throw begunUnguarded(work);
  return keys && { keys, signer: keySigner(suite, keys.privateKey), passphrase: given.passphrase };
}

/** As a member, or as whichever of the two owner keys speaks for the name now. */
async function accountFor(work: OwnerWork, to: OwnerSigner | undefined): Promise<NameAccount> {
  if (to === undefined) return await work.account();
  const ways = [() => work.accountAs(to), () => work.account()] as const;
  const [first, second] = work.hasMember ? [ways[1], ways[0]] : ways;
  try {
    return await first();
  } catch (error) {
    if (error instanceof DeniedError) return await second();
    throw error;
  }
}

async function sayAgain(
  work: OwnerWork,
  account: NameAccount,
  from: string,
  to: OwnerSigner,
): Promise<readonly SignedText[]> {
  const texts = handOn(work.random, account, { from, to: to.line, issued: work.directory.directoryTime });
  if (texts.length > 0) say(`The new owner key signs for what goes on: ${texts.length}.`);
  const { policy } = account;
  if (policy?.condition === "orphaned" && policy.signer !== from) {
    say(`${orphanedPolicy(work.name)} Give it one: sshnp-keys policy apply ${work.name} FILE`);
  }
  const statements: SignedText[] = [];
  for (const text of texts) statements.push(await signText(to, text));
  return statements;
}

async function signRotation(
  { random, name, directory }: OwnerWork,
  { chain }: NameAccount,
  old: OwnerSigner,
  owner: string,
): Promise<SignedText> {
  const fields = { ...after(chain.newest), issued: directory.directoryTime, expires: null };
  return await signText(old, rotationText(random, { ...fields, name, owner }));
}

/** A new key, with the rotation to it, on disk; or that of the run before, whose rotation is sent again as it was. */
async function prepareFile(
  work: OwnerWork,
  request: RotationRequest,
  account: NameAccount,
  old: OwnerSigner,
  begun: Begun | undefined,
): Promise<Next> {
  const { suite, folder, name } = work;
  if (begun !== undefined && follows(work, account, begun.keys.statement)) {
    return { signer: begun.signer, rotation: begun.keys.statement };
  }
  const privateKey = begun?.keys.privateKey ?? Ed25519PrivateKey.generate(suite, work.random);
  const signer = keySigner(suite, privateKey);
  const rotation = await signRotation(work, account, old, signer.line);
  const passphrase = begun === undefined ? await passphraseFor(work, request) : begun.passphrase;
  if (begun !== undefined) await removeNextOwner(folder, name);
  try {
    await writeNextOwner(folder, { name, privateKey, statement: rotation }, { passphrase });
  } catch (error) {
    if (!(error instanceof SetupError) || error.code !== "E_KEY_EXISTS") throw error;
    throw new UnavailableError("E_BUSY", `${name} is being rotated in ${shellWord(folder.path)} by another process.`, {
      next: "Wait for it to end, then look: sshnp-keys show. If it was cut off, run this again.",
      cause: error,
    });
  }
  return { signer, rotation };
}

async function passphraseFor(work: OwnerWork, request: RotationRequest): Promise<Secret | undefined> {
  return request.newPassphrase === undefined ? work.passphrase : await request.newPassphrase();
}

/** Whether a rotation that was signed before is still the one that comes next. */
function follows({ suite }: OwnerWork, { chain }: NameAccount, signed: SignedText): boolean {
  if (kindOf(signed) !== "rotation") return false;
  const { statement, signer } = verifyRotation(suite, signed);
  const { seq, prev } = after(chain.newest);
  return signer === chain.owner && statement.seq === seq && statement.prev === prev;
}

/** Gives each owner file its place. */
async function settle(
  { folder, name }: OwnerWork,
  { agent, removesOld }: RotationRequest,
  done: Pick<Rotated, "owner" | "former" | "saidAgain"> & { readonly seq: number },
): Promise<Rotated> {
  const formerPath = removesOld ? undefined : await keepFormerOwner(folder, name, done.seq - 1);
  if (agent === undefined) return { ...done, formerPath, ownerPath: await installNextOwner(folder, name) };
  await removeOwnerFile(folder, name);
  return { ...done, formerPath, ownerPath: undefined };
}

function begunInFile({ folder, name }: OwnerWork): SetupError {
  const path = shellWord(nextOwnerPath(folder, name));
  return new SetupError("E_KEY_EXISTS", `A rotation of ${name} to a key in a file was begun here: ${path}`, {
    next: `Finish it first: sshnp-keys rotate ${name}`,
  });
}

function begunUnguarded({ folder, name }: OwnerWork): SetupError {
  const path = shellWord(nextOwnerPath(folder, name));
  return new SetupError("E_KEY_EXISTS", `A rotation of ${name} to a key without a passphrase was begun here: ${path}`, {
    next: `Finish it first: sshnp-keys rotate ${name} - and then hand on once more, with the passphrase.`,
  });
}

function wasOwner({ folder, name }: OwnerWork, begun: Begun | undefined): SecurityError {
  const next = `Choose another key${begun === undefined ? "." : `: remove ${shellWord(nextOwnerPath(folder, name))}, and run this again.`}`;
  return new SecurityError("E_OWNER_KEY", `That key has spoken for ${name} before, and was rotated away.`, { next });
}
