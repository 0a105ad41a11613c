import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { base64, concat, utf8 } from "../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { PeerError, SecurityError, SshnpError } from "../../keys/errors.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { armor, dearmor, parseSshsig, signSshsig, verifySshsig } from "../../keys/sshsig.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { sshKeygen, sshKeygenOk } from "./ssh-keygen.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(7));
const line = ed25519Line(key.publicKey);

const NAMESPACE = "sshnp-binding@v1";
const NAMESPACES = [
  "name",
  "binding",
  "delegation",
  "policy",
  "revocation",
  "rotation",
  "rendezvous",
  "keys",
  "activation",
].map((kind) => `sshnp-${kind}@v1`);
const MESSAGE = utf8('{"v":1,"kind":"binding","subject":"@acme/laptop-client"}');

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
  sshKeygenOk(folder.path, ["-q", "-t", "ed25519", "-N", "", "-C", "real key", "-f", "real"]);
  sshKeygenOk(folder.path, ["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"]);
  await writeFile(join(folder.path, "allowed_signers"), `owner@acme ${line}\n`);
  return () => folder.remove();
});

test.each(NAMESPACES)("ssh-keygen -Y verify accepts our signature under %s", async (namespace) => {
  const signature = await ourSignature(namespace, MESSAGE);
  const args = ["-Y", "verify", "-f", "allowed_signers", "-I", "owner@acme", "-n", namespace, "-s", signature];
  expect(sshKeygen(folder.path, args, MESSAGE)).toMatchObject({ status: 0 });
  expect(sshKeygen(folder.path, args, concat(MESSAGE, utf8(" "))).status).not.toBe(0);
});

test("ssh-keygen -Y check-novalidate names our key", async () => {
  const signature = await ourSignature(NAMESPACE, MESSAGE);
  const args = ["-Y", "check-novalidate", "-n", NAMESPACE, "-s", signature];
  const owner = fingerprint(suite, parsePublicKeyLine(line).blob);
  expect(sshKeygenOk(folder.path, args, MESSAGE)).toBe(`Good "${NAMESPACE}" signature with ED25519 key ${owner}\n`);
});

test.each(
  NAMESPACES.flatMap((namespace) => [
    [namespace, "sha256"],
    [namespace, "sha512"],
  ]),
)(
  "a signature by ssh-keygen -Y sign under %s with %s is accepted, and printed back as it was",
  async (namespace, hash) => {
    const text = theirSignature("real", namespace, MESSAGE, ["-O", `hashalg=${hash}`]);
    const blob = dearmor(text);
    const theirLine = (await readFile(join(folder.path, "real.pub"), "utf8")).split(" ").slice(0, 2).join(" ");
    expect(verifySshsig(suite, blob, namespace, MESSAGE)).toBe(theirLine);
    expect(parseSshsig(blob)).toMatchObject({ namespace, hashAlgorithm: hash });
    expect(armor(blob)).toBe(text);
  },
);

test("our bytes are those of ssh-keygen with the same key", async () => {
  await using here = await temporaryFolder();
  const [seed, publicKey] = [new Uint8Array(32).fill(7), key.publicKey.bytes];
  await writeFile(join(here.path, "key"), openSshPrivateKey(seed, publicKey), { mode: 0o600 });
  const theirs = sshKeygenOk(here.path, ["-Y", "sign", "-f", "key", "-n", NAMESPACE], MESSAGE);
  expect(armor(signSshsig(suite, key, NAMESPACE, MESSAGE))).toBe(theirs);
});

test("the last line of an armored signature may be full: ssh-keygen breaks no empty line after it", () => {
  const rest = signSshsig(suite, key, "", MESSAGE).length;
  for (const namespace of ["n".repeat(210 - rest), "n".repeat(315 - rest)]) {
    const text = theirSignature("real", namespace, MESSAGE);
    expect(text.split("\n").at(-3)).toHaveLength(70);
    expect(armor(dearmor(text))).toBe(text);
  }
});

