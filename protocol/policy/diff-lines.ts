import { type AccessChange, diffAccess, loginsOf, type Use } from "./diff.ts";
import type { Policy } from "./policy.ts";

/** What is compared with when there was no policy before: it grants nothing. */
export const NO_POLICY: Policy = { owners: new Map(), groups: new Map(), tags: new Map(), grants: [], tests: [] };

/**
 * What a change of policy comes to, a line each and none when it comes to nothing: `+` access that is new, `-` access that is
 * gone, `~` access at other times or an owner that counts for a name. Printable ASCII.
 */
export function policyDiffLines(before: Policy, after: Policy): string[] {
  const logins = loginsOf([...before.grants, ...after.grants]);
  return [
    ...ownerLines(before.owners, after.owners),
    ...diffAccess(before, after)
      .map((change) => changeLine(change, logins))
      .sort((a, b) => ORDER.indexOf(a.charAt(0)) - ORDER.indexOf(b.charAt(0))),
  ];
}

const ORDER = "+-~";

function ownerLines(before: Policy["owners"], after: Policy["owners"]): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (was === is) return [];
    return [`~ owner of ${name}: ${was ?? "pinned at first contact"} -> ${is ?? "pinned at first contact"}`];
  });
}

function changeLine({ clients, devices, uses, before, after }: AccessChange, logins: readonly string[]): string {
  const what = `${clients.join(", ")} -> ${devices.join(", ")}: ${printUses(uses, logins)}`;
  if (before === undefined) return `+ ${what}${after === "always" ? "" : `, ${after}`}`;
  if (after === undefined) return `- ${what}${before === "always" ? "" : `, ${before}`}`;
  return `~ ${what}: ${before} -> ${after}`;
}

function printUses(uses: readonly Use[], logins: readonly string[]): string {
  const ssh = new Set(uses.flatMap(({ service, login }) => (service === "ssh" ? [login ?? ANY_OTHER] : [])));
  const others = uses.filter(({ service }) => service !== "ssh").map(({ service }) => service);
  return [...(ssh.size > 0 ? [printSsh(ssh, logins)] : []), ...others].join(", ");
}

const ANY_OTHER = "*";

function printSsh(granted: ReadonlySet<string>, logins: readonly string[]): string {
  if (!granted.has(ANY_OTHER)) return `ssh as ${[...granted].join(" or ")}`;
  const missing = logins.filter((login) => !granted.has(login));
  return missing.length === 0 ? "ssh" : `ssh as any but ${missing.join(" or ")}`;
}
