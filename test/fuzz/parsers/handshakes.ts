import * as fc from "fast-check";
import { ByteWriter, concat, equalBytes, prefixed16, utf8 } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { ed25519Line } from "../../../keys/openssh.ts";
import { LinkOpener, LinkSealer } from "../../../directory/link-sealing.ts";
import { LABEL, LABEL_VERSION } from "../../../protocol/label.ts";
import { encodePrologue, parsePrologue } from "../../../protocol/messages/prologue.ts";
import { HandshakeState } from "../../../protocol/noise/handshake-state.ts";
import { IKhfsPsk2 } from "../../../protocol/noise/ikhfs-psk2.ts";
import { X } from "../../../protocol/noise/x.ts";
import { openMessage, type SealedContent, sealMessage } from "../../../protocol/sealed-message.ts";
import { NEW_SESSION_PSK, SessionInitiator } from "../../../protocol/session/initiator.ts";
import {
  encodeAnswerPayload,
  encodeRequestPayload,
  parseAnswerPayload,
  parseRequestPayload,
} from "../../../protocol/session/payloads.ts";
import { SessionResponder } from "../../../protocol/session/responder.ts";
import { verifyBinding } from "../../../protocol/statements.ts";
import { ticketHash } from "../../../protocol/ticket.ts";
import { cast, repeatableRandom } from "../../protocol/fixtures.ts";
import * as of from "../arbitraries.ts";
import { bytesParser, type Parser, type Primitives } from "../subject.ts";

const NOISE = [
  "protocol/noise/handshake-state.ts#HandshakeState",
  "protocol/noise/cipher-state.ts#CipherState",
] as const;
/** ML-KEM in JavaScript takes 1 to 2 ms for each of its three steps. */
const KEM_EVERY = 2000;

/** Of rows whose inputs each take a handshake, 50 to 100 microseconds even with primitives that cost nothing. */
const OF_PARTS =
  "a handshake for each input; the Noise messages, and the payloads in them, get their whole share in other rows";

const content: fc.Arbitrary<SealedContent> = fc.record({
  freshness: fc.oneof(
    fc.record({ kind: fc.constant("time" as const), time: of.milliseconds }),
    fc.record({ kind: fc.constant("nonce" as const), nonce: of.nonce }),
  ),
  id: of.nonce,
  type: fc.nat(255),
  body: of.someBytes(200),
});

