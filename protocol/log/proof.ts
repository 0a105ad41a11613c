/**
 * What travels with statements: that each is the newest of its subject under a checkpoint that is fresh and consistent with
 * the last one this party has seen, so that a revocation cannot be hidden behind a fresh checkpoint.
 *
 * ```
 * u16-prefixed checkpoint (a note); heads root (32); u8 count, hashes of the inclusion of the heads leaf;
 * u64 since; u8 count, hashes of the consistency from that size; u8 count, proofs of the map (map.ts)
 * ```
 */
import { ByteReader, ByteWriter, equalBytes, utf8, utf8Text } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { PeerError, SecurityError } from "../../keys/errors.ts";
import { LOG_PROOF_BYTES, LOG_PROOF_SUBJECTS, NOTE_BYTES, TREE_PROOF_HASHES } from "../limits.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "./checkpoint.ts";
import { newestFirst, timesByWitness, type Witness } from "./cosignature.ts";
import { encodeLeaf } from "./leaf.ts";
import { type MapProof, readMapProof, subjectKey, verifyMapProof, writeMapProof } from "./map.ts";
import { type Hashing, leafHash, verifyConsistency, verifyInclusion } from "./tree.ts";

export interface LogProof {
  /** The whole signed note. */
  readonly checkpoint: string;
  /** Root of the map, 32 bytes: what the last leaf of the tree says. */
  readonly headsRoot: Uint8Array;
  /** That the last leaf says so. */
  readonly inclusion: readonly Uint8Array[];
  /** Size of the verifier's last checkpoint; 0 when it has none. */
  readonly since: number;
  readonly consistency: readonly Uint8Array[];
  /** In the order in which the subjects were asked for. */
  readonly subjects: readonly MapProof[];
}

/** What a party believes of a log, from its own configuration. */
export interface LogTrust {
  readonly log: LogKey;
  readonly witnesses: readonly Witness[];
  /** How many of them must have cosigned. */
  readonly needed: number;
  /** ms, since the `needed`-th newest of them. */
  readonly maxAge: number;
}

/** Two checkpoints that one log signed for one size with different roots: proof to anybody that it shows different trees. */
export class LogEvidenceError extends SecurityError {
  /** Both notes. */
  readonly evidence: readonly [string, string];

  constructor(evidence: readonly [string, string]) {
    super("E_LOG", "The directory's log has signed two different trees of the same size.", {
      next: "Trust nothing it says, keep both signed checkpoints as evidence, and tell whoever runs the directory.",
    });
    this.evidence = evidence;
  }
}

/** Heads of a log that were verified with everything around them. Only {@link verifyLogProof} makes one. */
export class VerifiedHeads {
  /** Sets the type apart from other values of the same shape; there is no such field. */
  declare readonly brand: "VerifiedHeads";
  readonly checkpoint: SignedCheckpoint;
  /** 32 bytes. */
  readonly headsRoot: Uint8Array;
  /** When the `needed`-th newest witness cosigned, ms; undefined when none is needed. */
  readonly witnessTime: number | undefined;
  /** When each witness that is trusted cosigned, ms, by its key in base64. */
  readonly witnessTimes: ReadonlyMap<string, number>;

  constructor(
    checkpoint: SignedCheckpoint,
    headsRoot: Uint8Array,
    witnessTimes: ReadonlyMap<string, number>,
    needed: number,
  ) {
    this.checkpoint = checkpoint;
    this.headsRoot = headsRoot;
    this.witnessTime = newestFirst(witnessTimes.values())[needed - 1];
    this.witnessTimes = witnessTimes;
  }
}

