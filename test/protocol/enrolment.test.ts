import { describe, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import {
  enrolmentCode,
  enrolmentProof,
  isForApplicant,
  oneTimePasswordText,
  type PendingEnrolment,
  verifyOneTimePassword,
  verifyPendingEnrolment,
} from "../../protocol/enrolment.ts";
import { ENROLMENT_MS, PASSWORD_MS } from "../../protocol/limits.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { NOW, repeatableRandom } from "./fixtures.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const random = repeatableRandom("enrolment");
const newKey = () => Ed25519PrivateKey.generate(suite, random);
const owner = newKey();
const key = newKey();
const own = newKey();
const name = parseName("@acme");
const DIRECTORY = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const HOUR = 3_600_000;
const password = { name, key: key.publicKey, role: null, pattern: null, issued: NOW, expires: NOW + HOUR };
const applicant = {
  ...{ name, member: parseMember("gw-7"), role: "device" as const },
  x25519: X25519PrivateKey.generate(suite, random).publicKey,
  ed25519: own.publicKey,
};

function pending(
  fields: object = {},
  { signer = owner, by = key, proving = own, directory = DIRECTORY } = {},
): PendingEnrolment {
  const nonce = new Uint8Array(16);
  const proof = enrolmentProof({ nonce, directoryFingerprint: directory }, applicant);
  return {
    ...applicant,
    ...{
      nonce,
      requested: NOW,
      password: signWith(suite, signer, oneTimePasswordText(random, { ...password, ...fields })),
    },
    passwordSignature: suite.sign(by, proof),
    ownSignature: suite.sign(proving, proof),
  };
}

const formerOwner = newKey();
const chain = { owner: ed25519Line(owner.publicKey), former: [ed25519Line(formerOwner.publicKey)] };
const verify =
  (one: PendingEnrolment, now = NOW) =>
  () =>
    verifyPendingEnrolment(suite, DIRECTORY, chain, one, now);

describe("an owner believes an enrolment that the directory shows", () => {
  test("which the machine signed, with a password of his", () => {
    expect(verify(pending())()).toMatchObject({ name, expires: NOW + HOUR });
    expect(verify(pending({ role: "device", pattern: "gw-*" }))()).toBeDefined();
    expect(verify(pending(), NOW + ENROLMENT_MS - 1)()).toBeDefined();
  });

  test.each<[string, PendingEnrolment, number]>([
    ["a former owner gave", pending({}, { signer: formerOwner }), NOW],
    ["was past its end when it was used", { ...pending(), requested: NOW + HOUR }, NOW],
    ["was used longer ago than anybody waits", pending(), NOW + ENROLMENT_MS],
    [
      "ended so long ago, whenever it is said to be used",
      { ...pending(), requested: NOW + HOUR - 1 },
      NOW + HOUR + ENROLMENT_MS,
    ],
  ])("and which counts for nothing with a password that %s", (_, one, now) => {
    expect(verify(one, now)()).toBeUndefined();
  });

  test.each<[string, PendingEnrolment]>([
    ["a password that somebody else has given", pending({}, { signer: newKey() })],
    ["a password whose key did not sign", pending({}, { by: newKey() })],
    ["a member key that did not sign", pending({}, { proving: newKey() })],
    ["what was signed for another directory", pending({}, { directory: `${DIRECTORY}B` })],
    ["a password for another name", pending({ name: parseName("@other") })],
    ["a password for another role", pending({ role: "client" })],
    ["a password for other members", pending({ pattern: "gate*" })],
    ["another member than was signed", { ...pending(), member: parseMember("gw-8") }],
    ["another role than was signed", { ...pending(), role: "client" }],
    [
      "another X25519 key than was signed",
      { ...pending(), x25519: X25519PrivateKey.generate(suite, random).publicKey },
    ],
    ["another Ed25519 key than was signed", { ...pending(), ed25519: newKey().publicKey }],
    ["another nonce than was signed", { ...pending(), nonce: new Uint8Array(16).fill(1) }],
  ])("and not one with %s", (_, one) => {
    expect(verify(one)).toThrow(expect.objectContaining({ code: "E_STATEMENT" }));
  });
});

test("a code is of 80 bits, and another one for another name, member, role or key", () => {
  const code = enrolmentCode(suite, applicant);
  expect(code).toMatch(/^(?:[0-9a-hjkmnp-tv-z]{4}-?){4}$/);
  const others = [
    { ...applicant, name: parseName("@acme2") },
    { ...applicant, member: parseMember("gw-8") },
    { ...applicant, role: "client" as const },
    { ...applicant, x25519: X25519PrivateKey.generate(suite, random).publicKey },
    { ...applicant, ed25519: newKey().publicKey },
  ].map((one) => enrolmentCode(suite, one));
  expect(new Set([code, ...others]).size).toBe(6);
});

test("a one-time password is read as it was written, and for whom it is", () => {
  const text = oneTimePasswordText(random, { ...password, role: "client", pattern: "gw-*" });
  const read = verifyOneTimePassword(suite, signWith(suite, owner, text));
  expect(read).toMatchObject({ name, role: "client", pattern: "gw-*", issued: NOW, expires: NOW + HOUR });
  expect(read.key.equals(key.publicKey)).toBe(true);
  expect(read.signer).toBe(ed25519Line(owner.publicKey));
  expect(isForApplicant(read, applicant)).toBe(false);
  expect(isForApplicant(read, { ...applicant, role: "client" })).toBe(true);
});

test("a one-time password that is to live longer than 30 days is none", () => {
  const read = (expires: number) =>
    verifyOneTimePassword(suite, signWith(suite, owner, oneTimePasswordText(random, { ...password, expires })));
  expect(read(NOW + PASSWORD_MS).expires).toBe(NOW + PASSWORD_MS);
  expect(() => read(NOW + PASSWORD_MS + 1)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
});

test("nothing else that an owner signs passes for a one-time password", () => {
  const { text } = oneTimePasswordText(random, password);
  const another = signWith(suite, owner, { text, namespace: "sshnp-binding@v1" });
  expect(() => verifyOneTimePassword(suite, another)).toThrow();
});