test("what is signed is verified, whatever the message and namespace", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ minLength: 1 }), (message, namespace) => {
      const blob = signSshsig(suite, key, namespace, message);
      expect(verifySshsig(suite, blob, namespace, message)).toBe(line);
      expect(dearmor(armor(blob))).toEqual(blob);
    }),
  );
});

test("a signature under one namespace counts under no other", () => {
  for (const namespace of NAMESPACES) {
    const blob = signSshsig(suite, key, namespace, MESSAGE);
    for (const other of [...NAMESPACES, "file", "git", "", `${namespace} `, namespace.toUpperCase()]) {
      if (other !== namespace) expectRefused(blob, other, MESSAGE);
    }
  }
});

test("a signature with any bit flipped is refused", () => {
  const blob = signSshsig(suite, key, NAMESPACE, MESSAGE);
  for (let bit = 0; bit < 8 * blob.length; bit++) {
    const flipped = blob.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expectRefused(flipped);
  }
});

test("a signature over a message with any bit flipped is refused", () => {
  const blob = signSshsig(suite, key, NAMESPACE, MESSAGE);
  for (let bit = 0; bit < 8 * MESSAGE.length; bit++) {
    const flipped = MESSAGE.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expectRefused(blob, NAMESPACE, flipped);
  }
});

test("a signature cut off anywhere, or with anything behind it, is refused", () => {
  const blob = signSshsig(suite, key, NAMESPACE, MESSAGE);
  for (let length = 0; length < blob.length; length++) expectRefused(blob.subarray(0, length));
  for (const more of [1, 4, 100, 1e6]) expectRefused(concat(blob, new Uint8Array(more)));
});

test.each<[string, Partial<Parts>]>([
  ["another magic", { magic: "SSHSIH" }],
  ["version 0", { version: 0 }],
  ["version 2", { version: 2 }],
  ["a reserved field that is not empty", { reserved: "x" }],
  ["a reserved field that is not empty, nor signed", { reserved: "x", signedReserved: "" }],
  ["more than a kilobyte", { namespace: "n".repeat(900) }],
  ["the hash sha1", { hash: "sha1" }],
  ["the hash SHA512", { hash: "SHA512" }],
  ["no hash", { hash: "" }],
  ["no namespace", { namespace: "" }],
  ["a namespace that is not UTF-8", { namespace: Uint8Array.of(0xff) }],
  ["a signature of another algorithm", { algorithm: "ssh-rsa" }],
  ["a signature cut to 63 bytes", { raw: new Uint8Array(63) }],
  ["an empty signature", { raw: new Uint8Array(0) }],
  ["bytes behind the raw signature", { behind: new Uint8Array(1) }],
  ["a key of small order, which verifies anything", smallOrder()],
])("a signature with %s is refused", (_, change) => {
  const namespace = typeof change.namespace === "string" ? change.namespace : NAMESPACE;
  expectRefused(assemble(change), namespace);
});

test("the parts put together as they should be are a good signature", () => {
  expect(verifySshsig(suite, assemble({}), NAMESPACE, MESSAGE)).toBe(line);
});

test("a good signature by an RSA key is refused: only Ed25519 signs here", () => {
  const blob = dearmor(theirSignature("rsa", NAMESPACE, MESSAGE));
  expect(parseSshsig(blob).publicKey.type).toBe("ssh-rsa");
  expectRefused(blob);
});

test("an armored signature is accepted in one form only", () => {
  const text = armor(signSshsig(suite, key, "sshnp-policy@v1", MESSAGE));
  const [begin = "", ...rest] = text.split("\n");
  const body = rest.slice(0, -2).join("");
  const others = [
    "",
    text.trimEnd(),
    `${text}\n`,
    ` ${text}`,
    text.replaceAll("\n", "\r\n"),
    text.replace("SSH SIGNATURE", "PGP SIGNATURE"),
    text.replace("\n", "\nComment: x\n"),
    text.replace("\n", "\n\n"),
    text.replace(/=+\n-----END/, "\n-----END"),
    [begin, body, ...rest.slice(-2)].join("\n"),
    [begin, ...(body.match(/.{1,64}/g) ?? []), ...rest.slice(-2)].join("\n"),
    text + text,
    text.repeat(10_000),
  ];
  for (const other of others) {
    expect(other).not.toBe(text);
    expect(() => dearmor(other)).toThrow(PeerError);
  }
});