/** @throws {RangeError} when {@link parseLogProof} would not take it. */
export function encodeLogProof(proof: LogProof): Uint8Array {
  const checkpoint = utf8(proof.checkpoint);
  if (checkpoint.length > NOTE_BYTES) throw new RangeError("a checkpoint is too long");
  if ([proof.headsRoot, ...proof.inclusion, ...proof.consistency].some((hash) => hash.length !== 32)) {
    throw new RangeError("a hash of the log is not 32 bytes");
  }
  const writer = new ByteWriter().bytes16(checkpoint).raw(proof.headsRoot);
  writeHashes(writer, proof.inclusion);
  writer.u64(proof.since);
  writeHashes(writer, proof.consistency);
  if (proof.subjects.length > LOG_PROOF_SUBJECTS) throw new RangeError("a proof of the log has too many subjects");
  writer.u8(proof.subjects.length);
  for (const subject of proof.subjects) writeMapProof(writer, subject);
  const bytes = writer.done();
  if (bytes.length > LOG_PROOF_BYTES) throw new RangeError("a proof of the log is too long");
  return bytes;
}

/**
 * At most 24 KiB, 16 subjects, 63 hashes of a proof and 4 KiB of checkpoint.
 * @throws {PeerError} E_PROTOCOL.
 */
export function parseLogProof(bytes: Uint8Array): LogProof {
  if (bytes.length > LOG_PROOF_BYTES) throw new PeerError("E_PROTOCOL", "a proof of the log is too long");
  const reader = new ByteReader(bytes);
  const checkpoint = reader.bytes16();
  if (checkpoint.length > NOTE_BYTES) throw new PeerError("E_PROTOCOL", "a checkpoint is too long");
  const headsRoot = reader.raw(32).slice();
  const inclusion = readHashes(reader);
  const since = reader.u64();
  const consistency = readHashes(reader);
  const count = reader.u8();
  if (count > LOG_PROOF_SUBJECTS) throw new PeerError("E_PROTOCOL", "a proof of the log has too many subjects");
  const subjects = Array.from({ length: count }, () => readMapProof(reader));
  reader.end();
  return { checkpoint: utf8Text(checkpoint), headsRoot, inclusion, since, consistency, subjects };
}

/**
 * Verifies everything but the subjects, in this order: the log's signature, enough witnesses, their age at `now` (ms), that
 * the log has not shrunk or changed since `last` (the newest checkpoint that this party has verified before), and that its
 * last leaf says `headsRoot`. Without `last`, `since` and `consistency` mean nothing and are not looked at.
 * @throws {SecurityError} E_WITNESS for too few or too old cosignatures, E_LOG for everything else, as {LogEvidenceError}
 * where there is something to show to others; {PeerError} E_PROTOCOL when the checkpoint does not parse.
 * @throws {RangeError} when `trust` demands more witnesses than it names, or names some and demands none.
 */
export function verifyLogProof(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  proof: LogProof,
  trust: LogTrust,
  last: SignedCheckpoint | undefined,
  now: number,
): VerifiedHeads {
  const witnessKeys = new Set(trust.witnesses.map(({ publicKey }) => publicKey.toJSON()));
  const isNumber = Number.isSafeInteger(trust.needed) && trust.needed >= (witnessKeys.size > 0 ? 1 : 0);
  if (!isNumber || trust.needed > witnessKeys.size)
    throw new RangeError("not a number of the witnesses that are trusted");
  const checkpoint = openCheckpoint(suite, proof.checkpoint, trust.log);
  const times = demandWitnesses(suite, checkpoint, trust, now);
  if (last !== undefined) demandGrowth(suite, last, checkpoint, proof);
  verifyInclusion(suite, {
    index: checkpoint.size - 1,
    size: checkpoint.size,
    leafHash: leafHash(suite, encodeHeadsLeaf(proof.headsRoot)),
    root: checkpoint.root,
    proof: proof.inclusion,
  });
  return new VerifiedHeads(checkpoint, proof.headsRoot, times, trust.needed);
}

/**
 * Demands that `newest` (SHA-256 of a statement's text) is the newest statement on `subject`, or, with undefined, that there
 * is none. `heads` may be the root of a map that was verified otherwise, as by a monitor that reads every leaf.
 * @throws {SecurityError} E_LOG.
 */
