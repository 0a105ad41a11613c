import { describe, expect, test } from "vitest";
import { concat } from "../../keys/bytes.ts";
import { SshnpError } from "../../keys/errors.ts";
import { parsePublicKeyLine, sshString } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { POLICY_BYTES, REVOCATION_REASON_BYTES, STATEMENT_BYTES } from "../../protocol/limits.ts";
import { verifyRotation } from "../../protocol/owner-chain.ts";
import {
  isPattern,
  verifyDelegation,
  verifyPolicyStatement,
  verifyRevocation,
} from "../../protocol/owner-statements.ts";
import {
  kindOf,
  namespaceOf,
  type StatementKind,
  seqOf,
  signWith,
  subjectOf,
} from "../../protocol/statement-fields.ts";
import { verifyBinding, verifyNameStatement, verifyRendezvousStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { DELEGATION, House, lineOf } from "./house.ts";

const house = new House();
const [owner, nextOwner] = [house.key(), house.key()];
const named = house.nameStatement(owner);
const binding = house.binding(owner, house.resident("mygateway"));
const rendezvousKeys = house.resident("eu1");
const x25519 = rendezvousKeys.x25519.publicKey.toJSON();
const ed25519 = rendezvousKeys.ed25519.publicKey.toJSON();
const line = lineOf(owner);

/** One of each kind, all signed by one key, and what verifies it. */
const KINDS: Readonly<Record<StatementKind, readonly [SignedText, (signed: SignedText) => unknown]>> = {
  name: [named, (signed) => verifyNameStatement(suite, signed)],
  rotation: [house.rotation(owner, nextOwner, named), (signed) => verifyRotation(suite, signed)],
  binding: [binding, (signed) => verifyBinding(suite, signed, line)],
  revocation: [house.revocation(owner, "@acme/mygateway", binding), (signed) => verifyRevocation(suite, signed, line)],
  delegation: [house.delegation(owner, nextOwner), (signed) => verifyDelegation(suite, signed, line)],
  policy: [house.policy(owner, "grants: []\n"), (signed) => verifyPolicyStatement(suite, signed, line)],
  rendezvous: [
    house.say(owner, "rendezvous", "rendezvous:eu1", { x25519, ed25519, addresses: ["tcp://a:1"] }),
    (signed) => verifyRendezvousStatement(suite, signed, line),
  ],
};
const kinds = Object.entries(KINDS).map(
  ([kind, [signed, verify]]) => [kind as StatementKind, signed.text, verify] as const,
);
const signedAs = (kind: StatementKind, text: string): SignedText =>
  signWith(suite, owner, { text, namespace: namespaceOf(kind) });

/** A field in place of what stands there, by its name. */
const withField = (text: string, name: string, json: string): string =>
  text.replace(new RegExp(`"${name}":(?:"[^"]*"|\\[[^\\]]*\\]|[^,}]*)`), () => `"${name}":${json}`);
const insertedAt = (text: string, json: string): string => text.replace("{", () => `{${json},`);
const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

describe.each(kinds)("a %s, signed as it should be,", (kind, text, verify) => {
  const refuses = (changed: string): void => {
    expect(changed).not.toBe(text);
    expect(() => verify(signedAs(kind, changed)), changed.slice(0, 300)).toThrow(SshnpError);
  };
  const names = Object.keys(JSON.parse(text) as object);

  test("is taken, and its beginning says what it is", () => {
    const signed = signedAs(kind, text);
    verify(signed);
    const { subject, seq } = JSON.parse(text) as { subject: string; seq: number };
    expect([kindOf(signed), subjectOf(signed), seqOf(signed)]).toEqual([kind, subject, seq]);
  });

  test.each(names)("is refused with its %s twice, moved, missing, or of another type", (name) => {
    const value = /"[^"]*":((?:"[^"]*")|\[[^\]]*\]|[^,}]*)/.exec(text.slice(text.indexOf(`"${name}":`)))?.[1] ?? "";
    const field = `"${name}":${value}`;
    expect(text).toContain(field);
    refuses(insertedAt(text, field));
    refuses(text.replace(/\}$/, () => `,${field}}`));
    refuses(text.replace(field, () => `${field},${field}`));
    refuses(text.replace(`${field},`, "").replace(`,${field}`, ""));
    if (name !== "v") refuses(insertedAt(text.replace(`,${field}`, ""), field));
    const isWords = name === "reason" || name === "policy"; // which may say anything
    for (const other of ["true", "{}", "[]", '{"toString":1}', nested(50), '"\\u0000"', "1e309", "-1", '""']) {
      if (other !== value && !(isWords && other.startsWith('"'))) refuses(withField(text, name, other));
    }
    if (name !== "prev" && name !== "expires") refuses(withField(text, name, "null"));
  });

  test.each([
    '"__proto__":{"v":1}',
    '"__proto__":null',
    '"constructor":{"prototype":{}}',
    '"toJSON":1',
    '"hasOwnProperty":1',
    '"extra":0',
    '"":0',
  ])("is refused with %s in it", (field) => {
    refuses(insertedAt(text, field));
    refuses(text.replace(/\}$/, () => `,${field}}`));
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test("is refused with numbers that have another form, or none", () => {
    for (const number of ["1.0", "1e0", "10e-1", "0x1", "01", "+1", "1.5", "-0", "1e309", "-1e309", "1E400", "NaN"]) {
      refuses(withField(text, "seq", number));
      refuses(withField(text, "issued", number));
    }
    for (const huge of ["9007199254740992", "9007199254740993", "1e21", "9".repeat(400)]) {
      refuses(withField(text, "seq", huge));
      refuses(withField(text, "issued", huge));
      refuses(withField(text, "expires", huge));
    }
    refuses(withField(text, "seq", "0"));
    refuses(withField(text, "v", "2"));
    refuses(withField(text, "v", "1.0"));
  });

  test("is refused in any other text that means the same", () => {
    refuses(` ${text}`);
    refuses(`${text}\n`);
    refuses(`\ufeff${text}`);
    refuses(text.replaceAll(",", ", "));
    refuses(text.replace('"kind"', '"\\u006bind"'));
    refuses(text.replace(`"${kind}"`, `"\\u00${kind.charCodeAt(0).toString(16)}${kind.slice(1)}"`));
    refuses(`[${text}]`);
    refuses(`${text}${text}`);
    refuses(text.slice(0, -1));
    refuses("");
  });

  test("is refused however deep it is, and however long, before it is taken apart", () => {
    refuses(nested(2_000));
    refuses(nested(100_000));
    refuses(insertedAt(text, `"deep":${nested(3_000)}`));
    refuses(text.replace(/\}$/, () => `,"long":"${"x".repeat(STATEMENT_BYTES)}"}`));
    expect(() => verify(signedAs(kind, `${text}${" ".repeat(STATEMENT_BYTES)}`))).toThrow("too long");
  });

  test("is refused as every other kind, with the other's namespace and with its own", () => {
    for (const [other, , verifyOther] of kinds.filter(([name]) => name !== kind)) {
      expect(() => verifyOther(signedAs(kind, text)), other).toThrow(SshnpError);
      expect(() => verifyOther(signedAs(other, text)), other).toThrow(SshnpError);
    }
  });

  test.each([
    "@Acme",
    "acme",
    "@acme/",
    "@",
    "",
    "@acme/mygateway/x",
    "@acme:policy:",
    "@acme:delegation:",
    "rendezvous:",
    "\u202e@acme",
  ])("is refused on the subject %j", (subject) => refuses(withField(text, "subject", JSON.stringify(subject))));
});

