import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../keys/ed25519.ts";
import { type Fingerprint, fingerprint, ed25519Line, parsePublicKeyLine } from "../keys/openssh.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import {
  createDirectoryKeys,
  type DirectoryKeys,
  readDirectoryKeys,
  rotateDirectoryKeys,
  rotatedAt,
  rotationDue,
} from "../keys/service-key-files.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { SecurityError, SetupError } from "../keys/errors.ts";
import { shellWord } from "../keys/shell-word.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import { type KeyList, signKeyList, type VerifiedKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { KEY_LIST_MS } from "../protocol/limits.ts";
import type { Store } from "./store.ts";

interface Primitives {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
}

type CurrentList = Pick<VerifiedKeyList, "list" | "signed">;

/** The directory's private keys, and the root-signed list of their public halves. The keys never lie in the store. */
export class Keyring {
  readonly #primitives: Primitives;
  readonly #folder: PrivateFolder;
  readonly #store: Store;
  #keys: DirectoryKeys;
  #list: CurrentList;

  private constructor(
    primitives: Primitives,
    folder: PrivateFolder,
    store: Store,
    keys: DirectoryKeys,
    list: CurrentList,
  ) {
    this.#primitives = primitives;
    this.#folder = folder;
    this.#store = store;
    this.#keys = keys;
    this.#list = list;
  }

  /**
   * Reads the keys, makes them at the first start, and rotates them when that is due. Directories that share a store share the
   * folder of their keys as well. @throws {SetupError}, E_BAD_KEY_FILE when the store is of other keys.
   */
  static async open(primitives: Primitives, folder: PrivateFolder, store: Store, now: number): Promise<Keyring> {
    const keyring = await store.exclusively(async () => {
      const known = await readDirectoryKeys(primitives.suite, folder);
      // Keys that are made here would never fit, and lie in the way of those that do.
      if (known === undefined && store.database.isShared && (await store.keyList()) !== undefined) {
        throw foreignKeys(
          `There are no keys in ${shellWord(folder.path)}, and the store is of a directory that has some.`,
        );
      }
      const keys = known ?? (await createDirectoryKeys(folder, { ...primitives, now }));
      const verified = await storedList(primitives, folder, store, keys);
      const list = await currentList(primitives, store, keys, verified, now);
      return new Keyring(primitives, folder, store, keys, list);
    });
    await keyring.refresh(now);
    return keyring;
  }

  get root(): Ed25519PrivateKey {
    return this.#keys.root;
  }

