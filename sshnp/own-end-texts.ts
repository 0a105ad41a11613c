/** What a client is told of the end of its own binding, which only its owner can put off. */
import { SecurityError, SshnpError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { minute } from "../keys/table.ts";
import { OWN_END_NEAR_MS } from "../protocol/limits.ts";

interface Own {
  readonly name: Name;
  readonly member: MemberName;
}

/** Whether a binding that ends at `end` is to be renewed by now; both in ms since 1970 UTC. */
export function isEndNear(end: number | null, now: number): end is number {
  return end !== null && end - now < OWN_END_NEAR_MS;
}

export function ownEndNear(own: Own, end: number): string {
  return `the keys of ${own.member} count until ${minute(end)} and no longer. ${renewal(own)}`;
}

/** A failure on account of a binding that has ended, as that; every other one as it is. */
export function ownEndTrouble(own: Own, end: number | null, now: number, error: unknown): unknown {
  const isRefused = error instanceof SshnpError && error.code === "E_STATEMENT";
  if (!isRefused || end === null || end > now) return error;
  return new SecurityError("E_STATEMENT", `The keys of ${own.member} of ${own.name} counted until ${minute(end)}.`, {
    next: renewal(own),
    cause: error,
  });
}

function renewal({ name, member }: Own): string {
  return `Where the owner key of ${name} is: sshnp-keys renew ${name} ${member}`;
}
