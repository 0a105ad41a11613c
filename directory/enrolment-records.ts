import { base64, fromBase64, fromHex, hex } from "../keys/bytes.ts";
import { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { type SignedText, signedTextFromJson, signedTextToJson } from "../keys/signed-text.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import type { PendingEnrolment } from "../protocol/enrolment.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Operation } from "./database.ts";
import { ENROLMENTS, PASSWORDS, put, type Table } from "./tables.ts";

/** A one-time password that an owner has given. It outlives its use, so that it stays used. */
export interface PasswordRecord {
  readonly password: SignedText;
  /** As the password says, ms since 1970 UTC. */
  readonly expires: number;
  readonly isUsed: boolean;
}

/** By the name and the public key that the password stands for. */
export function passwordOperation(name: Name, key: Ed25519PublicKey, record: PasswordRecord): Operation {
  const { password, expires, isUsed } = record;
  return put(PASSWORDS, passwordEntry(name, key), { password: signedTextToJson(password), expires, isUsed });
}

export function passwordEntry(name: Name, key: Ed25519PublicKey): string {
  return `${name}/${hex(key.bytes)}`;
}

export function enrolmentOperation(pending: PendingEnrolment): Operation {
  const { role, x25519, ed25519, password, nonce, requested, passwordSignature, ownSignature } = pending;
  return put(ENROLMENTS, bindingSubject(pending), {
    ...{ role, x25519: x25519.toJSON(), ed25519: ed25519.toJSON() },
    password: signedTextToJson(password),
    ...{ nonce: hex(nonce), requested },
    passwordSignature: base64(passwordSignature),
    ownSignature: base64(ownSignature),
  });
}

/** Nobody waits under that member any more, if anybody did. */
export function enrolmentRemoval(party: { readonly name: Name; readonly member: MemberName }): Operation {
  return { type: "del", key: ENROLMENTS.prefix + bindingSubject(party) };
}

type Json<T> = T extends Table<infer Value> ? Value : never;

export function passwordFromJson({ password, expires, isUsed }: Json<typeof PASSWORDS>): PasswordRecord {
  return { password: signedTextFromJson(password), expires, isUsed };
}

export function enrolmentFromJson(subject: string, value: Json<typeof ENROLMENTS>): PendingEnrolment {
  const [name, member] = subject.split("/") as [Name, MemberName];
  return {
    ...{ name, member, role: value.role, requested: value.requested },
    x25519: X25519PublicKey.parse(fromBase64(value.x25519, 32)),
    ed25519: Ed25519PublicKey.parse(fromBase64(value.ed25519, 32)),
    password: signedTextFromJson(value.password),
    nonce: fromHex(value.nonce, 16),
    passwordSignature: fromBase64(value.passwordSignature, 64),
    ownSignature: fromBase64(value.ownSignature, 64),
  };
}
