import {
  encodeDistances,
  parseDistances,
  readDistances,
  writeDistances,
} from "../../../protocol/messages/rendezvous-distances.ts";
import * as fc from "fast-check";
import { ByteReader, ByteWriter, utf8 } from "../../../keys/bytes.ts";
import * as activation from "../../../protocol/messages/activation.ts";
import * as broker from "../../../protocol/messages/broker.ts";
import * as link from "../../../protocol/messages/link.ts";
import { encodePrologue, parsePrologue, readPrologue } from "../../../protocol/messages/prologue.ts";
import {
  type DeviceEntry,
  encodeListDevices,
  parseListDevices,
  readDevices,
  writeDevices,
} from "../../../protocol/messages/devices.ts";
import { encodeFrame, type Frame, parseFrame } from "../../../protocol/messages/response-frames.ts";
import { encodePutStatements, parsePutStatements } from "../../../protocol/messages/put-statements.ts";
import {
  encodeReadStatements,
  parseReadStatements,
  readStatementsPage,
  writeStatementsPage,
} from "../../../protocol/messages/read-statements.ts";
import { readMemberStatements, writeMemberStatements } from "../../../protocol/member-statements.ts";
import * as session from "../../../protocol/messages/session-request.ts";
import { closeNumber, parseCloseCode, parseResetCode, resetNumber } from "../../../protocol/channel/end-codes.ts";
import { encodeRecord, parseRecord } from "../../../protocol/channel/record.ts";
import { LEG_STATUS, parseLegHello, parseLegStatus } from "../../../protocol/leg-hello.ts";
import { parseRefusalCode, REFUSAL_NUMBERS } from "../../../protocol/refusal-codes.ts";
import * as payloads from "../../../protocol/session/payloads.ts";
import { readSignedText, writeSignedText } from "../../../protocol/signed-text-wire.ts";
import * as of from "../arbitraries.ts";
import { entry as enrolmentEntry } from "./enrolments.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, type Subject } from "../subject.ts";

const MESSAGE_WORDS = words("sshnp/1", "sshnp/0", "new", "again", "ssh", "tcp:", "@", "/", "tcp://a:1", "[::1]");

/** A parser with its encoder: `FILE` and the name of the parser. */
function message<T>(
  name: string,
  file: string,
  parserName: string,
  values: fc.Arbitrary<T>,
  parse: (bytes: Uint8Array) => T,
  print: (value: T) => Uint8Array,
): Parser {
  const make = (): Subject => bytesParser<T>({ samples: values.map(print), parse, print: (value) => print(value) });
  return { name, covers: [`protocol/${file}#${parserName}`], dictionary: MESSAGE_WORDS, make };
}

const ACTIVATION = "messages/activation.ts";
const LINK = "messages/link.ts";
const SESSION = "messages/session-request.ts";
const distances = fc
  .dictionary(fc.stringMatching(/^[0-9a-f]{15}[1-9a-f]$/), fc.nat(65_535), { maxKeys: 16 })
  .map((entries) => new Map(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1))));
const signedTexts = of.signedTexts(3);
const labels = fc.array(fc.stringMatching(/^[a-z0-9/]{1,20}$/), { maxLength: 6 });

const devices: fc.Arbitrary<DeviceEntry[]> = fc.array(
  fc.oneof(
    fc.record({ member: of.member, state: fc.constant("never seen" as const) }),
    fc.record({ member: of.member, state: fc.constant("offline" as const), lastSeen: of.milliseconds }),
    fc.record({
      ...{ member: of.member, state: fc.constant("online" as const), since: of.milliseconds },
      version: fc.stringMatching(/^[0-9A-Za-z.+-]{1,64}$/),
    }),
  ),
  { maxLength: 128 },
);

