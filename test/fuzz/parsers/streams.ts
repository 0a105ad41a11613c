import { PassThrough, Readable } from "node:stream";
import { Socket } from "node:net";
import * as fc from "fast-check";
import { concat, prefixed16, utf8 } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { SshnpError } from "../../../keys/errors.ts";
import { firstLine } from "../../../keys/first-line.ts";
import { Channel } from "../../../protocol/channel/channel.ts";
import type { ChannelEvent } from "../../../protocol/channel/channel-event.ts";
import { type ChannelRecord, encodeRecord } from "../../../protocol/channel/record.ts";
import { RecordOpener } from "../../../protocol/channel/record-opener.ts";
import { LEG_STATUS, parseLegHello } from "../../../protocol/leg-hello.ts";
import { encodeKeyListResponse, ResponseOpener, ResponseSealer } from "../../../protocol/response.ts";
import { Leg } from "../../../rendezvous/leg.ts";
import { readLegAnswer } from "../../../rendezvous/leg-answer.ts";
import { SshWatch } from "../../../protocol/ssh-watch.ts";
import { LIMITS } from "../../protocol/channel/pair.ts";
import * as of from "../arbitraries.ts";
import type { Random } from "../random.ts";
import { type Parser, type StreamOutcome, type Subject, streamParser } from "../subject.ts";

const SECRET = new Uint8Array(32).fill(6);
const R = new Uint8Array(32).fill(7);

const frame = fc.record({ final: fc.constant(false), type: fc.integer({ min: 1, max: 11 }), body: of.someBytes(120) });
const frames = fc
  .tuple(fc.array(frame, { maxLength: 4 }), fc.boolean())
  .map(([all, ends]) => (ends ? [...all, { final: true, type: 10, body: new Uint8Array(0) }] : all));

/** Records in an order that a peer may say them in, of which the first is CONFIRM. */
const records: fc.Arbitrary<ChannelRecord[]> = fc
  .array(
    fc.oneof(
      fc.record({
        type: fc.constant("data" as const),
        stream: fc.integer({ min: 1, max: 3 }),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 60 }),
      }),
      fc.record({
        type: fc.constant("window" as const),
        stream: fc.integer({ min: 1, max: 3 }),
        credit: fc.integer({ min: 1, max: 1000 }),
      }),
      fc.record({ type: fc.constant("end" as const), stream: fc.integer({ min: 1, max: 3 }) }),
      fc.record({
        type: fc.constant("reset" as const),
        stream: fc.integer({ min: 1, max: 3 }),
        code: fc.constantFrom("cancelled" as const, "failed" as const),
      }),
      fc.record({ type: fc.constant("ping" as const), value: fc.bigInt({ min: 0n, max: 9n }) }),
      fc.record({ type: fc.constant("close" as const), code: fc.constant("finished" as const) }),
    ),
    { maxLength: 8 },
  )
  .map((said) => [
    { type: "confirm", next: 0 } as const,
    ...[1, 2, 3].map((stream) => ({ type: "open", stream, window: 1000 * stream, service: "ssh" }) as const),
    ...said,
  ]);
const plaintexts = records.map((all) =>
  prefixed16(...all.map((one) => new Uint8Array(Buffer.concat(encodeRecord(one))))),
);

