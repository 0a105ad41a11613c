import { encodeDistances, parseDistances } from "../../protocol/messages/rendezvous-distances.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, concat, fromHex, utf8 } from "../../keys/bytes.ts";
import { SshnpError } from "../../keys/errors.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { signKeyList, verifyKeyList } from "../../protocol/key-list.ts";
import { parseLegHello } from "../../protocol/leg-hello.ts";
import * as activation from "../../protocol/messages/activation.ts";
import * as broker from "../../protocol/messages/broker.ts";
import * as enrolment from "../../protocol/messages/enrolment.ts";
import * as link from "../../protocol/messages/link.ts";
import { encodeLogProof, parseLogProof } from "../../protocol/log/proof.ts";
import { encodePutStatements, parsePutStatements } from "../../protocol/messages/put-statements.ts";
import { encodeListDevices, parseListDevices } from "../../protocol/messages/devices.ts";
import { encodeReadStatements, parseReadStatements } from "../../protocol/messages/read-statements.ts";
import { encodeFrame, parseFrame } from "../../protocol/messages/response-frames.ts";
import * as session from "../../protocol/messages/session-request.ts";
import { FRAME } from "../../protocol/messages/types.ts";
import { ResponseOpener } from "../../protocol/response.ts";
import { openMessage } from "../../protocol/sealed-message.ts";
import * as payloads from "../../protocol/session/payloads.ts";
import { encodePrologue, parsePrologue } from "../../protocol/messages/prologue.ts";
import { verifyRotation } from "../../protocol/owner-chain.ts";
import { verifyDelegation, verifyPolicyStatement, verifyRevocation } from "../../protocol/owner-statements.ts";
import { kindOf, type StatementKind } from "../../protocol/statement-fields.ts";
import { verifyBinding, verifyNameStatement, verifyRendezvousStatement } from "../../protocol/statements.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { verifyTicket } from "../../protocol/ticket.ts";
import { cast } from "./fixtures.ts";
import { goldenLog } from "./golden-log.ts";

const layoutsIn = (file: string): Record<string, string> =>
  JSON.parse(readFileSync(join(import.meta.dirname, file), "utf8")) as Record<string, string>;
const golden = {
  ...layoutsIn("../vectors/golden.json"),
  ...layoutsIn("golden/enrolment.json"),
  ...layoutsIn("golden/broker.json"),
};
const { client, device, directory } = cast(suite);

interface Layout {
  readonly golden: string;
  readonly parse: (bytes: Uint8Array) => unknown;
  /** Prints what was parsed; where a parser has no encoder of its own, absent. */
  readonly print?: (value: never) => Uint8Array;
}

const frameLayouts: Layout[] = Object.entries(FRAME).map(([name, type]) => ({
  golden: `frame ${name}`,
  parse: (bytes) => parseFrame(type, bytes),
  print: (frame: Parameters<typeof encodeFrame>[0]) => encodeFrame(frame).body,
}));

