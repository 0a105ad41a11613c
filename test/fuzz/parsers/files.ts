import * as fc from "fast-check";
import type * as v from "valibot";
import { base64, hex, utf8 } from "../../../keys/bytes.ts";
import { Ed25519PublicKey } from "../../../keys/ed25519.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { acknowledgedSchema } from "../../../keys/activation-files.ts";
import { isAgeFile, openWithPassphrase, sealWithPassphrase } from "../../../keys/age-file.ts";
import { parseMemberFile, parseOwnerFile, printMemberFile, printOwnerFile } from "../../../keys/end-key-files.ts";
import { type MemberJson, memberSchema, type OwnerJson, ownerSchema } from "../../../keys/end-key-json.ts";
import { SshnpError } from "../../../keys/errors.ts";
import { parseJsonFile, printJsonFile } from "../../../keys/json-file.ts";
import { keyListFileSchema } from "../../../keys/key-list-files.ts";
import { seenLogSchema } from "../../../keys/log-files.ts";
import type { MemberName, Name } from "../../../keys/names.ts";
import { ed25519Line, parsePublicKeyLine } from "../../../keys/openssh.ts";
import { parseToldHostKeys, printToldHostKeys } from "../../../sshnpd/told-host-keys.ts";
import { ownStatementsSchema } from "../../../keys/own-statement-files.ts";
import type { MemberPin, OwnerPin } from "../../../keys/peer.ts";
import { statedSchema } from "../../../keys/cli/stated.ts";
import { usedPasswordsSchema } from "../../../keys/cli/used-passwords.ts";
import { memberPinSchema, ownerPinSchema, revokedSchema } from "../../../keys/peer-files.ts";
import { Secret } from "../../../keys/secret.ts";
import { directoryKeysSchema, rendezvousKeysSchema, witnessKeySchema } from "../../../keys/service-key-files.ts";
import { signedTextFromJson, signedTextSchema, signedTextToJson } from "../../../keys/signed-text.ts";
import { parseAdminAnswer, parseAdminRequest } from "../../../directory/admin-socket.ts";
import { LOG_TABLES, parseLogEntry } from "../../../directory/log/rows.ts";
import type { Operation } from "../../../directory/database.ts";
import * as enrolmentRecords from "../../../directory/enrolment-records.ts";
import * as records from "../../../directory/records.ts";
import * as tables from "../../../directory/tables.ts";
import { activationFileSchema, statementFileSchema } from "../../../rendezvous/data-folder.ts";
import { distancesSchema } from "../../../sshnp/distances.ts";
import { childAnswerSchema, childOrderSchema } from "../../../sshnpd/authorized-keys-order.ts";
import { encodeLeaf, type Leaf } from "../../../protocol/log/leaf.ts";
import { encodeMapNode } from "../../../protocol/log/map.ts";
import type { MapNode } from "../../../protocol/log/map-node.ts";
import { cast } from "../../protocol/fixtures.ts";
import * as of from "../arbitraries.ts";
import { TEXT_WORDS, words } from "../mutation.ts";
import { Broken, bytesParser, type Parser, textParser } from "../subject.ts";

const FIELDS = [
  ...TEXT_WORDS,
  ...words(
    '"v": 1',
    '"kind": "owner"',
    '"kind": "member"',
    '"role": "device"',
    '"statements": []',
    '"accepted": []',
    "\n  ",
  ),
];

