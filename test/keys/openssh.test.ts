import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { base64, concat, fromBase64, utf8 } from "../../keys/bytes.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { PeerError, SecurityError, SetupError, SshnpError } from "../../keys/errors.ts";
import {
  ed25519FromLine,
  ed25519Line,
  fingerprint,
  isFingerprint,
  parseFingerprint,
  parsePublicKeyLine,
  sshString,
} from "../../keys/openssh.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { sshKeygen, sshKeygenOk } from "./ssh-keygen.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);

const KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIJnip1VKg+ZYTYBif4JWV+K8rHYILryAttmi2EZNRFKF";
const LINE = `ssh-ed25519 ${KEY}`;

test.each([
  ["ssh-ed25519", ["-t", "ed25519"]],
  ["ecdsa-sha2-nistp256", ["-t", "ecdsa", "-b", "256"]],
  ["ecdsa-sha2-nistp384", ["-t", "ecdsa", "-b", "384"]],
  ["ecdsa-sha2-nistp521", ["-t", "ecdsa", "-b", "521"]],
  ["ssh-rsa", ["-t", "rsa", "-b", "2048"]],
  ["ssh-rsa", ["-t", "rsa", "-b", "3000"]],
])("a .pub file of %s (%j) is read, and its fingerprint is the one that ssh-keygen prints", async (type, options) => {
  await using folder = await temporaryFolder();
  sshKeygenOk(folder.path, ["-q", ...options, "-N", "", "-C", "someone on a laptop", "-f", "key"]);
  const text = await readFile(join(folder.path, "key.pub"), "utf8");
  const key = parsePublicKeyLine(text);
  expect(key.type).toBe(type);
  expect(key.line).toBe(text.split(" ").slice(0, 2).join(" "));
  expect(sshKeygenOk(folder.path, ["-l", "-f", "key.pub"]).split(" ")[1]).toBe(fingerprint(suite, key.blob));
});

test.each([
  ["sk-ssh-ed25519@openssh.com", [fromBase64(KEY).subarray(-32), "ssh:"]],
  ["sk-ecdsa-sha2-nistp256@openssh.com", ["nistp256", point("nistp256"), "ssh:deploy"]],
])("the line of a FIDO2 key, %s, is read as ssh-keygen reads it", async (type, fields) => {
  await using folder = await temporaryFolder();
  const blob = blobOf(type, ...fields);
  const key = parsePublicKeyLine(`${type} ${base64(blob)} token`);
  expect(key).toEqual({ type, blob, line: `${type} ${base64(blob)}` });
  await writeFile(join(folder.path, "key.pub"), `${key.line}\n`);
  expect(sshKeygenOk(folder.path, ["-l", "-f", "key.pub"]).split(" ")[1]).toBe(fingerprint(suite, blob));
});

test("comment and final newline are dropped, whatever the comment says", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.constantFrom("", "\n"), (comment, end) => {
      fc.pre(!/\p{Cc}/u.test(comment));
      expect(parsePublicKeyLine(`${LINE} ${comment}${end}`).line).toBe(LINE);
    }),
  );
});

test.each([
  ["nothing", ""],
  ["options", `command="sh" ${LINE}`],
  ["a restricting option", `restrict ${LINE}`],
  ["a CA option", `cert-authority ${LINE}`],
  ["a known_hosts marker", `@cert-authority * ${LINE}`],
  ["a host in front", `host ${LINE}`],
  ["white space in front", ` ${LINE}`],
  ["a tab between type and key", `ssh-ed25519\t${KEY}`],
  ["two spaces between type and key", `ssh-ed25519  ${KEY}`],
  ["a second line", `${LINE}\n${LINE}`],
  ["a second line in the comment", `${LINE} me\nssh-ed25519 ${KEY}`],
  ["an empty second line", `${LINE}\n\n`],
  ["a carriage return", `${LINE}\r\n`],
  ["a NUL in the comment", `${LINE} a\0b`],
  ["an escape sequence in the comment", `${LINE} \u001b]0;x\u0007`],
  ["no key", "ssh-ed25519"],
  ["an empty key", "ssh-ed25519 "],
  ["another type in front of the key", `ssh-rsa ${KEY}`],
  ["an unknown type in front of the key", `ssh-ed448 ${KEY}`],
  ["a cut-off key", `ssh-ed25519 ${KEY.slice(0, -4)}`],
  [
    "base64 without its padding",
    `ssh-ed25519 ${base64(blobOf("ssh-ed25519", new Uint8Array(31))).replaceAll("=", "")}`,
  ],
  ["base64 with stray bits", `ssh-rsa ${base64(utf8("ab")).replace("I=", "J=")}`],
  ["base64 of the URL alphabet", `ssh-ed25519 ${KEY.replace("+", "-")}`],
  ["a line of a megabyte", `${LINE} ${"x".repeat(1e6)}`],
  ["a name that every object has", `constructor ${base64(blobOf("constructor"))}`],
])("a line with %s is refused", (_, line) => {
  expect(() => parsePublicKeyLine(line)).toThrow(PeerError);
});

