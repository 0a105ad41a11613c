import type { Name } from "../keys/names.ts";

/**
 * What a daemon knows of the name that asks:
 * `unlisted` it is not in -m; `unresolved` it is, but nobody has said yet which owner key is its own; `known` else.
 */
export type Standing = "unlisted" | "unresolved" | "known";

/** A refusal's reason goes to whoever asked: it names no one else, and says what can be done on the device. */
export type AccessDecision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

/**
 * Whether a client may use a service, for the whole session and for every stream in it alike: -m grants `ssh`, for any
 * login (the SSH server decides about those), and nothing else is granted to anybody.
 */
export function decideAccess(client: Name, standing: Standing, service: string): AccessDecision {
  switch (standing) {
    case "unlisted":
      return deny(`it does not list ${client}; on the device: sshnpd -m ${client} ...`);
    case "unresolved":
      return deny(
        `it lists ${client} but has not learnt yet which owner key that is; ` +
          `it asks the directory by itself, or on the device: sshnpd -m ${client}=SHA256:...`,
      );
    case "known":
      return service === "ssh" ? { allowed: true } : deny(`it grants ${client} ssh and nothing else`);
  }
}

function deny(reason: string): AccessDecision {
  return { allowed: false, reason };
}
