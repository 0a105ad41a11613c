/**
 * Why streams and channels end: one byte on the wire, a word here.
 *
 * | RESET | number | says |
 * |---|---|---|
 * | finished | 0 | both directions have ended and the sender has taken all it received |
 * | acknowledged | 1 | the answer to a RESET that broke the stream off |
 * | refused | 2 | access rules forbid this service |
 * | unreachable | 3 | there is no such host, no way to it, or no answer from it |
 * | failed | 4 | the sender's own connection behind the stream broke |
 * | cancelled | 5 | the sender does not want the stream any more |
 * | closed | 6 | the host answers, and nothing listens there |
 *
 * | CLOSE | number | says |
 * |---|---|---|
 * | finished | 0 | nothing is left to do |
 * | going-away | 1 | the sender is stopping |
 * | protocol-error | 2 | the receiver sent something that is not allowed; it is not told what |
 * | revoked | 3 | access was withdrawn |
 * | failed | 4 | the sender cannot go on |
 */
import { DeniedError, PeerError, type SshnpError, UnavailableError } from "../../keys/errors.ts";

const RESET_NUMBERS = {
  finished: 0,
  acknowledged: 1,
  refused: 2,
  unreachable: 3,
  failed: 4,
  cancelled: 5,
  closed: 6,
} as const;
const CLOSE_NUMBERS = { finished: 0, "going-away": 1, "protocol-error": 2, revoked: 3, failed: 4 } as const;

export type ResetCode = keyof typeof RESET_NUMBERS;
export type CloseCode = keyof typeof CLOSE_NUMBERS;

/** A RESET that breaks a stream off; the other two close it in good order. */
export type BreakCode = Exclude<ResetCode, "finished" | "acknowledged">;

export function resetNumber(code: ResetCode): number {
  return RESET_NUMBERS[code];
}

export function closeNumber(code: CloseCode): number {
  return CLOSE_NUMBERS[code];
}

/** @throws {PeerError} E_PROTOCOL for a number outside the table. */
export function parseResetCode(number: number): ResetCode {
  return wordOf(RESET_NUMBERS, number);
}

/** @throws {PeerError} E_PROTOCOL for a number outside the table. */
export function parseCloseCode(number: number): CloseCode {
  return wordOf(CLOSE_NUMBERS, number);
}

/** What a peer's RESET means to whoever uses the stream. */
export function resetError(code: BreakCode): SshnpError {
  switch (code) {
    case "refused":
      return new DeniedError("E_DEVICE_REFUSED", "The device does not allow this service.");
    case "unreachable":
      return new UnavailableError("E_UNREACHABLE", "The device does not reach the host of this service.");
    case "closed":
      return new UnavailableError("E_CLOSED", "Nothing listens where this service should be.");
    case "failed":
      return new UnavailableError("E_TRUNCATED", "The connection behind the other end of this stream broke.");
    case "cancelled":
      return new UnavailableError("E_TRUNCATED", "The other end gave this stream up.");
  }
}

function wordOf<Word extends string>(numbers: Readonly<Record<Word, number>>, number: number): Word {
  for (const word in numbers) if (numbers[word] === number) return word;
  throw new PeerError("E_PROTOCOL", "unknown code");
}