test.each<[string, string, (string | Uint8Array)[]]>([
  ["an Ed25519 key of 31 bytes", "ssh-ed25519", [new Uint8Array(31).fill(9)]],
  ["an Ed25519 key of small order", "ssh-ed25519", [Uint8Array.of(1, ...new Uint8Array(31))]],
  ["a FIDO2 Ed25519 key of small order", "sk-ssh-ed25519@openssh.com", [new Uint8Array(32), "ssh:"]],
  ["a field too many", "ssh-ed25519", [fromBase64(KEY).subarray(-32), "more"]],
  ["a FIDO2 key without application", "sk-ssh-ed25519@openssh.com", [fromBase64(KEY).subarray(-32)]],
  ["an empty application", "sk-ssh-ed25519@openssh.com", [fromBase64(KEY).subarray(-32), ""]],
  ["a newline in the application", "sk-ssh-ed25519@openssh.com", [fromBase64(KEY).subarray(-32), "ssh:\n"]],
  ["another curve's name", "ecdsa-sha2-nistp256", ["nistp384", point("nistp256")]],
  ["a point of another curve", "ecdsa-sha2-nistp256", ["nistp256", point("nistp384")]],
  ["a compressed point", "ecdsa-sha2-nistp256", ["nistp256", Uint8Array.of(2, ...new Uint8Array(32))]],
  ["the point at infinity", "ecdsa-sha2-nistp256", ["nistp256", Uint8Array.of(0)]],
  ["an RSA key below 2048 bits", "ssh-rsa", [Uint8Array.of(3), odd(2040)]],
  ["an RSA key above 16384 bits", "ssh-rsa", [Uint8Array.of(3), odd(16392)]],
  ["a negative RSA modulus", "ssh-rsa", [Uint8Array.of(3), odd(2048).subarray(1)]],
  ["an RSA modulus with a zero too many", "ssh-rsa", [Uint8Array.of(3), concat(Uint8Array.of(0), odd(2048))]],
  ["an even RSA modulus", "ssh-rsa", [Uint8Array.of(3), concat(odd(2048).subarray(0, -1), Uint8Array.of(2))]],
  ["the RSA exponent 1", "ssh-rsa", [Uint8Array.of(1), odd(2048)]],
  ["the RSA exponent 0", "ssh-rsa", [Uint8Array.of(), odd(2048)]],
  ["an even RSA exponent", "ssh-rsa", [Uint8Array.of(4), odd(2048)]],
  ["an RSA exponent of 72 bits", "ssh-rsa", [odd(72), odd(2048)]],
])("a key with %s is refused", (_, type, fields) => {
  expect(() => parsePublicKeyLine(`${type} ${base64(blobOf(type, ...fields))}`)).toThrow(SshnpError);
});

test("RSA from 2048 to 16384 bits is taken", () => {
  for (const bits of [2048, 16384]) {
    const line = `ssh-rsa ${base64(blobOf("ssh-rsa", Uint8Array.of(1, 0, 1), odd(bits)))}`;
    expect(parsePublicKeyLine(line).line).toBe(line);
  }
});

test("DSA keys and certificates are refused", async () => {
  await using folder = await temporaryFolder();
  for (const [name, type] of [
    ["ca", "ed25519"],
    ["user", "ed25519"],
    ["dsa", "dsa"],
  ] as const) {
    sshKeygenOk(folder.path, ["-q", "-t", type, "-N", "", "-f", name]);
  }
  sshKeygenOk(folder.path, ["-q", "-s", "ca", "-I", "id", "-n", "root", "user.pub"]);
  for (const file of ["dsa.pub", "user-cert.pub"]) {
    const line = await readFile(join(folder.path, file), "utf8");
    expect(() => parsePublicKeyLine(line)).toThrow(PeerError);
  }
});