const key = of.bytesOf(32).map(base64);
/** In the order of the log's tables. */
const PRINT_LOG_ENTRY: readonly ((value: unknown) => Uint8Array)[] = [
  (value) => encodeLeaf(value as Leaf),
  (value) => value as Uint8Array,
  (value) => encodeMapNode(value as MapNode),
];
const signedJson = of.signedText.filter(({ signature }) => signature.length > 0).map(signedTextToJson);
const statementFile = signedJson.map((statement) => ({ v: 1 as const, statement }));
const ownerJson: fc.Arbitrary<OwnerJson> = fc.record({
  v: fc.constant(1 as const),
  kind: fc.constant("owner" as const),
  name: of.name,
  ed25519: key,
  statement: signedJson,
});
const address = of.fingerprintText.map((text) => `http://np.example.org:7800#${text}`);
const memberJson: fc.Arbitrary<MemberJson> = fc.record({
  v: fc.constant(1 as const),
  kind: fc.constant("member" as const),
  name: of.name,
  member: of.member,
  role: of.role,
  x25519: key,
  ed25519: key,
  owner: of.ownerLine,
  directory: address,
  statements: fc.array(signedJson, { minLength: 1, maxLength: 3 }),
});
const fingerprints = fc.array(of.fingerprintText, { maxLength: 3 });
const ownerPin: fc.Arbitrary<OwnerPin> = fc.record(
  {
    v: fc.constant(1 as const),
    name: of.name,
    owner: of.ownerLine,
    origin: fc.constantFrom("given" as const, "first contact" as const, "accepted" as const, "rotation" as const),
    since: of.milliseconds,
    statement: signedJson,
    accepted: fingerprints,
    former: fingerprints,
  },
  { requiredKeys: ["v", "name", "owner", "origin", "since", "statement", "accepted"] },
);
const memberPin: fc.Arbitrary<MemberPin> = fc.record({
  v: fc.constant(1 as const),
  name: of.name,
  member: of.member,
  owner: of.ownerLine,
  binding: signedJson,
  delegation: fc.option(signedJson),
  hostKeys: fc.array(of.publicKeyLine, { maxLength: 2 }),
  accepted: fingerprints,
});
const note = fc.string({ maxLength: 200 });
const seenLog = fc.record(
  {
    v: fc.constant(1 as const),
    directory: of.fingerprintText,
    checkpoint: fc.option(note),
    evidence: fc.array(fc.record({ found: of.milliseconds, notes: fc.tuple(note, note) }), { maxLength: 3 }),
    witnessed: fc.array(fc.tuple(key, of.milliseconds), { maxLength: 3 }),
    pending: fc.array(fc.record({ since: of.milliseconds, checkpoint: note }), { maxLength: 3 }),
  },
  { requiredKeys: ["v", "directory", "checkpoint", "evidence"] },
);
const ownStatements = fc.record(
  {
    v: fc.constant(1 as const),
    names: fc.array(signedJson, { minLength: 1, maxLength: 8 }),
    member: signedJson,
    delegation: fc.option(signedJson),
    policy: fc.option(signedJson),
    owner: of.ownerLine,
  },
  { requiredKeys: ["v", "names", "member", "delegation", "policy"] },
);
const dated = <Field extends string>(field: Field) =>
  fc.array(
    fc
      .tuple(key, of.milliseconds)
      .map(([one, notAfter]) => ({ [field]: one, notAfter }) as Record<Field, string> & { notAfter: number }),
    { minLength: 1, maxLength: 2 },
  );
const directoryKeys = fc.record({
  v: fc.constant(1 as const),
  kind: fc.constant("directory" as const),
  root: key,
  sealing: dated("x25519"),
  ticket: dated("ed25519"),
  log: key,
});
const rendezvousKeys = fc.record({
  v: fc.constant(1 as const),
  kind: fc.constant("rendezvous" as const),
  x25519: key,
  ed25519: key,
});

