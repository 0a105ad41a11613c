import { fromBase64 } from "../keys/bytes.ts";
import { Ed25519PublicKey } from "../keys/ed25519.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { type SignedText, signedTextFromJson, signedTextToJson } from "../keys/signed-text.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Operation } from "./database.ts";
import { DELEGATIONS, KEYS, MEMBERS, NAMES, POLICIES, put, RENDEZVOUS, STATEMENTS, type Table } from "./tables.ts";

/** A name as the directory knows it. */
export interface NameRecord {
  /** ms since 1970 UTC. */
  readonly added: number;
  /** Public half of what the one-time secret derives. */
  readonly activationKey: Ed25519PublicKey;
  /** The newest statements on it, at most OWNER_CHAIN of them, the newest last; none until it is activated. */
  readonly statements: readonly SignedText[];
}

/** A member with the keys of its newest binding, verified when it was stored. */
export interface MemberRecord {
  readonly role: Role;
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
  /** ms since 1970 UTC, or null. */
  readonly expires: number | null;
  readonly binding: SignedText;
  /** The newest statement on it: that binding, or the revocation of it. */
  readonly newest: SignedText;
  /** ID of the delegation by which the binding was made. */
  readonly delegation: string | undefined;
}

/** A delegation and what has become of it. */
export interface DelegationRecord {
  readonly delegation: SignedText;
  /** The newest statement on it: the delegation, or the revocation of it. */
  readonly newest: SignedText;
  /** Members that it has made. */
  readonly made: number;
}

export interface RendezvousRecord {
  /** ms since 1970 UTC. */
  readonly added: number;
  readonly activationKey: Ed25519PublicKey;
  readonly statement: SignedText | undefined;
  /** Whether the secret was used. The root-signed statement of one that is to be replaced stays until then. */
  readonly isActivated: boolean;
}

/** A witness of the log, as whoever runs the directory named it. */
export interface WitnessRecord {
  /** ms since 1970 UTC. */
  readonly added: number;
  /** Above its /add-checkpoint. */
  readonly url: string;
  /** NAME+hash+base64. */
  readonly verifierKey: string;
}

/** What a rendezvous last said of itself. */
export interface ReportRecord {
  /** 16 bytes. */
  readonly boot: Uint8Array;
  readonly legs: number;
  /** Legs that it takes at most. */
  readonly most: number;
  readonly isDraining: boolean;
  /** Empty: not said. */
  readonly region: string;
  /** When it came, ms since 1970 UTC. */
  readonly time: number;
}

interface Party {
  readonly name: Name;
  readonly member: MemberName;
}

export function nameOperation(name: Name, { added, activationKey, statements }: NameRecord): Operation {
  const json = { added, activationKey: activationKey.toJSON(), statements: statements.map(signedTextToJson) };
  return put(NAMES, name, json);
}

export function memberOperation(party: Party, record: MemberRecord): Operation {
  const { role, x25519, ed25519, expires, binding, newest, delegation } = record;
  return put(MEMBERS, bindingSubject(party), {
    ...{ role, x25519: x25519.toJSON(), ed25519: ed25519.toJSON(), expires },
    binding: signedTextToJson(binding),
    newest: signedTextToJson(newest),
    delegation: delegation ?? null,
  });
}

export function delegationOperation(name: Name, id: string, record: DelegationRecord): Operation {
  const { delegation, newest, made } = record;
  const json = { delegation: signedTextToJson(delegation), newest: signedTextToJson(newest), made };
  return put(DELEGATIONS, `${name}/${id}`, json);
}

export function policyOperation(name: Name, policy: SignedText): Operation {
  return put(POLICIES, name, signedTextToJson(policy));
}

export function statementOperation(subject: string, seq: number, signed: SignedText): Operation {
  return put(STATEMENTS, `${subject} ${String(seq).padStart(16, "0")}`, signedTextToJson(signed));
}

export function keyOperation(key: X25519PublicKey | Ed25519PublicKey, holder: string): Operation {
  return put(KEYS, key.toJSON(), holder);
}

export function rendezvousOperation(name: string, record: RendezvousRecord): Operation {
  const { added, activationKey, statement, isActivated } = record;
  return put(RENDEZVOUS, name, {
    ...{ added, activationKey: activationKey.toJSON() },
    statement: statement === undefined ? null : signedTextToJson(statement),
    isActivated,
  });
}

type Json<T> = T extends Table<infer Value> ? Value : never;

export function nameFromJson({ added, activationKey, statements }: Json<typeof NAMES>): NameRecord {
  return {
    added,
    activationKey: Ed25519PublicKey.parse(fromBase64(activationKey, 32)),
    statements: statements.map(signedTextFromJson),
  };
}

export function memberFromJson(value: Json<typeof MEMBERS>): MemberRecord {
  return {
    role: value.role,
    x25519: X25519PublicKey.parse(fromBase64(value.x25519, 32)),
    ed25519: Ed25519PublicKey.parse(fromBase64(value.ed25519, 32)),
    expires: value.expires,
    binding: signedTextFromJson(value.binding),
    newest: signedTextFromJson(value.newest),
    delegation: value.delegation ?? undefined,
  };
}

export function delegationFromJson({ delegation, newest, made }: Json<typeof DELEGATIONS>): DelegationRecord {
  return { delegation: signedTextFromJson(delegation), newest: signedTextFromJson(newest), made };
}

export function rendezvousFromJson(value: Json<typeof RENDEZVOUS>): RendezvousRecord {
  const { added, activationKey, statement, isActivated } = value;
  return {
    added,
    activationKey: Ed25519PublicKey.parse(fromBase64(activationKey, 32)),
    statement: statement === null ? undefined : signedTextFromJson(statement),
    isActivated,
  };
}
