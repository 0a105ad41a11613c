import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey, type Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SetupError } from "../../keys/errors.ts";
import type { Name } from "../../keys/names.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import type { Activation } from "../../protocol/messages/activation.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import type { Verified } from "../../protocol/statement-fields.ts";
import type { Binding } from "../../protocol/statements.ts";
import type { BindingRecord, Store } from "../store.ts";
import { decideActivation, proveActivation } from "./activation.ts";
import { decideBinding, nameOfBinding, proveBinding } from "./put-statement.ts";

export type AccountAnswer =
  | { readonly stored: Verified<Binding> }
  /** The same texts were stored before. */
  | { readonly repeated: Verified<Binding> }
  | { readonly refused: RefusalCode };

/** Names and their members: what comes from the wire is proved, decided and stored, one at a time. */
export class Accounts {
  readonly #suite: CipherSuite;
  readonly #store: Store;
  readonly #fingerprint: Fingerprint;
  /** Of a key pair that is gone. */
  readonly #decoy: Ed25519PublicKey;

  constructor(
    primitives: { readonly suite: CipherSuite; readonly random: RandomBytes },
    store: Store,
    fingerprint: Fingerprint,
  ) {
    this.#suite = primitives.suite;
    this.#store = store;
    this.#fingerprint = fingerprint;
    this.#decoy = Ed25519PrivateKey.generate(primitives.suite, primitives.random).publicKey;
  }

  /** @throws {UnavailableError} E_STORAGE. */
  async activate(activation: Activation, sender: X25519PublicKey, now: number): Promise<AccountAnswer> {
    const proved = proveActivation(this.#suite, activation, { sender, fingerprint: this.#fingerprint, now });
    if ("refused" in proved) return proved;
    const { name, binding } = proved;
    return await this.#store.exclusively(async () => {
      const known = await this.#store.name(name.statement.name);
      const state = { name: known, ...(await this.#stateOf(binding)) };
      const decision = decideActivation(this.#suite, proved, state, this.#decoy);
      if (typeof decision !== "string") return decision;
      if (decision === "done" || known === undefined) return { repeated: binding };
      await this.#store.putBinding(binding.statement, recordOf(binding), { ...known, statement: name.signed });
      return { stored: binding };
    });
  }

  /** @throws {UnavailableError} E_STORAGE. */
  async putStatement(signed: SignedText, sender: X25519PublicKey, now: number): Promise<AccountAnswer> {
    const claimed = nameOfBinding(signed);
    if (claimed === undefined) return { refused: "E_PROTOCOL" };
    return await this.#store.exclusively(async () => {
      const binding = proveBinding(this.#suite, signed, { sender, name: await this.#store.name(claimed), now });
      if ("refused" in binding) return binding;
      const decision = decideBinding(binding, await this.#stateOf(binding));
      if (typeof decision !== "string") return decision;
      if (decision === "done") return { repeated: binding };
      await this.#store.putBinding(binding.statement, recordOf(binding));
      return { stored: binding };
    });
  }

  async #stateOf({ statement }: Verified<Binding>) {
    const holders = [await this.#store.keyHolder(statement.x25519), await this.#store.keyHolder(statement.ed25519)];
    return {
      binding: await this.#store.binding(statement),
      isKeyTaken: holders.some((holder) => holder !== undefined),
    };
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
    const known = await store.name(name);
    if (known?.statement !== undefined) {
      throw new SetupError("E_NAME_TAKEN", `${name} is activated already.`, {
        next: "Its owner makes further members; a name is never activated twice.",
      });
    }
    await store.putName(name, { added: known?.added ?? now, activationKey, statement: undefined });
    return known === undefined ? "new" : "again";
  });
}

function recordOf({ statement, signed }: Verified<Binding>): BindingRecord {
  const { role, x25519, ed25519, expires } = statement;
  return { role, x25519, ed25519, expires, signed };
}
