import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { assert, SecurityError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import type { SignedText } from "../keys/signed-text.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { type MemberStatements, newestOf, verifyMemberStatements } from "./member-statements.ts";
import { type OwnerChain, verifyChainOf } from "./owner-chain.ts";
import { kindOf, type StatementFields, type StatementKind, type Verified } from "./statement-fields.ts";
import type { Binding } from "./statements.ts";

/** A member as its own key file has it. */
export interface OwnKeys {
  readonly name: Name;
  readonly member: MemberName;
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
  /** The owner key that the member knows, at first that of its key file; an OpenSSH public key line. */
  readonly owner: string;
}

/** How a member stands by the newest statements that it has. */
export interface OwnStanding {
  readonly chain: OwnerChain;
  readonly binding: Verified<Binding>;
  readonly newest: ReturnType<typeof newestOf>;
}

/**
 * Judges what is said about this very member: the owner known until now, else that of its keys, must still speak for the
 * name, or have handed it on, and the binding must be of its own keys. `known` is how it stood until now: nothing goes
 * back behind that, neither to an owner key that has handed the name on nor to an older binding.
 * @throws {SecurityError} E_OWNER_KEY, E_MEMBER_KEY, E_STATEMENT; {DeniedError} E_REVOKED; {PeerError} E_PROTOCOL.
 */
export function judgeOwn(
  suite: CipherSuite,
  keys: OwnKeys,
  statements: MemberStatements,
  known: OwnStanding | undefined,
): OwnStanding {
  const chain = verifyChainOf(suite, keys.name, statements.names);
  const owner = known?.chain.owner ?? keys.owner;
  const isHandedOn = chain.owner === owner || chain.former.includes(owner);
  const { newest, former } = known?.chain ?? { newest: undefined, former: [] };
  if (newest !== undefined && (isHandedOn ? isOlder(chain.newest, newest) : former.includes(chain.owner))) {
    throw new SecurityError("E_OWNER_KEY", `The directory gives an older statement on ${keys.name}.`, { next: OLDER });
  }
  if (!isHandedOn) {
    throw new SecurityError("E_OWNER_KEY", `The directory says that another owner speaks for ${keys.name}.`, {
      next: `The owner key that this machine knows did not hand ${keys.name} on to it. Tell its owner at once.`,
    });
  }
  const answered = verifyMemberStatements(suite, keys, chain, statements);
  const { statement } = answered.binding;
  if (known !== undefined && isOlder(answered.binding, known.binding)) {
    const fact = `The directory gives an older statement on ${keys.member} of ${keys.name}.`;
    throw new SecurityError("E_MEMBER_KEY", fact, { next: OLDER });
  }
  if (!statement.x25519.equals(keys.x25519) || !statement.ed25519.equals(keys.ed25519)) {
    throw new SecurityError(
      "E_MEMBER_KEY",
      `${keys.member} of ${keys.name} is bound to other keys than this machine's.`,
      {
        next: `If its owner has set up another machine in its place, that one counts. If not, tell him at once.`,
      },
    );
  }
  return { chain, binding: answered.binding, newest: newestOf(keys, chain, answered) };
}

/** Whether a statement is older than the newest one of its subject so far, or a second one of the same number. */
function isOlder(one: Verified<StatementFields>, newest: Verified<StatementFields>): boolean {
  return one.signed.text !== newest.signed.text && one.statement.seq <= newest.statement.seq;
}

const OLDER = "Do not go on: whoever runs the directory gives out statements that its owner has replaced.";

/** The statements that a member's key file holds, whose reader has found them to be its own. */
export function statementsIn({ statements }: { readonly statements: readonly SignedText[] }): MemberStatements {
  const of = (...kinds: StatementKind[]): SignedText[] =>
    statements.filter((signed) => kinds.includes(kindOf(signed) ?? "rendezvous"));
  const [member] = of("binding");
  assert(member !== undefined, "a key file has its binding");
  return { names: of("name", "rotation"), member, delegation: of("delegation")[0] };
}
