import { SetupError } from "../keys/errors.ts";
import type { Policy } from "../protocol/policy/policy.ts";
import type { Log } from "./log.ts";
import type { OwnStatements } from "./own-statements.ts";

/** What the owner's policy says; `unreadable`: there is one that this device does not understand, so it lets nobody in. */
export type StatedPolicy = Policy | "unreadable" | undefined;

/** The owner's policy as it counts now, parsed once for each statement. The parser is loaded when there is a policy. */
export class OwnPolicy {
  readonly #own: Pick<OwnStatements, "policy">;
  readonly #log: Log;
  #parsed: { readonly of: OwnStatements["policy"]; readonly policy: Promise<StatedPolicy> } | undefined;

  constructor(own: Pick<OwnStatements, "policy">, log: Log) {
    this.#own = own;
    this.#log = log;
  }

  /** Of now, also when another one came while the one before was parsed. */
  async current(): Promise<StatedPolicy> {
    for (;;) {
      const { policy: of } = this.#own;
      if (this.#parsed === undefined || this.#parsed.of !== of) this.#parsed = { of, policy: this.#parse(of) };
      const policy = await this.#parsed.policy;
      if (of === this.#own.policy) return policy;
    }
  }

  async #parse(verified: OwnStatements["policy"]): Promise<StatedPolicy> {
    if (verified === undefined) return undefined;
    const { seq, policy: text } = verified.statement;
    const { parsePolicy } = await import("../protocol/policy/parse.ts");
    try {
      const policy = parsePolicy(text, { unknownZones: "never hold" });
      this.#log.info({ seq, grants: policy.grants.length }, "the owner's policy is in force");
      return policy;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      const { message: reason, next } = error;
      this.#log.error({ seq, reason, next }, "the owner's policy cannot be read, so nobody is let in");
      return "unreadable";
    }
  }
}
