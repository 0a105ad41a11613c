import { randomBytes } from "node:crypto";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import type { MemberKeys, OwnerKeys } from "../../keys/end-key-files.ts";
import { parseMember, parseName, type Role } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { signFirstBinding, signFirstNameStatement } from "../../protocol/statements.ts";

export const ADDRESS = `https://np.example.org:7800#SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs`;

/** The owner of a name. */
export function newOwner(
  suite: CipherSuite,
  text: string,
  random: (length: number) => Uint8Array = randomBytes,
): OwnerKeys {
  const name = parseName(text);
  const privateKey = Ed25519PrivateKey.generate(suite, random);
  const owner = ed25519Line(privateKey.publicKey);
  const statement = signFirstNameStatement(suite, random, privateKey, { name, owner, issued: 1_700_000_000_000 });
  return { name, privateKey, statement };
}

/** A member of that owner. */
export function newMember(
  suite: CipherSuite,
  owner: OwnerKeys,
  text: string,
  role: Role,
  random: (length: number) => Uint8Array = randomBytes,
): MemberKeys {
  const { name } = owner;
  const member = parseMember(text);
  const x25519 = X25519PrivateKey.generate(suite, random);
  const ed25519 = Ed25519PrivateKey.generate(suite, random);
  const binding = signFirstBinding(suite, random, owner.privateKey, {
    name,
    member,
    role,
    x25519: x25519.publicKey,
    ed25519: ed25519.publicKey,
    issued: 1_700_000_000_000,
    expires: null,
  });
  const statements = [owner.statement, binding];
  return {
    name,
    member,
    role,
    x25519,
    ed25519,
    owner: ed25519Line(owner.privateKey.publicKey),
    directory: ADDRESS,
    statements,
  };
}
