import { DeniedError } from "../../../keys/errors.ts";
import { hostName, parseHostName, parseName } from "../../../keys/names.ts";
import type { Subject } from "../../../keys/peer-files.ts";

/** `@device` or `mygateway.device.np`. @throws {SetupError} E_USAGE. */
export function parseSubject(text: string): Subject {
  return text.startsWith("@") ? { name: parseName(text), member: undefined } : parseHostName(text);
}

/** What {@link parseSubject} reads back. */
export function subjectText({ name, member }: Subject): string {
  return member === undefined ? name : hostName({ name, member });
}

export function notPinned(subject: Subject): DeniedError {
  return new DeniedError("E_UNKNOWN_NAME", `Nothing is pinned for ${subjectText(subject)}.`, {
    next: "See what is: sshnp trust ls",
  });
}
