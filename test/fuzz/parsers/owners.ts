import * as fc from "fast-check";
import { ByteReader, ByteWriter, equalBytes, hex, prefixed16, utf8, utf8Text } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { isMember, parseMember } from "../../../keys/names.ts";
import { ed25519Line } from "../../../keys/openssh.ts";
import type { SignedText, TextToSign } from "../../../keys/signed-text.ts";
import { nameOfStatement, NotTaken, takeStatement } from "../../../directory/accounts/decide.ts";
import { Draft } from "../../../directory/accounts/draft.ts";
import type { Store } from "../../../directory/store.ts";
import {
  type MemberStatements,
  newestOf,
  readMemberStatements,
  verifyMemberStatements,
  writeMemberStatements,
} from "../../../protocol/member-statements.ts";
import {
  type OwnerChain,
  rotationText,
  verifyChainOf,
  verifyOwnerChain,
  verifyRotation,
} from "../../../protocol/owner-chain.ts";
import {
  delegationText,
  isOfPattern,
  isPattern,
  policyText,
  revocationText,
  verifyDelegation,
  verifyPolicyStatement,
  verifyRevocation,
} from "../../../protocol/owner-statements.ts";
import { judgeOwn } from "../../../protocol/own-standing.ts";
import { judgeOwner, judgePeer } from "../../../protocol/peers.ts";
import { readSignedText, writeSignedText } from "../../../protocol/signed-text-wire.ts";
import {
  isMemberSubject,
  kindOf,
  seqOf,
  type StatementKind,
  subjectOf,
  verifySignature,
} from "../../../protocol/statement-fields.ts";
import { bindingText, verifyBinding, verifyNameStatement } from "../../../protocol/statements.ts";
import { after, cast, NOW, repeatableRandom, statementsOf } from "../../protocol/fixtures.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { keyOf, signed, statementJson } from "../signing.ts";
import { Broken, bytesParser, type Parser, textOf, textParser } from "../subject.ts";

const FIELDS = words(
  ...'"v":1 "kind":"rotation" "kind":"revocation" "kind":"delegation" "kind":"policy" "seq":1 "seq":2 "prev":null'.split(
    " ",
  ),
  ...'"expires":null "role":"client" "role":"device" "pattern":"*" "uses":1 "uses":1e6 1e309 "reason":""'.split(" "),
  ..."@client @client/laptop-client @device/sensor-7 @device:policy @device:delegation:00112233445566ff sensor-*".split(
    " ",
  ),
);

/** Of rows that verify several signatures for each input. */
const OF_PARTS = "it judges what other rows have parsed: each kind of statement gets its whole share there";
const BEGINNINGS = ["kindOf", "subjectOf", "seqOf"].map((name) => `protocol/statement-fields.ts#${name}`);

/** One kind of statement: mutated texts, each signed by the owner. */
function statement<T extends { readonly seq: number }>(
  kind: StatementKind,
  covers: readonly string[],
  texts: fc.Arbitrary<string>,
  verify: (suite: CipherSuite, given: SignedText, owner: string) => { readonly statement: T },
  print: (statement: T) => string,
): Parser {
  return {
    name: `${kind}, signed anew`,
    share: 0.7,
    covers: [...covers, ...BEGINNINGS, "protocol/statement-fields.ts#openingEntries"],
    make: ({ suite }) => {
      const key = keyOf(suite, 1);
      return textParser({
        samples: texts,
        parse: (text) => verify(suite, signed(suite, key, kind, text), ed25519Line(key.publicKey)).statement,
        print,
        // What is read off the beginning of a text is what its JSON says.
        holds: (accepted, text) =>
          kindOf(signed(suite, key, kind, text)) === kind &&
          subjectOf({ text }) === (JSON.parse(text) as { subject: string }).subject &&
          seqOf({ text }) === accepted.seq,
        words: FIELDS,
      });
    },
  };
}

