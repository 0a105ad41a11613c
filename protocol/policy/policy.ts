/**
 * What the owner of a name says about its devices: who may reach which of them, for what, and when. Deny by default;
 * grants only add, so their order means nothing. The language is told in docs/policy.md.
 *
 * parse.ts makes a Policy from its text, and alone needs the YAML library; all that judges by a Policy is in other files.
 */
import type { MemberName, Name } from "../../keys/names.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import type { Service } from "../service.ts";
import type { Hours } from "./hours.ts";

export interface Policy {
  /** Whose word counts for a name; names that are missing here are pinned at first contact. */
  readonly owners: ReadonlyMap<Name, Fingerprint>;
  readonly groups: ReadonlyMap<string, ClientSet>;
  readonly tags: ReadonlyMap<string, DeviceSet>;
  readonly grants: readonly Grant[];
  readonly tests: readonly PolicyTest[];
}

/** "Those in `from` may use these services of those in `to`." */
export interface Grant {
  /** Its place in the policy, from 1. */
  readonly number: number;
  /** The line of the text on which it begins, from 1. */
  readonly line: number;
  /** The owner's words for it; for the owner and for logs, never for whoever asks. */
  readonly name: string | undefined;
  readonly from: readonly ClientSet[];
  readonly to: readonly DeviceSet[];
  readonly services: readonly ServicePattern[];
  /** For `ssh` alone; undefined: any login, and a request that names none. */
  readonly logins: ReadonlySet<string> | undefined;
  /** Undefined: always. */
  readonly hours: Hours | undefined;
  /** The first millisecond since 1970 UTC at which it holds no more; undefined: never. */
  readonly expires: number | undefined;
}

/** A group, or what one grant lists by itself. Grants that name the same group share the object. */
export interface ClientSet {
  /** `@acme` for every member of a name, `@acme/alice` for one. */
  readonly members: ReadonlySet<string>;
}

/** A tag, or what one grant lists by itself. Grants that name the same tag share the object. */
export interface DeviceSet {
  /** Devices that stand there by their whole name. */
  readonly devices: ReadonlySet<string>;
  /** Those with `*` in them. */
  readonly patterns: readonly string[];
}

/** A service, or several: `*` stands for any host or any port. */
export type ServicePattern =
  | { readonly kind: "ssh" }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number | "*" };

/** One machine or terminal of a name. */
export interface PolicyClient {
  readonly name: Name;
  readonly member: MemberName;
}

/** One stream that somebody asks for; a session is judged by what it asks for first. */
export interface AccessRequest {
  /** Who has proved to be this, or is about to. */
  readonly client: PolicyClient;
  readonly device: MemberName;
  readonly service: Service;
  /** The user on the device, counted for `ssh` alone; empty when the request names none. */
  readonly login: string;
  /** Milliseconds since 1970 UTC; `any time`: hours and expiry do not count. */
  readonly now: number | "any time";
}

/** What its writer expects of a policy; all must come true before it is signed. */
export interface PolicyTest {
  readonly request: AccessRequest;
  readonly expect: "allow" | "deny";
  /** The line of the text on which it begins, from 1. */
  readonly line: number;
}