test("no text makes dearmor do anything but refuse, or print back what it read", () => {
  const text = armor(signSshsig(suite, key, NAMESPACE, MESSAGE));
  const edited = fc
    .tuple(fc.nat(text.length), fc.nat(3), fc.string({ maxLength: 3 }))
    .map(([at, drop, insert]) => text.slice(0, at) + insert + text.slice(at + drop));
  fc.assert(
    fc.property(fc.oneof(edited, fc.string()), (input) => {
      try {
        expect(armor(dearmor(input))).toBe(input);
      } catch (error) {
        expect(error).toBeInstanceOf(SshnpError);
      }
    }),
  );
});

interface Parts {
  magic: string;
  version: number;
  publicKey: Uint8Array;
  namespace: string | Uint8Array;
  reserved: string;
  signedReserved: string;
  hash: string;
  algorithm: string;
  raw: Uint8Array;
  behind: Uint8Array;
}

/** A signature built field by field, by its specification; valid but for what `change` says. */
function assemble(change: Partial<Parts>): Uint8Array {
  const { magic = "SSHSIG", version = 1, namespace = NAMESPACE, reserved = "", hash = "sha512" } = change;
  const { signedReserved = reserved } = change;
  const digest = hash === "sha256" ? suite.sha256(MESSAGE) : suite.sha512(MESSAGE);
  const signed = concat(utf8(magic), ...[namespace, signedReserved, hash, digest].map(sshString));
  const {
    publicKey = parsePublicKeyLine(line).blob,
    algorithm = "ssh-ed25519",
    raw = suite.sign(key, signed),
  } = change;
  const signature = concat(sshString(algorithm), sshString(raw), change.behind ?? new Uint8Array(0));
  const fields = [publicKey, namespace, reserved, hash, signature].map(sshString);
  return concat(utf8(magic), Uint8Array.of(0, 0, 0, version), ...fields);
}

/** Public key 01 00..00 with R = 01 00..00 and S = 0 satisfies the Ed25519 equation for every message. */
function smallOrder(): Partial<Parts> {
  const one = Uint8Array.of(1, ...new Uint8Array(31));
  return { publicKey: concat(sshString("ssh-ed25519"), sshString(one)), raw: concat(one, new Uint8Array(32)) };
}

function expectRefused(blob: Uint8Array, namespace: string = NAMESPACE, message: Uint8Array = MESSAGE): void {
  let thrown: unknown;
  try {
    verifySshsig(suite, blob, namespace, message);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SecurityError);
  expect(thrown).toMatchObject({ code: "E_STATEMENT" });
}

async function ourSignature(namespace: string, message: Uint8Array): Promise<string> {
  const file = join(folder.path, `${namespace}.sig`);
  await writeFile(file, armor(signSshsig(suite, key, namespace, message)));
  return file;
}

function theirSignature(file: string, namespace: string, message: Uint8Array, options: readonly string[] = []): string {
  return sshKeygenOk(folder.path, ["-Y", "sign", "-f", file, "-n", namespace, ...options], message);
}

/** An unencrypted private key file of OpenSSH (PROTOCOL.key). */
function openSshPrivateKey(seed: Uint8Array, publicKey: Uint8Array): string {
  const check = new Uint8Array(8);
  const fields = ["ssh-ed25519", publicKey, concat(seed, publicKey), ""].map(sshString);
  const secret = concat(check, ...fields);
  const padding = Uint8Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, i) => i + 1);
  const blob = concat(
    utf8("openssh-key-v1\0"),
    ...["none", "none", ""].map(sshString),
    Uint8Array.of(0, 0, 0, 1),
    sshString(concat(sshString("ssh-ed25519"), sshString(publicKey))),
    sshString(concat(secret, padding)),
  );
  const lines = base64(blob).match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}
