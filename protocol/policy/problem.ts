import { SetupError } from "../../keys/errors.ts";

/** A place in a policy's text; both from 1, the column in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** What is wrong at a place of a policy, and what is expected there instead. Other people's words in it are `quoted`. */
export function problem({ line, column }: Position, fact: string, next: string): SetupError {
  return new SetupError("E_POLICY", `Line ${line}, column ${column}: ${fact}`, { next });
}