const LAYOUTS: readonly Layout[] = [
  { golden: "prologue", parse: parsePrologue, print: encodePrologue },
  { golden: "msg1 payload", parse: payloads.parseRequestPayload, print: payloads.encodeRequestPayload },
  {
    golden: "msg1 payload with a key to push",
    parse: payloads.parseRequestPayload,
    print: payloads.encodeRequestPayload,
  },
  { golden: "msg2 payload", parse: payloads.parseAnswerPayload, print: payloads.encodeAnswerPayload },
  {
    golden: "msg1 payload with a checkpoint",
    parse: payloads.parseRequestPayload,
    print: payloads.encodeRequestPayload,
  },
  { golden: "msg2 payload with a checkpoint", parse: payloads.parseAnswerPayload, print: payloads.encodeAnswerPayload },
  { golden: "msg2 payload of a refusal", parse: payloads.parseAnswerPayload, print: payloads.encodeAnswerPayload },
  { golden: "session request", parse: session.parseSessionRequest, print: session.encodeSessionRequest },
  { golden: "notify", parse: session.parseNotify, print: session.encodeNotify },
  { golden: "answer", parse: session.parseAnswer, print: session.encodeAnswer },
  { golden: "answer with a code", parse: session.parseAnswer, print: session.encodeAnswer },
  { golden: "link hello", parse: link.parseLinkHello, print: link.encodeLinkHello },
  { golden: "link welcome", parse: link.parseLinkWelcome, print: link.encodeLinkWelcome },
  { golden: "link refused", parse: link.parseLinkRefused, print: link.encodeLinkRefused },
  { golden: "link names", parse: link.parseLinkNames, print: link.encodeLinkNames },
  { golden: "link own", parse: link.parseLinkOwn, print: link.encodeLinkOwn },
  { golden: "link own without a policy", parse: link.parseLinkOwn, print: link.encodeLinkOwn },
  { golden: "link changed", parse: link.parseLinkChanged, print: link.encodeLinkChanged },
  { golden: "link changed, its delegation revoked", parse: link.parseLinkChanged, print: link.encodeLinkChanged },
  { golden: "link distances", parse: parseDistances, print: encodeDistances },
  { golden: "broker hello", parse: broker.parseBrokerHello, print: broker.encodeBrokerHello },
  {
    golden: "wake",
    parse: broker.parseWake,
    print: ({ replica, notify }: broker.Wake) => broker.encodeWake(replica, session.encodeNotify(notify)),
  },
  { golden: "link watching", parse: link.parseLinkWatching, print: link.encodeLinkWatching },
  { golden: "put statements", parse: parsePutStatements, print: encodePutStatements },
  { golden: "read statements", parse: parseReadStatements, print: encodeReadStatements },
  { golden: "read statements as an owner", parse: parseReadStatements, print: encodeReadStatements },
  { golden: "list devices", parse: parseListDevices, print: encodeListDevices },
  { golden: "put password", parse: enrolment.parsePutPassword, print: enrolment.encodePutPassword },
  { golden: "enrolment", parse: enrolment.parseEnrolmentRequest, print: enrolment.encodeEnrolmentRequest },
  {
    golden: "own statements",
    parse: enrolment.parseOwnStatementsQuestion,
    print: enrolment.encodeOwnStatementsQuestion,
  },
  { golden: "read enrolments", parse: enrolment.parseEnrolmentsQuestion, print: enrolment.encodeEnrolmentsQuestion },
  { golden: "denial", parse: enrolment.parseEnrolmentDenial, print: enrolment.encodeEnrolmentDenial },
  { golden: "log proof", parse: parseLogProof, print: encodeLogProof },
  { golden: "log proof for who has seen nothing", parse: parseLogProof, print: encodeLogProof },
  { golden: "activation start", parse: activation.parseActivationStart, print: activation.encodeActivationStart },
  { golden: "activation", parse: activation.parseActivation, print: activation.encodeActivation },
  {
    golden: "rendezvous activation",
    parse: activation.parseRendezvousActivation,
    print: activation.encodeRendezvousActivation,
  },
  { golden: "rendezvous report", parse: activation.parseRendezvousReport, print: activation.encodeRendezvousReport },
  { golden: "ticket", parse: (bytes) => verifyTicket(suite, [directory.ticket.publicKey], bytes) },
  {
    golden: "leg hello of the client",
    parse: (bytes) => {
      const parsed = parseLegHello(bytes);
      if (parsed === undefined || parsed.length !== bytes.length) throw new Incomplete();
      return parsed;
    },
  },
  {
    golden: "sealed message, fresh by time",
    parse: (bytes) => {
      const opened = openMessage(suite, [directory.sealing], bytes);
      if (opened === "unknown-recipient") throw new Incomplete();
      return opened;
    },
  },
  ...frameLayouts,
];

