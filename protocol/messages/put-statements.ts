/**
 * Statements that an owner, or a delegation of his, signed: taken all or none, in their order.
 *
 * ```
 * putStatements   u64 size of the newest checkpoint that the sender has seen (0 none), u8 count (1..16), signed texts
 *                                                                                      answered by frame logged
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { LOG_PROOF_SUBJECTS } from "../limits.ts";
import { readSignedText, writeSignedText } from "../signed-text-wire.ts";

export interface PutStatements {
  /** Size of the newest checkpoint that the sender has seen; 0 none. */
  readonly checkpointSize: number;
  readonly statements: readonly SignedText[];
}

export function encodePutStatements({ checkpointSize, statements }: PutStatements): Uint8Array {
  const writer = new ByteWriter().u64(checkpointSize).u8(statements.length);
  for (const statement of statements) writeSignedText(writer, statement);
  return writer.done();
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function parsePutStatements(body: Uint8Array): PutStatements {
  const reader = new ByteReader(body);
  const checkpointSize = reader.u64();
  const count = reader.u8();
  if (count < 1 || count > LOG_PROOF_SUBJECTS) throw new PeerError("E_PROTOCOL", "wrong number of statements");
  const statements = Array.from({ length: count }, () => readSignedText(reader));
  reader.end();
  return { checkpointSize, statements };
}
