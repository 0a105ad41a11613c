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
}

/** The command line that asks for the same again, with one more option. */
export function commandFor({ client, device: { name, member }, login }: Attempt, option?: string): string {
  return [
    "sshnp",
    ...(option === undefined ? [] : [option]),
    client,
    name,
    login === "" ? member : `${login}@${member}`,
  ]
    .map((word) => shellWord(word))
    .join(" ");
}
