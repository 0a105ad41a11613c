/**
 * What a rendezvous keeps in its data folder beside its keys, so that after a restart it serves legs before, or
 * without, hearing from its directory.
 *
 * ```
 * rendezvous-keys.json       its private keys
 * state/key-list.json        v, keyList: the directory's, as last seen
 * state/rendezvous.json      v, statement: the root-signed one about itself
 * state/activation.json      v, activationKey: public half of what the secret stood for that was used
 * ```
 */
import * as v from "valibot";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { SecurityError, SshnpError } from "../keys/errors.ts";
import { keyListFileSchema } from "../keys/key-list-files.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { createRendezvousKeys, type RendezvousKeys, readRendezvousKeys } from "../keys/service-key-files.ts";
import { shellWord } from "../keys/shell-word.ts";
import {
  type SignedText,
  type SignedTextJson,
  signedTextFromJson,
  signedTextSchema,
  signedTextToJson,
} from "../keys/signed-text.ts";
import { readState, writeState } from "../keys/state-files.ts";
import type { DirectoryAddress } from "../protocol/directory-address.ts";
import { type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { verifyRendezvousStatement } from "../protocol/statements.ts";

/** The data folder of one rendezvous at one directory. */
export class DataFolder {
  readonly keys: RendezvousKeys;
  readonly #suite: CipherSuite;
  readonly #folder: PrivateFolder;
  readonly #directory: DirectoryAddress;
  /** What is in the file, so that a report every few seconds does not write it each time. */
  #statement = "";

  private constructor(suite: CipherSuite, folder: PrivateFolder, keys: RendezvousKeys, directory: DirectoryAddress) {
    this.#suite = suite;
    this.#folder = folder;
    this.keys = keys;
    this.#directory = directory;
  }

  /** Makes the folder and the keys when they are missing. @throws {SetupError} as those of keys/. */
  static async open(
    path: string,
    directory: DirectoryAddress,
    { suite, random }: { readonly suite: CipherSuite; readonly random: RandomBytes },
  ): Promise<DataFolder> {
    const folder = await PrivateFolder.openOrCreate(path);
    const keys = (await readRendezvousKeys(suite, folder)) ?? (await createRendezvousKeys(folder, { suite, random }));
    return new DataFolder(suite, folder, keys, directory);
  }

  /**
   * The key list last seen, or undefined.
   * @throws {SecurityError} E_DIRECTORY_KEY when it is another directory's; {SetupError} E_BAD_KEY_FILE.
   */
  async readKeyList(): Promise<VerifiedKeyList | undefined> {
    const file = await readState(this.#folder, KEY_LIST_FILE, keyListFileSchema);
    if (file === undefined) return undefined;
    try {
      return verifyKeyList(this.#suite, signedTextFromJson(file.keyList), this.#directory.fingerprint);
    } catch (cause) {
      if (!(cause instanceof SshnpError) || cause.code !== "E_DIRECTORY_KEY") throw cause;
      throw new SecurityError(
        "E_DIRECTORY_KEY",
        `${shellWord(this.#folder.path)} is of a rendezvous of another directory than ${this.#directory.fingerprint}.`,
        { next: "Give that directory's address, or another --data folder for this one.", cause },
      );
    }
  }

  async writeKeyList({ signed }: VerifiedKeyList): Promise<void> {
    await writeState(this.#folder, KEY_LIST_FILE, keyListFileSchema, { v: 1, keyList: signedTextToJson(signed) });
  }

  /** Whether the directory has vouched for these keys; then no secret is needed any more. `root`: of its key list. */
  async isActivated(root: string): Promise<boolean> {
    const file = await readState(this.#folder, STATEMENT_FILE, statementFileSchema);
    if (file === undefined) return false;
    this.#statement = file.statement.text;
    const { statement } = verifyRendezvousStatement(this.#suite, signedTextFromJson(file.statement), root);
    return statement.ed25519.equals(this.keys.ed25519.publicKey) && statement.x25519.equals(this.keys.x25519.publicKey);
  }

  /** Remembers which secret has activated it, by the public half of what it stands for. */
  async writeActivation(key: Ed25519PublicKey): Promise<void> {
    await writeState(this.#folder, ACTIVATION_FILE, activationFileSchema, { v: 1, activationKey: key.toJSON() });
  }

  /** Whether it is known that another secret than that one has activated it. @throws {SetupError} as those of keys/. */
  async isActivatedByAnother(key: Ed25519PublicKey): Promise<boolean> {
    const file = await readState(this.#folder, ACTIVATION_FILE, activationFileSchema);
    return file !== undefined && file.activationKey !== key.toJSON();
  }

  async writeStatement(statement: SignedText): Promise<void> {
    if (statement.text === this.#statement) return;
    await writeState(this.#folder, STATEMENT_FILE, statementFileSchema, {
      v: 1,
      statement: signedTextToJson(statement),
    });
    this.#statement = statement.text;
  }
}

const KEY_LIST_FILE = "key-list.json";
const STATEMENT_FILE = "rendezvous.json";
const ACTIVATION_FILE = "activation.json";

export const statementFileSchema: v.GenericSchema<{ v: 1; statement: SignedTextJson }> = v.strictObject({
  v: v.literal(1),
  statement: signedTextSchema,
});

export const activationFileSchema: v.GenericSchema<{ v: 1; activationKey: string }> = v.strictObject({
  v: v.literal(1),
  activationKey: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{43}=$/)),
});
