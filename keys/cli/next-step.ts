import type { MemberName, Name, Role } from "../names.ts";
import { shellWord } from "../shell-word.ts";

/** Lines: what a machine that has just become a member does next, the command last. `keys`: the folder that was given, undefined for the usual one. */
export function nextStep(
  { name, member, role }: { readonly name: Name; readonly member: MemberName; readonly role: Role },
  keys: string | undefined,
): string[] {
  const folder = keys === undefined ? "" : ` --keys ${shellWord(keys)}`;
  // No name: one that nobody has would be waited for. And -s on both sides, without which a key has to be there already.
  if (role === "device") return [`Next: sshnpd -a ${name} -m @WHO -d ${member}${folder} -s`];
  return [
    "USER is whom to log in as on the device, such as the user who runs sshnpd; -s brings your public SSH key, once.",
    `Next: sshnp${folder} -s ${name} @device USER@mygateway`,
  ];
}
