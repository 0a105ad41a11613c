import type { MemberName, Name } from "../keys/names.ts";
import { REASON_BYTES } from "../protocol/limits.ts";
import { decide } from "../protocol/policy/decide.ts";
import { printService } from "../protocol/policy/patterns.ts";
import type { PolicyClient } from "../protocol/policy/policy.ts";
import { explainRefusal } from "../protocol/policy/refusal.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { parseService, type Service } from "../protocol/service.ts";
import type { StatedPolicy } from "./own-policy.ts";

/**
 * What a daemon knows of the name that asks: `unlisted` it is not one of those that may (of -m, or of the policy where no
 * -m is given); `unresolved` it is, but nobody has said yet which owner key is its own; `known` else.
 */
export type Standing = "unlisted" | "unresolved" | "known";

/** By what a device decides. */
export interface AccessRules {
  readonly policy: StatedPolicy;
  /** Whether -m lists anybody. */
  readonly hasList: boolean;
  /** What --permit-open grants beside ssh where there is no policy: services as {@link printService} writes them. */
  readonly permitOpen: ReadonlySet<string>;
}

/** What somebody asks for: a session, by what it is for first, or one stream in it. */
export interface AccessQuestion {
  readonly client: PolicyClient;
  readonly standing: Standing;
  readonly device: MemberName;
  readonly service: string;
  /** The user on the device; empty when the request names none. */
  readonly login: string;
  /** ms since 1970 UTC. */
  readonly now: number;
}

/**
 * `until`: ms since 1970 UTC at which to ask again; undefined: it has no end of its own. A refusal's reason goes to whoever
 * asked: it names no one else, and says what the asker may do instead, or what can be done on the device.
 */
export type AccessDecision =
  | { readonly allowed: true; readonly until: number | undefined }
  | { readonly allowed: false; readonly code: RefusalCode; readonly reason: string };

/**
 * Whether a client may use a service now; asked for the session and for every stream in it. With a policy, the policy
 * grants, and if any -m is given the client must be in it as well. Without one, -m grants `ssh`, for any login (the SSH server
 * decides about those), and what --permit-open names. With neither, nothing is granted to anybody. Whoever is granted
 * anything now is granted `ping`.
 */
export function decideAccess(rules: AccessRules, question: AccessQuestion): AccessDecision {
  const { policy, hasList } = rules;
  const { standing, client } = question;
  const service = serviceOf(question.service);
  if (service === undefined) return deny("E_DEVICE_REFUSED", "it knows no such service");
  if (standing === "unlisted" && (policy === undefined || hasList)) return notListed(client.name, policy);
  if (policy === undefined)
    return standing === "known" ? decideByList(rules, client.name, service) : unresolved(client);
  if (policy === "unreadable") {
    return deny("E_STORAGE", "it cannot read the policy of its owner, so it lets nobody in; its log says why");
  }
  const request = { ...question, service };
  const refusal = explainRefusal(policy, request);
  if (refusal !== undefined) return deny("E_POLICY", refusal.reason);
  if (standing !== "known") return unresolved(client);
  const decision = decide(policy, request);
  return decision.allowed ? { allowed: true, until: decision.until } : deny("E_POLICY", "the policy does not let it");
}

function decideByList({ permitOpen }: AccessRules, name: Name, service: Service): AccessDecision {
  const printed = printService(service);
  if (service.kind !== "tcp" || permitOpen.has(printed)) return { allowed: true, until: undefined };
  const granted = permitOpen.size === 0 ? "ssh and nothing else" : "ssh and what its --permit-open names, nothing else";
  const how = `on the device: sshnpd --permit-open ${printed.slice("tcp:".length)} ...`;
  return deny("E_DEVICE_REFUSED", `it grants ${name} ${granted}; ${how}`);
}

function serviceOf(text: string): Service | undefined {
  try {
    return parseService(text);
  } catch {
    return undefined;
  }
}

function notListed(name: Name, policy: StatedPolicy): AccessDecision {
  const also = policy === undefined ? "" : " (the policy has to grant it as well)";
  return deny("E_DEVICE_REFUSED", `it does not list ${name}; on the device: sshnpd -m ${name} ...${also}`);
}

function unresolved({ name }: PolicyClient): AccessDecision {
  return deny(
    "E_DEVICE_REFUSED",
    `it admits ${name} but has not learnt yet which owner key that is; ` +
      `it asks the directory by itself, or on the device: sshnpd -m ${name}=SHA256:...`,
  );
}

function deny(code: RefusalCode, reason: string): AccessDecision {
  return { allowed: false, code, reason: reason.slice(0, REASON_BYTES) };
}
