import { SecurityError } from "../../keys/errors.ts";

/** What the log's core found, as a person is to read it; other errors, and those that say what to do, as they are. */
export function inWords(error: unknown): unknown {
  if (!(error instanceof SecurityError) || error.next !== undefined) return error;
  if (error.code === "E_WITNESS") {
    return new SecurityError(error.code, sentence(error.message), { next: WITNESS, cause: error });
  }
  if (error.code !== "E_LOG") return error;
  const fact = `The directory's log does not hold: ${error.message.replace(/\.$/, "")}.`;
  return new SecurityError(error.code, fact, { next: LOG, cause: error });
}

const LOG =
  "Believe nothing new of this directory until whoever runs it has said why: a restored backup looks like this, and so does a lie.";
const WITNESS = "Whoever runs the directory should see why its witnesses do not cosign.";

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}
