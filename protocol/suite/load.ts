import type { CipherSuite, Kem } from "../../keys/cipher-suite.ts";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";

/**
 * The cipher suite to use: `noble` when `preference` says so, else node:crypto where its primitives exist, else noble.
 * Each is loaded only when it is used, since noble alone costs a start-up 74 ms.
 *
 * @param preference the value of SSHNP_CRYPTO, `noble` or `native`; undefined when it is not set.
 * @throws {SetupError} E_USAGE on any other preference.
 */
export async function loadSuite(preference: string | undefined): Promise<CipherSuite> {
  if (preference !== undefined && preference !== "noble" && preference !== "native") {
    throw new SetupError("E_USAGE", `SSHNP_CRYPTO is ${quoted(preference)}.`, {
      next: "Set it to native or noble, or do not set it.",
    });
  }
  const native = preference === "noble" ? undefined : await loadNative();
  return native ?? (await import("./noble.ts")).nobleSuite;
}

/** ML-KEM-768, by noble. */
export async function loadKem(): Promise<Kem> {
  return (await import("./ml-kem.ts")).mlKem768;
}

/** node:crypto, or undefined where there is none or where it lacks a primitive (FIPS builds have no ChaCha20-Poly1305). */
async function loadNative(): Promise<CipherSuite | undefined> {
  try {
    const { nativeSuite } = await import("./native.ts");
    const zeros = new Uint8Array(32);
    nativeSuite.x25519PublicKey(zeros);
    nativeSuite.ed25519PublicKey(zeros);
    nativeSuite.aead(zeros).seal(0n, zeros, zeros);
    return nativeSuite;
  } catch {
    return undefined;
  }
}
