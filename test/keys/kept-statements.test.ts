import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type MemberKeys, readMemberFile, writeMemberFile } from "../../keys/end-key-files.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { delegationText } from "../../protocol/owner-statements.ts";
import { rotationText } from "../../protocol/owner-chain.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { firstBinding } from "../../protocol/statements.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { newMember, newOwner } from "./end-keys.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const first = newOwner(suite, "@acme");
const gateway = newMember(suite, first, "gw-1", "device");
const newKey = () => Ed25519PrivateKey.generate(suite, randomBytes);
const [second, third, token, stranger] = [newKey(), newKey(), newKey(), newKey()];
const [nameStatement, ownBinding] = gateway.statements as [SignedText, SignedText];
const prev = "00".repeat(32);
const { name, member, role } = gateway;

const rotation = (by: Ed25519PrivateKey, to: Ed25519PrivateKey, seq: number): SignedText => {
  const owner = ed25519Line(to.publicKey);
  return signWith(suite, by, rotationText(randomBytes, { name, owner, seq, prev, issued: 1, expires: null }));
};
const delegation = (by: Ed25519PrivateKey): SignedText => {
  const fields = { id: "0123456789abcdef", key: token.publicKey, pattern: "gw-*", uses: 1, seq: 1, prev: null };
  return signWith(suite, by, delegationText(randomBytes, { name, role, ...fields, issued: 1, expires: null }));
};
const binding = (by: Ed25519PrivateKey): SignedText => {
  const keys = { x25519: gateway.x25519.publicKey, ed25519: gateway.ed25519.publicKey };
  return signWith(suite, by, firstBinding(randomBytes, { name, member, role, ...keys, issued: 1, expires: null }));
};
const chain = [nameStatement, rotation(first.privateKey, second, 2), rotation(second, third, 3)];
const line = (key: Ed25519PrivateKey): string => ed25519Line(key.publicKey);

describe("a member file", () => {
  test.each<[string, Pick<MemberKeys, "owner" | "statements">]>([
    ["rotations and a binding of the newest owner", { owner: line(third), statements: [...chain, binding(third)] }],
    ["rotations and a binding of a former owner", { owner: line(third), statements: [...chain, ownBinding] }],
    [
      "a binding by a delegation",
      { owner: line(first.privateKey), statements: [nameStatement, binding(token), delegation(first.privateKey)] },
    ],
    [
      "a delegation of a former owner",
      { owner: line(third), statements: [...chain, binding(token), delegation(second)] },
    ],
  ])("holds %s", async (_, fields) => {
    const written = { ...gateway, ...fields };
    const read = await throughFile(written);
    expect(read?.statements.map(({ text }) => text)).toEqual(written.statements.map(({ text }) => text));
    expect(read?.owner).toBe(fields.owner);
  });

  test.each<[string, Pick<MemberKeys, "owner" | "statements">]>([
    ["a binding of a stranger", { owner: line(first.privateKey), statements: [nameStatement, binding(stranger)] }],
    [
      "a rotation that a stranger signed",
      { owner: line(first.privateKey), statements: [nameStatement, rotation(stranger, second, 2), ownBinding] },
    ],
    [
      "rotations with one missing between",
      { owner: line(third), statements: [nameStatement, rotation(second, third, 3), ownBinding] },
    ],
    [
      "a delegation of a stranger",
      { owner: line(first.privateKey), statements: [nameStatement, binding(token), delegation(stranger)] },
    ],
    [
      "a binding by a delegation that is not there",
      { owner: line(first.privateKey), statements: [nameStatement, binding(token)] },
    ],
    [
      "a delegation by a delegation (CVE-2025-49825)",
      { owner: line(first.privateKey), statements: [nameStatement, binding(token), delegation(token)] },
    ],
  ])("with %s is refused", async (_, fields) => {
    await expect(throughFile({ ...gateway, ...fields })).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  });
});

async function throughFile(keys: MemberKeys): Promise<MemberKeys | undefined> {
  await using here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(`${here.path}/keys`);
  await writeMemberFile(folder, keys);
  return await readMemberFile(suite, folder, keys);
}