export const OWNER_PARSERS: readonly Parser[] = [
  statement(
    "rotation",
    ["protocol/owner-chain.ts#verifyRotation"],
    of.rotationText,
    verifyRotation,
    ({ name: subject, owner, ...fields }) => statementJson({ ...fields, subject }, { owner }),
  ),
  statement(
    "revocation",
    ["protocol/owner-statements.ts#verifyRevocation", "protocol/statement-fields.ts#isMemberSubject"],
    of.revocationText,
    verifyRevocation,
    ({ reason, ...fields }) => statementJson(fields, { reason }),
  ),
  statement(
    "delegation",
    ["protocol/owner-statements.ts#verifyDelegation", "protocol/owner-statements.ts#isPattern"],
    of.delegationText,
    verifyDelegation,
    ({ name, id, key, role, pattern, uses, ...fields }) =>
      statementJson({ ...fields, subject: `${name}:delegation:${id}` }, { key, role, pattern, uses }),
  ),
  statement(
    "policy",
    ["protocol/owner-statements.ts#verifyPolicyStatement"],
    of.policyText,
    verifyPolicyStatement,
    ({ name, policy, ...fields }) => statementJson({ ...fields, subject: `${name}:policy` }, { policy }),
  ),
  {
    name: "statements of owners, their bytes as they come",
    share: 0.3,
    covers: [
      "protocol/owner-chain.ts#verifyRotation",
      ...["verifyRevocation", "verifyDelegation", "verifyPolicyStatement"].map(
        (verify) => `protocol/owner-statements.ts#${verify}`,
      ),
      ...["kindOf", "subjectOf", "seqOf", "openingEntries"].map((part) => `protocol/statement-fields.ts#${part}`),
      "protocol/statement-fields.ts#isMemberSubject",
      "protocol/owner-statements.ts#isPattern",
      "protocol/statement-fields.ts#verifySignature",
    ],
    because: "verifySignature is what every row that signs anew goes through",
    dictionary: FIELDS,
    make: ({ suite }) => {
      const stage = stageOf(suite);
      const originals = [stage.rotation, stage.revocation, stage.delegation, stage.policy].map((text) => {
        const writer = new ByteWriter();
        writeSignedText(writer, text);
        return writer.done();
      });
      const owner = ed25519Line(stage.owner.publicKey);
      return bytesParser({
        samples: fc.constantFrom(...originals),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const given = readSignedText(reader);
          reader.end();
          const kind = kindOf(given);
          if (kind === undefined) return undefined;
          verifySignature(suite, kind, given);
          if (kind === "rotation") return verifyRotation(suite, given);
          if (kind === "revocation") return verifyRevocation(suite, given, owner);
          if (kind === "delegation") return verifyDelegation(suite, given, owner);
          return verifyPolicyStatement(suite, given, owner);
        },
        holds: (_, bytes) => originals.some((original) => Buffer.compare(original, bytes) === 0),
      });
    },
  },
  {
    name: "subject of a member",
    covers: ["protocol/statement-fields.ts#isMemberSubject"],
    make: () =>
      textParser({
        samples: fc.tuple(of.name, of.member).map(([name, member]) => `${name}/${member}`),
        parse: (text) => isMemberSubject(text),
        holds: (_, text) => /^@[a-z0-9-]{1,32}\/[a-z0-9_-]{1,36}$/.test(text),
      }),
  },
  {
    name: "pattern of a delegation",
    covers: ["protocol/owner-statements.ts#isPattern", "protocol/owner-statements.ts#isOfPattern"],
    make: () =>
      textParser({
        samples: fc.tuple(of.pattern, of.member).map(([pattern, member]) => `${pattern} ${member}`),
        parse: (text) => {
          const [pattern = "", member = "", ...others] = text.split(" ");
          if (others.length > 0 || !isMember(member) || !isPattern(pattern)) return undefined;
          return { pattern, member, isOf: isOfPattern(member, pattern) };
        },
        holds: ({ pattern, member, isOf }) =>
          isOf === new RegExp(`^${pattern.replace("*", ".*")}$`).test(member) && !/\*./.test(pattern),
        words: words("*", " sensor-7", "sensor-* "),
      }),
  },
  {
    name: "chain of owners, signed anew",
    share: 0.2,
    because: OF_PARTS,
    covers: [
      "protocol/owner-chain.ts#verifyOwnerChain",
      "protocol/owner-chain.ts#verifyChainOf",
      "protocol/peers.ts#judgeOwner",
    ],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const { name, keys, texts } = chainOf(suite);
      const [, firstText] = texts;
      if (firstText === undefined) throw new Error("a chain has rotations");
      const pinned = judgeOwner(
        suite,
        name,
        signedChain(suite, keys, texts.slice(0, 2)),
        { known: undefined, given: undefined },
        NOW,
      ).owner;
      return bytesParser({
        // u8 where in the whole chain the texts begin, then these.
        samples: fc
          .tuple(fc.nat(2), fc.nat(2)) // whatever has the pinned owner in it
          .map(([from, more]) => [from, Math.min(Math.max(1, from) + more, 3)] as const)
          .map(([from, to]) =>
            new ByteWriter()
              .u8(from)
              .raw(prefixed16(...texts.slice(from, to + 1).map(utf8)))
              .done(),
          ),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const first = reader.u8();
          const given: string[] = [];
          while (reader.remaining > 0) given.push(utf8Text(reader.bytes16()));
          const chain = signedChain(suite, keys, given, first);
          const followed = verifyOwnerChain(suite, chain);
          const judged = judgeOwner(suite, name, chain, { known: pinned, given: undefined }, NOW);
          return { followed, of: verifyChainOf(suite, name, chain), judged, given };
        },
        holds: ({ followed, of: same, judged, given }) =>
          hex(same.newest.hash) === hex(followed.newest.hash) &&
          judged.owner.owner === followed.owner &&
          isLinked(suite, followed, given) &&
          // It is never older than what is pinned, and speaks for the pinned key or was handed on by it.
          seqOf({ text: given.at(-1) ?? "" }) >= 2 &&
          [followed.owner, ...followed.former].includes(pinned.owner),
      });
    },
  },
  {
    name: "owner of a peer, signed anew",
    share: 0.2,
    because: OF_PARTS,
    covers: ["protocol/peers.ts#judgeOwner"],
    make: ({ suite }) => {
      const { client } = cast(suite);
      const owner = ed25519Line(client.owner.publicKey);
      const unknown = { known: undefined, given: undefined };
      const pinned = judgeOwner(suite, client.name, [client.nameStatement], unknown, NOW).owner;
      return textParser({
        samples: of.nameText(owner).map((text) =>
          text
            .replace(/"subject":"[^"]*"/, `"subject":"${client.name}"`)
            .replace(/"seq":1,/, '"seq":2,') // the first one is pinned, and no other first one is taken
            .replace(/"expires":\d+/, '"expires":null'),
        ),
        parse: (text) => {
          const names = [signed(suite, client.owner, "name", text)];
          return judgeOwner(suite, client.name, names, { known: pinned, given: undefined }, NOW).owner;
        },
        holds: (pin, text) =>
          pin.owner === owner &&
          pin.name === client.name &&
          (seqOf({ text }) > 1 || text === client.nameStatement.text),
        words: FIELDS,
      });
    },
  },
  {
    name: "peer, its statements signed anew",
    share: 0.1,
    mayRefuseSamples: true, // a revocation is one
    because: OF_PARTS,
    covers: ["protocol/peers.ts#judgePeer", "protocol/member-statements.ts#verifyMemberStatements"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const stage = stageOf(suite);
      const { device, fleet, owner } = stage;
      const name = stage.chain.name;
      const direct = device.binding.text;
      const { pins } = judgePeer(
        suite,
        { ...device, statements: statementsOf(device) },
        { known: { owner: undefined, member: undefined }, given: undefined },
        NOW,
      );
      return bytesParser({
        // u8 whether a delegation comes with it, then the member's text and the delegation's.
        samples: fc.oneof(
          fc.constantFrom(direct, stage.rebinding.text, stage.revocation.text).map((text) => {
            return new ByteWriter()
              .u8(0)
              .raw(prefixed16(utf8(text)))
              .done();
          }),
          fc.constant(
            new ByteWriter()
              .u8(1)
              .raw(prefixed16(utf8(stage.delegated.text), utf8(stage.delegation.text)))
              .done(),
          ),
        ),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const isDelegated = (reader.u8() & 1) === 1;
          const text = utf8Text(reader.bytes16());
          const kind = kindOf({ text, signature: new Uint8Array(0) }) === "revocation" ? "revocation" : "binding";
          const statements: MemberStatements = {
            names: [device.nameStatement],
            member: signed(suite, isDelegated && kind === "binding" ? fleet : owner, kind, text),
            delegation: isDelegated ? signed(suite, owner, "delegation", utf8Text(reader.bytes16())) : undefined,
          };
          reader.end();
          const member = isDelegated ? stage.sensor : device.member;
          const known = { owner: pins.owner, member: isDelegated ? undefined : pins.member };
          const claim = { name, member, role: "device" as const, statements };
          const judged = judgePeer(suite, claim, { known, given: undefined }, NOW);
          const answered = verifyMemberStatements(suite, { name, member }, stage.chain, statements);
          return { judged, answered, isDelegated, text, newest: newestOf({ name, member }, stage.chain, answered) };
        },
        holds: ({ judged, answered, isDelegated, text, newest }) =>
          judged.pins.member.binding.text === text &&
          newest.length === (isDelegated ? 3 : 2) &&
          JSON.stringify(judged.newest) === JSON.stringify(newest) &&
          (isDelegated
            ? answered.delegation !== undefined &&
              judged.binding.statement.seq === 1 &&
              answered.delegation.statement.role === "device" &&
              isOfPattern(stage.sensor, answered.delegation.statement.pattern)
            : judged.binding.statement.seq > 1 || text === direct),
      });
    },
  },
  {
    name: "peer, its statements' bytes as they come",
    share: 0.1,
    because: OF_PARTS,
    covers: [
      "protocol/peers.ts#judgePeer",
      "protocol/member-statements.ts#verifyMemberStatements",
      "protocol/own-standing.ts#judgeOwn",
    ],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const stage = stageOf(suite);
      const { device } = stage;
      const whole = (statements: MemberStatements): Uint8Array => {
        const writer = new ByteWriter();
        writeMemberStatements(writer, statements);
        return writer.done();
      };
      const originals = [statementsOf(device), { ...statementsOf(device), member: stage.rebinding }].map(whole);
      const keys = {
        ...{ name: device.name, member: device.member, owner: ed25519Line(device.owner.publicKey) },
        ...{ x25519: device.x25519.publicKey, ed25519: device.ed25519.publicKey },
      };
      return bytesParser({
        samples: fc.constantFrom(...originals),
        parse: (bytes) => {
          const reader = new ByteReader(bytes);
          const statements = readMemberStatements(reader);
          reader.end();
          const own = judgeOwn(suite, keys, statements, undefined);
          const claim = { name: device.name, member: device.member, role: "device" as const, statements };
          const unknown = { known: { owner: undefined, member: undefined }, given: undefined };
          return { statements, own, judged: judgePeer(suite, claim, unknown, NOW) };
        },
        print: ({ statements }) => whole(statements),
        // Nothing of it can be changed: neither a text, nor a signature, nor which of them come together.
        holds: ({ own, judged }, bytes) =>
          own.binding.signed.text === judged.binding.signed.text &&
          originals.some((original) => equalBytes(original, bytes)),
      });
    },
  },
  {
    name: "own statements, signed anew",
    share: 0.1,
    because: OF_PARTS,
    covers: ["protocol/own-standing.ts#judgeOwn"],
    make: ({ suite }) => {
      const { device, owner, rebinding } = stageOf(suite);
      const { name, member, x25519, ed25519 } = device;
      const keys = {
        ...{ name, member, owner: ed25519Line(owner.publicKey) },
        ...{ x25519: x25519.publicKey, ed25519: ed25519.publicKey },
      };
      return textParser({
        samples: fc.constantFrom(rebinding.text, device.binding.text),
        parse: (text) => {
          const statements = { ...statementsOf(device), member: signed(suite, owner, "binding", text) };
          return judgeOwn(suite, keys, statements, judgeOwn(suite, keys, statementsOf(device), undefined));
        },
        holds: ({ binding: { statement: own } }, text) =>
          own.x25519.equals(x25519.publicKey) &&
          own.ed25519.equals(ed25519.publicKey) &&
          (own.seq > 1 || text === device.binding.text),
        words: FIELDS,
      });
    },
  },
  {
    name: "statement that a directory takes, signed anew",
    share: 0.1,
    because: OF_PARTS,
    covers: ["directory/accounts/decide.ts#takeStatement", "directory/accounts/decide.ts#nameOfStatement"],
    dictionary: FIELDS,
    make: ({ suite }) => {
      const stage = stageOf(suite);
      const { device, owner, fleet } = stage;
      const kinds = ["rotation", "binding", "revocation", "delegation", "policy"] as const;
      const texts = [
        stage.rotation,
        stage.rebinding,
        stage.revocation,
        stage.delegation,
        stage.policy,
        stage.delegated,
      ];
      const sending = { sender: stage.sensorKeys.x25519, hasAsked: () => Promise.resolve(false), now: NOW };
      return {
        samples: fc.constantFrom(...texts.map(({ text }) => utf8(text))),
        take: async (input) => {
          const text = textOf(input);
          const draft = draftOf(suite, stage);
          const before = draft.entries.length;
          const kind = kinds.find((one) => text.includes(`"kind":"${one}"`)) ?? "binding";
          const given = signed(suite, text.includes(`/${stage.sensor}"`) ? fleet : owner, kind, text);
          let subject: string;
          try {
            subject = await takeStatement(suite, draft, given, sending);
          } catch (error) {
            if (error instanceof NotTaken) return false;
            throw error;
          }
          const entries = draft.entries.slice(before);
          const isKnown = [stage.delegation, device.binding].some((known) => known.text === text);
          const isLogged =
            entries.length === (isKnown ? 0 : 1) &&
            entries.every((entry) => entry.subject === subject && equalBytes(entry.hash, suite.sha256(utf8(text))));
          const isNamed = subject === subjectOf(given) && nameOfStatement(given) === device.name;
          if (!isLogged || !isNamed) throw new Broken("what is taken is not logged as what it is");
          return true;
        },
      };
    },
  },
];

