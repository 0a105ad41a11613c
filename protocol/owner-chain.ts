/**
 * Who speaks for a name: the owner key of its name statement, handed on by rotations, each signed by the owner before.
 *
 * ```
 * rotation        owner: the key from now on    subject @acme, signed by the owner key until then
 * chain           the name statement or, when that is long past, a rotation; then all rotations that follow it
 * ```
 */
import * as v from "valibot";
import { hex } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import { isName, type Name } from "../keys/names.ts";
import type { SignedText, TextToSign } from "../keys/signed-text.ts";
import { parseCanonicalJson } from "./canonical-json.ts";
import {
  kindOf,
  openingEntries,
  ownerLine,
  type StatementFields,
  statementText,
  type Verified,
  verifySignature,
} from "./statement-fields.ts";
import { verifyNameStatement } from "./statements.ts";

/** "From now on this owner key speaks for this name", signed by the one that did before. */
export interface Rotation extends StatementFields {
  readonly name: Name;
  /** The new owner key as an OpenSSH public key line without comment. */
  readonly owner: string;
}

/** A chain that holds from its first statement to its last. */
export interface OwnerChain {
  readonly name: Name;
  /** The owner key of now, an OpenSSH public key line. */
  readonly owner: string;
  /** Owner keys that handed on to the one after, oldest first. A chain that begins with a rotation names its signer too. */
  readonly former: readonly string[];
  /** The statement that is to be the newest on the name. */
  readonly newest: Verified<StatementFields>;
}

/** @throws {SecurityError} E_STATEMENT; {PeerError} E_PROTOCOL when it does not parse. Gives the signer beside it. */
export function verifyRotation(
  suite: CipherSuite,
  signed: SignedText,
): Verified<Rotation> & { readonly signer: string } {
  const { signer, hash } = verifySignature(suite, "rotation", signed);
  const { subject, owner, ...fields } = parseCanonicalJson(rotationSchema, signed.text, "a rotation");
  if (signer === owner) throw new SecurityError("E_STATEMENT", "A rotation hands a name on to the key that signs it.");
  return { statement: { ...fields, name: subject as Name, owner }, hash, signed, signer };
}

/** A rotation, to be signed by the owner key until now. */
export function rotationText(random: RandomBytes, rotation: Rotation): TextToSign {
  return statementText("rotation", rotation.name, rotation, random, { owner: rotation.owner });
}

/**
 * Follows a chain from its first statement to the owner key of now. That a chain holds says nothing yet of its beginning:
 * whoever judges it knows one of its keys, or meets the name for the first time.
 * @throws {SecurityError} E_STATEMENT when a link is missing, out of order, of another name, or signed by another key;
 * {PeerError} E_PROTOCOL when one does not parse.
 */
export function verifyOwnerChain(suite: CipherSuite, chain: readonly SignedText[]): OwnerChain {
  const [first, ...rest] = chain;
  if (first === undefined) throw new SecurityError("E_STATEMENT", "No statement of a name is given.");
  let known = begin(suite, first);
  for (const signed of rest) known = follow(known, verifyRotation(suite, signed));
  return known;
}

/** The same of a chain that must be of `name`. Throws as {@link verifyOwnerChain}. */
export function verifyChainOf(suite: CipherSuite, name: Name, statements: readonly SignedText[]): OwnerChain {
  const chain = verifyOwnerChain(suite, statements);
  if (chain.name !== name) throw new SecurityError("E_STATEMENT", `Another name's statement was given for ${name}.`);
  return chain;
}

function begin(suite: CipherSuite, first: SignedText): OwnerChain {
  if (kindOf(first) !== "rotation") {
    const newest = verifyNameStatement(suite, first);
    return { name: newest.statement.name, owner: newest.statement.owner, former: [], newest };
  }
  const { signer, ...newest } = verifyRotation(suite, first);
  const { name, owner, seq, prev } = newest.statement;
  if (seq < 2 || prev === null) throw new SecurityError("E_STATEMENT", "A rotation follows no statement.");
  return { name, owner, former: [signer], newest };
}

function follow(before: OwnerChain, next: ReturnType<typeof verifyRotation>): OwnerChain {
  const { signer, ...newest } = next;
  const { name, owner, seq, prev } = newest.statement;
  const isNext =
    name === before.name &&
    seq === before.newest.statement.seq + 1 &&
    prev === hex(before.newest.hash) &&
    signer === before.owner;
  if (!isNext) throw new SecurityError("E_STATEMENT", `The statements of ${before.name} do not follow each other.`);
  return { name, owner, former: [...before.former, before.owner], newest };
}

const rotationSchema = v.strictObject({
  ...openingEntries("rotation", (subject) => isName(subject)),
  owner: ownerLine,
});
