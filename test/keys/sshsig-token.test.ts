import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { concat, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import { ed25519Line, parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import { armor, assembleSshsig, bytesToSign, parseSshsig, signSshsig, verifySshsig } from "../../keys/sshsig.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { type Assertion, Authenticator } from "../support/authenticator.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { sshKeygen } from "./ssh-keygen.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const NAMESPACE = "sshnp-revocation@v1";
const MESSAGE = utf8('{"v":1,"kind":"revocation","subject":"@acme/laptop-client"}');
const SIGNED = bytesToSign(suite, NAMESPACE, MESSAGE);

const token = new Authenticator(randomBytes(32), { application: "ssh:acme" });
const plain = Ed25519PrivateKey.parse(suite, randomBytes(32));
const plainLine = ed25519Line(plain.publicKey);

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

test.each([0x01, 0x05, 0x41, 0x81, 0xff])(
  "a token's signature with flags %i is accepted here and by ssh-keygen",
  async (flags) => {
    const blob = sshsigOf(token.sign(SIGNED, { flags, counter: 0xfffffffe }));
    expect(verifySshsig(suite, blob, NAMESPACE, MESSAGE)).toBe(token.line);
    expect(await sshKeygenAccepts(blob, token.line)).toBe(true);
  },
);

test("a token's signature without a touch is refused here, though ssh-keygen accepts it", async () => {
  for (const flags of [0x00, 0x04, 0xfe]) {
    const blob = sshsigOf(token.sign(SIGNED, { flags }));
    expectRefused(blob, "was made by a token that nobody touched");
    expect(await sshKeygenAccepts(blob, token.line)).toBe(true);
  }
});

test.each<[string, () => Uint8Array]>([
  ["for another application", () => sshsigOf(token.sign(SIGNED, { application: "ssh:" }))],
  ["for no application", () => sshsigOf(token.sign(SIGNED, { application: "" }))],
  ["by another seed", () => sshsigOf(token.sign(SIGNED, { seed: randomBytes(32) }))],
  ["over another message", () => sshsigOf(token.sign(bytesToSign(suite, NAMESPACE, utf8("x"))))],
  ["under another namespace", () => sshsigOf(token.sign(bytesToSign(suite, "sshnp-name@v1", MESSAGE)))],
  ["over the message alone", () => sshsigOf(token.sign(MESSAGE))],
  ["with its flags changed", () => sshsigOf(altered({}, { flags: 0x05 }))],
  ["with its counter changed", () => sshsigOf(altered({ counter: 7 }, { counter: 8 }))],
  ["with its counter left out", () => sshsigOf(token.sign(SIGNED).subarray(0, -4))],
  ["with flags and counter left out", () => sshsigOf(token.sign(SIGNED).subarray(0, -5))],
  ["with a byte behind it", () => sshsigOf(concat(token.sign(SIGNED), Uint8Array.of(0)))],
  ["with WebAuthn extensions behind it", () => sshsigOf(concat(token.sign(SIGNED, { flags: 0x81 }), sshString("{}")))],
  ["with an empty raw signature", () => sshsigOf(withRaw(new Uint8Array(0)))],
  [
    "with a byte behind its raw signature",
    () => sshsigOf(withRaw(concat(rawOf(token.sign(SIGNED)), Uint8Array.of(0)))),
  ],
  ["of zeros", () => sshsigOf(withRaw(new Uint8Array(64)))],
  [
    "of the algorithm ssh-ed25519",
    () => sshsigOf(concat(sshString("ssh-ed25519"), sshString(rawOf(token.sign(SIGNED))))),
  ],
  ["of WebAuthn's algorithm", () => sshsigOf(renamed("webauthn-sk-ecdsa-sha2-nistp256@openssh.com"))],
  ["of its algorithm in capitals", () => sshsigOf(renamed("SK-SSH-ED25519@OPENSSH.COM"))],
])("a token's signature %s is refused here and by ssh-keygen", async (_, make) => {
  const blob = make();
  expectRefused(blob);
  expect(await sshKeygenAccepts(blob, token.line)).toBe(false);
});

test("a token's signature is not one of an ssh-ed25519 key of the same bytes, nor the other way round", async () => {
  const seed = randomBytes(32);
  const sameToken = new Authenticator(seed);
  const same = Ed25519PrivateKey.parse(suite, seed);
  const sameLine = ed25519Line(same.publicKey);
  const swapped = [
    assembleSshsig(parsePublicKeyLine(sameLine), NAMESPACE, sameToken.sign(SIGNED)),
    assembleSshsig(sameToken, NAMESPACE, parseSshsig(signSshsig(suite, same, NAMESPACE, MESSAGE)).signature),
  ];
  for (const blob of swapped) {
    expectRefused(blob, "is of another algorithm than its key");
    expect(await sshKeygenAccepts(blob, sameLine, sameToken.line)).toBe(false);
  }
});

test("a token's signature with any bit flipped, cut off anywhere or followed by anything is refused", () => {
  const blob = sshsigOf(token.sign(SIGNED));
  for (let bit = 0; bit < 8 * blob.length; bit++) {
    const flipped = blob.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expectRefused(flipped);
  }
  for (let length = 0; length < blob.length; length++) expectRefused(blob.subarray(0, length));
  for (const more of [1, 4, 100]) expectRefused(concat(blob, new Uint8Array(more)));
});

test("whatever a token signs and says of itself is accepted if and only if somebody touched it", () => {
  const any = fc.record({
    message: fc.uint8Array({ maxLength: 200 }),
    flags: fc.nat(255),
    counter: fc.nat(0xffffffff),
    application: fc.stringMatching(/^[!-~]{1,60}$/),
  });
  fc.assert(
    fc.property(any, ({ message, flags, counter, application }) => {
      const key = new Authenticator(new Uint8Array(32).fill(8), { application });
      const signature = key.sign(bytesToSign(suite, NAMESPACE, message), { flags, counter });
      const blob = assembleSshsig(key, NAMESPACE, signature);
      if (flags % 2 === 0) expectRefused(blob, undefined, message);
      else expect(verifySshsig(suite, blob, NAMESPACE, message)).toBe(key.line);
    }),
  );
});

test("a token's key of small order, for which anything verifies, signs nothing", () => {
  const one = Uint8Array.of(1, ...new Uint8Array(31));
  const blob = concat(...["sk-ssh-ed25519@openssh.com", one, "ssh:"].map(sshString));
  expectRefused(assembleSshsig({ blob }, NAMESPACE, withRaw(concat(one, new Uint8Array(32)))));
});

test("the longest application and namespace that there are leave room for a token's signature", async () => {
  const long = new Authenticator(randomBytes(32), { application: `ssh:${"a".repeat(251)}` });
  const namespace = `sshnp-${"n".repeat(80)}@v1`;
  const blob = assembleSshsig(long, namespace, long.sign(bytesToSign(suite, namespace, MESSAGE)));
  expect(verifySshsig(suite, blob, namespace, MESSAGE)).toBe(long.line);
});

describe("peers' findings", () => {
  const GOOD: readonly [string, Uint8Array, string][] = [
    ["an ssh-ed25519 key", signSshsig(suite, plain, NAMESPACE, MESSAGE), plainLine],
    ["a token", sshsigOf(token.sign(SIGNED)), token.line],
  ];

  test.each(GOOD)(
    "CVE-2026-25793: a signature by %s has no other form with S + L, which OpenSSH 9.2 takes",
    (_, blob, line) => {
      expect(verifySshsig(suite, blob, NAMESPACE, MESSAGE)).toBe(line);
      const { signature } = parseSshsig(blob);
      const raw = rawOf(signature);
      for (let multiple = 1n; multiple < 16n; multiple++) {
        const other = withScalarPlus(raw, multiple);
        if (other === undefined) break;
        const changed = concat(signature);
        changed.set(
          other,
          signature.findIndex((_byte, at) => Buffer.compare(signature.subarray(at, at + 64), raw) === 0),
        );
        expect(changed).not.toEqual(signature);
        expectRefused(assembleSshsig(parsePublicKeyLine(line), NAMESPACE, changed), "does not verify");
      }
    },
  );

  test.each(GOOD)("CVE-2026-25793: a signature by %s is armored in one form only", (_, blob) => {
    expect(Buffer.from(armor(blob).split("\n").slice(1, -2).join(""), "base64")).toEqual(Buffer.from(blob));
  });

  test.each(GOOD)(
    "ssh2's verify() returns an Error, which is truthy: only true is a yes for a signature by %s",
    (_, blob) => {
      for (const verdict of [new Error("no"), 1, "true", {}, [], Promise.resolve(true), undefined, null]) {
        expectRefused(blob, undefined, MESSAGE, suiteWith({ verify: () => verdict }));
      }
      expect(verifySshsig(suiteWith({ verify: () => true }), blob, NAMESPACE, MESSAGE)).not.toBe("");
    },
  );

  test.each(GOOD)("CVE-2025-26465: whatever throws while a signature by %s is verified is a no", (_, blob) => {
    const failing = (): never => {
      throw new RangeError("Array buffer allocation failed");
    };
    expectRefused(blob, undefined, MESSAGE, suiteWith({ verify: failing }));
    expectRefused(blob, undefined, MESSAGE, suiteWith({ sha512: failing }));
    if (parseSshsig(blob).publicKey.line === token.line) {
      expectRefused(blob, undefined, MESSAGE, suiteWith({ sha256: failing }));
    }
  });
});

/** The order of the group, RFC 8032 section 5.1. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The raw signature with a multiple of L added to its S; undefined when it no longer fits. */
function withScalarPlus(raw: Uint8Array, multiple: bigint): Uint8Array | undefined {
  const s = BigInt(`0x${Buffer.from(raw.subarray(32).toReversed()).toString("hex")}`) + multiple * L;
  if (s >= 2n ** 256n) return undefined;
  const bytes = Buffer.from(s.toString(16).padStart(64, "0"), "hex");
  return concat(raw.subarray(0, 32), new Uint8Array(bytes).toReversed());
}

function suiteWith(change: Readonly<Record<string, () => unknown>>): CipherSuite {
  return Object.assign(Object.create(suite), change) as CipherSuite;
}

function sshsigOf(signature: Uint8Array): Uint8Array {
  return assembleSshsig(token, NAMESPACE, signature);
}

/** The 64 bytes in a signature in SSH's encoding. */
function rawOf(signature: Uint8Array): Uint8Array {
  const view = Buffer.from(signature);
  const start = 4 + view.readUInt32BE(0) + 4;
  return new Uint8Array(view.subarray(start, start + 64));
}

function withRaw(raw: Uint8Array): Uint8Array {
  return concat(sshString("sk-ssh-ed25519@openssh.com"), sshString(raw), Uint8Array.of(1, 0, 0, 0, 1));
}

/** The signature over one assertion that says another. */
function altered(signed: Assertion, said: Assertion): Uint8Array {
  const raw = rawOf(token.sign(SIGNED, { counter: 7, ...signed }));
  const changed = new Uint8Array(token.sign(SIGNED, { counter: 7, ...said }));
  return concat(sshString("sk-ssh-ed25519@openssh.com"), sshString(raw), changed.subarray(-5));
}

function renamed(algorithm: string): Uint8Array {
  const signature = token.sign(SIGNED);
  return concat(sshString(algorithm), sshString(rawOf(signature)), signature.subarray(-5));
}

function expectRefused(
  blob: Uint8Array,
  why?: string,
  message: Uint8Array = MESSAGE,
  verifier: CipherSuite = suite,
): void {
  let thrown: unknown;
  try {
    verifySshsig(verifier, blob, NAMESPACE, message);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SecurityError);
  expect(thrown).toMatchObject({
    code: "E_STATEMENT",
    ...(why === undefined ? {} : { message: `a signature ${why}` }),
  });
}

/** Whether the real ssh-keygen takes it for one of these keys'. */
async function sshKeygenAccepts(blob: Uint8Array, ...lines: readonly string[]): Promise<boolean> {
  await writeFile(join(folder.path, "signature"), armor(blob));
  await writeFile(join(folder.path, "allowed_signers"), lines.map((line) => `owner@acme ${line}\n`).join(""));
  const words = ["-Y", "verify", "-f", "allowed_signers", "-I", "owner@acme", "-n", NAMESPACE, "-s", "signature"];
  return sshKeygen(folder.path, words, MESSAGE).status === 0;
}