/** One name with its owner, a member of its own, a delegation and a member made by it, and what may be said next. */
export function stageOf(suite: CipherSuite) {
  const { device } = cast(suite);
  const { owner, name } = device;
  const random = repeatableRandom("owners");
  const made = { issued: NOW, expires: null };
  const line = ed25519Line(owner.publicKey);
  const first = after();
  const next = after(verifyBinding(suite, device.binding, line));
  const fleet = keyOf(suite, 3);
  const sensor = parseMember("sensor-7");
  const sensorKeys = { x25519: cast(suite).rendezvous.x25519.publicKey, ed25519: keyOf(suite, 4).publicKey };
  const by = (key: Ed25519PrivateKey, { text, namespace }: TextToSign): SignedText =>
    signed(suite, key, namespace.slice("sshnp-".length, -"@v1".length) as StatementKind, text);
  const nameStatement = verifyNameStatement(suite, device.nameStatement);
  const role = "device" as const;
  const delegated = { ...first, ...made, name, member: sensor, role, ...sensorKeys };
  const keys = { x25519: device.x25519.publicKey, ed25519: device.ed25519.publicKey };
  const subject = `${name}/${device.member}`;
  const delegation = { ...first, ...made, name, id: "00112233445566ff", key: fleet.publicKey, role };
  const heir = ed25519Line(keyOf(suite, 9).publicKey);
  return {
    ...{ device, owner, fleet, sensor, sensorKeys, nameStatement },
    chain: verifyChainOf(suite, name, [device.nameStatement]),
    rotation: by(owner, rotationText(random, { ...after(nameStatement), ...made, name, owner: heir })),
    rebinding: by(owner, bindingText(random, { ...next, ...made, name, member: device.member, role, ...keys })),
    revocation: by(owner, revocationText(random, { ...next, ...made, subject, reason: "lost" })),
    delegation: by(owner, delegationText(random, { ...delegation, pattern: "sensor-*", uses: 2 })),
    delegated: by(fleet, bindingText(random, delegated)),
    policy: by(owner, policyText(random, { ...first, ...made, name, policy: "version: 1\ngrants: []\n" })),
  };
}

