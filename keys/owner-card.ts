import { fingerprintWords } from "./fingerprint-words.ts";
import type { Name } from "./names.ts";
import type { Fingerprint } from "./openssh.ts";
import { drawQrCode } from "./qr-code.ts";

/** An owner key as it is given to `sshnp` and to `sshnpd -m`: `@acme=SHA256:...`, at most 84 characters. */
export function ownerArgument(name: Name, owner: Fingerprint): string {
  return `${name}=${owner}`;
}

/**
 * An owner key for somebody at the other side of a table or of a telephone, as lines for a terminal: as an argument, as
 * words, and the argument once more as a QR code. The code comes last, so that it stands whole on a screen of 24 lines.
 */
export async function ownerCard(name: Name, owner: Fingerprint): Promise<string> {
  const argument = ownerArgument(name, owner);
  return `${argument}\n${await fingerprintWords(owner)}\n${await drawQrCode(argument)}`;
}