export const STREAM_PARSERS: readonly Parser[] = [
  {
    name: "answer of the directory, frames sealed anew",
    mayRefuseSamples: true,
    share: 0.6,
    covers: ["protocol/response.ts#ResponseOpener"],
    make: ({ suite }) => {
      const sealed = (input: Uint8Array): Uint8Array => {
        const aead = suite.aead(suite.hmacSha256(SECRET, R));
        const pieces = fieldsOf(input).map((plaintext, i) => {
          const length = plaintext.length + 16;
          const header = Uint8Array.of(length >> 16, length >> 8, length);
          return concat(header, aead.seal(BigInt(i), header, plaintext));
        });
        return concat(Uint8Array.of(0), R, ...pieces);
      };
      const plain = frames.map((all) =>
        prefixed16(...all.map(({ final, type, body }) => concat(Uint8Array.of(final ? 1 : 0, type), body))),
      );
      return sealedAnew(responseStream(suite, plain), sealed);
    },
  },
  {
    name: "answer of the directory, its bytes as they come",
    mayRefuseSamples: true,
    share: 0.4,
    covers: ["protocol/response.ts#ResponseOpener"],
    make: ({ suite }) =>
      responseStream(
        suite,
        fc.oneof(
          frames.map((all) => {
            const sealer = new ResponseSealer(suite, SECRET, R);
            return concat(sealer.opening, ...all.map((one) => sealer.seal(one)));
          }),
          of.signedText.filter((signed) => signed.text.length < 4000).map(encodeKeyListResponse),
        ),
      ),
  },
  {
    name: "records, their bytes as they come",
    covers: ["protocol/channel/record-opener.ts#RecordOpener"],
    make: ({ suite }) =>
      streamParser({
        samples: plaintexts.map((plain) => sealedRecords(suite, plain)),
        run: (chunks) => {
          const opener = new RecordOpener(suite.aead(SECRET));
          return incremental(chunks, (chunk, values) => {
            opener.push(chunk);
            for (let record = opener.next(); record !== undefined; record = opener.next()) values.push(text(record));
          });
        },
        isAccepted: ({ end }) => end === "more",
      }),
  },
  ...(["device", "client"] as const).map(
    (role): Parser => ({
      name: `channel of a ${role}, records sealed anew`,
      mayRefuseSamples: true,
      share: 0.3,
      covers: [
        "protocol/channel/channel.ts#Channel",
        "protocol/channel/stream-state.ts#StreamState",
        "protocol/channel/stream-window.ts#ReceiveWindow",
        "protocol/channel/ping-exchange.ts#PingExchange",
      ],
      make: ({ suite }) => {
        const forRole = role === "device" ? plaintexts : plaintexts.map((plain) => withoutOpens(plain));
        const subject = streamParser({
          samples: forRole,
          run: (chunks) => runChannel(suite, role, chunks),
          isAccepted: ({ end }) => end === "more" || end === "closed",
        });
        return sealedAnew(subject, (input) => sealedRecords(suite, input));
      },
    }),
  ),
  {
    name: "channel that answers its peer, records sealed anew",
    mayRefuseSamples: true,
    share: 0.4,
    covers: [
      "protocol/channel/channel.ts#Channel",
      "protocol/channel/stream-state.ts#StreamState",
      "protocol/channel/stream-window.ts#ReceiveWindow",
      "protocol/channel/ping-exchange.ts#PingExchange",
    ],
    make: ({ suite }) => ({
      samples: plaintexts,
      take: (input, random) => answeredChannel(suite, input, random),
    }),
  },
  {
    name: "hello of a leg, in pieces",
    covers: ["protocol/leg-hello.ts#parseLegHello"],
    make: () =>
      streamParser({
        samples: legHellos,
        run: (chunks) => {
          let seen = new Uint8Array(0) as Uint8Array;
          let isFound = false;
          return incremental(chunks, (chunk, values) => {
            seen = concat(seen, chunk);
            const parsed = isFound ? undefined : parseLegHello(seen);
            if (parsed === undefined) return;
            isFound = true;
            values.push(
              text(parsed.hello.ticket),
              parsed.hello.role,
              parsed.hello.dial,
              text(parsed.hello.signature),
              parsed.length,
            );
          });
        },
        isAccepted: ({ values, end }) => values.length > 0 && end === "more",
      }),
  },
  {
    name: "leg at the rendezvous",
    share: 0.2,
    because: "streams of Node for each input; the hello that it reads has a row of its own",
    covers: ["rendezvous/leg.ts#Leg"],
    make: () => streamParser({ samples: legHellos, run: runLeg, isAccepted: ({ end }) => end === "hello" }),
  },
  {
    name: "answer of the rendezvous",
    mayRefuseSamples: true,
    share: 0.3,
    because: "streams of Node for each input; at most 17 bytes are looked at",
    covers: ["rendezvous/leg-answer.ts#readLegAnswer"],
    make: () =>
      streamParser({
        samples: fc.oneof(
          of.someBytes(60).map((early) => concat(Uint8Array.of(LEG_STATUS.joined), early)),
          of.nonce.map((boot) => concat(Uint8Array.of(LEG_STATUS.boot), boot)),
          fc.constantFrom(...Object.values(LEG_STATUS)).map((status) => Uint8Array.of(status)),
        ),
        run: async (chunks) => {
          const stream = new PassThrough();
          for (const chunk of chunks) stream.write(chunk);
          stream.end();
          try {
            const answer = await readLegAnswer(stream, NEVER);
            // What of the peer came along is up to the borders.
            return { values: ["boot" in answer ? text(answer.boot) : ""], end: answer.status };
          } catch (error) {
            return { values: [], end: codeOf(error) };
          } finally {
            stream.destroy();
          }
        },
        isAccepted: ({ end }) => !end.startsWith("E_") && end !== "closed",
      }),
  },
  {
    name: "ssh on its way to a device",
    mayRefuseSamples: true,
    covers: ["protocol/ssh-watch.ts#SshWatch"],
    make: () =>
      streamParser({
        samples: fc
          .array(fc.tuple(fc.constantFrom(20, 30, 21, 5), of.someBytes(60)), { maxLength: 5 })
          .map((packets) =>
            concat(
              utf8("SSH-2.0-OpenSSH_9.2\r\n"),
              ...packets.map(([type, body]) => concat(Uint8Array.of(0, 0, 0, body.length + 2, 4, type), body)),
            ),
          ),
        run: (chunks) => {
          const watch = new SshWatch();
          for (const chunk of chunks) watch.fromClient(chunk);
          const before = watch.serverSpoke;
          watch.fromServer(new Uint8Array(100));
          return { values: [before, watch.serverSpoke], end: watch.mayHaveBeenRefused ? "new keys" : "more" };
        },
        isAccepted: ({ end }) => end === "new keys",
      }),
  },
  {
    name: "first line of a stream",
    share: 0.3,
    because: "streams of Node for each input; one line of at most 4 KiB is looked at",
    covers: ["keys/first-line.ts#firstLine"],
    make: () =>
      streamParser({
        samples: fc
          .tuple(fc.string({ maxLength: 80 }), fc.constantFrom("\n", "\r\n", ""), fc.string())
          .map(([line, end, rest]) => utf8(line.replace(/\n/g, "") + end + rest)),
        run: async (chunks) => {
          const input = Readable.from(chunks.length === 0 ? [new Uint8Array(0)] : chunks, { objectMode: true });
          try {
            return { values: [await firstLine(input, "a test")], end: "line" };
          } catch (error) {
            return { values: [], end: codeOf(error) };
          }
        },
        isAccepted: ({ end }) => end === "line",
      }),
  },
];

