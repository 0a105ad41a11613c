import * as fc from "fast-check";
import { Parts, partsOf } from "../../../directory/postgres/parts.ts";
import {
  encodeReplicaMessage,
  parseReplicaMessage,
  type ReplicaMessage,
} from "../../../directory/replicas/messages.ts";
import { parseStoreLine } from "../../../directory/transfer.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, textParser } from "../subject.ts";

const from = of.nonce;
const device = of.linkParty;
const notify = fc.record({
  ...{ prologueBytes: of.someBytes(300), message1: of.someBytes(1400), ticket: of.someBytes(800) },
  ...{ client: of.linkParty, rendezvous: of.signedTexts(3).filter((texts) => texts.length > 0) },
});
const messages: fc.Arbitrary<ReplicaMessage> = fc.oneof(
  fc.record({ type: fc.constant("wake" as const), from, device, notify }),
  fc.record({ type: fc.constant("wakeByBroker" as const), id: of.nonce, from, device, notify }),
  fc.record({ type: fc.constant("probeByBroker" as const), from, id: of.nonce, device }),
  fc.record({ type: fc.constantFrom("byBroker" as const, "notByBroker" as const), id: of.nonce }),
  fc.record({
    ...{ type: fc.constant("answer" as const), device },
    answer: fc.record({ sid: of.nonce, message2: of.someBytes(1400) }),
  }),
  fc.record({ type: fc.constantFrom("unwoken" as const, "gone" as const), sid: of.nonce }),
  fc.record({
    type: fc.constantFrom("up" as const, "atBroker" as const),
    from,
    devices: fc.array(device, { maxLength: 20 }),
  }),
  fc.record({ type: fc.constant("replaced" as const), device, link: of.nonce }),
  fc.record({ type: fc.constant("said" as const), from, subjects: fc.array(of.word(40), { maxLength: 20 }) }),
  fc.record({
    ...{ type: fc.constant("saidByBroker" as const), id: of.nonce, from },
    subjects: fc.array(of.word(40), { maxLength: 20 }),
  }),
  fc.record({ type: fc.constant("withdraw" as const), sid: of.nonce, sender: of.x25519 }),
  fc.record({ type: fc.constant("taken" as const), from, sid: of.nonce, sender: of.x25519 }),
);

/** What directories on one store tell each other, and what is taken from one store to another. */
export const REPLICA_PARSERS: readonly Parser[] = [
  {
    name: "message between directories",
    covers: ["directory/replicas/messages.ts#parseReplicaMessage"],
    make: () =>
      bytesParser<ReplicaMessage>({
        samples: messages.map(encodeReplicaMessage),
        parse: parseReplicaMessage,
        print: encodeReplicaMessage,
      }),
  },
  {
    name: "parts of a message between directories",
    covers: ["directory/postgres/parts.ts#Parts"],
    make: () =>
      textParser({
        // One part a line, as they come.
        samples: of.someBytes(20_000).map((bytes) => partsOf(bytes).join("\n")),
        parse: (text) => {
          const parts = new Parts();
          return text.split("\n").map((part) => parts.add(part));
        },
        holds: (whole) => whole.every((bytes) => bytes === undefined || bytes.length <= 98_304),
        words: words("0.1.", "1.2.", "\n"),
      }),
  },
  {
    name: "line of an exported store",
    covers: ["directory/transfer.ts#parseStoreLine"],
    make: () =>
      textParser({
        samples: fc.oneof(
          fc.constant('{"v":1,"kind":"sshnp-store"}'),
          fc.nat().map((entries) => of.json({ entries })),
          fc.tuple(of.name, fc.string()).map(([name, value]) => of.json([`name:${name}`, value.replaceAll("\0", "")])),
        ),
        parse: parseStoreLine,
        holds: (line) => JSON.stringify(parseStoreLine(JSON.stringify(line))) === JSON.stringify(line),
        words: words('"kind":"sshnp-store"', '"entries":', '["name:@acme",'),
      }),
  },
];
