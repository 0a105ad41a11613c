import type { MemberName } from "../keys/names.ts";
import type { PolicyClient } from "../protocol/policy/policy.ts";
import type { PeerClaim } from "../protocol/peers.ts";
import { type AccessDecision, type AccessQuestion, decideAccess, type Standing } from "./access.ts";
import type { Clients } from "./clients.ts";
import type { OwnPolicy } from "./own-policy.ts";

export interface DeviceAccessOptions {
  readonly device: MemberName;
  readonly clients: Clients;
  readonly policy: Pick<OwnPolicy, "current">;
  /** Services beside ssh that -m grants, as `tcp:HOST:PORT`. */
  readonly permitOpen: ReadonlySet<string>;
  /** ms since 1970 UTC. */
  readonly now: () => number;
}

/** What is asked for, by somebody who is known. */
export type Use = Pick<AccessQuestion, "service" | "login">;

/** {@link decideAccess} by what this device knows at the moment. */
export class DeviceAccess {
  readonly #options: DeviceAccessOptions;

  constructor(options: DeviceAccessOptions) {
    this.#options = options;
  }

  /** ms since 1970 UTC, by the clock that access goes by. */
  get now(): number {
    return this.#options.now();
  }

  /** For a request, whose judgement has shown how its name stands. @throws {SshnpError} when this device fails. */
  async judge({ name, member }: PolicyClient, standing: Standing, use: Use): Promise<AccessDecision> {
    const { device, clients, policy, permitOpen } = this.#options;
    const rules = { policy: await policy.current(), hasList: clients.hasList, permitOpen };
    return decideAccess(rules, { ...use, client: { name, member }, standing, device, now: this.now });
  }

  /** For what goes on: also the owner key of its name must still be the one given. Throws as {@link judge}. */
  async judgeAgain(claim: PeerClaim, use: Use): Promise<AccessDecision> {
    const { clients } = this.#options;
    if (!(await clients.isStillOf(claim))) {
      return { allowed: false, code: "E_OWNER_KEY", reason: `another owner key counts for ${claim.name} now` };
    }
    return await this.judge(claim, await clients.standingOf(claim.name), use);
  }
}
