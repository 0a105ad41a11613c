import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { base64, fromBase64, hex, utf8 } from "../../../keys/bytes.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../../keys/ed25519.ts";
import {
  claimsKey,
  isKeyName,
  keyIdOf,
  parseNote,
  parseSignatureLine,
  parseVerifierKey,
  printNote,
  printSignatureLine,
  printVerifierKey,
} from "../../../protocol/log/note.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { SUITES } from "../../support/suites.ts";

const suite = nativeSuite;
const refused = expect.objectContaining({ code: "E_PROTOCOL" });

// Published: the example key of Go's golang.org/x/mod/sumdb/note, and its note.
const PETER = {
  verifier: "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
  seed: "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=",
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  line: "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
};
// The example of C2SP signed-note.
const DANTE = `Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
`;
const note = `${PETER.text}\n${PETER.line}`;

describe.each(SUITES)("the published note of Go's sumdb, on the $name suite", (each) => {
  test("is made again byte for byte from its private key", () => {
    const privateKey = Ed25519PrivateKey.parse(each, fromBase64(PETER.seed));
    const key = { name: "PeterNeumann", type: "ed25519", publicKey: privateKey.publicKey } as const;
    expect(printVerifierKey(each, key)).toBe(PETER.verifier);
    const signature = each.sign(privateKey, utf8(PETER.text));
    const signatures = [{ name: key.name, keyId: keyIdOf(each, key), signature }];
    expect(printNote({ text: PETER.text, signatures })).toBe(note);
  });

  test("is by its verifier key, which signed its text", () => {
    const key = parseVerifierKey(each, PETER.verifier);
    const { text, signatures } = parseNote(note);
    expect(text).toBe(PETER.text);
    expect(signatures.map((signature) => claimsKey(each, signature, key))).toEqual([true]);
    expect(each.verify(key.publicKey, utf8(text), signatures[0]?.signature ?? new Uint8Array(0))).toBe(true);
    expect(each.verify(key.publicKey, utf8(text.slice(1)), signatures[0]?.signature ?? new Uint8Array(0))).toBe(false);
  });
});

test("the text of a note may have empty lines: the last one is the border", () => {
  const { text, signatures } = parseNote(DANTE);
  expect(text.split("\n")).toHaveLength(5);
  expect(text.endsWith("sera.\n")).toBe(true);
  expect(signatures.map(({ name, keyId }) => [name, hex(keyId)])).toEqual([
    ["quasimodo.example/salvatore", "367ba04b"],
  ]);
  expect(printNote({ text, signatures })).toBe(DANTE);
});

test("a note with any text and signatures is printed and parsed back the same", () => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((text) => isKeyName(text));
  const signature = fc.record({
    name,
    keyId: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    signature: fc.uint8Array({ minLength: 1, maxLength: 90 }),
  });
  const text = fc
    .array(
      fc.string({ unit: "grapheme", maxLength: 30 }).filter((line) => !/\p{Cc}|\p{Cs}/u.test(line)),
      { maxLength: 5 },
    )
    .map((lines) => lines.map((line) => `${line}\n`).join(""))
    .filter((lines) => lines !== "");
  fc.assert(
    fc.property(text, fc.array(signature, { minLength: 1, maxLength: 16 }), (body, signatures) => {
      expect(parseNote(printNote({ text: body, signatures }))).toEqual({ text: body, signatures });
    }),
  );
});

describe("no note is", () => {
  const lines = (count: number): string => PETER.line.repeat(count);
  test.each([
    ["nothing", ""],
    ["a text alone", PETER.text],
    ["a text and an empty line", `${PETER.text}\n`],
    ["a text and signatures without the empty line", `${PETER.text}${PETER.line}`],
    ["one without its last newline", note.slice(0, -1)],
    ["one with a line after its signatures", `${note}x\n`],
    ["one with two newlines at its end", `${note}\n`],
    ["one with an empty line between signatures", `${PETER.text}\n${PETER.line}\n${PETER.line}\n`],
    ["one with 17 signatures", `${PETER.text}\n${lines(17)}`],
    ["one of more than 4 KiB", `${"x".repeat(4096)}\n\n${PETER.line}`],
    ["one of more than 4 KiB in UTF-8", `${"è".repeat(2000)}\n\n${PETER.line}`],
    ["one with a carriage return", note.replaceAll("\n", "\r\n")],
    ["one with a tab", note.replace(" think", "\tthink")],
    ["one with a NUL", note.replace("you", "\0")],
    ["one with half a character", note.replace("you", "\ud800")],
    ["one with a hyphen for the dash", note.replace("—", "-")],
    ["one with two spaces", note.replace("PeterNeumann ", "PeterNeumann  ")],
    ["one with a word more", note.replace("PeterNeumann ", "Peter Neumann ")],
    ["one without a name", note.replace("PeterNeumann ", "")],
    ["one with a plus in a name", note.replace("PeterNeumann ", "Peter+Neumann ")],
    ["one with a Unicode space in a name", note.replace("PeterNeumann ", "Peter\u00a0Neumann ")],
    ["one with NEL in a name", note.replace("PeterNeumann ", "Peter\u0085Neumann ")],
    ["one whose base64 is cut", note.replace("wJnAM=", "wJnAM")],
    ["one whose base64 has bits that say nothing", note.replace("wJnAM=", "wJnAN=")],
    ["one whose base64 is of another alphabet", note.replace("/ZJ", "_ZJ")],
    ["one whose signature is a key id alone", `${PETER.text}\n— PeterNeumann ${base64(new Uint8Array(4))}\n`],
    ["one with one good signature and one malformed", `${note}— PeterNeumann x08go\n`],
  ])("%s", (_, text) => {
    expect(() => parseNote(text)).toThrow(refused);
  });

  test("refused for having 16 signatures, or whatever signatures they are", () => {
    expect(parseNote(`${PETER.text}\n${lines(16)}`).signatures).toHaveLength(16);
    expect(parseNote(`${note}— unknown/type ${base64(new Uint8Array(1000))}\n`).signatures).toHaveLength(2);
  });
});

