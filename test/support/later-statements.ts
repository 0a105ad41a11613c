import { hex, utf8 } from "../../keys/bytes.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import type { Name } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import type { SignedText, TextToSign } from "../../keys/signed-text.ts";
import { rotationText } from "../../protocol/owner-chain.ts";
import { type Delegation, delegationText, policyText, revocationText } from "../../protocol/owner-statements.ts";
import { seqOf, signWith, type StatementFields, subjectOf } from "../../protocol/statement-fields.ts";
import { type Binding, bindingText } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { NOW, repeatableRandom } from "../protocol/fixtures.ts";

/*
 * What an owner says after his first statements, each right after `before`, the newest on its subject; undefined: there is
 * none. Issued NOW unless `changes` say otherwise.
 */

const random = repeatableRandom("later statements");
type Changes = Partial<StatementFields>;

export function rotation(
  {
    from,
    to,
    before,
  }: { readonly from: Ed25519PrivateKey; readonly to: Ed25519PrivateKey; readonly before: SignedText },
  changes: Changes = {},
): SignedText {
  const name = subjectOf(before) as Name;
  const owner = ed25519Line(to.publicKey);
  return signed(from, rotationText(random, { ...after(before), name, owner, ...changes }));
}

export function revocation(
  owner: Ed25519PrivateKey,
  before: SignedText,
  changes: Changes & { readonly reason?: string; readonly subject?: string } = {},
): SignedText {
  return signed(
    owner,
    revocationText(random, { ...after(before), subject: subjectOf(before), reason: "", ...changes }),
  );
}

export function policy(
  owner: Ed25519PrivateKey,
  name: Name,
  before: SignedText | undefined,
  changes: Changes & { readonly policy?: string } = {},
): SignedText {
  return signed(owner, policyText(random, { ...after(before), name, policy: "version: 1\n", ...changes }));
}

export function delegation(
  owner: Ed25519PrivateKey,
  fields: Pick<Delegation, "name" | "id" | "key" | "role" | "pattern">,
  changes: Changes = {},
): SignedText {
  return signed(owner, delegationText(random, { ...after(undefined), uses: 10, ...fields, ...changes }));
}

/** The member bound anew. `binding` is what its binding until now says. */
export function rebinding(
  owner: Ed25519PrivateKey,
  binding: Omit<Binding, keyof StatementFields>,
  before: SignedText | undefined,
  changes: Partial<Binding> = {},
): SignedText {
  return signed(owner, bindingText(random, { ...binding, ...after(before), ...changes }));
}

function after(before: SignedText | undefined): StatementFields {
  const issued = { issued: NOW, expires: null };
  if (before === undefined) return { seq: 1, prev: null, ...issued };
  return { seq: seqOf(before) + 1, prev: hex(suite.sha256(utf8(before.text))), ...issued };
}

function signed(key: Ed25519PrivateKey, text: TextToSign): SignedText {
  return signWith(suite, key, text);
}
