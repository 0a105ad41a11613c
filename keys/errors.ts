/**
 * Errors name who is at fault, carry a literal code, and read as a fact plus the next step.
 *
 * Peers and logs never see more than they should: a peer gets the code, a log gets code and message,
 * and no error ever holds a secret (secret types cannot be turned into text).
 */

/** Every code that a user can meet, with its exit status outside session verbs (sysexits where one fits). */
export const EXIT_STATUS = {
  E_USAGE: 2,
  E_BAD_KEY_FILE: 65,
  E_PASSPHRASE: 77,
  E_KEY_PERMISSIONS: 77,
  E_NO_KEYS: 78,
  E_NOT_ACTIVATED: 78,
  E_KEY_EXISTS: 78,
  E_MEMBER_TAKEN: 78,
  E_SSH_CONFIG: 78,
  E_RUNNING: 75,
  E_REPLACED: 75,
  E_CRAM_WRONG: 77,
  E_CRAM_USED: 78,
  E_NAME_TAKEN: 78,
  E_UNKNOWN_NAME: 68,
  E_OFFLINE: 69,
  E_NEVER_SEEN: 69,
  E_WAIT_EXPIRED: 75,
  E_NOT_AUTHORIZED: 77,
  E_DEVICE_REFUSED: 77,
  E_DEVICE_UNREADABLE: 76,
  E_RENDEZVOUS: 69,
  E_NO_RENDEZVOUS: 69,
  E_DIRECTORY: 69,
  E_PROXY_AUTH: 77,
  E_DIRECTORY_KEY: 76,
  E_DIRECTORY_LIST: 76,
  E_NO_SSHD: 69,
  E_NO_SSH: 69,
  E_UNREACHABLE: 69,
  E_CLOSED: 69,
  E_LISTEN: 73,
  E_HOST_KEY: 76,
  E_OWNER_KEY: 76,
  E_MEMBER_KEY: 76,
  E_STATEMENT: 76,
  E_LOG: 76,
  E_AUDIT: 76,
  E_WITNESS: 76,
  E_REVOKED: 77,
  E_POLICY: 65,
  E_AGENT: 69,
  E_PENDING: 75,
  E_TOKEN: 77,
  E_TICKET: 76,
  E_SSH_AUTH: 255,
  E_CLOCK: 75,
  E_TRUNCATED: 69,
  E_TIMEOUT: 124,
  E_INTERRUPTED: 130,
  E_PROTOCOL: 70,
  E_VERSION: 76,
  E_RATE: 75,
  E_BUSY: 75,
  E_STORAGE: 74,
  E_BUG: 70,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof EXIT_STATUS;

interface ErrorDetail {
  /** What the person should do now; names only commands that exist. */
  readonly next?: string;
  readonly cause?: unknown;
}

/** Common shape of all errors that may reach a user. `message` is the fact, `next` the next step. */
export abstract class SshnpError extends Error {
  readonly code: ErrorCode;
  readonly next: string | undefined;

  constructor(code: ErrorCode, fact: string, detail: ErrorDetail = {}) {
    super(fact, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.next = detail.next;
  }

  get exitStatus(): number {
    return EXIT_STATUS[this.code];
  }
}

/** The peer broke the protocol or sent what does not parse. */
export class PeerError extends SshnpError {
  override readonly name = "PeerError";
}

/** A party that may decide said no. */
export class DeniedError extends SshnpError {
  override readonly name = "DeniedError";
}

/** Something needed does not answer: network, time-out, offline, busy. */
export class UnavailableError extends SshnpError {
  override readonly name = "UnavailableError";
}

/** A signature, key, pin or proof does not hold: somebody may be lying. */
export class SecurityError extends SshnpError {
  override readonly name = "SecurityError";
}

/** This machine or this command line is not ready: usage, key files, permissions. */
export class SetupError extends SshnpError {
  override readonly name = "SetupError";
}

/** Throws when an invariant of our own is broken: a bug here, never bad input. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`);
}
