/**
 * What a witness of logs is asked and what it answers: `add-checkpoint` of C2SP tlog-witness (https://c2sp.org/tlog-witness).
 *
 * ```
 * request    "old " size of the checkpoint cosigned last, in decimal, newline; hashes of the consistency from there to the
 *            new one, each base64 and newline; newline; the new checkpoint, a signed note
 * 200        signature lines of cosignatures
 * 409        text/x.tlog.size: the size of the checkpoint cosigned last, in decimal, newline
 * ```
 */
import { base64, equalBytes, fromBase64, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { PeerError, SecurityError } from "../../keys/errors.ts";
import { ADD_CHECKPOINT_BYTES, TREE_PROOF_HASHES } from "../limits.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "./checkpoint.ts";
import { type Witness, witnessTimes } from "./cosignature.ts";
import { parseNote } from "./note.ts";
import { verifyConsistency } from "./tree.ts";

export const CONFLICT_TYPE = "text/x.tlog.size";

export interface AddCheckpoint {
  /** Size of the checkpoint that the witness is believed to have cosigned last; 0 none. */
  readonly oldSize: number;
  /** Hashes of 32 bytes, at most 63; none from size 0. */
  readonly proof: readonly Uint8Array[];
  /** A signed note, of which nothing was verified. */
  readonly checkpoint: string;
}

/** What a witness decides; nothing has changed yet. */
export type WitnessVerdict =
  /** 200: once this is the latest on disk, it may be cosigned. */
  | { readonly status: 200; readonly checkpoint: SignedCheckpoint }
  /** 409: another size, or of this one another tree, which `evidence` (both notes) shows to anybody. */
  | { readonly status: 409; readonly size: number; readonly evidence?: readonly [string, string] }
  /** `reason`: for whoever runs the log; `isSigned`: the log did sign what was refused. */
  | { readonly status: 400 | 403 | 404 | 422; readonly reason: string; readonly isSigned?: true };

/** @throws {PeerError} E_PROTOCOL. */
export function parseAddCheckpoint(text: string): AddCheckpoint {
  if (text.length > ADD_CHECKPOINT_BYTES) throw malformed("is too long");
  const end = text.indexOf("\n\n");
  if (end < 0) throw malformed("has no checkpoint");
  const [first = "", ...lines] = text.slice(0, end).split("\n");
  if (!first.startsWith("old ")) throw malformed("does not begin with the old size");
  if (lines.length > TREE_PROOF_HASHES) throw malformed("has too long a proof");
  const checkpoint = text.slice(end + 2);
  parseNote(checkpoint);
  return { oldSize: parseSize(first.slice(4)), proof: lines.map((line) => fromBase64(line, 32)), checkpoint };
}

/** @throws {RangeError} when it exceeds a limit of {@link parseAddCheckpoint}, or is malformed. */
export function printAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  const isProof = proof.length <= TREE_PROOF_HASHES && proof.every((hash) => hash.length === 32);
  if (!isProof || !Number.isSafeInteger(oldSize) || oldSize < 0) throw new RangeError("not what a witness is asked");
  return `old ${oldSize}\n${proof.map((hash) => `${base64(hash)}\n`).join("")}\n${checkpoint}`;
}

/**
 * What a witness that knows this log, and has cosigned `latest` of it (undefined: nothing), answers. It never goes back: of
 * two that were asked at once, the second is to be judged when the first is on disk. Trees without leaves are refused.
 */
export function judgeAddCheckpoint(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  log: LogKey,
  latest: SignedCheckpoint | undefined,
  request: AddCheckpoint,
): WitnessVerdict {
  const { oldSize, proof } = request;
  const opened = open(suite, log, request.checkpoint);
  if ("status" in opened) return opened;
  const { size, root } = opened;
  if (oldSize > size) return { status: 400, reason: "the old size is larger than the checkpoint's" };
  if (latest !== undefined && latest.size === size && !equalBytes(latest.root, root)) {
    return { status: 409, size, evidence: [latest.text, opened.text] };
  }
  if (oldSize !== (latest?.size ?? 0)) return { status: 409, size: latest?.size ?? 0 };
  const refused = { status: 422, reason: "the proof of consistency does not hold", isSigned: true } as const;
  if (latest === undefined) return proof.length === 0 ? { status: 200, checkpoint: opened } : refused;
  try {
    verifyConsistency(suite, { oldSize, oldRoot: latest.root, newSize: size, newRoot: root, proof });
  } catch (error) {
    if (error instanceof SecurityError) return refused;
    throw error;
  }
  return { status: 200, checkpoint: opened };
}

/** Which log a checkpoint says it is of; nothing is verified. @throws {PeerError} E_PROTOCOL when it is no note. */
export function claimedOrigin(checkpoint: string): string {
  const { text } = parseNote(checkpoint);
  return text.slice(0, text.indexOf("\n"));
}

/** The size in a 409. @throws {PeerError} E_PROTOCOL. */
export function parseConflict(body: string): number {
  if (!body.endsWith("\n")) throw malformed("is answered with no size");
  return parseSize(body.slice(0, -1));
}

/**
 * The cosignature lines of `witness` that a 200 has, verified; those of other keys are left out.
 * @throws {PeerError} E_PROTOCOL when it does not parse; {SecurityError} E_WITNESS when the witness has not cosigned.
 */
export function takeCosignature(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  checkpoint: SignedCheckpoint,
  body: string,
  witness: Witness,
): string[] {
  if (utf8(body).length > ADD_CHECKPOINT_BYTES || !body.endsWith("\n")) throw malformed("is answered with no lines");
  const { text } = parseNote(checkpoint.text);
  const lines = body
    .slice(0, -1)
    .split("\n")
    .filter((line) => witnessTimes(suite, { ...checkpoint, text: `${text}\n${line}\n` }, [witness]).length > 0);
  if (lines.length === 0) {
    throw new SecurityError("E_WITNESS", `${witness.name} answers with no cosignature of its own`);
  }
  return lines;
}

function open(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  log: LogKey,
  text: string,
): SignedCheckpoint | { readonly status: 400 | 403 | 404; readonly reason: string } {
  try {
    if (claimedOrigin(text) !== log.origin) return { status: 404, reason: "no log of this origin is known" };
    return openCheckpoint(suite, text, log);
  } catch (error) {
    if (error instanceof SecurityError) return { status: 403, reason: error.message };
    if (error instanceof PeerError) return { status: 400, reason: error.message };
    throw error;
  }
}

function parseSize(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw malformed("has a size that is no number of leaves");
  }
  return Number(text);
}

function malformed(what: string): PeerError {
  return new PeerError("E_PROTOCOL", `a request to a witness ${what}`);
}