const policy = (text: string) => verifyPolicyStatement(suite, house.policy(owner, text), line).statement;
const revocation = (subject: string, reason = "lost") =>
  verifyRevocation(suite, house.say(owner, "revocation", subject, { reason }), line).statement;
const delegation = (changes: Readonly<Record<string, unknown>>) =>
  verifyDelegation(suite, house.delegation(owner, nextOwner, changes), line).statement;

describe("a policy", () => {
  test("is a text of up to 7 KiB, kept as it is, which even with every line end escaped fits into a statement", () => {
    const lines = `${"x".repeat(15)}\n`.repeat(POLICY_BYTES / 16);
    for (const text of ["", "grants: []\n", 'a: "\\u202e"\n\t\u2028é\u{1f511}', lines]) {
      expect(policy(text).policy).toBe(text);
    }
    expect(() => policy("x".repeat(POLICY_BYTES + 1))).toThrow("a wrong field");
    expect(() => policy("é".repeat(POLICY_BYTES / 2 + 1))).toThrow("a wrong field");
    expect(() => policy("\n".repeat(POLICY_BYTES))).toThrow("too long");
  });

  test("is of a name alone", () => {
    expect(policy("").name).toBe("@acme");
    for (const subject of ["@acme", "@acme/x:policy", "@acme:policy:policy", ":policy", "@acme:policies"]) {
      expect(() => verifyPolicyStatement(suite, house.policy(owner, "", { subject }), line)).toThrow("a wrong field");
    }
  });
});