describe("printed, what would not parse as the same is an error:", () => {
  const signature = { name: "a", keyId: new Uint8Array(4), signature: new Uint8Array(64) };
  test.each([
    ["no signature", { text: "x\n", signatures: [] }],
    ["17 signatures", { text: "x\n", signatures: Array.from({ length: 17 }, () => signature) }],
    ["a text without its newline", { text: "x", signatures: [signature] }],
    ["no text", { text: "", signatures: [signature] }],
    ["a name with a space", { text: "x\n", signatures: [{ ...signature, name: "a b" }] }],
    ["an empty signature", { text: "x\n", signatures: [{ ...signature, signature: new Uint8Array(0) }] }],
  ])("%s", (_, value) => {
    expect(() => printNote(value)).toThrow(RangeError);
  });
});

test("a signature line is parsed and printed alone as well", () => {
  expect(printSignatureLine(parseSignatureLine(PETER.line))).toBe(PETER.line);
  for (const line of [
    PETER.line.slice(0, -1),
    `${PETER.line}\n`,
    PETER.line + PETER.line,
    ` ${PETER.line}`,
    "\n",
    "",
  ]) {
    expect(() => parseSignatureLine(line)).toThrow(refused);
  }
  expect(() => parseSignatureLine(`— a ${"A".repeat(8192)}\n`)).toThrow(refused);
});

describe("a verifier key", () => {
  // Those of public logs and witnesses, as their operators publish them.
  test.each([
    [PETER.verifier, "PeterNeumann", "ed25519"],
    ["sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", "sum.golang.org", "ed25519"],
    [
      "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
      "witness.stagemole.eu",
      "cosignature",
    ],
    ["remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2", "remora.n621.de", "cosignature"],
    [
      "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
      "transparency.dev/DEV:witness-little-garden",
      "cosignature",
    ],
  ])("%s is parsed and printed", (text, name, type) => {
    const key = parseVerifierKey(suite, text);
    expect(key).toMatchObject({ name, type });
    expect(printVerifierKey(suite, key)).toBe(text);
  });

  test("with a character more, less or another anywhere is refused", () => {
    for (let at = 0; at <= PETER.verifier.length; at++) {
      const [before, after] = [PETER.verifier.slice(0, at), PETER.verifier.slice(at)];
      const next = String.fromCharCode(after.charCodeAt(0) + 1);
      for (const text of [
        before + after.slice(1),
        `${before}x${after}`,
        `${before}+${after}`,
        before + next + after.slice(1),
      ]) {
        if (text !== PETER.verifier) expect(() => parseVerifierKey(suite, text), text).toThrow();
      }
    }
  });

  const withId = (name: string, bytes: Uint8Array): string => {
    const id = suite.sha256(utf8(`${name}\n`), bytes).subarray(0, 4);
    return `${name}+${hex(id)}+${base64(bytes)}`;
  };
  const key = parseVerifierKey(suite, PETER.verifier).publicKey.bytes;
  test.each([
    ["of an unknown type", withId("a", Uint8Array.of(0x65, ...key))],
    ["of ECDSA", withId("a", Uint8Array.of(2, ...key))],
    ["that is too short", withId("a", Uint8Array.of(1, ...key.subarray(1)))],
    ["that is too long", withId("a", Uint8Array.of(1, ...key, 0))],
    ["of small order", withId("a", new Uint8Array(33).fill(1, 0, 1))],
    ["with a space in its name", withId("a b", Uint8Array.of(1, ...key))],
    ["with a control character in its name", withId("a\u009b", Uint8Array.of(1, ...key))],
    ["without a name", withId("", Uint8Array.of(1, ...key))],
    ["with its id in capitals", PETER.verifier.replace("c74f20a3", "C74F20A3")],
    ["with another's id", PETER.verifier.replace("c74f20a3", "c74f20a4")],
    ["under another's name", PETER.verifier.replace("Peter", "Petra")],
    ["that is very long", `${"a".repeat(5000)}+${PETER.verifier}`],
  ])("%s is refused", (_, text) => {
    expect(() => parseVerifierKey(suite, text)).toThrow(refused);
  });

  test("has another id for another name or type, and a signature claims it by both", () => {
    const publicKey = Ed25519PublicKey.parse(key);
    const [one, other] = (["ed25519", "cosignature"] as const).map((type) => ({ name: "a", type, publicKey }));
    if (one === undefined || other === undefined) throw new Error("no keys");
    expect(hex(keyIdOf(suite, one))).not.toBe(hex(keyIdOf(suite, other)));
    const signature = { name: "a", keyId: keyIdOf(suite, one), signature: new Uint8Array(64) };
    expect(claimsKey(suite, signature, one)).toBe(true);
    expect(claimsKey(suite, signature, other)).toBe(false);
    expect(claimsKey(suite, { ...signature, name: "b" }, one)).toBe(false);
    expect(claimsKey(suite, signature, { ...one, name: "b" })).toBe(false);
  });
});
