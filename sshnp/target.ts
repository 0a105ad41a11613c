import { SetupError } from "../keys/errors.ts";
import { type MemberName, type Name, parseHostName, parseMember, parseName, quoted } from "../keys/names.ts";
import { type Fingerprint, parseFingerprint } from "../keys/openssh.ts";
import { isLogin } from "../protocol/service.ts";
import type { Defaults } from "./settings.ts";

/** Whom a command line names. */
export interface Target {
  /** Undefined: none is named, and there is no default. */
  readonly client: Name | undefined;
  readonly device: { readonly name: Name; readonly member: MemberName };
  /** Owner key of the device's name, as a person gave it. */
  readonly owner: Fingerprint | undefined;
  /** As written ahead of the device; undefined: none was. */
  readonly user: string | undefined;
  /** How many words name it. */
  readonly words: number;
}

/**
 * Reads whom the first of `words` name, in one of these forms; more words may follow:
 *
 * ```
 * [@client] @device[=SHA256:...] [user@]mygateway
 * [@client] [user@]mygateway.device.np
 * [@client] [user@]mygateway                       with a default for @device
 * ```
 * `usage`: the next step of an error. @throws {SetupError} E_USAGE on anything else.
 */
export function readTarget(words: readonly string[], defaults: Defaults, usage: string): Target {
  const names = words.slice(0, 2).filter((word, index) => word.startsWith("@") && (index === 0 || isNamed(words[0])));
  const target = words[names.length];
  for (const word of words.slice(0, names.length + 1)) {
    if (word.startsWith("-")) throw failure(`The option ${quoted(word)} stands where a name belongs.`, usage);
  }
  const last = names.at(-1);
  if (target === undefined) {
    throw last === undefined
      ? failure("Whom to connect to is missing.", usage)
      : failure(`Which device of ${deviceName(last).name} is missing.`, usage);
  }
  const at = target.lastIndexOf("@");
  const user = at < 0 ? undefined : parseLogin(target.slice(0, at));
  const member = target.slice(at + 1);
  const rest = { user, words: names.length + 1 };
  if (member.includes(".") && names.length < 2) {
    const client = last === undefined ? defaults.client : parseName(last);
    return { client, device: parseHostName(member), owner: undefined, ...rest };
  }
  if (last !== undefined) {
    const { name, owner } = deviceName(last);
    const client = names.length === 2 ? parseName(names[0] ?? "") : defaults.client;
    return { client, device: { name, member: parseMember(member) }, owner, ...rest };
  }
  if (defaults.device === undefined) throw new NotAName(target, usage);
  return {
    client: defaults.client,
    device: { name: defaults.device, member: parseMember(member) },
    owner: undefined,
    ...rest,
  };
}

/** A word stands where a name belongs, and no setting names the device. */
export class NotAName extends SetupError {
  /** The word without the account ahead of it: a device, perhaps, or a command that was meant. */
  readonly word: string;

  constructor(target: string, usage: string) {
    super("E_USAGE", `${quoted(target)} is not a name, which begins with @.`, { next: usage });
    this.word = target.slice(target.lastIndexOf("@") + 1);
  }
}

/** An account's name. @throws {SetupError} E_USAGE. */
export function parseLogin(text: string): string {
  if (text === "" || !isLogin(text)) {
    throw failure(
      `${quoted(text)} is not a user name.`,
      "It is 1 to 32 of a-z, A-Z, 0-9, dot, hyphen and underscore, and begins with a letter or an underscore.",
    );
  }
  return text;
}

function isNamed(word: string | undefined): boolean {
  return word?.startsWith("@") === true;
}

function deviceName(word: string): { readonly name: Name; readonly owner: Fingerprint | undefined } {
  const equals = word.indexOf("=");
  return {
    name: parseName(equals < 0 ? word : word.slice(0, equals)),
    owner: equals < 0 ? undefined : parseFingerprint(word.slice(equals + 1)),
  };
}

function failure(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}
