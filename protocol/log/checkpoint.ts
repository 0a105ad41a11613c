/**
 * A log's signed statement of its size and root: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint), a signed note of
 *
 * ```
 * origin newline, size in decimal newline, base64 of the root newline
 * ```
 * signed by the log's Ed25519 key under the origin as its name. Extension lines are not accepted.
 */
import { base64, fromBase64, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Ed25519PrivateKey, Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError, SecurityError } from "../../keys/errors.ts";
import { claimsKey, isKeyName, keyIdOf, parseNote, printNote, type VerifierKey } from "./note.ts";

export interface LogKey {
  /** What the log calls itself; as it is the name of its key, too, it has neither spaces nor plus. */
  readonly origin: string;
  readonly publicKey: Ed25519PublicKey;
}

export interface Checkpoint {
  readonly origin: string;
  /** Leaves. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** A checkpoint whose signature by the log's key was verified. */
export interface SignedCheckpoint extends Checkpoint {
  /** The whole note, whatever further signatures it has. */
  readonly text: string;
}

/** @throws {RangeError} for an origin that is no key name, a size that is no safe integer, or a root that is not 32 bytes. */
export function signCheckpoint(
  suite: Pick<CipherSuite, "sha256" | "sign">,
  privateKey: Ed25519PrivateKey,
  checkpoint: Checkpoint,
): string {
  const { origin, size, root } = checkpoint;
  if (!isKeyName(origin) || !Number.isSafeInteger(size) || size < 0 || root.length !== 32) {
    throw new RangeError("not a checkpoint");
  }
  const text = `${origin}\n${size}\n${base64(root)}\n`;
  const keyId = keyIdOf(suite, verifierKey({ origin, publicKey: privateKey.publicKey }));
  return printNote({ text, signatures: [{ name: origin, keyId, signature: suite.sign(privateKey, utf8(text)) }] });
}

/**
 * Verifies that `log` signed a checkpoint, then parses it. Signatures by other keys are neither looked at nor taken away.
 * @throws {SecurityError} E_LOG when the log did not sign it, when it is of another log, or of a tree without leaves;
 * {PeerError} E_PROTOCOL when it does not parse.
 */
export function openCheckpoint(
  suite: Pick<CipherSuite, "sha256" | "verify">,
  text: string,
  log: LogKey,
): SignedCheckpoint {
  const note = parseNote(text);
  const key = verifierKey(log);
  const claimed = note.signatures.filter((signature) => claimsKey(suite, signature, key));
  if (claimed.length === 0) throw new SecurityError("E_LOG", "a checkpoint is not signed by the directory's log");
  const body = utf8(note.text);
  if (!claimed.every(({ signature }) => suite.verify(log.publicKey, body, signature) === true)) {
    throw new SecurityError("E_LOG", "the log's signature of a checkpoint does not verify");
  }
  const checkpoint = parseBody(note.text);
  if (checkpoint.origin !== log.origin) throw new SecurityError("E_LOG", "a checkpoint is of another log");
  if (checkpoint.size === 0) throw new SecurityError("E_LOG", "a checkpoint is of a log without entries");
  return { ...checkpoint, text };
}

function parseBody(body: string): Checkpoint {
  const [origin, size, root, ...others] = body.slice(0, -1).split("\n");
  if (origin === undefined || size === undefined || root === undefined || others.length > 0 || origin === "") {
    throw new PeerError("E_PROTOCOL", "a checkpoint does not have three lines");
  }
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) {
    throw new PeerError("E_PROTOCOL", "a checkpoint's size is not a number of leaves");
  }
  return { origin, size: Number(size), root: fromBase64(root, 32) };
}

function verifierKey({ origin, publicKey }: LogKey): VerifierKey {
  return { name: origin, type: "ed25519", publicKey };
}
