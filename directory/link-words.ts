import { equalBytes, utf8 } from "../keys/bytes.ts";
import { UnavailableError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { encodeLinkChanged, encodeLinkNames, encodeLinkOwn, type LinkHello } from "../protocol/messages/link.ts";
import { encodeNotify } from "../protocol/messages/session-request.ts";
import { LINK } from "../protocol/messages/types.ts";
import { policySubject } from "../protocol/owner-statements.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { subjectOf } from "../protocol/statement-fields.ts";
import type { LinkHost } from "./link-host.ts";
import { LinkProofs } from "./link-proofs.ts";
import type { Party, UnprovedNotify } from "./presence.ts";
import { proved, type Said } from "./proved.ts";
import { isRevokedWithout, memberStanding } from "./standing.ts";

/**
 * What a device is told with log proofs, in the order in which it is to be. What stands is read when a message has its turn, so
 * that each says what stands under the checkpoint that it is proved by.
 */
export class LinkWords {
  readonly #host: Pick<LinkHost<never>, "suite" | "store" | "statementLog">;
  readonly #device: Party;
  readonly #send: (type: number, body: Uint8Array) => void;
  readonly #proofs: LinkProofs;
  /** SHA-256 of the policy that the device has; zeros: none. */
  #policyHash: Uint8Array;

  constructor(
    host: Pick<LinkHost<never>, "suite" | "store" | "statementLog">,
    { name, member, checkpointSize, policyHash }: Pick<LinkHello, "name" | "member" | "checkpointSize" | "policyHash">,
    send: (type: number, body: Uint8Array) => void,
  ) {
    this.#host = host;
    this.#device = { name, member };
    this.#send = send;
    this.#proofs = new LinkProofs(checkpointSize);
    this.#policyHash = policyHash;
  }

  /** What the device has seen when all that was sent has reached it. */
  get told(): Pick<LinkHello, "checkpointSize" | "policyHash"> {
    return { checkpointSize: this.#proofs.seen, policyHash: this.#policyHash };
  }

  /** The device's own statements, and its name's policy unless it has that one. @throws {UnavailableError}. */
  own(): Promise<void> {
    return this.#proofs.inTurn(() => this.#own());
  }

  /** What stands about a client that the device watches. @throws {UnavailableError}. */
  changed(client: Party): Promise<void> {
    return this.#proofs.inTurn(async () => {
      const made = await this.#proved(async () => (await memberStanding(this.#host.store, client)) ?? NOTHING);
      if (typeof made === "string") return;
      const { statements } = made.said;
      this.#send(LINK.changed, encodeLinkChanged({ client, statements, proof: this.#proofs.sent(made.proof) }));
    });
  }

  /** The statements on those of these names that are activated; gives which. @throws {UnavailableError}. */
  names(names: readonly Name[]): Promise<readonly Name[]> {
    return this.#proofs.inTurn(async () => {
      const made = await this.#proved(async () => {
        const records = await Promise.all(names.map((name) => this.#host.store.name(name)));
        const chains = records.map((record) => record?.statements ?? []);
        const activated = names.filter((_, at) => (chains[at]?.length ?? 0) > 0);
        const told = chains.filter((chain) => chain.length > 0);
        const newest = activated.map((subject, at) => ({ subject, newest: told[at]?.at(-1) }));
        return activated.length === 0 ? NOTHING : { activated, chains: told, newest };
      });
      if (typeof made === "string") return [];
      const { activated, chains } = made.said;
      this.#send(LINK.names, encodeLinkNames({ chains, proof: this.#proofs.sent(made.proof) }));
      return activated;
    });
  }

  /**
   * A request for a session, and before it the policy that the device is to judge it by; false when its client has come to be
   * revoked otherwise than by a word on itself. @throws {UnavailableError} E_BUSY, also when a rendezvous of it is another one by
   * now; E_STORAGE.
   */
  notify({ client, ...notify }: UnprovedNotify): Promise<boolean> {
    return this.#proofs.inTurn(async () => {
      const { store } = this.#host;
      const subject = policySubject(this.#device.name);
      const rendezvous = notify.rendezvous.map((signed) => ({ subject: subjectOf(signed), newest: signed }));
      const made = await this.#proved(async () => {
        const policy = await store.policy(this.#device.name);
        if (policy !== undefined && !equalBytes(this.#hash(policy), this.#policyHash)) await this.#own();
        const standing = await memberStanding(store, client);
        if (standing === undefined || isRevokedWithout(standing)) return NOTHING;
        const newest = [...standing.newest, { subject, newest: policy }, ...rendezvous];
        return { statements: standing.statements, newest };
      });
      if (typeof made === "string") return false;
      const { statements } = made.said;
      const proof = this.#proofs.sent(made.proof);
      this.#send(LINK.notify, encodeNotify({ ...notify, client: statements, proof }));
      return true;
    });
  }

  async #own(): Promise<void> {
    const { store } = this.#host;
    const { name } = this.#device;
    const made = await this.#proved(async () => {
      const [standing, policy] = await Promise.all([memberStanding(store, this.#device), store.policy(name)]);
      if (standing === undefined) return NOTHING;
      const newest = [...standing.newest, { subject: policySubject(name), newest: policy }];
      return { statements: standing.statements, policy, newest };
    });
    if (typeof made === "string") return;
    const { statements, policy } = made.said;
    const hash = policy && this.#hash(policy);
    const isKnown = hash === undefined || equalBytes(hash, this.#policyHash);
    if (hash !== undefined) this.#policyHash = hash;
    const own = { statements, policy: isKnown ? undefined : policy };
    this.#send(LINK.own, encodeLinkOwn({ ...own, proof: this.#proofs.sent(made.proof) }));
  }

  async #proved<What extends Said>(read: () => Promise<What | RefusalCode>) {
    const made = await proved(this.#host, () => this.#proofs.seen, read);
    if (made === "E_BUSY") throw new UnavailableError("E_BUSY", "Statements come faster than they can be proved.");
    return made;
  }

  #hash({ text }: SignedText): Uint8Array {
    return this.#host.suite.sha256(utf8(text));
  }
}

/** There is nothing to be told. */
const NOTHING = "E_NOT_AUTHORIZED";