const frames: Readonly<Record<Frame["type"], fc.Arbitrary<Frame>>> = {
  welcome: fc.record({ type: fc.constant("welcome"), time: of.milliseconds, nonce: of.nonce, keyListSeq: fc.nat() }),
  keepAlive: fc.constant({ type: "keepAlive" }),
  refused: fc.record({ type: fc.constant("refused"), code: of.refusalCode, detail: of.milliseconds }),
  ticket: fc.record({
    type: fc.constant("ticket"),
    ticket: of.someBytes(400),
    rendezvous: signedTexts,
    proof: of.logProof,
  }),
  waiting: fc.record({ type: fc.constant("waiting"), lastSeen: of.milliseconds }),
  answer: fc.record({ type: fc.constant("answer"), message2: of.someBytes(1400) }),
  deviceCode: fc.record({
    type: fc.constant("deviceCode"),
    code: of.refusalCode,
    labels: labels.map((all) => all.join(",")),
  }),
  binding: fc.record({
    type: fc.constant("binding"),
    of: fc.constantFrom("device" as const, "client" as const),
    statements: of.memberStatements,
    proof: of.logProof,
  }),
  activation: fc.record({ type: fc.constant("activation"), nonce: of.nonce, time: of.milliseconds }),
  done: fc.constant({ type: "done" }),
  rendezvous: fc.record({ type: fc.constant("rendezvous"), statement: of.signedText }),
  statements: fc.record({
    type: fc.constant("statements"),
    statements: fc.array(of.signedText, { maxLength: 16 }),
    proof: of.logProof,
  }),
  logged: fc.record({ type: fc.constant("logged"), proof: of.logProof }),
  pending: fc.record({ type: fc.constant("pending"), requested: of.milliseconds, until: of.milliseconds }),
  devices: fc.record({ type: fc.constant("devices"), devices }),
  enrolments: fc.record({ type: fc.constant("enrolments"), entries: fc.array(enrolmentEntry, { maxLength: 16 }) }),
};

const limits = fc.record({ earlyWindow: of.u32, streamWindow: of.u32, sessionWindow: of.u32, streams: fc.nat(65_535) });
const sshKey = fc.option(
  fc.record({ use: fc.constantFrom("push" as const, "certify" as const), blob: of.publicKeyBlob }),
  { nil: undefined },
);
/** Whatever a peer calls one: the payloads do not look into it. */
const checkpoint = fc.oneof({ arbitrary: fc.string({ maxLength: 200 }), weight: 40 }, fc.constant("x".repeat(4096)));
const refusal = fc.option(fc.record({ code: of.refusalCode, reason: fc.string({ maxLength: 100 }) }), {
  nil: undefined,
});

