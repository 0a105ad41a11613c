import * as v from "valibot";
import { armor, dearmor } from "./sshsig.ts";

/** A text that is still to be signed, and the SSHSIG namespace that says as what. */
export interface TextToSign {
  readonly text: string;
  readonly namespace: string;
}

/** A text and its signature. That they belong together is not known until somebody verifies it. */
export interface SignedText {
  /** Kept verbatim, for the signature is over these bytes. */
  readonly text: string;
  /** An SSHSIG blob, not armored. */
  readonly signature: Uint8Array;
}

/** A signed text as it stands in JSON, the signature armored: `ssh-keygen -Y verify` reads it as it is. */
export interface SignedTextJson {
  readonly text: string;
  readonly signature: string;
}

export const signedTextSchema: v.GenericSchema<SignedTextJson> = v.strictObject({
  text: v.pipe(v.string(), v.maxBytes(8192)),
  signature: v.pipe(
    v.string(),
    v.check((armored) => isArmored(armored)),
  ),
});

export function signedTextToJson({ text, signature }: SignedText): SignedTextJson {
  return { text, signature: armor(signature) };
}

/** @throws {PeerError} E_PROTOCOL when the signature is not armored as ssh-keygen does it. */
export function signedTextFromJson({ text, signature }: SignedTextJson): SignedText {
  return { text, signature: dearmor(signature) };
}

function isArmored(text: string): boolean {
  try {
    return dearmor(text).length > 0;
  } catch {
    return false;
  }
}