  /** The root key as an OpenSSH public key line. */
  get rootLine(): string {
    return ed25519Line(this.#keys.root.publicKey);
  }

  /** What stands in the directory's address. */
  get fingerprint(): Fingerprint {
    return rootFingerprint(this.#primitives.suite, this.#keys);
  }

  /** The keys that messages are opened with: the current one, then perhaps the previous one. */
  sealing(now: number): X25519PrivateKey[] {
    return this.#keys.sealing.filter(({ notAfter }) => now < notAfter).map(({ x25519 }) => x25519);
  }

  /** The key that tickets are signed with. */
  get ticket(): Ed25519PrivateKey {
    const [current] = this.#keys.ticket;
    return current?.ed25519 ?? unreachable();
  }

  /** The key that checkpoints are signed with. */
  get log(): Ed25519PrivateKey {
    return this.#keys.log;
  }

  /** What the log calls itself in them. */
  get origin(): string {
    return this.#list.list.origin;
  }

  get keyList(): SignedText {
    return this.#list.signed;
  }

  /** When the newest list ends, ms since 1970 UTC. */
  get keyListExpires(): number {
    return this.#list.list.expires;
  }

  get keyListSeq(): number {
    return this.#list.list.seq;
  }

  /**
   * Puts new sealing and ticket keys before the current ones once a week, and signs a new list when that or its age asks for
   * one; tells whether there is a new list, perhaps by another directory on the same store. It is stored before it is used.
   * @throws {SetupError} E_STORAGE, {UnavailableError} E_STORAGE; what was there before serves on, and the next call tries again.
   */
  async refresh(now: number): Promise<boolean> {
    const isDue = now >= rotationDue(this.#keys) || !isCurrent(this.#primitives, this.#keys, this.#list, now);
    const isShared = this.#store.database.isShared;
    if (!isDue && (!isShared || (await this.#store.keyList())?.text === this.#list.signed.text)) return false;
    return await this.#store.exclusively(() => this.#refresh(now));
  }

  async #refresh(now: number): Promise<boolean> {
    const before = this.#list;
    if (this.#store.database.isShared) {
      this.#keys = (await readDirectoryKeys(this.#primitives.suite, this.#folder)) ?? this.#keys;
      this.#list = (await storedList(this.#primitives, this.#folder, this.#store, this.#keys)) ?? before;
    }
    if (now >= rotationDue(this.#keys)) {
      this.#keys = await rotateDirectoryKeys(this.#folder, this.#keys, { ...this.#primitives, now });
    }
    this.#list = await currentList(this.#primitives, this.#store, this.#keys, this.#list, now);
    return this.#list !== before;
  }
}

/** The list in the store. @throws {SetupError} E_BAD_KEY_FILE when others who share it have other keys, or newer ones. */
async function storedList(
  { suite }: Primitives,
  folder: PrivateFolder,
  store: Store,
  keys: DirectoryKeys,
): Promise<CurrentList | undefined> {
  const stored = await store.keyList();
  if (stored === undefined) return undefined;
  try {
    const verified = verifyKeyList(suite, stored, rootFingerprint(suite, keys));
    const known = keys.sealing.map(({ x25519 }) => x25519.publicKey);
    const [newest] = verified.list.sealing;
    const isKnown = newest !== undefined && known.some((key) => key.equals(newest));
    // Keys that were made after the list are the newer ones, whose list could not be stored.
    if (isKnown || !store.database.isShared || rotatedAt(keys) >= verified.list.issued) return verified;
  } catch (error) {
    if (!(error instanceof SecurityError) || !store.database.isShared) throw error;
  }
  throw foreignKeys(`The keys in ${shellWord(folder.path)} are not those of the store.`);
}

function foreignKeys(fact: string): SetupError {
  return new SetupError("E_BAD_KEY_FILE", fact, {
    next: "Directories that share a store share one folder of keys as well, which the weekly rotation writes: --keys FOLDER",
  });
}

function rootFingerprint(suite: CipherSuite, { root }: DirectoryKeys): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(ed25519Line(root.publicKey)).blob);
}

/** The list as it is while it is of these keys and not halfway through its life, else a new one. */
async function currentList(
  primitives: Primitives,
  store: Store,
  keys: DirectoryKeys,
  known: CurrentList | undefined,
  now: number,
): Promise<CurrentList> {
  if (known === undefined) return await newList(primitives, store, keys, 0, now);
  const isGood = isCurrent(primitives, keys, known, now);
  return isGood ? known : await newList(primitives, store, keys, known.list.seq, now);
}

/** Whether a list is of these keys, as far as they are used at `now`, and not halfway through its life. */
function isCurrent({ suite }: Primitives, keys: DirectoryKeys, { list }: CurrentList, now: number): boolean {
  const isOfTheseKeys =
    list.origin === originOf(suite, keys) &&
    JSON.stringify(publicKeys(keys, now)) === JSON.stringify(publicKeysOfList(list));
  return isOfTheseKeys && now >= list.issued && now < list.issued + KEY_LIST_MS / 2;
}

async function newList(
  primitives: Primitives,
  store: Store,
  keys: DirectoryKeys,
  previousSeq: number,
  now: number,
): Promise<CurrentList> {
  const list: KeyList = {
    // At least the seconds since 1970, so that a directory whose store was lost is still believed by those who knew it.
    seq: Math.max(previousSeq + 1, Math.floor(now / 1000)),
    issued: now,
    expires: now + KEY_LIST_MS,
    ...publicKeys(keys, now),
    origin: originOf(primitives.suite, keys),
  };
  const signed = signKeyList(primitives.suite, keys.root, list);
  await store.putKeyList(signed);
  return { signed, list };
}

/** The root's fingerprint in base64url: as the name of a key that signs notes it may have no plus (C2SP signed-note). */
export function originOf(suite: CipherSuite, keys: DirectoryKeys): string {
  const fingerprintText = rootFingerprint(suite, keys).replaceAll("+", "-").replaceAll("/", "_");
  return `sshnp-directory/${fingerprintText}`;
}

function publicKeys(
  { sealing, ticket, log }: DirectoryKeys,
  now: number,
): Omit<KeyList, "seq" | "issued" | "expires" | "origin"> {
  const isUsable = ({ notAfter }: { readonly notAfter: number }) => now < notAfter;
  return {
    sealing: sealing.filter(isUsable).map(({ x25519 }) => x25519.publicKey),
    ticket: ticket.filter(isUsable).map(({ ed25519 }) => ed25519.publicKey),
    log: log.publicKey,
  };
}

function publicKeysOfList({ sealing, ticket, log }: KeyList): ReturnType<typeof publicKeys> {
  return { sealing, ticket, log };
}

function unreachable(): never {
  throw new Error("broken invariant: a directory has a ticket key");
}
