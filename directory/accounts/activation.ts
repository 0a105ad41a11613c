import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SshnpError } from "../../keys/errors.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import { verifySshsig } from "../../keys/sshsig.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { FRESHNESS_MS } from "../../protocol/limits.ts";
import { ACTIVATION_NAMESPACE, type Activation, activationProof } from "../../protocol/messages/activation.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { isExpired, type Verified } from "../../protocol/statement-fields.ts";
import { type Binding, type NameStatement, verifyBinding, verifyNameStatement } from "../../protocol/statements.ts";
import type { MemberRecord, NameRecord } from "../records.ts";

/** An activation whose statements and owner signature hold. Whether the secret does, {@link decideActivation} says. */
export interface ProvedActivation {
  readonly name: Verified<NameStatement>;
  readonly binding: Verified<Binding>;
  /** What the activation key must have signed. */
  readonly proof: Uint8Array;
  readonly activationSignature: Uint8Array;
}

/** What the store has on the name and keys of an activation. */
export interface ActivationState {
  readonly name: NameRecord | undefined;
  readonly member: MemberRecord | undefined;
  /** Whether one of the member's keys is bound already, to whomever. */
  readonly isKeyTaken: boolean;
}

export type Decision = "store" | "done" | { readonly refused: RefusalCode };

/** Checks all of an activation that the message itself must prove, or says why not. `now` in ms. */
export function proveActivation(
  suite: CipherSuite,
  activation: Activation,
  context: { readonly sender: X25519PublicKey; readonly fingerprint: Fingerprint; readonly now: number },
): ProvedActivation | { readonly refused: RefusalCode } {
  try {
    const name = verifyNameStatement(suite, activation.name);
    const binding = verifyBinding(suite, activation.binding, name.statement.owner);
    const challenge = { nonce: activation.nonce, directoryFingerprint: context.fingerprint };
    const proof = activationProof(challenge, name.statement.owner, binding.statement);
    const signer = verifySshsig(suite, activation.ownerSignature, ACTIVATION_NAMESPACE, proof);
    if (signer !== name.statement.owner || binding.statement.name !== name.statement.name) return NO_STATEMENT;
    if (!isFirst(name.statement, context.now) || !isFirst(binding.statement, context.now)) return NO_STATEMENT;
    if (!binding.statement.x25519.equals(context.sender)) return { refused: "E_NOT_AUTHORIZED" };
    return { name, binding, proof, activationSignature: activation.activationSignature };
  } catch (error) {
    if (error instanceof SshnpError) return NO_STATEMENT;
    throw error;
  }
}

/**
 * Decides on a proved activation. An unknown name is answered as a wrong secret is, after the same work: `decoy` is a key
 * that nobody holds. The same texts again are a success, however often; with other keys the secret is used up.
 */
export function decideActivation(
  suite: CipherSuite,
  proved: ProvedActivation,
  state: ActivationState,
  decoy: Ed25519PublicKey,
): Decision {
  const key = state.name?.activationKey ?? decoy;
  const holdsSecret = suite.verify(key, proved.proof, proved.activationSignature) === true;
  if (!holdsSecret || state.name === undefined) return { refused: "E_CRAM_WRONG" };
  const [first] = state.name.statements;
  if (first !== undefined) {
    const isSame = first.text === proved.name.signed.text && state.member?.newest.text === proved.binding.signed.text;
    return isSame ? "done" : { refused: "E_CRAM_USED" };
  }
  return state.isKeyTaken ? { refused: "E_MEMBER_KEY" } : "store";
}

/**
 * A first statement on its subject. How long ago it was issued does not matter: an activation whose answer was lost sends
 * the same texts again, perhaps days later.
 */
export function isFirst(
  statement: {
    readonly seq: number;
    readonly prev: string | null;
    readonly issued: number;
    readonly expires: number | null;
  },
  now: number,
): boolean {
  const { seq, prev, issued } = statement;
  return seq === 1 && prev === null && issued <= now + FRESHNESS_MS && !isExpired(statement, now);
}

const NO_STATEMENT = { refused: "E_STATEMENT" } as const;