const activatable = { added: of.milliseconds, activationKey: key };
const storeEntries: readonly (readonly [tables.Table<unknown>, fc.Arbitrary<unknown>])[] = [
  [tables.NAMES, fc.record({ ...activatable, statements: fc.array(signedJson, { maxLength: 3 }) })],
  [
    tables.MEMBERS,
    fc.record({
      ...{ role: of.role, x25519: key, ed25519: key, expires: fc.option(of.milliseconds) },
      ...{ binding: signedJson, newest: signedJson, delegation: fc.option(fc.stringMatching(/^[0-9a-f]{16}$/)) },
    }),
  ],
  [tables.DELEGATIONS, fc.record({ delegation: signedJson, newest: signedJson, made: fc.nat() })],
  [tables.PASSWORDS, fc.record({ password: signedJson, expires: of.milliseconds, isUsed: fc.boolean() })],
  [
    tables.ENROLMENTS,
    fc.record({
      ...{ role: of.role, x25519: key, ed25519: key, password: signedJson },
      ...{ nonce: of.nonce.map(hex), requested: of.milliseconds },
      ...{ passwordSignature: of.bytesOf(64).map(base64), ownSignature: of.bytesOf(64).map(base64) },
    }),
  ],
  [tables.RENDEZVOUS, fc.record({ ...activatable, statement: fc.option(signedJson), isActivated: fc.boolean() })],
  [
    tables.REPORTS,
    fc.record(
      {
        boot: key,
        legs: fc.nat(),
        time: of.milliseconds,
        most: fc.nat(),
        isDraining: fc.boolean(),
        region: fc.stringMatching(/^[a-z0-9]{0,32}$/),
      },
      { requiredKeys: ["boot", "legs", "time"] },
    ),
  ],
  [tables.WITNESSES, fc.record({ added: of.milliseconds, url: of.name, verifierKey: fc.string() })],
  [tables.KEYS, of.name],
  ...[tables.POLICIES, tables.STATEMENTS, tables.META].map((table) => [table, signedJson] as const),
  [
    tables.PRESENCES,
    fc.record({ replica: of.word(32), link: of.word(32), since: of.milliseconds, version: of.word(64) }),
  ],
  [tables.DISTANCES, fc.record({ link: of.word(32), distances: of.bytesOf(11).map(base64) })],
  [
    tables.WAKES,
    fc.record({
      ...{ epoch: key, nonce: key, connection: key, device: key, recipient: key, policyHash: key },
      ...{ sent: fc.nat(), heard: fc.nat(), keyListSeq: fc.nat(), checkpointSize: fc.nat() },
      ...{ heardDistances: fc.nat(), distances: of.bytesOf(11).map(base64) },
      ...{ names: fc.array(of.name, { maxLength: 3 }), clients: fc.array(of.name, { maxLength: 3 }) },
      ...{ since: of.milliseconds, version: of.word(64), isAway: fc.boolean() },
    }),
  ],
  [tables.AUDITS, fc.record({ n: fc.nat(), hash: of.bytesOf(32).map(hex) })],
  [
    tables.AUDIT_OWED,
    fc.record({ event: of.word(20), subject: of.name, index: fc.nat(), hash: of.bytesOf(32).map(hex) }),
  ],
  ...[tables.SEEN, tables.IDS, tables.NONCES].map((table) => [table, of.milliseconds] as const),
];
const PARTY = { name: "@acme" as Name, member: "mygateway" as MemberName };
/** Part of a row's key alone. */
const ANY_KEY = Ed25519PublicKey.parse(new Uint8Array(32).fill(0x58));
const PRINT_RECORD: ReadonlyMap<tables.Table<unknown>, (value: never) => Operation> = new Map<
  tables.Table<unknown>,
  (value: never) => Operation
>([
  [tables.NAMES, (value) => records.nameOperation(PARTY.name, records.nameFromJson(value))],
  [tables.MEMBERS, (value) => records.memberOperation(PARTY, records.memberFromJson(value))],
  [tables.DELEGATIONS, (value) => records.delegationOperation(PARTY.name, "id", records.delegationFromJson(value))],
  [
    tables.PASSWORDS,
    (value) => enrolmentRecords.passwordOperation(PARTY.name, ANY_KEY, enrolmentRecords.passwordFromJson(value)),
  ],
  [
    tables.ENROLMENTS,
    (value) => enrolmentRecords.enrolmentOperation(enrolmentRecords.enrolmentFromJson("@acme/mygateway", value)),
  ],
  [tables.RENDEZVOUS, (value) => records.rendezvousOperation("eu1", records.rendezvousFromJson(value))],
]);

/** True for what is no record either: its keys are none. */
function isPrinted(print: (value: never) => Operation, value: unknown): boolean {
  try {
    const operation = print(value as never);
    return operation.type === "put" && operation.value === JSON.stringify(value);
  } catch (error) {
    if (error instanceof SshnpError) return true;
    throw error;
  }
}

/** A file of our own with one schema: what is read from it is what was written, byte for byte. */
function file<T>(name: string, covers: readonly string[], schema: v.GenericSchema<T>, values: fc.Arbitrary<T>): Parser {
  return {
    name,
    covers: [...covers, "keys/json-file.ts#parseJsonFile"],
    dictionary: FIELDS,
    make: () =>
      bytesParser<T | undefined>({
        samples: values.map((value) => printJsonFile(schema, value)),
        parse: (bytes) => parseJsonFile(schema, bytes),
        print: (value) => printJsonFile(schema, value as T),
      }),
  };
}

