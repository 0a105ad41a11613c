import type { ProvedHeads } from "../directory/client.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { MemberKeys } from "../keys/end-key-files.ts";
import { SecurityError } from "../keys/errors.ts";
import { readOwnStatements, writeOwnStatements } from "../keys/own-statement-files.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { LinkOwn } from "../protocol/messages/link.ts";
import type { Party } from "../protocol/messages/prologue.ts";
import { policySubject, type PolicyStatement, verifyPolicyStatement } from "../protocol/owner-statements.ts";
import { judgeOwn, type OwnKeys, type OwnStanding, statementsIn } from "../protocol/own-standing.ts";
import { seqOf, type Verified } from "../protocol/statement-fields.ts";

/**
 * What the device's owner has said about it: its binding, and the policy of its name. The directory brings what is newer,
 * and proves with each request that there is nothing newer still.
 */
export class OwnStatements {
  readonly #suite: CipherSuite;
  readonly #folder: PrivateFolder;
  readonly #keys: OwnKeys;
  #standing: OwnStanding;
  #policy: Verified<PolicyStatement> | undefined;
  /** Whether a restart would begin with what is known now. */
  #isStored = true;

  private constructor(
    suite: CipherSuite,
    folder: PrivateFolder,
    keys: OwnKeys,
    known: { readonly standing: OwnStanding; readonly policy: Verified<PolicyStatement> | undefined },
  ) {
    this.#suite = suite;
    this.#folder = folder;
    this.#keys = keys;
    this.#standing = known.standing;
    this.#policy = known.policy;
  }

  /** As the key file has them, or what came since. @throws as judgeOwn; those of state files. */
  static async open(suite: CipherSuite, folder: PrivateFolder, member: MemberKeys): Promise<OwnStatements> {
    const { name, x25519, ed25519, owner } = member;
    const keys = { name, member: member.member, x25519: x25519.publicKey, ed25519: ed25519.publicKey, owner };
    const newer = await readOwnStatements(folder, keys);
    const known = { ...keys, owner: newer?.owner ?? owner };
    const standing = judgeOwn(suite, known, newer ?? statementsIn(member), undefined);
    const policy = newer?.policy && verifyPolicyStatement(suite, newer.policy, standing.chain.owner);
    return new OwnStatements(suite, folder, keys, { standing, policy });
  }

  /** The device, for prologues. */
  get party(): Party {
    const { name, member } = this.#keys;
    return { name, member, bindingHash: this.#standing.binding.hash };
  }

  get policy(): Verified<PolicyStatement> | undefined {
    return this.#policy;
  }

  /** SHA-256 of the policy that is known, 32 bytes; zeros: none. */
  get policyHash(): Uint8Array {
    return this.#policy?.hash ?? new Uint8Array(32);
  }

  /** What the log must say of the policy: that it is the newest, or that there is none. */
  get policyClaim(): { readonly subject: string; readonly newest: Uint8Array | undefined } {
    return { subject: policySubject(this.#keys.name), newest: this.#policy?.hash };
  }

  /**
   * Takes what the directory says about the device. What is taken counts at once and is written before this resolves.
   * @throws as judgeOwn: {DeniedError} E_REVOKED, {SecurityError}; E_LOG when it is not the newest; {SetupError} E_STORAGE.
   */
  async take({ statements, policy }: LinkOwn, proved: ProvedHeads): Promise<void> {
    const standing = judgeOwn(this.#suite, this.#keys, statements, this.#standing);
    // One that a former owner signed is none any more, so the known one is judged anew, too.
    const said = policy ?? this.#policy?.signed;
    const next = said === undefined ? undefined : this.#judgePolicy(said, standing.chain.owner);
    proved.demand([...standing.newest, { subject: policySubject(this.#keys.name), newest: next?.hash }]);
    const isNew = isChanged(this.#standing, standing) || next?.signed.text !== this.#policy?.signed.text;
    const { owner } = this.#standing.chain;
    this.#standing = standing;
    this.#policy = next;
    this.#isStored &&= !isNew;
    if (this.#isStored) return;
    await writeOwnStatements(this.#folder, this.#keys, { ...statements, policy: next?.signed, owner });
    this.#isStored = true;
  }

  #judgePolicy(policy: SignedText, owner: string): Verified<PolicyStatement> {
    const judged = verifyPolicyStatement(this.#suite, policy, owner);
    const known = this.#policy?.signed;
    const isOlder = known !== undefined && judged.statement.seq <= seqOf(known) && policy.text !== known.text;
    if (judged.statement.name !== this.#keys.name || isOlder) {
      throw new SecurityError(
        "E_STATEMENT",
        `The directory gives another policy than the newest of ${this.#keys.name}.`,
      );
    }
    return judged;
  }
}

function isChanged(before: OwnStanding, after: OwnStanding): boolean {
  const texts = ({ chain, binding }: OwnStanding): string => `${chain.newest.signed.text} ${binding.signed.text}`;
  return texts(before) !== texts(after);
}
