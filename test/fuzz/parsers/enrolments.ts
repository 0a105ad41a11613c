import * as fc from "fast-check";
import { SshnpError } from "../../../keys/errors.ts";
import { base32, fromBase32 } from "../../../keys/base32.ts";
import { base64, ByteReader, ByteWriter, hex, utf8 } from "../../../keys/bytes.ts";
import { parsePattern, parseRole } from "../../../keys/cli/applicants.ts";
import { parseDuration } from "../../../keys/cli/duration.ts";
import { applicantSchema } from "../../../keys/enrolment-files.ts";
import {
  parseFleetToken,
  parseOneTimePassword,
  printFleetToken,
  printOneTimePassword,
} from "../../../keys/enrolment-secrets.ts";
import { parseJsonFile, printJsonFile } from "../../../keys/json-file.ts";
import { areAnsweredFor } from "../../../keys/kept-statements.ts";
import { ed25519Line } from "../../../keys/openssh.ts";
import { signSshsig } from "../../../keys/sshsig.ts";
import {
  isForApplicant,
  PASSWORD_NAMESPACE,
  verifyOneTimePassword,
  verifyPendingEnrolment,
} from "../../../protocol/enrolment.ts";
import * as enrolment from "../../../protocol/messages/enrolment.ts";
import { PASSWORD_MS } from "../../../protocol/limits.ts";
import * as of from "../arbitraries.ts";
import { TEXT_WORDS, words } from "../mutation.ts";
import { keyOf } from "../signing.ts";
import { bytesParser, type Parser, type Subject, textParser } from "../subject.ts";

/** A pending enrolment as it travels. */
export const entry: fc.Arbitrary<enrolment.EnrolmentEntry> = fc.record({
  password: of.signedText,
  member: of.member,
  role: of.role,
  x25519: of.x25519,
  ed25519: of.ed25519,
  nonce: of.nonce,
  requested: of.milliseconds,
  passwordSignature: of.bytesOf(64),
  ownSignature: of.bytesOf(64),
});

const signature = of.someBytes(200);
const WORDS = words("@acme", "gw-7", "device", '"kind":"password"', '"role":null', '"pattern":"gw-*"', "-", "*");

function message<T>(
  parserName: string,
  values: fc.Arbitrary<T>,
  parse: (body: Uint8Array) => T,
  print: (value: T) => Uint8Array,
): Parser {
  const make = (): Subject => bytesParser<T>({ samples: values.map(print), parse, print: (value) => print(value) });
  return { name: parserName, covers: [`protocol/messages/enrolment.ts#${parserName}`], dictionary: WORDS, make };
}

const passwordText = fc
  .record({
    v: fc.constant(1),
    kind: fc.constant("password"),
    name: of.name,
    key: of.ed25519.map((key) => key.toJSON()),
    role: fc.constantFrom(null, "client", "device"),
    pattern: fc.constantFrom(null, "*", "gw-*", "gw7"),
    salt: of.nonce.map(hex),
    expires: of.time.filter((time) => time >= PASSWORD_MS),
    lasts: fc.integer({ min: 0, max: PASSWORD_MS }),
  })
  .map(({ lasts, expires, ...fields }) => of.json({ ...fields, issued: expires - lasts, expires }));

const applicantJson = fc.record({
  v: fc.constant(1 as const),
  role: of.role,
  x25519: of.bytesOf(32).map(base64),
  ed25519: of.bytesOf(32).map(base64),
  directory: of.word(60),
});