export const FILE_PARSERS: readonly Parser[] = [
  file("fields of an owner file", ["keys/end-key-json.ts#ownerSchema"], ownerSchema, ownerJson),
  file("fields of a member file", ["keys/end-key-json.ts#memberSchema"], memberSchema, memberJson),
  file("pin of an owner", ["keys/peer-files.ts#ownerPinSchema"], ownerPinSchema, ownerPin),
  file("pin of a member", ["keys/peer-files.ts#memberPinSchema"], memberPinSchema, memberPin),
  file(
    "state of an activation",
    ["keys/activation-files.ts#acknowledgedSchema"],
    acknowledgedSchema,
    fc.record({ v: fc.constant(1 as const), acknowledged: fc.boolean() }),
  ),
  file(
    "key list in a file",
    ["keys/key-list-files.ts#keyListFileSchema"],
    keyListFileSchema,
    signedJson.map((keyList) => ({ v: 1 as const, keyList })),
  ),
  file(
    "how far an owner's statements are",
    ["keys/cli/stated.ts#statedSchema"],
    statedSchema,
    fc.array(fc.tuple(fc.string(), fc.integer({ min: 1 }))).map((newest) => ({ v: 1 as const, newest })),
  ),
  file(
    "one-time passwords that an owner has used up",
    ["keys/cli/used-passwords.ts#usedPasswordsSchema"],
    usedPasswordsSchema,
    fc
      .array(fc.tuple(of.bytesOf(32).map(hex), fc.option(of.bytesOf(32).map(hex)), of.milliseconds))
      .map((passwords) => ({ v: 1 as const, passwords })),
  ),
  file(
    "that a member was revoked",
    ["keys/peer-files.ts#revokedSchema"],
    revokedSchema,
    fc.record({ v: fc.constant(1 as const), seq: fc.integer({ min: 1 }), owner: fc.string() }),
  ),
  file(
    "what a client has measured of rendezvous",
    ["sshnp/distances.ts#distancesSchema"],
    distancesSchema,
    fc.record({
      v: fc.constant(1 as const),
      measured: fc.array(
        fc.record({ key: fc.stringMatching(/^[0-9a-f]{16}$/), ms: fc.nat(65_535), at: fc.maxSafeNat() }),
        { maxLength: 16 },
      ),
    }),
  ),
  file("what was seen of a log", ["keys/log-files.ts#seenLogSchema"], seenLogSchema, seenLog),
  file(
    "what an owner has said since",
    ["keys/own-statement-files.ts#ownStatementsSchema"],
    ownStatementsSchema,
    ownStatements,
  ),
  file(
    "which secret a rendezvous was activated by",
    ["rendezvous/data-folder.ts#activationFileSchema"],
    activationFileSchema,
    key.map((activationKey) => ({ v: 1 as const, activationKey })),
  ),
  file("statement in a file", ["rendezvous/data-folder.ts#statementFileSchema"], statementFileSchema, statementFile),
  file(
    "private keys of a directory",
    ["keys/service-key-files.ts#directoryKeysSchema"],
    directoryKeysSchema,
    directoryKeys,
  ),
  file(
    "private keys of a rendezvous",
    ["keys/service-key-files.ts#rendezvousKeysSchema"],
    rendezvousKeysSchema,
    rendezvousKeys,
  ),
  file(
    "private key of a witness",
    ["keys/service-key-files.ts#witnessKeySchema"],
    witnessKeySchema,
    of.bytesOf(32).map((bytes) => ({ v: 1 as const, kind: "witness" as const, ed25519: base64(bytes) })),
  ),
  {
    ...file(
      "signed text in a file",
      ["keys/signed-text.ts#signedTextSchema", "keys/signed-text.ts#signedTextFromJson"],
      signedTextSchema,
      signedJson,
    ),
    make: () =>
      bytesParser({
        samples: signedJson.map((value) => printJsonFile(signedTextSchema, value)),
        parse: (bytes) => {
          const json = parseJsonFile(signedTextSchema, bytes);
          return json && signedTextFromJson(json);
        },
        print: (signed) => printJsonFile(signedTextSchema, signedTextToJson(signed)),
      }),
  },
  {
    name: "host keys that clients were led to",
    covers: ["sshnpd/told-host-keys.ts#parseToldHostKeys"],
    dictionary: FIELDS,
    make: () =>
      bytesParser({
        samples: fc
          .tuple(fc.constantFrom("tcp", "inetd sshd"), fc.array(of.publicKeyLine, { maxLength: 3 }))
          .map(([server, lines]) =>
            printToldHostKeys({ server, hostKeys: lines.map((line) => parsePublicKeyLine(line)) }),
          ),
        parse: (bytes) => parseToldHostKeys(bytes),
        print: printToldHostKeys,
      }),
  },
  {
    name: "owner file",
    share: 0.2,
    because: "its fields, the signed texts in it and their SSHSIGs get their whole share in other rows",
    covers: ["keys/end-key-files.ts#parseOwnerFile"],
    dictionary: FIELDS,
    make: ({ suite }) =>
      bytesParser({
        samples: fc.constantFrom(...ownerFiles(suite)),
        parse: (bytes) => parseOwnerFile(suite, bytes),
        print: printOwnerFile,
      }),
  },
  {
    name: "member file",
    share: 0.2,
    because: "its fields, the signed texts in it and their SSHSIGs get their whole share in other rows",
    covers: ["keys/end-key-files.ts#parseMemberFile"],
    dictionary: FIELDS,
    make: ({ suite }) =>
      bytesParser({
        samples: fc.constantFrom(...memberFiles(suite)),
        parse: (bytes) => parseMemberFile(suite, bytes),
        print: printMemberFile,
      }),
  },
  {
    name: "file guarded by a passphrase",
    covers: ["keys/age-file.ts#isAgeFile", "keys/age-file.ts#openWithPassphrase"],
    share: 0.03,
    because:
      "the age library derives a key for each header that parses, half a millisecond at the least; what is inside is a key file, which has rows of its own",
    dictionary: [...TEXT_WORDS, ...words("-> scrypt ", "age-encryption.org/v1\n", "--- ", " 1\n", " 30\n")],
    make: async () => {
      const passphrase = Secret.fromText("four random words here");
      const plaintext = utf8("a key file");
      const sealed = await sealWithPassphrase(plaintext, passphrase, 1);
      return {
        samples: fc.constant(sealed),
        take: async (bytes) => {
          if (!isAgeFile(bytes)) return false;
          const opened = await openWithPassphrase(bytes, passphrase);
          if (opened === undefined) return false;
          if (Buffer.compare(opened, plaintext) !== 0) throw new Broken("another plaintext is given out");
          return true;
        },
      };
    },
  },
  {
    name: "request on the admin socket",
    covers: ["directory/admin-socket.ts#parseAdminRequest"],
    make: () =>
      textParser({
        samples: fc.oneof(
          fc.constantFrom("names", "rendezvous").map((command) => of.json({ command })),
          fc
            .record({
              command: fc.constant("add-name"),
              name: of.name,
              activationKey: of.ed25519.map((one) => one.toJSON()),
            })
            .map(of.json),
          fc
            .record({ command: fc.constant("remove-rendezvous"), name: fc.stringMatching(/^[a-z0-9]{1,20}$/) })
            .map(of.json),
          fc
            .record({
              command: fc.constant("add-rendezvous"),
              name: fc.stringMatching(/^[a-z0-9]{1,20}$/),
              activationKey: of.ed25519.map((one) => one.toJSON()),
            })
            .map(of.json),
        ),
        parse: (text) => parseAdminRequest(text),
        holds: (request) => JSON.stringify(parseAdminRequest(JSON.stringify(request))) === JSON.stringify(request),
        words: words('"command":"names"', '"command":"add-name"', '"name":"@acme"'),
      }),
  },
  {
    name: "answer on the admin socket",
    covers: ["directory/admin-socket.ts#parseAdminAnswer"],
    make: () =>
      textParser({
        samples: fc.oneof(
          fc.jsonValue().map((ok) => of.json({ ok })),
          fc
            .record({ code: fc.constantFrom("E_RATE", "E_NAME_TAKEN"), fact: fc.string(), next: fc.string() })
            .map((error) => of.json({ error })),
        ),
        parse: (text) => parseAdminAnswer(text),
        words: words('"error":', '"code":"E_RATE"', '"ok":'),
      }),
  },
  {
    name: "entry of the store",
    covers: [
      "directory/tables.ts#parseEntry",
      ...[
        "NAMES",
        "MEMBERS",
        "DELEGATIONS",
        "PASSWORDS",
        "ENROLMENTS",
        "RENDEZVOUS",
        "REPORTS",
        "WITNESSES",
        "PRESENCES",
        "DISTANCES",
        "WAKES",
        "AUDITS",
        "AUDIT_OWED",
      ].map((table) => `directory/tables.ts#${table}`),
      ...["password", "enrolment"].map((what) => `directory/enrolment-records.ts#${what}FromJson`),
      ...["name", "member", "delegation", "rendezvous"].map((what) => `directory/records.ts#${what}FromJson`),
    ],
    dictionary: FIELDS,
    make: () =>
      textParser({
        // Which table, then the entry.
        samples: fc.oneof(
          ...storeEntries.map(([{ prefix }, values]) => values.map((value) => `${prefix}${of.json(value)}`)),
        ),
        parse: (text) => {
          const table = tables.TABLES.find(({ prefix }) => text.startsWith(prefix));
          return table && { table, value: tables.parseEntry(table, text.slice(table.prefix.length)) };
        },
        // What is stored of a record is what was read of it.
        holds: ({ table, value }) => {
          const again = JSON.stringify(tables.parseEntry(table, JSON.stringify(value)));
          const print = PRINT_RECORD.get(table);
          return again === JSON.stringify(value) && (print === undefined || isPrinted(print, value));
        },
      }),
  },
  {
    name: "entry of the log",
    covers: ["directory/log/rows.ts#parseLogEntry"],
    make: () => {
      const hash = of.bytesOf(32);
      return textParser({
        samples: fc.oneof(
          fc.tuple(fc.constantFrom(1, 2), hash).map(([type, bytes]) => `0${base64(Uint8Array.of(type, ...bytes))}`),
          hash.map((bytes) => `1${base64(bytes)}`),
          fc
            .tuple(fc.constantFrom(2, 3), hash, hash)
            .map(([kind, first, second]) => `2${base64(Uint8Array.of(kind, ...first, ...second))}`),
        ),
        parse: (text) => {
          const print = PRINT_LOG_ENTRY[Number(text[0])];
          const table = LOG_TABLES[Number(text[0])];
          return table && print && { text, printed: base64(print(parseLogEntry(table, text.slice(1)))) };
        },
        holds: ({ text, printed }) => text.slice(1) === printed,
      });
    },
  },
  {
    name: "order to the process that adds a key",
    covers: ["sshnpd/authorized-keys-order.ts#childOrderSchema"],
    make: () =>
      jsonBySchema(
        childOrderSchema,
        fc.record({
          login: of.login,
          uid: fc.nat(),
          gid: fc.nat(),
          home: fc.string(),
          key: of.publicKeyLine,
          comment: fc.string(),
        }),
      ),
  },
  {
    name: "answer of the process that adds a key",
    covers: ["sshnpd/authorized-keys-order.ts#childAnswerSchema"],
    make: () =>
      jsonBySchema(
        childAnswerSchema,
        fc.oneof(
          fc.record({ added: fc.boolean() }),
          fc.record({
            code: fc.constantFrom("E_KEY_PERMISSIONS" as const, "E_STORAGE" as const),
            fact: fc.string(),
            next: fc.string(),
          }),
        ),
      ),
  },
];

/** JSON that one of our own processes prints and another one reads: by a schema, and printed in one line. */
function jsonBySchema<T>(schema: v.GenericSchema<T>, values: fc.Arbitrary<T>) {
  return textParser<T | undefined>({
    samples: values.map((value) => JSON.stringify(value)),
    // As pretty-printed as the files are, so that one form alone is taken here.
    parse: (text) => parseJsonFile(schema, utf8(pretty(text))),
  });
}

function pretty(text: string): string {
  try {
    return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
  } catch {
    return text;
  }
}

function ownerFiles(suite: CipherSuite): Uint8Array[] {
  const { client, device } = cast(suite);
  return [client, device].map(({ name, owner, nameStatement }) =>
    printOwnerFile({ name, privateKey: owner, statement: nameStatement }),
  );
}

function memberFiles(suite: CipherSuite): Uint8Array[] {
  const { client, device } = cast(suite);
  return [client, device].map((one) =>
    printMemberFile({
      ...one,
      owner: ed25519Line(one.owner.publicKey),
      directory: `https://np.example.org:7800#SHA256:${"A".repeat(43)}`,
      statements: [one.nameStatement, one.binding],
    }),
  );
}