export const HANDSHAKE_PARSERS: readonly Parser[] = [
  {
    name: "sealed message, sealed anew",
    share: 0.6,
    covers: ["protocol/sealed-message.ts#openMessage"],
    make: ({ suite }) => {
      const { client, directory } = cast(suite);
      const seal = sealer(suite);
      return bytesParser({
        samples: content.map(payloadOf),
        parse: (payload) => openMessage(suite, [directory.sealing], seal(payload)),
        print: (opened) => (opened === "unknown-recipient" ? utf8(opened) : payloadOf(opened)),
        holds: (opened) => opened !== "unknown-recipient" && opened.sender.equals(client.x25519.publicKey),
      });
    },
  },
  {
    name: "sealed message, its bytes as they come",
    share: 0.4,
    covers: ["protocol/sealed-message.ts#openMessage", ...NOISE],
    make: ({ suite }) => {
      const { client, directory } = cast(suite);
      const parties = { sender: client.x25519, recipient: directory.sealing.publicKey };
      const originals = fc
        .sample(content, { numRuns: 20, seed: 1 })
        .map((one, i) => sealMessage(suite, repeatableRandom(`${i}`), parties, one).bytes);
      return bytesParser({
        samples: fc.constantFrom(...originals),
        parse: (bytes) => {
          const opened = openMessage(suite, [directory.sealing], bytes);
          return opened === "unknown-recipient" ? undefined : opened;
        },
        holds: (_, bytes) => originals.some((original) => Buffer.compare(original, bytes) === 0),
      });
    },
  },
  {
    name: "message on a link, sealed anew",
    share: 0.3,
    because: OF_PARTS,
    covers: ["directory/link-sealing.ts#LinkOpener"],
    make: ({ suite }) => {
      const { client, directory } = cast(suite);
      const seal = sealer(suite);
      const nonce = new Uint8Array(16).fill(9);
      const own = fc.record({
        freshness: fc.constant({ kind: "nonce" as const, nonce }),
        id: fc.integer({ min: 1, max: 9 }).map((count) => new ByteWriter().u64(0).u64(count).done()),
        type: fc.nat(255),
        body: of.someBytes(200),
      });
      return bytesParser({
        samples: own.map(payloadOf),
        parse: (payload) => {
          const opener = new LinkOpener(suite, nonce);
          const sealed = seal(payload);
          const message = opener.open([directory.sealing], [client.x25519.publicKey], sealed);
          return {
            message,
            isTakenTwice: isAccepted(() => opener.open([directory.sealing], [client.x25519.publicKey], sealed)),
          };
        },
        holds: ({ message, isTakenTwice }, payload) =>
          !isTakenTwice && equalBytes(message.body, payload.subarray(1 + 16 + 16 + 1)),
      });
    },
  },
  {
    name: "messages on a link, their bytes as they come",
    share: 0.2,
    because: OF_PARTS,
    covers: ["directory/link-sealing.ts#LinkOpener"],
    make: ({ suite }) => {
      const { client, directory } = cast(suite);
      const nonce = new Uint8Array(16).fill(9);
      const parties = { sender: client.x25519, recipient: directory.sealing.publicKey };
      const originals = Array.from({ length: 20 }, (_, i) =>
        new LinkSealer({ suite, random: repeatableRandom(`link ${i}`) }, parties, nonce).seal({
          type: i,
          body: new Uint8Array(i),
        }),
      );
      return bytesParser({
        samples: fc.constantFrom(...originals),
        parse: (bytes) => new LinkOpener(suite, nonce).open([directory.sealing], [client.x25519.publicKey], bytes),
        holds: ({ type }, bytes) => Buffer.compare(originals[type] ?? new Uint8Array(0), bytes) === 0,
      });
    },
  },
  {
    name: "msg1, sealed anew",
    share: 0.2,
    because: OF_PARTS,
    covers: ["protocol/session/responder.ts#SessionResponder", ...NOISE],
    nativeEvery: KEM_EVERY,
    make: (primitives) => {
      const stage = sessionOf(primitives);
      return bytesParser({
        samples: fc
          .option(of.publicKeyBlob, { nil: undefined })
          .map((blob) =>
            encodeRequestPayload({ legSeed: stage.legSeed, checkpoint: "", sshKey: blob && { use: "push", blob } }),
          ),
        parse: (payload) => stage.respond(stage.initiate(payload)).payload,
        print: encodeRequestPayload,
        holds: ({ legSeed }) => equalBytes(legSeed, stage.legSeed),
      });
    },
  },
  {
    name: "msg1, its bytes as they come",
    share: 0.2,
    because: OF_PARTS,
    covers: ["protocol/session/responder.ts#SessionResponder", ...NOISE],
    nativeEvery: KEM_EVERY,
    make: (primitives) => {
      const stage = sessionOf(primitives);
      const original = stage.initiate(
        encodeRequestPayload({ legSeed: stage.legSeed, checkpoint: "a note", sshKey: undefined }),
      );
      return bytesParser({
        samples: fc.constant(original),
        parse: (bytes) => stage.respond(bytes),
        print: () => original,
      });
    },
  },
  {
    name: "msg2, sealed anew",
    share: 0.15,
    because: OF_PARTS,
    covers: ["protocol/session/initiator.ts#SessionInitiator", ...NOISE],
    nativeEvery: KEM_EVERY,
    make: (primitives) => {
      const stage = sessionOf(primitives);
      const hash = ticketHash(primitives.suite, TICKET);
      return bytesParser({
        samples: fc.array(of.publicKeyBlob, { maxLength: 3 }).map((hostKeys) =>
          encodeAnswerPayload({
            refusal: undefined,
            ticketHash: hash,
            hostKeys,
            keyTaken: false,
            checkpoint: "a note",
            limits: { earlyWindow: 1, streamWindow: 2, sessionWindow: 3, streams: 4 },
          }),
        ),
        parse: (payload) => {
          const initiator = stage.initiator();
          return initiator.readMessage2(stage.answer(initiator.message1, payload), TICKET).payload;
        },
        print: encodeAnswerPayload,
        holds: (payload) => equalBytes(payload.ticketHash, hash),
      });
    },
  },
  {
    name: "msg2, its bytes as they come",
    share: 0.15,
    because: OF_PARTS,
    covers: ["protocol/session/initiator.ts#SessionInitiator", ...NOISE],
    nativeEvery: KEM_EVERY,
    make: (primitives) => {
      const stage = sessionOf(primitives);
      const answer = {
        refusal: undefined,
        ticketHash: ticketHash(primitives.suite, TICKET),
        hostKeys: [],
        keyTaken: true,
        checkpoint: "",
        limits: { earlyWindow: 1, streamWindow: 2, sessionWindow: 3, streams: 4 },
      };
      const original = stage.answer(stage.initiator().message1, encodeAnswerPayload(answer));
      return bytesParser({
        samples: fc.constant(original),
        parse: (bytes) => stage.initiator().readMessage2(bytes, TICKET).payload,
        print: () => original,
        holds: (payload) => parseAnswerPayload(encodeAnswerPayload(payload)).keyTaken,
      });
    },
  },
];

