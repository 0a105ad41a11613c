import { equalBytes, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { TICKET_MS } from "../protocol/limits.ts";
import { encodeLogProof } from "../protocol/log/proof.ts";
import type { Prologue } from "../protocol/messages/prologue.ts";
import type { Frame } from "../protocol/messages/response-frames.ts";
import type { Distances } from "../protocol/messages/rendezvous-distances.ts";
import type { SessionRequest } from "../protocol/messages/session-request.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { isExpired } from "../protocol/statement-fields.ts";
import { rendezvousSubject } from "../protocol/statements.ts";
import { signTicket } from "../protocol/ticket.ts";
import type { Clock } from "./clock.ts";
import type { Keyring } from "./keyring.ts";
import type { Log } from "./log/log.ts";
import { permits, type Policies } from "./policies.ts";
import type { UnprovedNotify } from "./presence.ts";
import { proved } from "./proved.ts";
import type { RendezvousRegistry } from "./rendezvous-registry.ts";
import { type MemberStanding, memberStanding } from "./standing.ts";
import type { Store } from "./store.ts";

export interface OfferServices {
  readonly suite: CipherSuite;
  readonly clock: Clock;
  readonly keyring: Keyring;
  readonly registry: RendezvousRegistry;
  readonly policies: Policies;
  readonly store: Store;
  readonly statementLog: Pick<Log, "proof" | "proves">;
}

/** What a request is handed over with: to its client, and to its device. */
export interface Offer {
  readonly ticket: Frame;
  readonly notify: UnprovedNotify;
}

/** Makes the one ticket of a session, with the statements and proofs that both ends need to believe it. */
export class Offers {
  readonly #services: OfferServices;

  constructor(services: OfferServices) {
    this.#services = services;
  }

  /**
   * The offer, or why there is none: both members and the policy are looked at once more, since a request may have waited for a day.
   * @throws {UnavailableError} E_STORAGE.
   */
  async make({ request }: { readonly request: SessionRequest }, device?: Distances): Promise<Offer | RefusalCode> {
    const { suite, keyring } = this.#services;
    const { prologue, prologueBytes, message1, checkpointSize } = request;
    const { sid, legKey } = prologue;
    const made = await proved(
      this.#services,
      () => checkpointSize,
      () => this.#read(prologue, [request.distances, device ?? new Map()]),
    );
    if (typeof made === "string") return made;
    const { entries, statements, issued } = made.said;
    const ticket = signTicket(suite, keyring.ticket, { sid, legKey, entries, issued, expires: issued + TICKET_MS });
    return {
      ticket: { type: "ticket", ticket, rendezvous: statements, proof: encodeLogProof(made.proof) },
      notify: { prologueBytes, message1, ticket, client: prologue.client, rendezvous: statements },
    };
  }

  async #read(prologue: Prologue, ends: readonly Distances[]) {
    const { clock, registry, policies, store } = this.#services;
    const [client, device, policy] = await Promise.all([
      memberStanding(store, prologue.client),
      memberStanding(store, prologue.device),
      policies.of(prologue.device.name),
    ]);
    const issued = clock.now();
    if (client === undefined || device === undefined) return "E_NOT_AUTHORIZED";
    const refusal =
      this.#refusalOf(client, prologue.client, issued) ?? this.#refusalOf(device, prologue.device, issued);
    if (refusal !== undefined) return refusal;
    if (!permits(policy, prologue, issued)) return "E_POLICY";
    const { entries, names, statements } = registry.offer(issued, ends);
    if (entries.length === 0) return "E_NO_RENDEZVOUS";
    const rendezvous = names.map((name, at) => ({ subject: rendezvousSubject(name), newest: statements[at] }));
    const binding = client.newest.slice(1, 2);
    return { entries, statements, issued, newest: [...binding, ...device.newest, ...rendezvous] };
  }

  #refusalOf(
    { record, isRevoked }: MemberStanding,
    { bindingHash }: Prologue["client"],
    now: number,
  ): RefusalCode | undefined {
    if (isRevoked) return "E_REVOKED";
    const isCurrent = equalBytes(this.#services.suite.sha256(utf8(record.binding.text)), bindingHash);
    return isCurrent && !isExpired(record, now) ? undefined : "E_STATEMENT";
  }
}
