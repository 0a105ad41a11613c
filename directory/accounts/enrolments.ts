import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SshnpError } from "../../keys/errors.ts";
import type { Name } from "../../keys/names.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { parseSshsig, verifySshsig } from "../../keys/sshsig.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import {
  type Applicant,
  DENIAL_NAMESPACE,
  denialProof,
  enrolmentProof,
  isForApplicant,
  type OneTimePassword,
  type PendingEnrolment,
  verifyOneTimePassword,
} from "../../protocol/enrolment.ts";
import {
  ENROLMENT_MS,
  ENROLMENTS_PER_NAME,
  FRESHNESS_MS,
  PASSWORD_MS,
  PASSWORDS_PER_NAME,
} from "../../protocol/limits.ts";
import type { EnrolmentDenial, EnrolmentRequest } from "../../protocol/messages/enrolment.ts";
import { verifyChainOf } from "../../protocol/owner-chain.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import { isExpired } from "../../protocol/statement-fields.ts";
import { type Binding, bindingSubject } from "../../protocol/statements.ts";
import { enrolmentOperation, enrolmentRemoval, passwordOperation, type PasswordRecord } from "../enrolment-records.ts";
import type { Store } from "../store.ts";

interface Refused {
  readonly refused: RefusalCode;
}

/** Who is bound already by the very keys that ask, or waits for the owner; `isNew`: since now. */
export type EnrolmentAnswer = "bound" | { readonly pending: PendingEnrolment; readonly isNew: boolean } | Refused;

/** One-time passwords and who has asked with them; whether he becomes a member, his owner says. */
export class Enrolments {
  readonly #suite: CipherSuite;
  readonly #store: Store;
  readonly #fingerprint: Fingerprint;
  readonly #denied: (subject: string) => void;

  /** `denied` hears of whom an owner denies, within the turn that writes that. */
  constructor(
    suite: CipherSuite,
    store: Store,
    fingerprint: Fingerprint,
    denied: (subject: string) => void = () => {},
  ) {
    this.#denied = denied;
    this.#suite = suite;
    this.#store = store;
    this.#fingerprint = fingerprint;
  }

