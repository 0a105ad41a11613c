import { concat } from "../../keys/bytes.ts";
import { SshnpError } from "../../keys/errors.ts";
import { type PublicKeyLine, sshString } from "../../keys/openssh.ts";
import { verifySignature } from "../../keys/ssh-signature.ts";
import { loadSuite } from "../../protocol/suite/load.ts";

export const TOKEN_KEY = "sk-ssh-ed25519@openssh.com";

/**
 * Whether a FIDO2 token that was touched has signed `message` (OpenSSH PROTOCOL.u2f). Of the encoding of the signature ssh2
 * has taken away the type and the length of R and S, which is 64 for every key of {@link TOKEN_KEY}.
 */
export async function isSignedByToken(
  key: PublicKeyLine,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const [raw, flagsAndCounter] = [signature.subarray(0, RAW_BYTES), signature.subarray(RAW_BYTES)];
  try {
    return verifySignature(suite, key, concat(sshString(TOKEN_KEY), sshString(raw), flagsAndCounter), message);
  } catch (error) {
    if (error instanceof SshnpError) return false;
    throw error;
  }
}

const RAW_BYTES = 64;
