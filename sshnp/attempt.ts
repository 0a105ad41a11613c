import type { MemberName, Name } from "../keys/names.ts";
import { shellWord } from "../keys/shell-word.ts";

/** Whom a session was asked for. */
export interface Attempt {
  readonly client: Name;
  readonly device: { readonly name: Name; readonly member: MemberName };
  /** The user on the device; empty when none was named. */
  readonly login: string;
  /** The directory, as people write it: `http://host:port`. */
  readonly directory: string;
  /** What was asked for; undefined: ssh. */
  readonly service?: string | undefined;
  /** The verb that asked, and what stood behind the device; undefined: a session of ssh. */
  readonly asked?: { readonly verb: string; readonly after: readonly string[] } | undefined;
}

/** The command line that looks at all that the daemon of the device needs, for whoever is there. */
export function deviceCheck({ client, device: { name, member } }: Attempt): string {
  return `sshnpd check -a ${name} -m ${client} -d ${member}`;
}

/** The command line that tells when the device is back, and does nothing else. */
export function pingUntilBack({ client, device: { name, member } }: Attempt): string {
  return `sshnp ping --wait ${client} ${name} ${member}`;
}

/** The command line that asks for the same again, with one more option. */
export function commandFor({ client, device: { name, member }, login, asked }: Attempt, option?: string): string {
  return [
    "sshnp",
    ...(asked === undefined ? [] : [asked.verb]),
    ...(option === undefined ? [] : [option]),
    client,
    name,
    login === "" ? member : `${login}@${member}`,
    ...(asked?.after ?? []),
  ]
    .map((word) => shellWord(word))
    .join(" ");
}
