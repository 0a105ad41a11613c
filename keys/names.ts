import { SetupError } from "./errors.ts";

/** `@acme`: a namespace. Never normalised, only accepted or refused. */
export type Name = `@${string}` & { readonly brand: "Name" };

/** One machine or terminal under a name. */
export type MemberName = string & { readonly brand: "MemberName" };

/** Whether a member asks for sessions or answers them. */
export type Role = "client" | "device";

/** Words that a member may not be called: `owner`, and the verbs of sshnp, those to come included. */
export const RESERVED_MEMBERS: readonly string[] =
  "owner proxy trust ls ping status doctor cp rsync sftp forward exec inventory profile ssh-config completion config version help".split(
    " ",
  );

const NAME = /^@[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const MEMBER = /^[a-z0-9](?:[a-z0-9_-]{0,34}[a-z0-9])?$/;
const HOST_SUFFIX = ".np";

/** @throws {SetupError} E_USAGE when `text` is not a name. */
export function parseName(text: string): Name {
  if (!isName(text)) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not a name.`, {
      next: "A name is @ and 1 to 32 of a-z, 0-9 and hyphen, such as @acme.",
    });
  }
  return text;
}

/** @throws {SetupError} E_USAGE when `text` is not a member's name or is reserved. */
export function parseMember(text: string): MemberName {
  if (!isMember(text)) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not a name for a device or client.`, {
      next: "It is 1 to 36 of a-z, 0-9, hyphen and underscore, begins and ends with a letter or digit, and is no command word of sshnp.",
    });
  }
  return text;
}

export function isName(text: string): text is Name {
  return NAME.test(text);
}

export function isMember(text: string): text is MemberName {
  return MEMBER.test(text) && !RESERVED_MEMBERS.includes(text);
}

/** `HOST-client`, what activation calls a client: the first label of the host name, made to fit the grammar. */
export function clientMember(host: string): MemberName {
  const [label = ""] = host.split(".", 1);
  const fitting = label
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "-")
    .slice(0, 29)
    .replace(/^-+/, "");
  return parseMember(fitting === "" ? "this-client" : `${fitting}-client`);
}

/** A device as an SSH host name: `mygateway.device.np` (an `@` cannot stand in one). */
export function hostName(device: { readonly name: Name; readonly member: MemberName }): string {
  return `${device.member}.${device.name.slice(1)}${HOST_SUFFIX}`;
}

/** The device behind `mygateway.device.np`. @throws {SetupError} E_USAGE on any other form. */
export function parseHostName(text: string): { name: Name; member: MemberName } {
  const labels = text.endsWith(HOST_SUFFIX) ? text.slice(0, -HOST_SUFFIX.length).split(".") : [];
  const [member, name, ...others] = labels;
  if (member === undefined || name === undefined || others.length > 0) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not the host name of a device.`, {
      next: "Such a host name reads DEVICE.NAME.np, for mygateway of @acme: mygateway.acme.np.",
    });
  }
  return { name: parseName(`@${name}`), member: parseMember(member) };
}

/**
 * Other people's text made safe to print: quoted, cut at so many characters, everything but printable ASCII escaped,
 * so that no control, bidirectional or look-alike character reaches a terminal.
 */
export function quoted(text: string, length = 80): string {
  const shown = text.length > length ? `${text.slice(0, length - 3)}...` : text;
  return JSON.stringify(shown).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
