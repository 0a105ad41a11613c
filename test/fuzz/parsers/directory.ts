import * as fc from "fast-check";
import { ByteReader, ByteWriter, concat, equalBytes, prefixed16, utf8, utf8Text } from "../../../keys/bytes.ts";
import type { SignedText } from "../../../keys/signed-text.ts";
import { LogFollower } from "../../../directory/client/log-follower.ts";
import { demandLogged } from "../../../directory/client/put-statements.ts";
import type { Keyring } from "../../../directory/keyring.ts";
import { openGreeting } from "../../../directory/link-greeting.ts";
import type { KeyList } from "../../../protocol/key-list.ts";
import { LABEL, LABEL_VERSION } from "../../../protocol/label.ts";
import { encodeLogProof, type LogProof } from "../../../protocol/log/proof.ts";
import { verifyMemberStatements } from "../../../protocol/member-statements.ts";
import { encodeLinkHello } from "../../../protocol/messages/link.ts";
import { encodeFrame, parseFrame } from "../../../protocol/messages/response-frames.ts";
import { LINK } from "../../../protocol/messages/types.ts";
import { issuedOf, judgeNameAccount } from "../../../protocol/name-account.ts";
import { HandshakeState } from "../../../protocol/noise/handshake-state.ts";
import { X } from "../../../protocol/noise/x.ts";
import { kindOf, subjectOf } from "../../../protocol/statement-fields.ts";
import { cast, NOW } from "../../protocol/fixtures.ts";
import { MemoryLog } from "../../protocol/log/memory-log.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { keyListOf, signed } from "../signing.ts";
import { bytesParser, type Parser } from "../subject.ts";
import { stageOf } from "./owners.ts";

const FIELDS = words(
  ...'"seq":1 "seq":2 "prev":null "expires":null "role":"client" "pattern":"*" "kind":"revocation" "kind":"binding"'.split(
    " ",
  ),
);
const OF_PARTS = "it judges what other rows have parsed, which gets its whole share there";

