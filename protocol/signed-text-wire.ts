import { type ByteReader, type ByteWriter, utf8, utf8Text } from "../keys/bytes.ts";
import { PeerError } from "../keys/errors.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { SIGNATURE_BYTES, STATEMENT_BYTES } from "./limits.ts";

/** A signed text in a message: u16 length, text, u16 length, SSHSIG blob. */
export function writeSignedText(writer: ByteWriter, signed: SignedText): void {
  writer.bytes16(utf8(signed.text)).bytes16(signed.signature);
}

/** @throws {PeerError} E_PROTOCOL when it is cut off, empty, or larger than a statement may be. */
export function readSignedText(reader: ByteReader): SignedText {
  const text = reader.bytes16();
  const signature = reader.bytes16();
  if (text.length === 0 || text.length > STATEMENT_BYTES || signature.length > SIGNATURE_BYTES) {
    throw new PeerError("E_PROTOCOL", "a signed text has the wrong size");
  }
  return { text: utf8Text(text), signature: signature.slice() };
}
