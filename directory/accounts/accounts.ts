import type { AuditEvent } from "../audit/events.ts";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey, type Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SetupError, SshnpError, UnavailableError } from "../../keys/errors.ts";
import type { Name } from "../../keys/names.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import type { Activation } from "../../protocol/messages/activation.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { type Binding, bindingSubject } from "../../protocol/statements.ts";
import type { Log } from "../log/log.ts";
import type { Store } from "../store.ts";
import { type Decision, decideActivation, type ProvedActivation, proveActivation } from "./activation.ts";
import { NotTaken, type Sending, takeStatement } from "./decide.ts";
import { Draft } from "./draft.ts";
import { hasAsked } from "./enrolments.ts";
import type { StatementRates } from "./statement-rates.ts";

export type AccountAnswer =
  | {
      /** What the statements are about, in their order. */
      readonly subjects: readonly string[];
      /** Whether something was stored; false when the same texts were there before. */
      readonly isNew: boolean;
    }
  | {
      readonly refused: RefusalCode;
      /** ms to wait before the same is asked again, for E_RATE. */
      readonly wait?: number;
    };

/**
 * Names and their members: what comes from the wire is proved, decided, and stored with the log, one at a time. Where directories
 * share a store, it is decided once ahead of that: a turn is a turn of all of them, and who is refused anyway takes none.
 */
export class Accounts {
  readonly #suite: CipherSuite;
  readonly #store: Store;
  readonly #log: Pick<Log, "append" | "settle">;
  readonly #fingerprint: Fingerprint;
  readonly #rates: StatementRates;
  readonly #said: (subjects: readonly string[]) => void;
  /** Of a key pair that is gone. */
  readonly #decoy: Ed25519PublicKey;

  /** `said` hears of what statements are about, within the turn that writes them. */
  constructor(
    primitives: { readonly suite: CipherSuite; readonly random: RandomBytes },
    store: Store,
    log: Pick<Log, "append" | "settle">,
    fingerprint: Fingerprint,
    rates: StatementRates,
    said: (subjects: readonly string[]) => void = () => {},
  ) {
    this.#suite = primitives.suite;
    this.#store = store;
    this.#log = log;
    this.#fingerprint = fingerprint;
    this.#rates = rates;
    this.#said = said;
    this.#decoy = Ed25519PrivateKey.generate(primitives.suite, primitives.random).publicKey;
  }

  /** @throws {UnavailableError} E_STORAGE. */
  async activate(activation: Activation, sender: X25519PublicKey, now: number): Promise<AccountAnswer> {
    const proved = proveActivation(this.#suite, activation, { sender, fingerprint: this.#fingerprint, now });
    if ("refused" in proved) return proved;
    const { name, binding } = proved;
    const { statement } = binding;
    if (this.#store.database.isShared) {
      const decision = await this.#decide(new Draft(this.#store), proved);
      if (typeof decision !== "string") return decision;
    }
    return await this.#store.exclusively(async () => {
      await this.#log.settle();
      const draft = new Draft(this.#store);
      const known = await draft.name(name.statement.name);
      const decision = await this.#decide(draft, proved);
      if (typeof decision !== "string") return decision;
      if (decision === "store" && known !== undefined) {
        draft.addToName(statement.name, known, name);
        const { role, x25519, ed25519, expires } = statement;
        const keys = { role, x25519, ed25519, expires, binding: binding.signed, newest: binding.signed };
        draft.putMember(statement, { ...keys, delegation: undefined }, binding);
      }
      return await this.#commit(draft, [statement.name, bindingSubject(statement)], "activation");
    });
  }

  /**
   * Takes owner-signed statements, all of them or none, in their order.
   * @throws {UnavailableError} E_STORAGE.
   */
  async put(statements: readonly SignedText[], sender: X25519PublicKey, now: number): Promise<AccountAnswer> {
    const sending = { sender, hasAsked: (binding: Binding) => hasAsked(this.#store, binding, now), now };
    if (this.#store.database.isShared) {
      const taken = await this.#take(new Draft(this.#store), statements, sending);
      if ("refused" in taken) return taken;
    }
    return await this.#store.exclusively(async () => {
      await this.#log.settle();
      const draft = new Draft(this.#store);
      const taken = await this.#take(draft, statements, sending);
      if ("refused" in taken) return taken;
      const wait = this.#rates.take(draft.entries);
      if (wait > 0) return { refused: "E_RATE", wait: Math.max(wait, 1000) };
      return await this.#commit(draft, taken.subjects, "statements");
    });
  }

  /** Forgets what it knows of names that are quiet. */
  sweep(): void {
    this.#rates.sweep();
  }

  async #decide(draft: Draft, proved: ProvedActivation): Promise<Decision> {
    const { name, binding } = proved;
    const { statement } = binding;
    const known = await draft.name(name.statement.name);
    const holders = [await draft.keyHolder(statement.x25519), await draft.keyHolder(statement.ed25519)];
    const isKeyTaken = holders.some((holder) => holder !== undefined);
    const state = { name: known, member: await draft.member(statement), isKeyTaken };
    return decideActivation(this.#suite, proved, state, this.#decoy);
  }

  async #take(
    draft: Draft,
    statements: readonly SignedText[],
    sending: Sending,
  ): Promise<{ readonly subjects: readonly string[] } | { readonly refused: RefusalCode }> {
    try {
      const subjects: string[] = [];
      for (const signed of statements) subjects.push(await takeStatement(this.#suite, draft, signed, sending));
      return { subjects };
    } catch (error) {
      if (error instanceof NotTaken) return { refused: error.code };
      if (error instanceof UnavailableError || !(error instanceof SshnpError)) throw error;
      return { refused: error.code === "E_PROTOCOL" ? "E_PROTOCOL" : "E_NOT_AUTHORIZED" };
    }
  }

  async #commit(draft: Draft, subjects: readonly string[], event: AuditEvent): Promise<AccountAnswer> {
    if (draft.isEmpty) return { subjects, isNew: false };
    this.#said(subjects);
    await this.#log.append(draft.entries, draft.operations, event);
    return { subjects, isNew: true };
  }
}

/**
 * Gives a name a one-time secret, of which the directory sees the public key alone. A name that is not activated yet gets
 * another secret; the one from before is worth nothing then, which is what `"again"` says.
 * @throws {SetupError} E_NAME_TAKEN when the name is activated; {UnavailableError} E_STORAGE.
 */
export async function addName(
  store: Store,
  name: Name,
  activationKey: Ed25519PublicKey,
  now: number,
): Promise<"new" | "again"> {
  return await store.exclusively(async () => {
    await store.database.settle(); // an activation may have landed that was said to have failed
    const known = await store.name(name);
    if (known !== undefined && known.statements.length > 0) {
      throw new SetupError("E_NAME_TAKEN", `${name} is activated already.`, {
        next: "Its owner makes further members; a name is never activated twice.",
      });
    }
    await store.putName(name, { added: known?.added ?? now, activationKey, statements: [] });
    return known === undefined ? "new" : "again";
  });
}