describe.each(LAYOUTS)("$golden", ({ golden: name, parse, print }) => {
  const bytes = fromHex(golden[name] ?? "");

  test("is read from its golden bytes and printed back the same", () => {
    const value = parse(bytes);
    if (print !== undefined) expect(print(value as never)).toEqual(bytes);
  });

  test("is refused when it is cut off anywhere", () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(
        refuses(() => parse(bytes.subarray(0, length))),
        `${length} bytes`,
      ).toBe(true);
    }
  });

  test("is refused when anything follows it", () => {
    expect(refuses(() => parse(Uint8Array.of(...bytes, 0)))).toBe(true);
  });

  test("meets random bytes, and bytes of its own with some changed, with a value or a refusal", () => {
    const changed = fc
      .array(fc.tuple(fc.nat({ max: Math.max(0, bytes.length - 1) }), fc.nat({ max: 255 })), { maxLength: 8 })
      .map((edits) => {
        const copy = bytes.slice();
        for (const [at, value] of edits) copy[at] = value;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), changed), (input) => {
        refuses(() => parse(input));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("signed texts", () => {
  const owner = ed25519Line(device.owner.publicKey);
  const root = ed25519Line(directory.root.publicKey);
  const { nextOwner, fleet } = goldenLog(suite);
  const nextLine = ed25519Line(nextOwner.publicKey);
  const fleetLine = ed25519Line(fleet.publicKey);
  const texts: readonly [string, (signed: SignedText) => unknown, string][] = [
    ["name statement", (signed) => verifyNameStatement(suite, signed), "name statement"],
    ["binding", (signed) => verifyBinding(suite, signed, owner), "binding"],
    ["rendezvous statement", (signed) => verifyRendezvousStatement(suite, signed, root), "rendezvous statement"],
    ["rotation", (signed) => verifyRotation(suite, signed), "rotation"],
    ["binding by the next owner", (signed) => verifyBinding(suite, signed, nextLine), "binding by the next owner"],
    ["delegation", (signed) => verifyDelegation(suite, signed, owner), "delegation"],
    ["binding by a delegation", (signed) => verifyBinding(suite, signed, fleetLine), "binding by a delegation"],
    ["policy", (signed) => verifyPolicyStatement(suite, signed, owner), "policy"],
    ["revocation of a member", (signed) => verifyRevocation(suite, signed, owner), "revocation of a member"],
    ["revocation of a delegation", (signed) => verifyRevocation(suite, signed, owner), "revocation of a delegation"],
  ];

  test.each(texts)("a %s with any bit of its signature flipped is refused", (_name, verify, name) => {
    const text = golden[name] ?? "";
    const signature = fromHex(golden[`${name}, SSHSIG`] ?? "");
    verify({ text, signature });
    for (let bit = 0; bit < 8 * signature.length; bit++) {
      const flipped = signature.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => verify({ text, signature: flipped })).toThrow(SshnpError);
    }
  });

  test.each(texts)("a %s with any byte of its text changed is refused", (_name, verify, name) => {
    const text = golden[name] ?? "";
    const signature = fromHex(golden[`${name}, SSHSIG`] ?? "");
    for (let at = 0; at < text.length; at++) {
      expect(() => verify({ text: `${text.slice(0, at)}~${text.slice(at + 1)}`, signature })).toThrow(SshnpError);
    }
  });

  test.each(texts)("a %s is refused as a statement of every other kind, and by every other key", (_name, _, name) => {
    const signed = { text: golden[name] ?? "", signature: fromHex(golden[`${name}, SSHSIG`] ?? "") };
    const lines = [owner, root, nextLine, fleetLine, ed25519Line(client.owner.publicKey)];
    const verifiers: Readonly<Record<StatementKind, (line: string) => unknown>> = {
      name: () => verifyNameStatement(suite, signed),
      rotation: () => verifyRotation(suite, signed),
      binding: (line) => verifyBinding(suite, signed, line),
      revocation: (line) => verifyRevocation(suite, signed, line),
      delegation: (line) => verifyDelegation(suite, signed, line),
      policy: (line) => verifyPolicyStatement(suite, signed, line),
      rendezvous: (line) => verifyRendezvousStatement(suite, signed, line),
    };
    for (const [kind, verify] of Object.entries(verifiers)) {
      const accepting = lines.filter((line) => !refuses(() => verify(line)));
      const whoever = kind === "name" || kind === "rotation" ? lines.length : 1;
      expect([kind, accepting.length]).toEqual([kind, kind === kindOf(signed) ? whoever : 0]);
    }
  });

  test("a binding signed by another owner is refused", () => {
    expect(() => verifyBinding(suite, device.binding, ed25519Line(client.owner.publicKey))).toThrow(
      "not signed by the owner",
    );
  });

  test("a key list under another root key than the address names is refused", () => {
    const signed = { text: golden["key list"] ?? "", signature: fromHex(golden["key list, SSHSIG"] ?? "") };
    const other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" as never;
    expect(() => verifyKeyList(suite, signed, other)).toThrow("The directory proves key");
  });

  test("a key list names its log as notes can name a key, or is refused", () => {
    const rootFingerprint = fingerprint(suite, parsePublicKeyLine(root).blob);
    const verify = (origin: string): string => {
      const times = { seq: 1, issued: 1, expires: 2 };
      const keys = { sealing: [directory.sealing.publicKey], ticket: [directory.ticket.publicKey] };
      const list = { ...times, ...keys, log: directory.log.publicKey, origin };
      return verifyKeyList(suite, signKeyList(suite, directory.root, list), rootFingerprint).list.origin;
    };
    for (const origin of ["a", "np.example.org:7800/log", "x".repeat(256)]) expect(verify(origin)).toBe(origin);
    for (const origin of ["", " ", "a b", "a+b", "a\nb", "a\u00a0b", "a\u0000", "\ud800", "x".repeat(257)]) {
      expect(refuses(() => verify(origin))).toBe(true);
    }
  });
});

describe("a response", () => {
  test("in any chunks gives the same frames", () => {
    const secret = openedResponseSecret();
    const stream = Object.entries(golden)
      .filter(([name]) => name.endsWith(", sealed"))
      .map(([, text]) => fromHex(text));
    const whole = Uint8Array.of(
      ...fromHex(golden["response, opening"] ?? ""),
      ...stream.flatMap((frame) => [...frame]),
    );
    const expected = new ResponseOpener(suite, secret).push(whole);
    expect(expected).toHaveLength(stream.length);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: whole.length }), { maxLength: 40 }), (cuts) => {
        const opener = new ResponseOpener(suite, secret);
        const frames = [];
        let from = 0;
        for (const to of [...cuts.toSorted((a, b) => a - b), whole.length]) {
          if (to > from) frames.push(...opener.push(whole.subarray(from, to)));
          from = Math.max(from, to);
        }
        expect(frames).toEqual(expected);
        expect(opener.finished).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("is dead after one flipped bit, wherever it is", () => {
    const secret = openedResponseSecret();
    const opening = fromHex(golden["response, opening"] ?? "");
    const frame = fromHex(golden["frame welcome, sealed"] ?? "");
    const whole = Uint8Array.of(...opening, ...frame);
    for (let bit = 8; bit < 8 * whole.length; bit++) {
      const flipped = whole.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const opener = new ResponseOpener(suite, secret);
      // A longer length only leaves it waiting for more; nothing forged is ever given out.
      const frames = attempt(() => opener.push(flipped));
      expect(frames ?? []).toEqual([]);
    }
  });

  function openedResponseSecret(): Uint8Array {
    const opened = openMessage(suite, [directory.sealing], fromHex(golden["sealed message, fresh by time"] ?? ""));
    if (opened === "unknown-recipient") throw new Error("the golden message is for this directory");
    return opened.responseSecret;
  }
});

describe("what has no meaning yet, and so no second form,", () => {
  test("is refused in the payload of msg2: a certificate of a key that is not taken", () => {
    const answer = payloads.parseAnswerPayload(fromHex(golden["msg2 payload"] ?? ""));
    const bytes = payloads.encodeAnswerPayload(answer);
    const rest = 2 + answer.checkpoint.length + 4 + 4 + 4 + 2;
    const at = bytes.length - rest - 2;
    expect([...bytes.subarray(at, at + 2)]).toEqual([0, 0]);
    const changed = concat(bytes.subarray(0, at), Uint8Array.of(0, 1, 0xff), bytes.subarray(at + 2));
    expect(answer.keyTaken).toBe(false);
    expect(() => payloads.parseAnswerPayload(changed)).toThrow("a malformed certificate");
  });

  test("is refused in the payload of msg2: a reason for a yes", () => {
    const answer = payloads.parseAnswerPayload(fromHex(golden["msg2 payload of a refusal"] ?? ""));
    const refusal = payloads.encodeAnswerPayload(answer);
    refusal[0] = 0;
    expect(answer.refusal?.reason).not.toBe("");
    expect(() => payloads.parseAnswerPayload(refusal)).toThrow("a reason for its yes");
  });
});

describe("the size of a checkpoint", () => {
  test.each([
    ["session request", session.parseSessionRequest, (bytes: Uint8Array) => bytes.length - 21 - 8],
    ["link hello", link.parseLinkHello, (bytes: Uint8Array) => bytes.length - 32 - 8],
    ["put statements", parsePutStatements, () => 0],
    ["own statements", enrolment.parseOwnStatementsQuestion, (bytes: Uint8Array) => bytes.length - 8],
    ["enrolment", enrolment.parseEnrolmentRequest, (bytes: Uint8Array) => bytes.length - 1 - 8],
    ["read statements", parseReadStatements, (bytes: Uint8Array) => bytes.length - 2 - 8],
  ] as const)("in a %s is a number that JavaScript counts to", (layout, parse, at) => {
    const bytes = fromHex(golden[layout] ?? "");
    const from = at(bytes);
    const sized = (size: bigint): Uint8Array => {
      const changed = bytes.slice();
      new DataView(changed.buffer).setBigUint64(from, size);
      return changed;
    };
    const most = BigInt(Number.MAX_SAFE_INTEGER);
    expect(parse(sized(most))).toMatchObject({ checkpointSize: Number.MAX_SAFE_INTEGER });
    expect(parse(sized(0n))).toMatchObject({ checkpointSize: 0 });
    for (const size of [most + 1n, 2n ** 63n, 2n ** 64n - 1n]) expect(refuses(() => parse(sized(size)))).toBe(true);
  });
});

test("a reader refuses to go beyond its bytes whatever it is asked for", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), fc.nat({ max: 0xffff }), (bytes, length) => {
      refuses(() => new ByteReader(bytes).raw(length));
      refuses(() => new ByteReader(bytes).u64());
      refuses(() => new ByteReader(bytes).text16());
    }),
  );
  expect(() => new ByteReader(utf8("abc")).end()).toThrow("longer");
});

/** The tests' own word for a parser that waits for more. */
class Incomplete extends Error {}

/** Whether a parser refuses; anything that it throws must be an error of ours. */
function refuses(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof SshnpError || error instanceof Incomplete) return true;
    throw error;
  }
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