export const ENROLMENT_PARSERS: readonly Parser[] = [
  message("parsePutPassword", of.signedText, enrolment.parsePutPassword, enrolment.encodePutPassword),
  message(
    "parseEnrolmentRequest",
    fc.record({
      ...{ nonce: of.nonce, name: of.name, member: of.member, role: of.role, ed25519: of.ed25519 },
      ...{ passwordKey: of.ed25519, passwordSignature: of.bytesOf(64), ownSignature: of.bytesOf(64) },
      ...{ checkpointSize: fc.nat(), isWaiting: fc.boolean() },
    }),
    enrolment.parseEnrolmentRequest,
    enrolment.encodeEnrolmentRequest,
  ),
  message(
    "parseOwnStatementsQuestion",
    fc.record({ name: of.name, member: of.member, checkpointSize: fc.nat() }),
    enrolment.parseOwnStatementsQuestion,
    enrolment.encodeOwnStatementsQuestion,
  ),
  message(
    "parseEnrolmentsQuestion",
    fc.record({ name: of.name, ownerSignature: signature }),
    enrolment.parseEnrolmentsQuestion,
    enrolment.encodeEnrolmentsQuestion,
  ),
  message(
    "parseEnrolmentDenial",
    fc.record({ name: of.name, member: of.member, x25519: of.x25519, ed25519: of.ed25519, ownerSignature: signature }),
    enrolment.parseEnrolmentDenial,
    enrolment.encodeEnrolmentDenial,
  ),
  message(
    "readEnrolments",
    fc.array(entry, { maxLength: 3 }),
    (bytes) => {
      const reader = new ByteReader(bytes);
      const entries = enrolment.readEnrolments(reader);
      reader.end();
      return entries;
    },
    (entries) => {
      const writer = new ByteWriter();
      enrolment.writeEnrolments(writer, entries);
      return writer.done();
    },
  ),
  {
    name: "one-time password, signed anew",
    covers: ["protocol/enrolment.ts#verifyOneTimePassword", "protocol/enrolment.ts#isForApplicant"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      return textParser({
        samples: passwordText,
        parse: (text) => {
          const signed = { text, signature: signSshsig(suite, key, PASSWORD_NAMESPACE, utf8(text)) };
          return { text, password: verifyOneTimePassword(suite, signed) };
        },
        print: ({ text, password: { name, key: own, role, pattern, issued, expires } }) => {
          const salt = /"salt":"([0-9a-f]{32})"/.exec(text)?.[1];
          return JSON.stringify({
            v: 1,
            kind: "password",
            name,
            key: own.toJSON(),
            role,
            pattern,
            salt,
            issued,
            expires,
          });
        },
        holds: ({ password }) => {
          const member = (password.pattern ?? "gw").replace("*", "0") as never;
          return isForApplicant(password, { name: password.name, member, role: password.role ?? "client" });
        },
        words: WORDS,
      });
    },
  },
  {
    name: "pending enrolment that nobody has asked for",
    covers: ["protocol/enrolment.ts#verifyPendingEnrolment"],
    because: "its parts have rows of their own; that it refuses what is forged, test/protocol/enrolment.test.ts shows",
    share: 0.1,
    make: ({ suite }) =>
      bytesParser({
        samples: entry.map((one) => {
          const writer = new ByteWriter();
          enrolment.writeEnrolments(writer, [one]);
          return writer.done();
        }),
        parse: (bytes) => {
          const [one] = enrolment.readEnrolments(new ByteReader(bytes));
          if (one === undefined) return false;
          try {
            const nobody = { owner: "", former: [] };
            verifyPendingEnrolment(suite, "SHA256:x", nobody, { ...one, name: "@acme" as never }, 0);
          } catch (error) {
            if (error instanceof SshnpError) return error.code; // as it must be of what nobody has asked for
            throw error;
          }
          throw new Error("an enrolment without an owner is one");
        },
      }),
  },
  {
    name: "statements kept in a key file, of anybody",
    covers: ["keys/kept-statements.ts#areAnsweredFor"],
    because: "the rows of member files give it whole ones",
    share: 0.1,
    isTotal: true,
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      const line = ed25519Line(key.publicKey);
      const namespace = "sshnp-rotation@v1";
      return textParser({
        samples: fc.constantFrom('{"owner":"x"}', '{"key":"AAAA"}', "[]", "{"),
        parse: (text) =>
          areAnsweredFor(suite, line, [{ text, signature: signSshsig(suite, key, namespace, utf8(text)) }]),
      });
    },
  },
  {
    name: "keys of one that asks, in a file",
    covers: ["keys/enrolment-files.ts#applicantSchema", "keys/json-file.ts#parseJsonFile"],
    dictionary: [...TEXT_WORDS, ...WORDS],
    make: () =>
      bytesParser({
        samples: applicantJson.map((value) => printJsonFile(applicantSchema, value)),
        parse: (bytes) => parseJsonFile(applicantSchema, bytes),
        print: (value) => printJsonFile(applicantSchema, value),
      }),
  },
  {
    name: "one-time password",
    covers: ["keys/enrolment-secrets.ts#parseOneTimePassword", "keys/base32.ts#asBase32"],
    make: () =>
      textParser({
        samples: of.bytesOf(10).map((bytes) => base32(bytes, 16)),
        parse: (text) => parseOneTimePassword(text),
        holds: (password) => {
          const printed = printOneTimePassword(password);
          return Buffer.compare(fromBase32(printed, 16), password.secretBytes()) === 0;
        },
      }),
  },
  {
    name: "fleet token",
    covers: ["keys/enrolment-secrets.ts#parseFleetToken"],
    make: () =>
      textParser({
        samples: of.bytesOf(32).map(hex),
        parse: (text) => parseFleetToken(text),
        holds: (token, text) => printFleetToken(token) === text.trim(),
      }),
  },
  {
    name: "how long",
    covers: ["keys/cli/duration.ts#parseDuration"],
    make: () =>
      textParser({
        samples: fc
          .tuple(fc.integer({ min: 1, max: 20 }), fc.constantFrom("s", "m", "h", "d"))
          .map((parts) => parts.join("")),
        parse: (text) => parseDuration("--expires", text, 30 * 86_400_000),
        holds: (ms) => Number.isSafeInteger(ms) && ms > 0 && ms <= 30 * 86_400_000,
        words: words("d", "h", "0", "999999"),
      }),
  },
  {
    name: "pattern of members",
    covers: ["keys/cli/applicants.ts#parsePattern"],
    make: () =>
      textParser({
        samples: fc.constantFrom("gw-*", "*", "gw7", "g*"),
        parse: parsePattern,
        print: (text) => text,
        words: WORDS,
      }),
  },
  {
    name: "role",
    covers: ["keys/cli/applicants.ts#parseRole"],
    make: () => textParser({ samples: of.role, parse: parseRole, print: (text) => text }),
  },
];
