import type { Logger } from "pino";
import { parseRendezvousActivation, parseRendezvousReport } from "../protocol/messages/activation.ts";
import type { OpenedMessage } from "../protocol/sealed-message.ts";
import type { Audit } from "./audit.ts";
import type { Clock } from "./clock.ts";
import type { Freshness } from "./freshness.ts";
import type { TokenBucket } from "./rate-limit.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";
import type { RendezvousAnswer } from "./rendezvous-standing.ts";
import type { ResponseStream } from "./response-stream.ts";
import type { SecretTries } from "./secret-tries.ts";
import { tellRefused } from "./tell-refused.ts";
import { logFailure } from "./log-failure.ts";

interface Services {
  readonly clock: Clock;
  readonly freshness: Freshness;
  readonly registry: RendezvousRegistry;
  readonly audit: Audit;
  readonly log: Logger;
  readonly secretTries: SecretTries;
}

/** What rendezvous ask for, each answered on its stream. */
export class RendezvousRequests {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  /** @throws {PeerError} on what does not parse, {UnavailableError} E_STORAGE. */
  async activate({ body, sender }: OpenedMessage, stream: ResponseStream, address: string): Promise<void> {
    const { registry, freshness, clock, secretTries } = this.#services;
    const activation = parseRendezvousActivation(body);
    const tries = secretTries.take(address, stream, clock.monotonic());
    if (tries === undefined) return;
    if (!(await freshness.isNonce(activation.nonce, clock.now())))
      return stream.end({ type: "refused", code: "E_CLOCK", detail: 0 });
    this.#settle(await registry.activate(activation, sender, clock.now()), stream, tries);
  }

  /** @throws {PeerError} on what does not parse, {UnavailableError} E_STORAGE. */
  async report({ body, sender }: OpenedMessage, stream: ResponseStream): Promise<void> {
    const { registry, clock, log } = this.#services;
    const answer = await registry.report(parseRendezvousReport(body), sender, clock.now());
    this.#settle(answer, stream);
    if ("refused" in answer) return;
    await registry.keepReport(answer.name).catch((error: unknown) => logFailure(log, error, "store failed"));
  }

  #settle(answer: RendezvousAnswer, stream: ResponseStream, tries?: TokenBucket): void {
    const { audit, log } = this.#services;
    if ("refused" in answer) return tellRefused(this.#services, "rendezvous", stream, answer, tries);
    tries?.giveBack();
    if (answer.isNew) {
      const { addresses } = answer;
      audit.write({ event: "rendezvous", verdict: "registered", rendezvous: answer.name, addresses });
      log.info({ rendezvous: answer.name }, "rendezvous registered");
    }
    stream.end({ type: "rendezvous", statement: answer.statement });
  }
}
