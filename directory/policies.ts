import { hex, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SetupError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { parseSshsig } from "../keys/sshsig.ts";
import { POLICIES_KEPT } from "../protocol/limits.ts";
import { verifyPolicyStatement } from "../protocol/owner-statements.ts";
import { decide, isFrom, mayAsk } from "../protocol/policy/decide.ts";
import { NO_POLICY } from "../protocol/policy/diff-lines.ts";
import type { Policy, PolicyClient } from "../protocol/policy/policy.ts";
import { parseService } from "../protocol/service.ts";
import type { Prologue } from "../protocol/messages/prologue.ts";
import type { Store } from "./store.ts";

interface Services {
  readonly suite: CipherSuite;
  readonly store: Pick<Store, "policy">;
}

/**
 * The policies that owners have signed, asked early: what a device would refuse need not reach it. The device's own look is
 * the one that counts. Each text is parsed once, and the parser loaded when there is a first one.
 */
export class Policies {
  readonly #services: Services;
  /** Parsed policies by the hash of their statement, the one used last at the end. */
  readonly #parsed = new Map<string, Promise<Policy>>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** The policy of a name as it is now; undefined: it has none. @throws {UnavailableError} E_STORAGE. */
  async of(name: Name): Promise<Policy | undefined> {
    const { suite, store } = this.#services;
    const signed = await store.policy(name);
    if (signed === undefined) return undefined;
    const key = hex(suite.sha256(utf8(signed.text)));
    const parsed = this.#parsed.get(key) ?? this.#parse(signed);
    this.#parsed.delete(key);
    this.#parsed.set(key, parsed);
    const [oldest] = this.#parsed.keys();
    if (oldest !== undefined && this.#parsed.size > POLICIES_KEPT) this.#parsed.delete(oldest);
    return await parsed;
  }

  /** One that cannot be read here permits nothing, as on its devices. */
  async #parse(signed: SignedText): Promise<Policy> {
    const { parsePolicy } = await import("../protocol/policy/parse.ts");
    // Whichever owner signed it; that was verified when it came.
    const signer = parseSshsig(signed.signature).publicKey.line;
    const { statement } = verifyPolicyStatement(this.#services.suite, signed, signer);
    try {
      return parsePolicy(statement.policy, { unknownZones: "never hold" });
    } catch (error) {
      if (error instanceof SetupError) return NO_POLICY;
      throw error;
    }
  }
}

/** Whether a client may know of a device: who may not is told what is told of a device that does not exist. */
export function maySee(policy: Policy | undefined, { client, device }: Pick<Prologue, "client" | "device">): boolean {
  return policy === undefined || mayAsk(policy, client, device.member);
}

/** The same for many devices: whether a client may know of one. */
export function seenBy(policy: Policy | undefined, client: PolicyClient): (device: MemberName) => boolean {
  if (policy === undefined) return () => true;
  const own = { ...policy, grants: policy.grants.filter((grant) => isFrom(grant, client)) };
  return (device) => mayAsk(own, client, device);
}

/** Whether what a request asks for is granted now (ms since 1970 UTC). Where there is no policy, the device alone says. */
export function permits(
  policy: Policy | undefined,
  { client, device, service, login }: Prologue,
  now: number,
): boolean {
  if (policy === undefined) return true;
  return decide(policy, { client, device: device.member, service: parseService(service), login, now }).allowed;
}