describe("a revocation", () => {
  test("is of a member or of a delegation, and of nothing else", () => {
    for (const subject of ["@acme/mygateway", `@acme:delegation:${DELEGATION}`]) {
      expect(revocation(subject).subject).toBe(subject);
    }
    for (const subject of [
      "@acme",
      "@acme:policy",
      "rendezvous:eu1",
      "@acme/owner",
      `@acme:delegation:${DELEGATION}0`,
    ]) {
      expect(() => revocation(subject)).toThrow("a wrong field");
    }
  });

  test("has a reason of up to 256 bytes, which may say anything", () => {
    for (const reason of ["", "\u001b[2J\n", "é".repeat(REVOCATION_REASON_BYTES / 2)]) {
      expect(revocation("@acme/mygateway", reason).reason).toBe(reason);
    }
    expect(() => revocation("@acme/mygateway", "é".repeat(REVOCATION_REASON_BYTES / 2 + 1))).toThrow("a wrong field");
  });
});

describe("a delegation", () => {
  test("is of one name, under 16 lower-case hex digits", () => {
    expect(delegation({})).toMatchObject({ name: "@acme", id: DELEGATION, uses: 10, role: "device" });
    for (const id of [
      "",
      "0",
      DELEGATION.toUpperCase(),
      `${DELEGATION}0`,
      "00112233445566fg",
      `${DELEGATION}:delegation:x`,
    ]) {
      expect(() => delegation({ subject: `@acme:delegation:${id}` })).toThrow("a wrong field");
    }
  });

  test("makes 1 to 1,000,000 members", () => {
    for (const uses of [1, 1_000_000]) expect(delegation({ uses }).uses).toBe(uses);
    for (const uses of [0, -1, 1.5, 1_000_001, "1", null]) expect(() => delegation({ uses })).toThrow("a wrong field");
  });

  test("is of a client's or a device's role, and of a key that is safe", () => {
    expect(delegation({ role: "client" }).role).toBe("client");
    for (const role of ["owner", "", "Device", null, ["device"]])
      expect(() => delegation({ role })).toThrow("a wrong field");
    const smallOrder = Buffer.from([1, ...new Uint8Array(31)]).toString("base64");
    for (const key of [smallOrder, "", lineOf(owner), `${ed25519} `, ed25519.slice(0, -1)]) {
      expect(() => delegation({ key })).toThrow(SshnpError);
    }
  });

  test.each(["*", "a", "a*", "sensor-*", "sensor_1*", "a".repeat(36), `${"a".repeat(35)}*`, "a-*"])(
    "has the pattern %s",
    (pattern) => {
      expect(isPattern(pattern)).toBe(true);
      expect(delegation({ pattern }).pattern).toBe(pattern);
    },
  );

  test.each([
    "",
    "**",
    "*a",
    "a*b",
    "a*b*",
    "A*",
    "-*",
    "a ",
    "a.*",
    "a?",
    "é*",
    "owner",
    `${"a".repeat(36)}*`,
    "a\n*",
    ".*",
  ])("does not have the pattern %j", (pattern) => {
    expect(isPattern(pattern)).toBe(false);
    expect(() => delegation({ pattern })).toThrow("a wrong field");
  });
});

describe("a rotation", () => {
  const rotation = (next: string) =>
    house.say(owner, "rotation", house.name, { owner: next }, { seq: 2, prev: "ab".repeat(32) });

  const blob = (type: string, ...fields: readonly (string | Uint8Array)[]): string =>
    `${type} ${Buffer.from(concat(...[type, ...fields].map((field) => sshString(field)))).toString("base64")}`;

  test("hands on to a key that can sign, on a token or not, written as a line without a comment", () => {
    const token = blob("sk-ssh-ed25519@openssh.com", nextOwner.publicKey.bytes, "ssh:");
    for (const next of [lineOf(nextOwner), token])
      expect(verifyRotation(suite, rotation(next)).statement.owner).toBe(next);
    const point = concat(Uint8Array.of(4), new Uint8Array(64).fill(1));
    const ecdsa = blob("ecdsa-sha2-nistp256", "nistp256", point);
    expect(parsePublicKeyLine(ecdsa).line).toBe(ecdsa);
    expect(() => verifyRotation(suite, rotation(ecdsa))).toThrow("a wrong field");
    for (const next of [
      `${lineOf(nextOwner)} me@here`,
      ` ${lineOf(nextOwner)}`,
      "",
      "ssh-ed25519",
      `ssh-rsa ${ed25519}`,
    ]) {
      expect(() => verifyRotation(suite, rotation(next))).toThrow(SshnpError);
    }
  });
});