const stream = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const window = fc.oneof(fc.nat(2 ** 31), fc.constantFrom(0, 1, 2 ** 31));
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const record = fc.oneof(
  fc.record({ type: fc.constant("confirm" as const), next: fc.nat() }),
  fc.record({ type: fc.constant("open" as const), stream, window, service: of.word(60) }),
  fc.record({ type: fc.constant("opened" as const), stream, window }),
  fc.record({ type: fc.constant("data" as const), stream, bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
  fc.record({ type: fc.constant("window" as const), stream, credit: fc.integer({ min: 1, max: 2 ** 31 }) }),
  fc.record({ type: fc.constant("end" as const), stream }),
  fc.record({ type: fc.constant("reset" as const), stream, code: fc.nat(5).map((number) => parseResetCode(number)) }),
  fc.record({ type: fc.constantFrom("ping" as const, "pong" as const), value: u64 }),
  fc.record({ type: fc.constant("close" as const), code: fc.nat(4).map((number) => parseCloseCode(number)) }),
);

/** A table of codes: one byte each. */
function codes<T extends string>(
  name: string,
  covers: string,
  parse: (number: number) => T,
  numberOf: (code: T) => number,
  samples: readonly number[],
): Parser {
  return {
    name,
    covers: [covers],
    make: () =>
      bytesParser({
        samples: fc.constantFrom(...samples).map((number) => Uint8Array.of(number)),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const code = parse(reader.u8());
          reader.end();
          return code;
        },
        print: (code) => Uint8Array.of(numberOf(code as T)),
      }),
  };
}

export const MESSAGE_PARSERS: readonly Parser[] = [
  message(
    "activation start",
    ACTIVATION,
    "parseActivationStart",
    of.name,
    activation.parseActivationStart,
    activation.encodeActivationStart,
  ),
  message(
    "activation",
    ACTIVATION,
    "parseActivation",
    fc.record({
      nonce: of.nonce,
      name: of.signedText,
      binding: of.signedText,
      activationSignature: of.bytesOf(64),
      ownerSignature: of.someBytes(200),
    }),
    activation.parseActivation,
    activation.encodeActivation,
  ),
  message(
    "activation start of a rendezvous",
    ACTIVATION,
    "parseRendezvousActivationStart",
    of.ed25519,
    activation.parseRendezvousActivationStart,
    activation.encodeRendezvousActivationStart,
  ),
  message(
    "activation of a rendezvous",
    ACTIVATION,
    "parseRendezvousActivation",
    fc.record({
      nonce: of.nonce,
      activationKey: of.ed25519,
      x25519: of.x25519,
      ed25519: of.ed25519,
      addresses: of.addresses,
      activationSignature: of.bytesOf(64),
      ownSignature: of.bytesOf(64),
    }),
    activation.parseRendezvousActivation,
    activation.encodeRendezvousActivation,
  ),
  message(
    "report of a rendezvous",
    ACTIVATION,
    "parseRendezvousReport",
    fc.record({
      ...{ boot: of.nonce, legs: of.u32, most: of.u32, isDraining: fc.boolean(), addresses: of.addresses },
      region: fc.stringMatching(/^(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)?$/),
    }),
    activation.parseRendezvousReport,
    activation.encodeRendezvousReport,
  ),
  message(
    "link hello",
    LINK,
    "parseLinkHello",
    fc.record({
      name: of.name,
      member: of.member,
      epoch: of.nonce,
      version: fc.stringMatching(/^[0-9A-Za-z.+-]{1,64}$/),
      names: fc.array(of.name, { maxLength: 64 }),
      checkpointSize: fc.maxSafeNat(),
      policyHash: of.bytesOf(32),
    }),
    link.parseLinkHello,
    link.encodeLinkHello,
  ),
  message(
    "hello by a broker",
    "messages/broker.ts",
    "parseBrokerHello",
    fc.record({
      name: of.name,
      member: of.member,
      epoch: of.nonce,
      version: fc.stringMatching(/^[0-9A-Za-z.+-]{1,64}$/),
      names: fc.array(of.name, { maxLength: 64 }),
      checkpointSize: fc.maxSafeNat(),
      policyHash: of.bytesOf(32),
      connection: of.nonce,
    }),
    broker.parseBrokerHello,
    broker.encodeBrokerHello,
  ),
  message(
    "version of sshnpd in a message",
    LINK,
    "readVersion",
    fc.stringMatching(/^[0-9A-Za-z.+-]{1,64}$/),
    reading(link.readVersion),
    writing((writer, version) => writer.text8(version)),
  ),
  message(
    "link welcome",
    LINK,
    "parseLinkWelcome",
    fc.record({ time: of.milliseconds, nonce: of.nonce, keyListSeq: fc.nat() }),
    link.parseLinkWelcome,
    link.encodeLinkWelcome,
  ),
  message(
    "link refused",
    LINK,
    "parseLinkRefused",
    fc.record({ code: of.refusalCode, time: of.milliseconds, nonce: of.nonce }),
    link.parseLinkRefused,
    link.encodeLinkRefused,
  ),
  message(
    "link names",
    LINK,
    "parseLinkNames",
    fc.record({ chains: fc.array(of.signedTexts(8), { minLength: 1, maxLength: 8 }), proof: of.logProof }),
    link.parseLinkNames,
    link.encodeLinkNames,
  ),
  message(
    "link own",
    LINK,
    "parseLinkOwn",
    fc.record({
      statements: of.memberStatements,
      policy: fc.option(of.signedText, { nil: undefined }),
      proof: of.logProof,
    }),
    link.parseLinkOwn,
    link.encodeLinkOwn,
  ),
  message(
    "link changed",
    LINK,
    "parseLinkChanged",
    fc.record({ client: of.linkParty, statements: of.memberStatements, proof: of.logProof }),
    link.parseLinkChanged,
    link.encodeLinkChanged,
  ),
  message(
    "distances",
    "messages/rendezvous-distances.ts",
    "parseDistances",
    distances,
    parseDistances,
    encodeDistances,
  ),
  message(
    "distances in a message",
    "messages/rendezvous-distances.ts",
    "readDistances",
    distances,
    reading(readDistances),
    writing(writeDistances),
  ),
  message(
    "link watching",
    LINK,
    "parseLinkWatching",
    fc.array(of.linkParty, { maxLength: 64 }),
    link.parseLinkWatching,
    link.encodeLinkWatching,
  ),
  message(
    "statements to be put",
    "messages/put-statements.ts",
    "parsePutStatements",
    fc.record({ checkpointSize: fc.maxSafeNat(), statements: of.signedTexts(16) }),
    parsePutStatements,
    encodePutStatements,
  ),
  message(
    "question for statements",
    "messages/read-statements.ts",
    "parseReadStatements",
    fc.record({
      name: of.name,
      what: fc.constantFrom("newest" as const, "history" as const),
      checkpointSize: fc.maxSafeNat(),
      ownerSignature: of.someBytes(200),
    }),
    parseReadStatements,
    encodeReadStatements,
  ),
  message(
    "question for devices",
    "messages/devices.ts",
    "parseListDevices",
    of.name,
    parseListDevices,
    encodeListDevices,
  ),
  message(
    "devices in a message",
    "messages/devices.ts",
    "readDevices",
    devices,
    reading(readDevices),
    writing(writeDevices),
  ),
  message(
    "page of statements in a message",
    "messages/read-statements.ts",
    "readStatementsPage",
    fc.record({ statements: fc.array(of.signedText, { maxLength: 16 }), proof: of.logProof }),
    reading(readStatementsPage),
    writing(writeStatementsPage),
  ),
  message(
    "statements of a member in a message",
    "member-statements.ts",
    "readMemberStatements",
    of.memberStatements,
    reading(readMemberStatements),
    writing(writeMemberStatements),
  ),
  message(
    "log proof in a message, not looked into",
    SESSION,
    "readProof",
    of.logProof,
    reading(session.readProof),
    writing((writer, proof: Uint8Array) => void writer.bytes16(proof)),
  ),
  message("signed text", LINK, "parseSignedText", of.signedText, link.parseSignedText, link.encodeSignedText),
  message(
    "signed text in a message",
    "signed-text-wire.ts",
    "readSignedText",
    of.signedText,
    reading(readSignedText),
    writing(writeSignedText),
  ),
  message(
    "signed texts in a message",
    SESSION,
    "readSignedTexts",
    signedTexts,
    reading(session.readSignedTexts),
    writing(session.writeSignedTexts),
  ),
  message("prologue", "messages/prologue.ts", "parsePrologue", of.prologue, parsePrologue, encodePrologue),
  message(
    "prologue in a message",
    "messages/prologue.ts",
    "readPrologue",
    of.prologue,
    reading(readPrologue),
    encodePrologue,
  ),
  message(
    "session request",
    SESSION,
    "parseSessionRequest",
    fc
      .record({
        prologue: of.prologue,
        message1: of.someBytes(1500),
        waitSeconds: of.u32,
        checkpointSize: fc.maxSafeNat(),
        distances,
      })
      .map((request) => ({ ...request, prologueBytes: encodePrologue(request.prologue) })),
    session.parseSessionRequest,
    session.encodeSessionRequest,
  ),
  message("withdraw", SESSION, "parseWithdraw", of.nonce, session.parseWithdraw, session.encodeWithdraw),
  message(
    "notify",
    SESSION,
    "parseNotify",
    fc
      .record({
        prologue: of.prologue,
        message1: of.someBytes(1500),
        ticket: of.someBytes(400),
        client: of.memberStatements,
        rendezvous: signedTexts,
        proof: of.logProof,
      })
      .map((notify) => ({ ...notify, prologueBytes: encodePrologue(notify.prologue) })),
    session.parseNotify,
    session.encodeNotify,
  ),
  message<session.Answer>(
    "answer",
    SESSION,
    "parseAnswer",
    fc.oneof(
      fc.record({ sid: of.nonce, message2: of.someBytes(1400) }),
      fc.record({ sid: of.nonce, code: of.refusalCode, labels }),
    ),
    session.parseAnswer,
    session.encodeAnswer,
  ),
  message<Frame>(
    "frame",
    "messages/response-frames.ts",
    "parseFrame",
    fc.oneof(...Object.values(frames)),
    (bytes) => parseFrame(new ByteReader(bytes).u8(), bytes.subarray(1)),
    (frame) => {
      const { type, body } = encodeFrame(frame);
      return new ByteWriter().u8(type).raw(body).done();
    },
  ),
  message(
    "payload of msg1",
    "session/payloads.ts",
    "parseRequestPayload",
    fc.record({ legSeed: of.bytesOf(32), checkpoint, sshKey }),
    payloads.parseRequestPayload,
    payloads.encodeRequestPayload,
  ),
  message(
    "payload of msg2",
    "session/payloads.ts",
    "parseAnswerPayload",
    fc.record({
      refusal,
      ticketHash: of.bytesOf(32),
      hostKeys: fc.array(of.publicKeyBlob, { maxLength: 8 }),
      keyTaken: fc.boolean(),
      checkpoint,
      limits,
    }),
    payloads.parseAnswerPayload,
    payloads.encodeAnswerPayload,
  ),
  message(
    "record",
    "channel/record.ts",
    "parseRecord",
    record,
    parseRecord,
    (value) => new Uint8Array(Buffer.concat(encodeRecord(value))),
  ),
  message(
    "leg hello",
    "leg-hello.ts",
    "parseLegHello",
    fc
      .record({ ticket: of.someBytes(600), role: of.role, dial: of.u32, signature: of.bytesOf(64) })
      .map((hello) => ({ hello, rest: utf8("") })),
    (bytes) => {
      const parsed = parseLegHello(bytes);
      // What follows a hello is its leg's early data.
      return parsed === undefined ? (undefined as never) : { hello: parsed.hello, rest: bytes.subarray(parsed.length) };
    },
    ({ hello, rest }) => {
      const body = new ByteWriter()
        .bytes16(hello.ticket)
        .u8(hello.role === "client" ? 0 : 1)
        .u32(hello.dial)
        .raw(hello.signature);
      return new ByteWriter().u8(0).bytes16(body.done()).raw(rest).done();
    },
  ),
  codes(
    "status of a leg",
    "protocol/leg-hello.ts#parseLegStatus",
    parseLegStatus,
    (code) => LEG_STATUS[code],
    Object.values(LEG_STATUS),
  ),
  codes(
    "refusal code",
    "protocol/refusal-codes.ts#parseRefusalCode",
    parseRefusalCode,
    (code) => REFUSAL_NUMBERS[code],
    Object.values(REFUSAL_NUMBERS),
  ),
  codes(
    "code of a RESET",
    "protocol/channel/end-codes.ts#parseResetCode",
    parseResetCode,
    resetNumber,
    [0, 1, 2, 3, 4, 5],
  ),
  codes(
    "code of a CLOSE",
    "protocol/channel/end-codes.ts#parseCloseCode",
    parseCloseCode,
    closeNumber,
    [0, 1, 2, 3, 4],
  ),
];

/** A part of a message, as a whole one. */
function reading<T>(read: (reader: ByteReader) => T): (bytes: Uint8Array) => T {
  return (bytes) => {
    const reader = new ByteReader(bytes);
    const value = read(reader);
    reader.end();
    return value;
  };
}

function writing<T>(write: (writer: ByteWriter, value: T) => void): (value: T) => Uint8Array {
  return (value) => {
    const writer = new ByteWriter();
    write(writer, value);
    return writer.done();
  };
}
