import type { MemberName, Name, Role } from "../names.ts";
import { shellWord } from "../shell-word.ts";

/** What a machine that has just become a member does next. `keys`: the folder that was given, undefined for the usual one. */
export function nextStep(
  { name, member, role }: { readonly name: Name; readonly member: MemberName; readonly role: Role },
  keys: string | undefined,
): string {
  const folder = keys === undefined ? "" : ` --keys ${shellWord(keys)}`;
  // No name: one that nobody has would be waited for.
  if (role === "device") return `Next: sshnpd -a ${name} -m @WHO -d ${member}${folder}`;
  return `Next: sshnp${folder} ${name} @device mygateway`;
}