const TICKET = utf8("a ticket");

/** The payload of a sealed message. */
function payloadOf({ freshness, id, type, body }: SealedContent): Uint8Array {
  const writer = new ByteWriter();
  if (freshness.kind === "time") writer.u8(0).u64(freshness.time);
  else writer.u8(1).raw(freshness.nonce);
  return writer.raw(id).u8(type).raw(body).done();
}

/** Seals any payload from the client to the directory. */
function sealer(suite: CipherSuite): (payload: Uint8Array) => Uint8Array {
  const { client, directory } = cast(suite);
  const random = (length: number): Uint8Array => new Uint8Array(length).fill(0x42);
  const head = concat(Uint8Array.of(LABEL_VERSION), suite.sha256(directory.sealing.publicKey.bytes).subarray(0, 8));
  return (payload) => {
    // What is too long for a message is too long for Noise as well, and no parser's business.
    const noise = HandshakeState.initiator({
      pattern: X,
      suite,
      random,
      prologue: prefixed16(utf8(LABEL), utf8("sealed")),
      staticKey: client.x25519,
      remoteStaticKey: directory.sealing.publicKey,
      label: LABEL,
    });
    return concat(head, noise.writeMessage(payload.subarray(0, 65_000)));
  };
}

/** Both ends of one session, the same one every time. */
function sessionOf({ suite, kem }: Primitives) {
  const { client, device } = cast(suite);
  const owner = ed25519Line(client.owner.publicKey);
  const clientBinding = verifyBinding(suite, client.binding, owner).statement;
  const parties = {
    client: { name: client.name, member: client.member, bindingHash: suite.sha256(utf8(client.binding.text)) },
    device: { name: device.name, member: device.member, bindingHash: suite.sha256(utf8(device.binding.text)) },
  };
  const fixed = (length: number): Uint8Array => new Uint8Array(length).fill(0x42);
  const initiator = (): SessionInitiator =>
    new SessionInitiator(
      { suite, kem, random: fixed },
      { client: client.x25519, device: device.x25519.publicKey },
      { ...parties, service: "ssh", login: "pi", sshKey: undefined, checkpoint: "" },
    );
  const { legKey, prologue: prologueBytes } = initiator();
  const prologue = parsePrologue(prologueBytes);
  if (!equalBytes(encodePrologue(prologue), prologueBytes)) throw new Error("a prologue is printed as it was read");
  const options = {
    pattern: IKhfsPsk2,
    suite,
    kem,
    random: fixed,
    prologue: prologueBytes,
    psk: NEW_SESSION_PSK,
    label: LABEL,
  };
  return {
    legSeed: legKey.secretBytes(),
    initiator,
    initiate: (payload: Uint8Array): Uint8Array =>
      HandshakeState.initiator({
        ...options,
        staticKey: client.x25519,
        remoteStaticKey: device.x25519.publicKey,
      }).writeMessage(payload.subarray(0, 60_000)),
    respond: (message1: Uint8Array): SessionResponder =>
      new SessionResponder({ suite, kem, random: fixed }, device.x25519, {
        prologueBytes,
        prologue,
        message1,
        clientBinding,
      }),
    answer: (message1: Uint8Array, payload: Uint8Array): Uint8Array => {
      const noise = HandshakeState.responder({ ...options, staticKey: device.x25519 });
      parseRequestPayload(noise.readMessage(message1));
      return noise.writeMessage(payload.subarray(0, 60_000));
    },
  };
}

function isAccepted(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