export function verifySubject(
  suite: Hashing,
  heads: VerifiedHeads | Uint8Array,
  subject: string,
  newest: Uint8Array | undefined,
  proof: MapProof,
): void {
  const root = heads instanceof VerifiedHeads ? heads.headsRoot : heads;
  try {
    verifyMapProof(suite, root, subjectKey(suite, subject), newest, proof);
  } catch (cause) {
    const fact =
      newest === undefined
        ? `it is not proved that there is no statement on ${subject}`
        : `a statement is not proved to be the newest on ${subject}`;
    throw new SecurityError("E_LOG", fact, { cause });
  }
}

/**
 * Demands that two checkpoints of one log, both verified, do not have one size and different roots.
 * @throws {LogEvidenceError} E_LOG when they do.
 */
export function refuseSplitView(one: SignedCheckpoint, other: SignedCheckpoint): void {
  if (one.origin === other.origin && one.size === other.size && !equalBytes(one.root, other.root)) {
    throw new LogEvidenceError([one.text, other.text]);
  }
}

const WHEN_NOT_WITNESSED =
  "Ask whoever runs the directory: sshnp-directory witness ls tells which witnesses do not cosign, and why. " +
  "Until they do, the directory may be hiding what is newer.";
const WHEN_TOO_LONG_AGO =
  "A clock that is ahead looks the same, this machine's or the directory's: compare it, and set it (timedatectl set-ntp true). " +
  `If both are right: ${WHEN_NOT_WITNESSED}`;

function demandWitnesses(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  checkpoint: SignedCheckpoint,
  { witnesses, needed, maxAge }: LogTrust,
  now: number,
): Map<string, number> {
  if (needed === 0) return new Map();
  const times = timesByWitness(suite, checkpoint, witnesses);
  const time = newestFirst(times.values())[needed - 1];
  if (time === undefined) {
    const fact = `${times.size} of ${witnesses.length} witnesses have cosigned the log's newest checkpoint; ${needed} must have.`;
    throw new SecurityError("E_WITNESS", fact, { next: WHEN_NOT_WITNESSED });
  }
  if (!(now - time <= maxAge)) {
    const minutes = (ms: number): number => Math.round(ms / 60_000);
    const fact = `It is ${minutes(now - time)} min since ${needed} of ${witnesses.length} witnesses cosigned the log; at most ${minutes(maxAge)} min may be.`;
    throw new SecurityError("E_WITNESS", fact, { next: WHEN_TOO_LONG_AGO });
  }
  return times;
}

function demandGrowth(suite: Hashing, last: SignedCheckpoint, checkpoint: SignedCheckpoint, proof: LogProof): void {
  if (last.origin !== checkpoint.origin) throw new SecurityError("E_LOG", "the last checkpoint is of another log");
  if (checkpoint.size < last.size) throw new SecurityError("E_LOG", "the log is smaller than it was");
  refuseSplitView(last, checkpoint);
  if (checkpoint.size === last.size) return;
  if (proof.since !== last.size)
    throw new SecurityError("E_LOG", "a proof of consistency begins at another checkpoint");
  verifyConsistency(suite, {
    oldSize: last.size,
    oldRoot: last.root,
    newSize: checkpoint.size,
    newRoot: checkpoint.root,
    proof: proof.consistency,
  });
}

function encodeHeadsLeaf(headsRoot: Uint8Array): Uint8Array {
  if (headsRoot.length !== 32) throw new SecurityError("E_LOG", "a root of the map is not 32 bytes");
  return encodeLeaf({ type: "heads", hash: headsRoot });
}

function writeHashes(writer: ByteWriter, hashes: readonly Uint8Array[]): void {
  if (hashes.length > TREE_PROOF_HASHES) throw new RangeError("a proof of the log is too long");
  writer.u8(hashes.length);
  for (const hash of hashes) writer.raw(hash);
}

function readHashes(reader: ByteReader): Uint8Array[] {
  const count = reader.u8();
  if (count > TREE_PROOF_HASHES) throw new PeerError("E_PROTOCOL", "a proof of the log is too long");
  return Array.from({ length: count }, () => reader.raw(32).slice());
}
