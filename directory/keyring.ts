import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../keys/ed25519.ts";
import { type Fingerprint, fingerprint, ed25519Line, parsePublicKeyLine } from "../keys/openssh.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import {
  createDirectoryKeys,
  type DirectoryKeys,
  readDirectoryKeys,
  rotateDirectoryKeys,
  rotationDue,
} from "../keys/service-key-files.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { X25519PrivateKey } from "../keys/x25519.ts";
import { type KeyList, signKeyList, verifyKeyList } from "../protocol/key-list.ts";
import { KEY_LIST_MS } from "../protocol/limits.ts";
import type { Store } from "./store.ts";

interface Primitives {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
}

/** The directory's private keys, and the root-signed list of their public halves. The keys never lie in the store. */
export class Keyring {
  readonly #primitives: Primitives;
  readonly #folder: PrivateFolder;
  readonly #store: Store;
  #keys: DirectoryKeys;
  #list: { readonly signed: SignedText; readonly list: KeyList };

  private constructor(
    primitives: Primitives,
    folder: PrivateFolder,
    store: Store,
    keys: DirectoryKeys,
    list: { readonly signed: SignedText; readonly list: KeyList },
  ) {
    this.#primitives = primitives;
    this.#folder = folder;
    this.#store = store;
    this.#keys = keys;
    this.#list = list;
  }

  /** Reads the keys, makes them at the first start, and rotates them when that is due. @throws {SetupError}. */
  static async open(primitives: Primitives, folder: PrivateFolder, store: Store, now: number): Promise<Keyring> {
    const known = await readDirectoryKeys(primitives.suite, folder);
    const keys = known ?? (await createDirectoryKeys(folder, { ...primitives, now }));
    const list = await currentList(primitives, store, keys, now);
    const keyring = new Keyring(primitives, folder, store, keys, list);
    await keyring.rotateWhenDue(now);
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

  get keyList(): SignedText {
    return this.#list.signed;
  }

  get keyListSeq(): number {
    return this.#list.list.seq;
  }

  /**
   * Puts new sealing and ticket keys before the current ones once a week, and tells whether it did. The new list is stored
   * before it is used. @throws {SetupError} E_STORAGE, {UnavailableError} E_STORAGE; the old keys stay then.
   */
  async rotateWhenDue(now: number): Promise<boolean> {
    if (now < rotationDue(this.#keys)) return false;
    const keys = await rotateDirectoryKeys(this.#folder, this.#keys, { ...this.#primitives, now });
    this.#keys = keys;
    this.#list = await newList(this.#primitives, this.#store, keys, this.#list.list.seq, now);
    return true;
  }
}

/** The fingerprint of the root key in a data folder, or undefined before the first start. */
export async function readFingerprint(suite: CipherSuite, folder: PrivateFolder): Promise<Fingerprint | undefined> {
  const keys = await readDirectoryKeys(suite, folder);
  return keys && rootFingerprint(suite, keys);
}

function rootFingerprint(suite: CipherSuite, { root }: DirectoryKeys): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(ed25519Line(root.publicKey)).blob);
}

/** The stored list while it is of these keys and not halfway through its life, else a new one. */
async function currentList(primitives: Primitives, store: Store, keys: DirectoryKeys, now: number) {
  const signed = await store.keyList();
  if (signed === undefined) return await newList(primitives, store, keys, 0, now);
  const { list } = verifyKeyList(primitives.suite, signed, rootFingerprint(primitives.suite, keys));
  const isOfTheseKeys = JSON.stringify(publicKeys(keys, now)) === JSON.stringify(publicKeysOfList(list));
  const isYoung = now >= list.issued && now < list.issued + KEY_LIST_MS / 2;
  return isOfTheseKeys && isYoung ? { signed, list } : await newList(primitives, store, keys, list.seq, now);
}

async function newList(primitives: Primitives, store: Store, keys: DirectoryKeys, previousSeq: number, now: number) {
  const list: KeyList = {
    // At least the seconds since 1970, so that a directory whose store was lost is still believed by those who knew it.
    seq: Math.max(previousSeq + 1, Math.floor(now / 1000)),
    issued: now,
    expires: now + KEY_LIST_MS,
    ...publicKeys(keys, now),
    origin: `sshnp-directory/${rootFingerprint(primitives.suite, keys)}`,
  };
  const signed = signKeyList(primitives.suite, keys.root, list);
  await store.putKeyList(signed);
  return { signed, list };
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