type Stage = ReturnType<typeof stageOf>;

/** What a directory knows of that stage: all but what may be said next. */
function draftOf(suite: CipherSuite, { device, owner, delegation, nameStatement, fleet }: Stage): Draft {
  const nothing = () => Promise.resolve(undefined);
  const store = { name: nothing, member: nothing, delegation: nothing, policy: nothing, keyHolder: nothing };
  const draft = new Draft(store as unknown as Store);
  const line = ed25519Line(owner.publicKey);
  draft.addToName(device.name, { added: NOW, activationKey: fleet.publicKey, statements: [] }, nameStatement);
  const binding = verifyBinding(suite, device.binding, line);
  const { role, x25519, ed25519, expires } = binding.statement;
  const record = { role, x25519, ed25519, expires, binding: device.binding, newest: device.binding };
  draft.putMember(device, { ...record, delegation: undefined }, binding);
  const known = verifyDelegation(suite, delegation, line);
  draft.putDelegation(known.statement, fleet.publicKey, { delegation, newest: delegation, made: 1 }, known);
  return draft;
}

/** A name that was handed on three times: the keys, oldest first, and the texts that say so. */
function chainOf(suite: CipherSuite) {
  const { client } = cast(suite);
  const random = repeatableRandom("chain of owners");
  const keys = [client.owner, keyOf(suite, 11), keyOf(suite, 12), keyOf(suite, 13)];
  const texts = [client.nameStatement.text];
  for (const key of keys.slice(1)) {
    const before = texts.at(-1) ?? "";
    const rotation = { seq: texts.length + 1, prev: hex(suite.sha256(utf8(before))), issued: NOW, expires: null };
    const owner = ed25519Line(key.publicKey);
    texts.push(rotationText(random, { ...rotation, name: client.name, owner }).text);
  }
  return { name: client.name, keys, texts };
}

/** Each text signed by the key whose turn it is; the first one stands at `from` in the whole chain. */
function signedChain(
  suite: CipherSuite,
  keys: readonly Ed25519PrivateKey[],
  texts: readonly string[],
  from = 0,
): SignedText[] {
  return texts.map((text, at) => {
    const kind = kindOf({ text, signature: new Uint8Array(0) }) ?? "rotation";
    const key = keys[Math.max(from + at - 1, 0) % keys.length] as Ed25519PrivateKey;
    return signed(suite, key, kind, text);
  });
}

/** Whether each text follows the one before, and the last one names the owner. */
function isLinked(suite: CipherSuite, { owner, name }: OwnerChain, texts: readonly string[]): boolean {
  const said = texts.map((text) => JSON.parse(text) as Record<string, unknown>);
  return (
    said.at(-1)?.["owner"] === owner &&
    said.every(({ subject }) => subject === name) &&
    said.every(({ seq, prev }, at) => {
      const before = at === 0 ? undefined : said[at - 1];
      if (before === undefined) return true;
      return seq === Number(before["seq"]) + 1 && prev === hex(suite.sha256(utf8(texts[at - 1] ?? "")));
    })
  );
}