const NEVER = new AbortController().signal;

const legHellos = fc
  .record({
    ticket: of.someBytes(600),
    role: fc.nat(1),
    dial: of.nonce.map((bytes) => bytes.subarray(0, 4)),
    signature: of.bytesOf(64),
    early: of.someBytes(60),
  })
  .map(({ ticket, role, dial, signature, early }) =>
    concat(Uint8Array.of(0), prefixed16(concat(prefixed16(ticket), Uint8Array.of(role), dial, signature)), early),
  );

function responseStream(suite: CipherSuite, samples: fc.Arbitrary<Uint8Array>): Subject {
  return streamParser({
    samples,
    run: (chunks) => {
      const opener = new ResponseOpener(suite, SECRET);
      const outcome = incremental(chunks, (chunk, values) => {
        for (const one of opener.push(chunk)) {
          values.push(
            "keyList" in one ? [one.keyList.text, text(one.keyList.signature)] : [one.final, one.type, text(one.body)],
          );
        }
      });
      return outcome.end === "more" && opener.finished ? { ...outcome, end: "finished" } : outcome;
    },
    isAccepted: ({ values, end }) => values.length > 0 && !end.startsWith("E_"),
  });
}

/** Feeds the chunks until one is refused; empty ones as well, for sockets and proxies give them now and then. */
function incremental(
  chunks: readonly Uint8Array[],
  feed: (chunk: Uint8Array, values: unknown[]) => void,
): StreamOutcome {
  const values: unknown[] = [];
  try {
    for (const chunk of chunks) feed(chunk, values);
    return { values, end: "more" };
  } catch (error) {
    return { values, end: codeOf(error) };
  }
}

/** The code of a refusal; anything else goes on to be a failure. */
function codeOf(error: unknown): string {
  if (error instanceof SshnpError) return error.code;
  throw error;
}

/** The same stream, of inputs that are sealed ahead of being cut into chunks. */
function sealedAnew(inner: Subject, seal: (input: Uint8Array) => Uint8Array): Subject {
  return { ...inner, take: (input, random) => inner.take(seal(input), random) };
}

