import { isPattern } from "../../protocol/owner-statements.ts";
import { SetupError } from "../errors.ts";
import { quoted, type Role } from "../names.ts";

/** `client` or `device`. @throws {SetupError} E_USAGE. */
export function parseRole(text: string): Role {
  if (text === "client" || text === "device") return text;
  throw new SetupError("E_USAGE", `${quoted(text)} is no role.`, { next: "A member is a client or a device." });
}

/** A member, or the beginning of one and `*`. @throws {SetupError} E_USAGE. */
export function parsePattern(text: string): string {
  if (isPattern(text)) return text;
  throw new SetupError("E_USAGE", `${quoted(text)} is no pattern of members.`, {
    next: "It is a member, or the beginning of one and a star in quotes: 'gw-*'",
  });
}
