/**
 * Files guarded by a passphrase, in the age format (age-encryption.org/v1, binary, scrypt recipient), so that
 * `age -d` opens them and `age -p` makes them. The library is loaded when such a file is met, not before.
 */
import { utf8 } from "./bytes.ts";
import { PeerError, SetupError } from "./errors.ts";
import type { Secret } from "./secret.ts";

/** scrypt's log2(N): age's default, about a second and 256 MiB for each guess. */
export const SCRYPT_WORK_FACTOR = 18;

export function isAgeFile(bytes: Uint8Array): boolean {
  return startsWith(bytes, FIRST_LINE);
}

/** @throws {SetupError} E_PASSPHRASE when the passphrase is empty. */
export async function sealWithPassphrase(
  plaintext: Uint8Array,
  passphrase: Secret,
  workFactor: number = SCRYPT_WORK_FACTOR,
): Promise<Uint8Array> {
  if (passphrase.secretBytes().length === 0) {
    throw new SetupError("E_PASSPHRASE", "The passphrase is empty.", {
      next: "Choose one of four or more random words.",
    });
  }
  const { Encrypter } = await import("age-encryption");
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase.secretText());
  encrypter.setScryptWorkFactor(workFactor);
  return await encrypter.encrypt(plaintext);
}

/**
 * The plaintext, or undefined when the passphrase is wrong.
 * @throws {PeerError} E_PROTOCOL when it is no age file with a passphrase, or is damaged.
 */
export async function openWithPassphrase(file: Uint8Array, passphrase: Secret): Promise<Uint8Array | undefined> {
  if (!startsWith(file, PASSPHRASE_LINES)) throw new PeerError("E_PROTOCOL", "not an age file with a passphrase");
  const { Decrypter } = await import("age-encryption");
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase.secretText());
  try {
    return await decrypter.decrypt(file);
  } catch (cause) {
    if (cause instanceof Error && cause.message === NO_IDENTITY_MATCHED) return undefined;
    throw new PeerError("E_PROTOCOL", "the age file is damaged", { cause });
  }
}

const FIRST_LINE = utf8("age-encryption.org/v1\n");
const PASSPHRASE_LINES = utf8("age-encryption.org/v1\n-> scrypt ");
/** How the library tells that the passphrase did not open the file's key; every other error means damage. */
const NO_IDENTITY_MATCHED = "no identity matched any of the file's recipients";

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, i) => bytes[i] === byte);
}