/** u16-prefixed fields, up to where they make no sense; what is left is one more. */
function fieldsOf(input: Uint8Array): Uint8Array[] {
  const fields: Uint8Array[] = [];
  for (let at = 0; at < input.length && fields.length < 200; ) {
    const length = ((input[at] ?? 0) << 8) | (input[at + 1] ?? 0);
    fields.push(input.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return fields;
}

function sealedRecords(suite: CipherSuite, input: Uint8Array): Uint8Array {
  const aead = suite.aead(SECRET);
  return concat(
    ...fieldsOf(input).map((plaintext, i) => {
      const length = plaintext.length + 16;
      const header = Uint8Array.of(length >> 16, length >> 8, length);
      return concat(header, aead.seal(BigInt(i), header, plaintext));
    }),
  );
}

/** What a device may say to a client that has opened three streams. */
function withoutOpens(plain: Uint8Array): Uint8Array {
  return prefixed16(
    ...fieldsOf(plain).map((one) => {
      const isOpen = one[0] === 2;
      return isOpen ? concat(Uint8Array.of(3), one.subarray(1, 9)) : one;
    }),
  );
}

function newChannel(suite: CipherSuite, role: "client" | "device"): Channel {
  const channel = new Channel({ role, send: suite.aead(R), receive: suite.aead(SECRET), limits: LIMITS });
  if (role === "client") for (let i = 0; i < 3; i++) channel.open("ssh");
  return channel;
}

function runChannel(suite: CipherSuite, role: "client" | "device", chunks: readonly Uint8Array[]): StreamOutcome {
  const channel = newChannel(suite, role);
  const events = chunks.flatMap((chunk) => channel.receive(chunk, 0));
  const said = text(Buffer.concat(channel.takeOutput()));
  const last = events.at(-1);
  if (last?.type === "failed")
    return { values: [...events.slice(0, -1).map(comparable), said], end: `failed ${last.error.code}` };
  return { values: [...events.map(comparable), said], end: last?.type === "closed" ? "closed" : "more" };
}

/** Bytes as a text that is quickly compared. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function comparable(event: ChannelEvent): unknown {
  return event.type === "data" ? { ...event, bytes: text(event.bytes) } : event;
}

/** A device that accepts, sends, takes, ends and breaks off as it likes, while its peer says what it likes. */
function answeredChannel(suite: CipherSuite, input: Uint8Array, random: Random): boolean {
  const channel = newChannel(suite, "device");
  const held = new Map<number, number>();
  let last: ChannelEvent["type"] | undefined;
  for (const plaintext of fieldsOf(sealedInPieces(suite, input))) {
    for (const event of channel.receive(plaintext, 0)) {
      if (last === "failed" || last === "closed") throw new Error(`a channel goes on after ${last}`);
      last = event.type;
      if (event.type === "open-requested") {
        held.set(event.stream, 0);
        if (random.below(8) === 0) channel.reset(event.stream, "refused");
        else if (random.below(4) > 0) channel.accept(event.stream);
        channel.send(event.stream, new Uint8Array(random.below(300)));
      }
      if (event.type === "data") {
        held.set(event.stream, (held.get(event.stream) ?? 0) + event.bytes.length);
        if (random.below(4) === 0) {
          channel.consumed(event.stream, held.get(event.stream) ?? 0);
          held.set(event.stream, 0);
        }
        if (random.below(16) === 0) channel.reset(event.stream, "failed");
      }
      if (event.type === "window-grown") channel.send(event.stream, new Uint8Array(random.below(300)));
    }
    channel.takeOutput();
  }
  const waiting = [...held.values()].reduce((sum, bytes) => sum + bytes, 0);
  if (waiting > LIMITS.sessionWindow + LIMITS.streams * LIMITS.earlyWindow)
    throw new Error("more data than was granted");
  return last !== "failed" && last !== undefined;
}

/** Each record in a field of its own. */
function sealedInPieces(suite: CipherSuite, input: Uint8Array): Uint8Array {
  const aead = suite.aead(SECRET);
  const sealed = fieldsOf(input).map((plaintext, i) => {
    const length = Math.min(plaintext.length, 60_000) + 16;
    const header = Uint8Array.of(length >> 16, length >> 8, length);
    return concat(header, aead.seal(BigInt(i), header, plaintext.subarray(0, 60_000)));
  });
  return prefixed16(...sealed);
}

async function runLeg(chunks: readonly Uint8Array[]): Promise<StreamOutcome> {
  const stream = new PassThrough();
  const socket = new Socket();
  const leg = new Leg(1, socket);
  const values: unknown[] = [];
  let end = "more";
  let early = 0;
  const ended = new Promise((resolve) => stream.once("close", resolve));
  leg.read(stream, new Uint8Array(0), {
    onHello: (hello) => {
      values.push(text(hello.ticket), hello.role, hello.dial);
      end = "hello";
    },
    onMalformed: () => {
      if (end !== "hello") end = "malformed";
    },
    onEarly: (bytes) => {
      early += bytes;
    },
  });
  for (const chunk of chunks) if (chunk.length > 0) stream.write(chunk);
  stream.end();
  // A malformed leg is read no further.
  stream.on("data", () => {});
  await ended;
  const kept = Buffer.concat(leg.takeEarly());
  if (end === "hello" && kept.length !== early) throw new Error(`${early} bytes are counted, ${kept.length} are there`);
  socket.destroy();
  return { values: [...values, end === "hello" ? text(kept) : ""], end };
}