test("whatever bytes a key has, it is refused or is the one key that its line prints", () => {
  const damaged = fc
    .tuple(fc.nat(), fc.integer({ min: 1, max: 255 }))
    .map(([at, flip]) => fromBase64(KEY).map((byte, i) => (i === at % 51 ? byte ^ flip : byte)));
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), (blob) => {
      const type = new TextDecoder().decode(blob.subarray(4, 15));
      const key = parsedOrRefused(`${type} ${base64(blob)}`);
      if (key !== undefined) expect(key).toEqual({ type: "ssh-ed25519", blob, line: `ssh-ed25519 ${base64(blob)}` });
    }),
  );
});

test("an Ed25519 key has one line and comes back from it", () => {
  const key = Ed25519PublicKey.parse(fromBase64(KEY).subarray(-32));
  expect(ed25519Line(key)).toBe(LINE);
  expect(ed25519FromLine(LINE).equals(key)).toBe(true);
});

test.each([
  `${LINE} comment`,
  `${LINE}\n`,
  `${LINE} `,
  `ssh-rsa ${base64(blobOf("ssh-rsa", Uint8Array.of(3), odd(2048)))}`,
])("%j is not the line of an Ed25519 key", (line) => {
  expect(() => ed25519FromLine(line)).toThrow(PeerError);
});

test("an Ed25519 key that verifies anything is refused as an attack", () => {
  const line = `ssh-ed25519 ${base64(blobOf("ssh-ed25519", Uint8Array.of(1, ...new Uint8Array(31))))}`;
  expect(() => ed25519FromLine(line)).toThrow(SecurityError);
});

test("a fingerprint is read as ssh-keygen prints it", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (blob) => {
      const text = fingerprint(suite, blob);
      expect(parseFingerprint(text)).toBe(text);
    }),
  );
});

test.each([
  ["without its last character", (text: string) => text.slice(0, -1)],
  ["with padding", (text: string) => `${text}=`],
  ["with a newline", (text: string) => `${text}\n`],
  ["with white space", (text: string) => ` ${text}`],
  ["of another hash", (text: string) => text.replace("SHA256", "MD5")],
  ["in lower case", (text: string) => text.toLowerCase()],
  ["with stray bits in the last character", (text: string) => `${text.slice(0, -1)}B`],
  ["in the URL alphabet", (text: string) => `${text.slice(0, -2)}-A`],
])("a fingerprint %s is refused", (_, change) => {
  const text = change("SHA256:zoDFW6rP8ngC8URg2sG/m9Rij43qu8M++V+B72RnQQs");
  expect(isFingerprint(text)).toBe(false);
  expect(() => parseFingerprint(text)).toThrow(SetupError);
});

test("ssh-keygen agrees that the keys made here are keys", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "rsa.pub"), `ssh-rsa ${base64(blobOf("ssh-rsa", Uint8Array.of(3), odd(2048)))}\n`);
  expect(sshKeygen(folder.path, ["-l", "-f", "rsa.pub"]).stdout).toMatch(/^2048 SHA256:/);
});

function blobOf(type: string, ...fields: readonly (string | Uint8Array)[]): Uint8Array {
  return concat(...[type, ...fields].map(sshString));
}

/** A point on the curve (its generator, SEC 2 section 2), since ssh-keygen checks. */
function point(curve: "nistp256" | "nistp384"): Uint8Array {
  const hex = {
    nistp256:
      "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    nistp384: `04${"aa".repeat(96)}`,
  }[curve];
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** An odd number of so many bits (a multiple of 8) as mpint. */
function odd(bits: number): Uint8Array {
  return Uint8Array.of(0, 0x80, ...new Uint8Array(bits / 8 - 2), 1);
}

function parsedOrRefused(line: string): ReturnType<typeof parsePublicKeyLine> | undefined {
  try {
    return parsePublicKeyLine(line);
  } catch (error) {
    if (error instanceof SshnpError) return undefined;
    throw error;
  }
}
