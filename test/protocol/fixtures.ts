import { sha256 } from "@noble/hashes/sha2.js";
import { concat, hex, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { MemberStatements } from "../../protocol/member-statements.ts";
import type { StatementFields, Verified } from "../../protocol/statement-fields.ts";
import { signFirstBinding, signFirstNameStatement, signRendezvousStatement } from "../../protocol/statements.ts";

/** A source of bytes that gives the same ones in every run. */
export function repeatableRandom(seed: string): RandomBytes {
  let counter = 0;
  return (length) => {
    let bytes = new Uint8Array(0);
    while (bytes.length < length)
      bytes = concat(bytes, sha256(utf8(`${seed} ${counter++}`))) as Uint8Array<ArrayBuffer>;
    return bytes.slice(0, length);
  };
}

export const NOW = 1_767_225_600_000; // 2026-01-01

/** One client, one device, one directory, one rendezvous, with keys that are the same in every run. */
export function cast(suite: CipherSuite) {
  const random = repeatableRandom("cast");
  const person = (nameText: string, memberText: string, role: "client" | "device") => {
    const name = parseName(nameText);
    const member = parseMember(memberText);
    const owner = Ed25519PrivateKey.generate(suite, random);
    const x25519 = X25519PrivateKey.generate(suite, random);
    const ed25519 = Ed25519PrivateKey.generate(suite, random);
    const nameStatement = signFirstNameStatement(suite, random, owner, {
      name,
      owner: ed25519Line(owner.publicKey),
      issued: NOW,
    });
    const binding = signFirstBinding(suite, random, owner, {
      name,
      member,
      role,
      x25519: x25519.publicKey,
      ed25519: ed25519.publicKey,
      issued: NOW,
      expires: null,
    });
    return { name, member, role, owner, x25519, ed25519, nameStatement, binding };
  };
  const client = person("@client", "laptop-client", "client");
  const device = person("@device", "mygateway", "device");
  const directory = {
    root: Ed25519PrivateKey.generate(suite, random),
    ticket: Ed25519PrivateKey.generate(suite, random),
    log: Ed25519PrivateKey.generate(suite, random),
    sealing: X25519PrivateKey.generate(suite, random),
  };
  const rendezvousKeys = {
    x25519: X25519PrivateKey.generate(suite, random),
    ed25519: Ed25519PrivateKey.generate(suite, random),
    boot: random(16),
    addresses: ["tcp://np.example.org:7801", "ws://np.example.org:7801"],
  };
  const rendezvous = {
    ...rendezvousKeys,
    statement: signRendezvousStatement(suite, random, directory.root, {
      rendezvous: "eu1",
      seq: 1,
      prev: null,
      issued: NOW,
      expires: null,
      x25519: rendezvousKeys.x25519.publicKey,
      ed25519: rendezvousKeys.ed25519.publicKey,
      addresses: rendezvousKeys.addresses,
    }),
  };
  return { client, device, directory, rendezvous, random };
}

/** Where a statement stands that follows `before` on its subject; the first one without. */
export function after(before?: Verified<StatementFields>): Pick<StatementFields, "seq" | "prev"> {
  return before === undefined ? { seq: 1, prev: null } : { seq: before.statement.seq + 1, prev: hex(before.hash) };
}

/** The statements of somebody of the cast, as they travel. */
export function statementsOf({
  nameStatement,
  binding,
}: Pick<ReturnType<typeof cast>["client"], "nameStatement" | "binding">): MemberStatements {
  return { names: [nameStatement], member: binding, delegation: undefined };
}