  /** Takes a one-time password that the owner of now has signed; the same again changes nothing. @throws {UnavailableError} E_STORAGE. */
  async putPassword(
    signed: SignedText,
    now: number,
  ): Promise<{ readonly name: Name; readonly isNew: boolean } | Refused> {
    const password = this.#verified(signed);
    if (password === undefined) return { refused: "E_STATEMENT" };
    const { name, key, issued, expires, signer } = password;
    // Whatever is refused anyway takes no turn, which others may have to wait for.
    if ((await this.#ownerOf(name)) !== signer) return { refused: "E_NOT_AUTHORIZED" };
    return await this.#store.exclusively(async () => {
      if ((await this.#ownerOf(name)) !== signer) return { refused: "E_NOT_AUTHORIZED" };
      const known = await this.#store.password(name, key);
      if (known?.password.text === signed.text) return { name, isNew: false };
      if (known !== undefined) return { refused: "E_TOKEN" };
      const isGood =
        issued <= now + FRESHNESS_MS && !isExpired(password, now) && expires <= now + PASSWORD_MS + FRESHNESS_MS;
      if (!isGood) return { refused: "E_STATEMENT" };
      if ((await this.#store.passwordCount(name)) >= PASSWORDS_PER_NAME) return { refused: "E_BUSY" };
      await this.#store.writeEnrolments([passwordOperation(name, key, { password: signed, expires, isUsed: false })]);
      return { name, isNew: true };
    });
  }

  /**
   * Judges who asks to become a member. A name that is unknown is answered as a wrong password is, and what is taken is told
   * to none but holders of a right one. @throws {UnavailableError} E_STORAGE.
   */
  async enrol(request: EnrolmentRequest, sender: X25519PublicKey, now: number): Promise<EnrolmentAnswer> {
    const { nonce, passwordKey, passwordSignature, ownSignature, name, member, role, ed25519 } = request;
    const applicant: Applicant = { name, member, role, x25519: sender, ed25519 };
    const proof = enrolmentProof({ nonce, directoryFingerprint: this.#fingerprint }, applicant);
    const holdsPassword = this.#suite.verify(passwordKey, proof, passwordSignature) === true;
    const holdsKey = this.#suite.verify(ed25519, proof, ownSignature) === true;
    if (!holdsPassword || (await this.#store.password(name, passwordKey)) === undefined) return { refused: "E_TOKEN" };
    return await this.#store.exclusively(async () => {
      const record = await this.#store.password(name, passwordKey);
      const password = record && this.#verified(record.password);
      if (record === undefined || password === undefined) return { refused: "E_TOKEN" };
      if (!holdsKey) return { refused: "E_NOT_AUTHORIZED" };
      const bound = await this.#store.member(applicant);
      if (bound !== undefined && haveSameKeys(bound, applicant)) return "bound";
      const owner = await this.#ownerOf(name);
      const before = await this.#pending(applicant, owner, now);
      if (before !== undefined && before.role === role && haveSameKeys(before, applicant)) {
        return { pending: before, isNew: false };
      }
      const isGood = owner === password.signer && isForApplicant(password, applicant);
      if (!isGood || record.isUsed || isExpired(password, now)) return { refused: "E_TOKEN" };
      if (bound !== undefined || before !== undefined) return { refused: "E_MEMBER_TAKEN" };
      const others = await this.pending(name, now);
      if (await this.#areKeysTaken(applicant, others)) return { refused: "E_MEMBER_KEY" };
      if (others.length >= ENROLMENTS_PER_NAME) return { refused: "E_BUSY" };
      const asked = { password: record.password, nonce, requested: now, passwordSignature, ownSignature };
      const pending = { ...applicant, ...asked };
      await this.#store.writeEnrolments([
        enrolmentOperation(pending),
        passwordOperation(name, passwordKey, { ...record, isUsed: true }),
      ]);
      return { pending, isNew: true };
    });
  }

  /** Sends an applicant away, as the owner has signed; one who is not there is no error. @throws {UnavailableError} E_STORAGE. */
  async deny(denial: EnrolmentDenial, now: number): Promise<{ readonly isNew: boolean } | Refused> {
    const { name, ownerSignature } = denial;
    const proof = denialProof(this.#fingerprint, denial);
    const signer = this.#signerOf(ownerSignature, DENIAL_NAMESPACE, proof);
    if (signer === undefined || (await this.#ownerOf(name)) !== signer) return { refused: "E_NOT_AUTHORIZED" };
    return await this.#store.exclusively(async () => {
      if ((await this.#ownerOf(name)) !== signer) return { refused: "E_NOT_AUTHORIZED" };
      const pending = await this.#pending(denial, signer, now);
      if (pending === undefined || !haveSameKeys(pending, denial)) return { isNew: false };
      this.#denied(bindingSubject(denial));
      await this.#store.writeEnrolments([enrolmentRemoval(denial)]);
      return { isNew: true };
    });
  }

  /** Who waits for the owner of a name, with a password of the owner of now. @throws {UnavailableError} E_STORAGE. */
  async pending(name: Name, now: number): Promise<PendingEnrolment[]> {
    const owner = await this.#ownerOf(name);
    return (await this.#store.enrolments(name)).filter((one) => isAlive(one, now) && giverOf(one) === owner);
  }

  /** Whether who holds that key waits for the owner of now. @throws {UnavailableError} E_STORAGE. */
  async isPending(party: Pick<Applicant, "name" | "member">, sender: X25519PublicKey, now: number): Promise<boolean> {
    const pending = await this.#pending(party, await this.#ownerOf(party.name), now);
    return pending?.x25519.equals(sender) === true;
  }

  /** Forgets whom no owner has answered, and one-time passwords with which nobody can come back. @throws {UnavailableError} E_STORAGE. */
  async sweep(now: number): Promise<void> {
    await this.#store.exclusively(async () => {
      const dead = (await this.#store.enrolments()).filter((one) => !isAlive(one, now));
      const past = (await this.#store.passwords()).filter(([, record]) => isPast(record, now));
      const removals = [...dead.map(enrolmentRemoval), ...past.map(([key]) => ({ type: "del" as const, key }))];
      if (removals.length > 0) await this.#store.writeEnrolments(removals);
    });
  }

  async #pending(
    party: Pick<Applicant, "name" | "member">,
    owner: string | undefined,
    now: number,
  ): Promise<PendingEnrolment | undefined> {
    const pending = await this.#store.enrolment(party);
    return pending !== undefined && isAlive(pending, now) && giverOf(pending) === owner ? pending : undefined;
  }

  async #areKeysTaken(applicant: Applicant, others: readonly PendingEnrolment[]): Promise<boolean> {
    const keys = [applicant.x25519, applicant.ed25519];
    for (const key of keys) if ((await this.#store.keyHolder(key)) !== undefined) return true;
    return others.some(({ x25519, ed25519 }) => x25519.equals(applicant.x25519) || ed25519.equals(applicant.ed25519));
  }

  /** The owner key of now; undefined for a name that is unknown or not activated. */
  async #ownerOf(name: Name): Promise<string | undefined> {
    const record = await this.#store.name(name);
    if (record === undefined || record.statements.length === 0) return undefined;
    return verifyChainOf(this.#suite, name, record.statements).owner;
  }

  #verified(signed: SignedText): (OneTimePassword & { readonly signer: string }) | undefined {
    return unlessWrong(() => verifyOneTimePassword(this.#suite, signed));
  }

  #signerOf(signature: Uint8Array, namespace: string, message: Uint8Array): string | undefined {
    return unlessWrong(() => verifySshsig(this.#suite, signature, namespace, message));
  }
}

/** Whether the holder of both keys of a binding waits to become that very member. @throws {UnavailableError} E_STORAGE. */
export async function hasAsked(store: Store, binding: Binding, now: number): Promise<boolean> {
  const pending = await store.enrolment(binding);
  return (
    pending !== undefined && isAlive(pending, now) && pending.role === binding.role && haveSameKeys(pending, binding)
  );
}

/** Until when an enrolment waits, ms since 1970 UTC. */
export function endOf({ requested }: PendingEnrolment): number {
  return requested + ENROLMENT_MS;
}

function isAlive(pending: PendingEnrolment, now: number): boolean {
  return now < endOf(pending);
}

/** Whoever has asked with it waits no more. */
function isPast({ expires }: PasswordRecord, now: number): boolean {
  return expires + ENROLMENT_MS <= now;
}

/** Who has signed the password that it was asked with; it was verified when it came. */
function giverOf({ password }: PendingEnrolment): string {
  return parseSshsig(password.signature).publicKey.line;
}

type Keys = Pick<Applicant, "x25519" | "ed25519">;

function haveSameKeys(a: Keys, b: Keys): boolean {
  return a.x25519.equals(b.x25519) && a.ed25519.equals(b.ed25519);
}

function unlessWrong<T>(verify: () => T): T | undefined {
  try {
    return verify();
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}
