import * as fc from "fast-check";
import { generate } from "mqtt-packet";
import { BrokerAccess, parseBrokerQuestion } from "../../../directory/broker-access.ts";
import { PacketBounds } from "../../../directory/client/broker.ts";
import { parseBrokerUrl } from "../../../directory/client/read-broker-place.ts";
import { concat, hex } from "../../../keys/bytes.ts";
import { deviceTopic, directoryTopic } from "../../../protocol/broker-topics.ts";
import { BROKER_PACKET_BYTES } from "../../../protocol/limits.ts";
import { encodeWake, parseWake, type Wake } from "../../../protocol/messages/broker.ts";
import { encodePrologue } from "../../../protocol/messages/prologue.ts";
import { encodeNotify } from "../../../protocol/messages/session-request.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, streamParser, textParser } from "../subject.ts";

const FINGERPRINT = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";
const atBroker = of.nonce.map(hex);
const field = fc.constantFrom("username", "password", "topic", "action", "client_id", "routing_key", "permission");
const question = fc.dictionary(field, fc.string({ maxLength: 40 }), { maxKeys: 6 });
const notify = fc
  .record({
    prologue: of.prologue,
    message1: of.someBytes(1500),
    ticket: of.someBytes(400),
    client: of.memberStatements,
    rendezvous: of.signedTexts(3),
    proof: of.logProof,
  })
  .map((one) => ({ ...one, prologueBytes: encodePrologue(one.prologue) }));
const packet = fc.oneof(
  fc
    .record({ topic: atBroker, payload: of.someBytes(60_000), messageId: fc.integer({ min: 1, max: 65_535 }) })
    .map(({ payload, ...rest }) =>
      generate({
        ...{ cmd: "publish", qos: 1, dup: false, retain: false, payload: Buffer.from(payload) },
        ...rest,
      }),
    ),
  fc.constant(generate({ cmd: "pingresp" })),
  fc.integer({ min: 1, max: 65_535 }).map((messageId) => generate({ cmd: "puback", messageId })),
  // One that is too long, announced.
  fc.constant(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f)),
);

/** What an MQTT broker brings, asks, or is called. */
export const BROKER_PARSERS: readonly Parser[] = [
  {
    name: "wake by a broker",
    covers: ["protocol/messages/broker.ts#parseWake"],
    make: () =>
      bytesParser<Wake>({
        samples: fc.tuple(of.nonce, notify).map(([replica, one]) => encodeWake(replica, encodeNotify(one))),
        parse: parseWake,
        print: ({ replica, notify: read }) => encodeWake(replica, encodeNotify(read)),
      }),
  },
  {
    name: "question of a broker",
    covers: ["directory/broker-access.ts#parseBrokerQuestion"],
    make: () =>
      textParser({
        // Its content type, then what is posted.
        samples: fc.oneof(
          question.map((fields) => `${FORM}\n${String(new URLSearchParams(fields))}`),
          question.map((fields) => `${JSON_TYPE}\n${of.json(fields)}`),
        ),
        parse: (text) => {
          const at = text.indexOf("\n");
          return at < 0 ? undefined : parseBrokerQuestion(text.slice(0, at), text.slice(at + 1));
        },
        holds: (fields) => typeof fields === "object",
        words: words(FORM, JSON_TYPE, "username=", "&", "%00", '"__proto__":', '{"username":', "[]", "null"),
      }),
  },
  {
    name: "topic that a device asks for at a broker",
    covers: ["directory/broker-access.ts#BrokerAccess"],
    mayRefuseSamples: true,
    make: ({ suite }) => {
      const access = new BrokerAccess({ suite, keyring: { fingerprint: FINGERPRINT } } as never);
      const up = directoryTopic(suite, FINGERPRINT);
      const replica = new RegExp(`^${up.replace("/u/", "/r/")}/[0-9a-f]{32}$`);
      return textParser({
        // Who, what for, where.
        samples: fc
          .tuple(atBroker, fc.constantFrom("read", "write"), atBroker)
          .chain(([user, action, other]) =>
            fc
              .constantFrom(
                deviceTopic(user),
                deviceTopic(user),
                up,
                up,
                `${up.replace("/u/", "/r/")}/${other}`,
                deviceTopic(other),
                "#",
              )
              .map((topic) => `${user}\n${action}\n${topic}`),
          ),
        parse: (text) => {
          const [user = "", action, ...topic] = text.split("\n");
          if (action !== "read" && action !== "write") return undefined;
          return access.mayUse(user, topic.join("\n"), action) && { user, action, topic: topic.join("\n") };
        },
        // Its own to read, the directory's to write; nothing that is a wildcard, or a beginning of something else.
        holds: ({ user, action, topic }) =>
          /^[0-9a-f]{32}$/.test(user) &&
          (action === "read" ? topic === `sshnp/d/${user}` : topic === up || replica.test(topic)),
        words: words("sshnp/d/", "sshnp/u/", "sshnp/r/", "+", "#", "/", "$share/x/", "read", "write", up),
      });
    },
  },
  {
    name: "packets of a broker, as they come",
    covers: ["directory/client/broker.ts#PacketBounds"],
    mayRefuseSamples: true,
    make: () =>
      streamParser({
        samples: fc.array(packet, { minLength: 1, maxLength: 4 }).map((packets) => concat(...packets)),
        run: (chunks) => {
          const bounds = new PacketBounds();
          const isTaken = chunks.every((chunk) => bounds.takes(chunk));
          const announced = longest(concat(...chunks));
          if (isTaken !== announced <= BROKER_PACKET_BYTES) throw new Error(`${announced} bytes are announced`);
          return { values: [], end: isTaken ? "more" : "E_PROTOCOL" };
        },
        isAccepted: ({ end }) => end === "more",
      }),
  },
  {
    name: "address of a broker",
    covers: ["directory/client/read-broker-place.ts#parseBrokerUrl"],
    make: () =>
      textParser({
        samples: fc.constantFrom(
          "mqtts://broker.example.org",
          "mqtts://broker.example.org:8883",
          "mqtt://127.0.0.1:1883",
          "mqtt://[::1]:1883",
        ),
        parse: parseBrokerUrl,
        holds: ({ protocol, username, password, pathname, search, hash, host }) =>
          /^mqtts?:$/.test(protocol) &&
          [username, password, search, hash].every((part) => part === "") &&
          pathname.length < 2 &&
          /^[a-z0-9.:[\]-]+$/.test(host),
        words: words("mqtt://", "mqtts://", ":8883", "@", "/", "?", "#", "%", "[::1]", "\\", "user:secret@"),
      }),
  },
];

/** The longest packet that is announced in these bytes, by MQTT 3.1.1 section 2.2.3; Infinity where its length is none. */
function longest(bytes: Uint8Array): number {
  let most = 0;
  for (let at = 1; at < bytes.length; ) {
    let length = 0;
    let digit = 0;
    for (; ; digit += 1) {
      const byte = bytes[at + digit];
      if (byte === undefined) return most > BROKER_PACKET_BYTES ? most : Math.max(most, length);
      if (digit > 3) return Infinity;
      length += (byte & 127) << (7 * digit);
      if (length > BROKER_PACKET_BYTES) return length;
      if (byte < 128) break;
    }
    most = Math.max(most, length);
    at += digit + 1 + length + 1;
  }
  return most;
}
