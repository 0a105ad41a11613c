import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { base64, concat } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SshnpError } from "../../keys/errors.ts";
import { ed25519Line, sshString } from "../../keys/openssh.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { openSshAuthority } from "../../keys/ssh-authority-file.ts";
import { parseUserCertificate, signUserCertificate, type UserCertificate } from "../../keys/ssh-certificate.ts";
import { ed25519Signature } from "../../keys/ssh-signature.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { repeatableRandom } from "../protocol/fixtures.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { sshKeygenOk } from "./ssh-keygen.ts";

const random = repeatableRandom("certificates");
const authority = Ed25519PrivateKey.generate(suite, random);
const key = Ed25519PrivateKey.generate(suite, random).publicKey;
const CERTIFICATE: UserCertificate = {
  ...{ key, keyId: "sshnp @client/laptop 00ff", principals: ["pi", "admin"], sourceAddress: "127.0.0.1/32,::1/128" },
  ...{ validAfter: 1_700_000_000, validBefore: 1_700_000_300 },
};

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

describe("a certificate", () => {
  test("is what ssh-keygen reads it as", async () => {
    const blob = signUserCertificate(suite, random, authority, CERTIFICATE);
    await writeFile(join(folder.path, "id-cert.pub"), `ssh-ed25519-cert-v01@openssh.com ${base64(blob)}\n`);
    await writeFile(join(folder.path, "ca.pub"), `${ed25519Line(authority.publicKey)}\n`);
    const shown = sshKeygenOk(folder.path, ["-L", "-f", "id-cert.pub"]);
    const authorityFingerprint = /SHA256:\S+/.exec(sshKeygenOk(folder.path, ["-l", "-f", "ca.pub"]))?.[0] ?? "?";
    expect(shown).toContain("Type: ssh-ed25519-cert-v01@openssh.com user certificate");
    expect(shown).toContain(`Signing CA: ED25519 ${authorityFingerprint} (using ssh-ed25519)`);
    expect(shown).toContain('Key ID: "sshnp @client/laptop 00ff"');
    expect(shown.replace(/\s+/g, " ")).toContain("Principals: pi admin Critical Options: source-address 127.0.0.1/32");
    expect(shown).toContain("permit-pty");
  });

  test("is read back as it was made, and not with a bit changed, a byte more or less", () => {
    const blob = signUserCertificate(suite, random, authority, CERTIFICATE);
    const { authority: signer, ...certificate } = parseUserCertificate(suite, blob);
    expect(certificate).toEqual(CERTIFICATE);
    expect(signer.equals(authority.publicKey)).toBe(true);
    for (let at = 0; at < blob.length; at++) {
      const changed = new Uint8Array(blob);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => parseUserCertificate(suite, changed), `byte ${at}`).toThrow(SshnpError);
    }
    expect(() => parseUserCertificate(suite, blob.subarray(0, -1))).toThrow(SshnpError);
    expect(() => parseUserCertificate(suite, concat(blob, Uint8Array.of(0)))).toThrow(SshnpError);
  });

  test("without a source address is good from anywhere", () => {
    const blob = signUserCertificate(suite, random, authority, { ...CERTIFICATE, sourceAddress: undefined });
    expect(parseUserCertificate(suite, blob).sourceAddress).toBeUndefined();
  });

  test.each([
    ["for nobody, which sshd takes for everybody", 6, sshString(""), "is for nobody"],
    ["for a host", 4, Uint8Array.of(0, 0, 0, 2), "is not for a user"],
    [
      "with a critical option that is not known",
      9,
      sshString(concat(sshString("force-command"), sshString(sshString("true")))),
      "has an unknown critical option",
    ],
  ])("%s is refused, whoever signs it", (_what, field, value, message) => {
    const parts = fieldsOf(signUserCertificate(suite, random, authority, CERTIFICATE));
    parts[field] = value;
    const signed = concat(...parts.slice(0, -1));
    const blob = concat(signed, sshString(ed25519Signature(suite.sign(authority, signed))));
    expect(() => parseUserCertificate(suite, blob)).toThrow(message);
  });
});

describe("the key that certifies", () => {
  test("is made once, and OpenSSH can read its public half", async () => {
    const keys = await PrivateFolder.openOrCreate(join(folder.path, "keys"));
    const [one, other] = await Promise.all([
      openSshAuthority(suite, keys, random),
      openSshAuthority(suite, keys, random),
    ]);
    const again = await openSshAuthority(suite, keys, random);
    for (const { key: made } of [other, again]) expect(made.publicKey.equals(one.key.publicKey)).toBe(true);
    expect(await readFile(one.publicKeyPath, "utf8")).toBe(`${ed25519Line(one.key.publicKey)} sshnp session keys\n`);
    expect(sshKeygenOk(folder.path, ["-l", "-f", one.publicKeyPath])).toContain("(ED25519)");
    expect(JSON.stringify(one)).not.toContain(base64(one.key.secretBytes()));
  });

  test("that is damaged is refused, and not made anew", async () => {
    const keys = await PrivateFolder.openOrCreate(join(folder.path, "damaged"));
    const { publicKeyPath } = await openSshAuthority(suite, keys, random);
    await writeFile(publicKeyPath.replace(/\.pub$/, ""), "{}\n");
    await expect(openSshAuthority(suite, keys, random)).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  });
});

/** Its fields, each with its length: type, nonce, key, serial, kind, ... */
function fieldsOf(blob: Uint8Array): Uint8Array[] {
  const FIXED: Readonly<Record<number, number>> = { 3: 8, 4: 4, 7: 8, 8: 8 };
  const parts: Uint8Array[] = [];
  for (let at = 0; at < blob.length; ) {
    const length = FIXED[parts.length] ?? 4 + new DataView(blob.buffer, blob.byteOffset).getUint32(at);
    parts.push(blob.subarray(at, at + length));
    at += length;
  }
  return parts;
}
