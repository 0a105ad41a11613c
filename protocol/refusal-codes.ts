import { type ErrorCode, PeerError } from "../keys/errors.ts";

/**
 * Refusals as they travel: one byte, the same table in responses, on links and in msg2.
 * Peers get this code alone; what it means here and what to do next, the receiving side says in its own words.
 */
export const REFUSAL_NUMBERS = {
  E_PROTOCOL: 1,
  E_VERSION: 2,
  E_CLOCK: 3,
  E_RATE: 4,
  E_BUSY: 5,
  E_STORAGE: 6,
  E_UNKNOWN_NAME: 7,
  E_NOT_ACTIVATED: 8,
  E_NOT_AUTHORIZED: 9,
  E_OFFLINE: 10,
  E_NEVER_SEEN: 11,
  E_WAIT_EXPIRED: 12,
  E_NO_RENDEZVOUS: 13,
  E_DEVICE_REFUSED: 14,
  E_DEVICE_UNREADABLE: 15,
  E_OWNER_KEY: 16,
  E_MEMBER_KEY: 17,
  E_STATEMENT: 18,
  E_TICKET: 19,
  E_CRAM_WRONG: 20,
  E_CRAM_USED: 21,
  E_MEMBER_TAKEN: 22,
  E_REPLACED: 23,
  E_INTERRUPTED: 24,
  E_NO_SSHD: 25,
  E_LOG: 26,
  E_WITNESS: 27,
  E_REVOKED: 28,
  E_POLICY: 29,
  E_PENDING: 30,
  E_TOKEN: 31,
} as const satisfies Partial<Record<ErrorCode, number>>;

export type RefusalCode = keyof typeof REFUSAL_NUMBERS;

const BY_NUMBER: ReadonlyMap<number, RefusalCode> = new Map(
  Object.entries(REFUSAL_NUMBERS).map(([code, number]) => [number, code as RefusalCode]),
);

/** @throws {PeerError} E_PROTOCOL for a number outside the table. */
export function parseRefusalCode(number: number): RefusalCode {
  const code = BY_NUMBER.get(number);
  if (code === undefined) throw new PeerError("E_PROTOCOL", "unknown refusal code");
  return code;
}