/** What an end and its directory say to each other about statements. */
export const DIRECTORY_PARSERS: readonly Parser[] = [
  {
    name: "account of a name, its statements signed anew",
    share: 0.1,
    because: OF_PARTS,
    covers: ["protocol/name-account.ts#judgeNameAccount", "protocol/name-account.ts#issuedOf"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const stage = stageOf(suite);
      const { device, owner, fleet, chain } = stage;
      const groups = [[device.binding], [stage.delegation, stage.delegated], [stage.policy]];
      const sign = (text: string): SignedText => {
        const kind = kindOf({ text, signature: new Uint8Array(0) }) ?? "binding";
        return signed(suite, kind === "binding" && text.includes("/sensor-") ? fleet : owner, kind, text);
      };
      return bytesParser({
        // The texts of all that was ever said.
        samples: fc
          .tuple(fc.subarray(groups), fc.constantFrom(undefined, stage.rebinding, stage.revocation))
          .map(([some, last]) => [
            device.nameStatement,
            ...some.flat(),
            ...(last !== undefined && some.flat().includes(device.binding) ? [last] : []),
          ])
          .map((statements) => prefixed16(...statements.map(({ text }) => utf8(text)))),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const history: SignedText[] = [];
          while (reader.remaining > 0) history.push(sign(utf8Text(reader.bytes16())));
          const newest = [...new Map(history.map((one) => [subjectOf(one), one])).values()];
          return { account: judgeNameAccount(suite, chain.name, { newest, history }, NOW), history };
        },
        holds: ({ account, history }) =>
          account.history.length === history.length &&
          account.history.every(
            (past, at) => at === 0 || issuedOf(past) >= issuedOf(account.history[at - 1] ?? past),
          ) &&
          // Who is shown as active is so for every end, too.
          account.members
            .filter(({ condition }) => condition === "active")
            .every(({ member, newest, delegation: id }) => {
              const delegation = account.delegations.find((one) => one.delegation.statement.id === id)?.delegation
                .signed;
              const statements = { names: [device.nameStatement], member: newest.signed, delegation };
              return (
                verifyMemberStatements(suite, { name: chain.name, member }, account.chain, statements) !== undefined
              );
            }),
      });
    },
  },
  {
    name: "answer to statements that were put",
    share: 0.2,
    because: OF_PARTS,
    covers: ["directory/client/put-statements.ts#demandLogged"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const stage = stageOf(suite);
      const statements = [stage.rebinding, stage.policy];
      const log = new MemoryLog(suite);
      for (const { text } of [stage.device.nameStatement, stage.device.binding]) log.add(subjectOf({ text }), text);
      const seen = log.publish();
      const size = log.size;
      for (const { text } of statements) log.add(subjectOf({ text }), text);
      const proof: LogProof = log.prove(log.publish(), size, statements.map(subjectOf));
      const list: KeyList = { ...keyListOf(suite).list, log: log.log.publicKey, origin: log.log.origin };
      const whole = (one: LogProof): Uint8Array => {
        const { type, body } = encodeFrame({ type: "logged", proof: encodeLogProof(one) });
        return concat(Uint8Array.of(type), body);
      };
      return bytesParser({
        samples: fc.constant(whole(proof)),
        parse: (bytes) => {
          const frame = parseFrame(new ByteReader(bytes).u8(), bytes.subarray(1));
          const follower = new LogFollower(suite, { checkpoint: seen });
          const acceptProof = (given: Uint8Array) => follower.accept(list, given, NOW);
          demandLogged({ suite, acceptProof }, frame, statements);
          return { frame, follower };
        },
        // Its last checkpoint is the one whose proof held, and never one that was there before.
        holds: ({ frame, follower }) =>
          frame.type === "logged" && follower.size(list) === log.size && follower.checkpoint !== seen,
      });
    },
  },
  {
    name: "hello of a link, sealed anew",
    share: 0.3,
    because: "a handshake for each input; the hello in it gets its whole share in another row",
    covers: ["directory/link-greeting.ts#openGreeting"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { device, directory } = cast(suite);
      const random = (length: number): Uint8Array => new Uint8Array(length).fill(0x42);
      const head = suite.sha256(directory.sealing.publicKey.bytes).subarray(0, 8);
      const seal = (payload: Uint8Array): Uint8Array => {
        const noise = HandshakeState.initiator({
          ...{ pattern: X, suite, random, label: LABEL, prologue: prefixed16(utf8(LABEL), utf8("sealed")) },
          ...{ staticKey: device.x25519, remoteStaticKey: directory.sealing.publicKey },
        });
        return concat(Uint8Array.of(LABEL_VERSION), head, noise.writeMessage(payload.subarray(0, 60_000)));
      };
      const clock = { now: () => NOW, monotonic: () => 0, every: () => () => {} };
      const keyring = { sealing: () => [directory.sealing] } as unknown as Keyring;
      const host = { suite, random, clock, keyring };
      const opening = new ByteWriter().u8(0).u64(NOW).raw(random(16)).u8(LINK.hello).done();
      return bytesParser({
        samples: fc
          .record({
            ...{ name: of.name, member: of.member, epoch: of.nonce, version: fc.constant("0.1.0") },
            ...{
              names: fc.array(of.name, { maxLength: 5 }),
              checkpointSize: fc.maxSafeNat(),
              policyHash: of.bytesOf(32),
            },
          })
          .map((hello) => concat(opening, encodeLinkHello(hello))),
        parse: (payload) => openGreeting(host, seal(payload), undefined),
        holds: ({ message, hello }, payload) =>
          message.sender.equals(device.x25519.publicKey) &&
          message.type === LINK.hello &&
          equalBytes(encodeLinkHello(hello), payload.subarray(payload.length - encodeLinkHello(hello).length)) &&
          // A second one on the same socket has the same epoch.
          isRefused(() =>
            openGreeting(host, seal(concat(opening, encodeLinkHello({ ...hello, epoch: flipped(hello.epoch) }))), {
              ...{ message, hello, sealer: undefined as never },
            }),
          ),
      });
    },
  },
];

function flipped(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 1);
}

function isRefused(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch {
    return true;
  }
}
