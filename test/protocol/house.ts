import { hex } from "../../keys/bytes.ts";
import type { RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type MemberName, type Name, parseMember, parseName, type Role } from "../../keys/names.ts";
import { ed25519Line, type Fingerprint, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { type StatementFields, type StatementKind, signWith, statementText } from "../../protocol/statement-fields.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { NOW, repeatableRandom } from "./fixtures.ts";

/** What a test says otherwise than it should be. */
export type Changes = Partial<StatementFields> & { readonly subject?: string } & Readonly<Record<string, unknown>>;

/** The keys of one member, and what it is called. */
export interface Resident {
  readonly member: MemberName;
  readonly role: Role;
  readonly x25519: X25519PrivateKey;
  readonly ed25519: Ed25519PrivateKey;
}

/**
 * One name, with whatever its owner says, or somebody else in his place: every statement is signed by the key that the test
 * gives, is the first of its subject unless it is told what it follows, and may have any field changed.
 */
export class House {
  readonly name: Name;
  readonly random: RandomBytes;

  constructor(name = "@acme", seed = name) {
    this.name = parseName(name);
    this.random = repeatableRandom(`house ${seed}`);
  }

  key(): Ed25519PrivateKey {
    return Ed25519PrivateKey.generate(suite, this.random);
  }

  resident(member: string, role: Role = "device"): Resident {
    return {
      member: parseMember(member),
      role,
      x25519: X25519PrivateKey.generate(suite, this.random),
      ed25519: this.key(),
    };
  }

  /** Any statement at all. */
  say(key: Ed25519PrivateKey, kind: StatementKind, subject: string, rest: object, changes: Changes = {}): SignedText {
    const { subject: other = subject, seq = 1, prev = null, issued = NOW, expires = null, ...others } = changes;
    const fields = { seq, prev, issued, expires };
    return signWith(suite, key, statementText(kind, other, fields, this.random, { ...rest, ...others }));
  }

  nameStatement(owner: Ed25519PrivateKey, changes?: Changes): SignedText {
    return this.say(owner, "name", this.name, { owner: lineOf(owner) }, changes);
  }

  rotation(from: Ed25519PrivateKey, to: Ed25519PrivateKey, before: SignedText, changes: Changes = {}): SignedText {
    return this.say(from, "rotation", this.name, { owner: lineOf(to) }, { ...following(before), ...changes });
  }

  /** The name statement of the first key, and a rotation to each of the others. */
  chain(keys: readonly Ed25519PrivateKey[]): SignedText[] {
    const chain: SignedText[] = [];
    for (const [at, key] of keys.entries()) {
      const [before, from] = [chain.at(-1), keys[at - 1]];
      chain.push(
        before === undefined || from === undefined ? this.nameStatement(key) : this.rotation(from, key, before),
      );
    }
    return chain;
  }

  binding(by: Ed25519PrivateKey, { member, role, x25519, ed25519 }: Resident, changes?: Changes): SignedText {
    const keys = { x25519: x25519.publicKey.toJSON(), ed25519: ed25519.publicKey.toJSON() };
    return this.say(by, "binding", `${this.name}/${member}`, { role, ...keys }, changes);
  }

  revocation(by: Ed25519PrivateKey, subject: string, before: SignedText, changes: Changes = {}): SignedText {
    return this.say(by, "revocation", subject, { reason: "lost" }, { ...following(before), ...changes });
  }

  delegation(by: Ed25519PrivateKey, to: Ed25519PrivateKey, changes?: Changes): SignedText {
    const rest = { key: to.publicKey.toJSON(), role: "device", pattern: "sensor-*", uses: 10 };
    return this.say(by, "delegation", `${this.name}:delegation:${DELEGATION}`, rest, changes);
  }

  policy(by: Ed25519PrivateKey, policy: string, changes?: Changes): SignedText {
    return this.say(by, "policy", `${this.name}:policy`, { policy }, changes);
  }
}

export const DELEGATION = "00112233445566ff";

/** Where the statement after `before` on its subject stands. */
export function following({ text }: SignedText): Pick<StatementFields, "seq" | "prev"> {
  const { seq } = JSON.parse(text) as StatementFields;
  return { seq: seq + 1, prev: hashOf({ text }) };
}

/** Hash of a statement, hex. */
export function hashOf({ text }: Pick<SignedText, "text">): string {
  return hex(suite.sha256(new TextEncoder().encode(text)));
}

export function lineOf(key: Ed25519PrivateKey): string {
  return ed25519Line(key.publicKey);
}

export function fingerprintOf(key: Ed25519PrivateKey): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(lineOf(key)).blob);
}
