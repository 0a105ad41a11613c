import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SshnpError } from "../../keys/errors.ts";
import { isName, type Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import type { Verified } from "../../protocol/statement-fields.ts";
import { type Binding, verifyBinding, verifyNameStatement } from "../../protocol/statements.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import type { NameRecord } from "../store.ts";
import { type ActivationState, type Decision, isFirst } from "./activation.ts";

/** The name that a binding says it is of, before anything is verified; undefined when it does not begin like one. */
export function nameOfBinding(signed: SignedText): Name | undefined {
  const [, name] = /^\{"v":1,"kind":"binding","subject":"(@[a-z0-9-]{1,32})\//.exec(signed.text) ?? [];
  return name !== undefined && isName(name) ? name : undefined;
}

/**
 * Checks a member's first binding: signed by the owner of its name, and sent with the key it binds. A name that is unknown
 * or not activated is refused as one is that somebody else owns.
 */
export function proveBinding(
  suite: CipherSuite,
  signed: SignedText,
  context: { readonly sender: X25519PublicKey; readonly name: NameRecord | undefined; readonly now: number },
): Verified<Binding> | { readonly refused: RefusalCode } {
  const statement = context.name?.statement;
  if (statement === undefined) return { refused: "E_NOT_AUTHORIZED" };
  const { owner } = verifyNameStatement(suite, statement).statement;
  try {
    const binding = verifyBinding(suite, signed, owner);
    if (!binding.statement.x25519.equals(context.sender)) return { refused: "E_NOT_AUTHORIZED" };
    return isFirst(binding.statement, context.now) ? binding : { refused: "E_STATEMENT" };
  } catch (error) {
    if (error instanceof SshnpError) return { refused: "E_NOT_AUTHORIZED" };
    throw error;
  }
}

/** Decides on a proved first binding: a member that has one keeps it. */
export function decideBinding(binding: Verified<Binding>, state: Omit<ActivationState, "name">): Decision {
  if (state.binding !== undefined) {
    return state.binding.signed.text === binding.signed.text ? "done" : { refused: "E_MEMBER_TAKEN" };
  }
  return state.isKeyTaken ? { refused: "E_MEMBER_KEY" } : "store";
}
