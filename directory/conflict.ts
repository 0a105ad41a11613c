import { assert, UnavailableError } from "../keys/errors.ts";
import type { Operation } from "./database.ts";

export type Replace = Extract<Operation, { type: "replace" }>;

/** What stood there was not what it was to replace: nothing was written. The store works; whoever reads it anew may try again. */
export class ConflictError extends UnavailableError {
  constructor() {
    super("E_BUSY", "The store has changed since it was read.", { next: "Ask again." });
  }
}

/** The `replace` of a write, if it has one: it has one at most, and nothing else for the same key. */
export function replaceOf(operations: readonly Operation[]): Replace | undefined {
  const replace = operations.find((operation) => operation.type === "replace");
  if (replace === undefined) return undefined;
  const sameKey = operations.filter(({ key, type }) => key === replace.key || type === "replace");
  assert(sameKey.length === 1, "a write replaces one entry, once");
  return replace;
}
