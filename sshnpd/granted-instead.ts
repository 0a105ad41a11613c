import type { StatedPolicy } from "./own-policy.ts";

/** What a device without ssh grants instead to whoever it would grant ssh, in words for that client. */
export function grantedInstead(policy: StatedPolicy, permitOpen: ReadonlySet<string>): string {
  if (policy !== undefined) return "its policy says which of its TCP services you may reach";
  if (permitOpen.size === 0) return "it grants nothing else either; on the device: sshnpd --permit-open HOST:PORT ...";
  return `it grants ${[...permitOpen].join(", ")}`;
}
