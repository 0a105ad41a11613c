import * as fc from "fast-check";
import { base64, ByteReader, ByteWriter, equalBytes, hex, utf8 } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { openCheckpoint } from "../../../protocol/log/checkpoint.ts";
import {
  cosign,
  parseWitness,
  printWitness,
  withCosignatures,
  witnessTimes,
} from "../../../protocol/log/cosignature.ts";
import { encodeLeaf, parseLeaf } from "../../../protocol/log/leaf.ts";
import * as map from "../../../protocol/log/map.ts";
import type { MapNode } from "../../../protocol/log/map-node.ts";
import * as note from "../../../protocol/log/note.ts";
import { encodeLogProof, parseLogProof, verifyLogProof, verifySubject } from "../../../protocol/log/proof.ts";
import * as tiles from "../../../protocol/log/tiles.ts";
import { Frontier, leafHash, planConsistency, planInclusion } from "../../../protocol/log/tree.ts";
import { verifyConsistency, verifyInclusion } from "../../../protocol/log/tree.ts";
import { NOW } from "../../protocol/fixtures.ts";
import { MemoryLog } from "../../protocol/log/memory-log.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, textParser } from "../subject.ts";

const hash = of.bytesOf(32);
const NOTE_WORDS = words("— ", "\n\n", "\n", "+", "np.example.org/log", "0", "00", "9007199254740992");
const keyName = fc.stringMatching(/^[a-z][a-z0-9./:-]{0,30}$/);
const signature = fc.record({
  name: keyName,
  keyId: of.bytesOf(4),
  signature: fc.uint8Array({ minLength: 1, maxLength: 80 }),
});
const mapProof = fc.record({
  siblings: fc.array(fc.oneof(hash, fc.constant(map.EMPTY)), { maxLength: 20 }),
  other: fc.option(fc.record({ key: hash, value: hash }), { nil: undefined }),
});

/** A log with a past, one witness, and two statements in its map beside others. */
function scene(suite: CipherSuite) {
  const log = new MemoryLog(suite);
  for (let index = 0; index < 6; index++) log.add(`@name${index}`, `${index}`);
  const last = openCheckpoint(suite, log.publish(), log.log);
  const newest = log.add("@acme", "newest");
  const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(9));
  const witness = { name: "witness.example", publicKey: key.publicKey };
  const checkpoint = log.publish([[key, witness, NOW / 1000]]);
  const bundle = log.prove(checkpoint, last.size, ["@acme", "@nobody"]);
  const trust = { log: log.log, witnesses: [witness], needed: 1, maxAge: 1000 };
  return {
    log,
    last,
    newest,
    key,
    witness,
    checkpoint,
    bundle,
    trust,
    logKey: Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(1)),
  };
}

/** A tree of 13 leaves, with the proofs that hold in it. */
function smallTree(suite: CipherSuite) {
  let frontier = Frontier.EMPTY;
  const frontiers = [frontier];
  const nodes = new Map<string, Uint8Array>();
  const leaves = Array.from({ length: 13 }, (_, index) => leafHash(suite, Uint8Array.of(index)));
  for (const leaf of leaves) {
    const grown = frontier.append(suite, leaf);
    for (const node of grown.nodes) nodes.set(`${node.level}/${node.index}`, node.hash);
    frontiers.push((frontier = grown.frontier));
  }
  const complete = (plan: ReturnType<typeof planInclusion>): Uint8Array[] =>
    plan.complete(
      suite,
      plan.nodes.map(({ level, index }) => nodes.get(`${level}/${index}`) ?? new Uint8Array(0)),
    );
  return { leaves, complete, root: (size: number): Uint8Array => frontiers[size]?.root(suite) ?? new Uint8Array(0) };
}

/** u8 number, then hashes. */
const numbered = (number: number, hashes: readonly Uint8Array[]): Uint8Array =>
  hashes.reduce((writer, each) => writer.raw(each), new ByteWriter().u8(number)).done();

function parseNumbered(bytes: Uint8Array): { number: number; proof: Uint8Array[] } {
  const reader = new ByteReader(bytes);
  const number = reader.u8();
  const proof: Uint8Array[] = [];
  while (reader.remaining > 0) proof.push(reader.raw(Math.min(32, reader.remaining)));
  return { number, proof };
}

/** A verifier key without its id, which is made anew. */
function withKeyId(suite: CipherSuite, text: string): string {
  const border = text.indexOf("+");
  if (border < 0) return text;
  const [name, encoded] = [text.slice(0, border), text.slice(border + 1)];
  const [type = 0, ...key] = Buffer.from(encoded, "base64");
  const id = suite.sha256(utf8(name), Uint8Array.of(10, type), Uint8Array.from(key)).subarray(0, 4);
  return `${name}+${hex(id)}+${encoded}`;
}

const withoutKeyId = (text: string): string => text.replace(/\+[0-9a-f]{8}\+/, "+");
const verifierKey = (type: number): fc.Arbitrary<string> =>
  fc.tuple(keyName, of.ed25519).map(([name, key]) => `${name}+${base64(Uint8Array.of(type, ...key.bytes))}`);

export const LOG_PARSERS: readonly Parser[] = [
  {
    name: "leaf of the log",
    covers: ["protocol/log/leaf.ts#parseLeaf"],
    make: () =>
      bytesParser({
        samples: fc
          .oneof(
            fc.record({ type: fc.constantFrom("statement" as const, "heads" as const), hash }),
            fc.record({ type: fc.constant("audit" as const), directory: of.bytesOf(8), hash }),
          )
          .map(encodeLeaf),
        parse: parseLeaf,
        print: encodeLeaf,
      }),
  },
  {
    name: "proof of inclusion",
    covers: ["protocol/log/tree.ts#verifyInclusion"],
    make: ({ suite }) => {
      const { leaves, complete, root } = smallTree(suite);
      const honest = (index: number): Uint8Array => numbered(index, complete(planInclusion(index, 13)));
      return bytesParser({
        samples: fc.nat(12).map(honest),
        parse: (bytes) => {
          const { number, proof } = parseNumbered(bytes);
          const leaf = leaves[number] ?? map.EMPTY;
          verifyInclusion(suite, { index: number, size: 13, leafHash: leaf, root: root(13), proof });
          return number;
        },
        holds: (index, bytes) => equalBytes(bytes, honest(index)),
      });
    },
  },
  {
    name: "proof of consistency",
    covers: ["protocol/log/tree.ts#verifyConsistency"],
    make: ({ suite }) => {
      const { complete, root } = smallTree(suite);
      const honest = (size: number): Uint8Array => numbered(size, complete(planConsistency(size, 13)));
      return bytesParser({
        samples: fc.integer({ min: 1, max: 13 }).map(honest),
        parse: (bytes) => {
          const { number, proof } = parseNumbered(bytes);
          verifyConsistency(suite, { oldSize: number, oldRoot: root(number), newSize: 13, newRoot: root(13), proof });
          return number;
        },
        holds: (size, bytes) => equalBytes(bytes, honest(size)),
      });
    },
  },
  {
    name: "node of the log's map",
    covers: ["protocol/log/map.ts#parseMapNode"],
    make: () =>
      bytesParser({
        samples: fc
          .oneof(
            fc.record({ kind: fc.constant("branch" as const), left: hash, right: hash }),
            fc.record({ kind: fc.constant("entry" as const), key: hash, value: hash }),
          )
          .map(map.encodeMapNode),
        parse: map.parseMapNode,
        print: map.encodeMapNode,
      }),
  },
  {
    name: "rows of the log's map",
    covers: ["protocol/log/map.ts#MapRows"],
    make: ({ suite }) => {
      const key = map.subjectKey(suite, "@name3");
      const entries = Array.from({ length: 9 }, (_, index) => ({
        key: map.subjectKey(suite, `@name${index}`),
        value: key,
      }));
      const { root, rows } = new map.MapRows(suite, map.EMPTY, new Map()).update(entries);
      const way = Array.from({ length: 257 }, (_, depth) => rows.get(map.pathOf(key, depth))).filter(
        (row) => row !== undefined,
      );
      return bytesParser({
        samples: fc.constant(Uint8Array.from(way.flatMap((row) => [...map.encodeMapNode(row)]))),
        parse: (bytes) => {
          const loaded = new Map<string, MapNode>();
          for (let at = 0; at + 65 <= bytes.length; at += 65) {
            loaded.set(map.pathOf(key, at / 65), map.parseMapNode(bytes.subarray(at, at + 65)));
          }
          const part = new map.MapRows(suite, root, loaded);
          return part.missing(key) === undefined ? part : undefined;
        },
        holds: (part) => {
          map.verifyMapProof(suite, root, key, key, part.prove(key));
          const { root: after, rows: changed } = part.update([{ key, value: root }]);
          map.verifyMapProof(suite, after, key, root, new map.MapRows(suite, after, changed).prove(key));
          return true;
        },
      });
    },
  },
  {
    name: "proof of the log's map",
    covers: ["protocol/log/map.ts#readMapProof"],
    make: () => bytesParser({ samples: mapProof.map(writtenMapProof), parse: parseMapProof, print: writtenMapProof }),
  },
  {
    name: "proof of the log's map, verified",
    covers: ["protocol/log/map.ts#verifyMapProof", "protocol/log/proof.ts#verifySubject"],
    make: ({ suite }) => {
      const { log, newest, bundle } = scene(suite);
      const [present, absent] = bundle.subjects.map(writtenMapProof);
      return bytesParser({
        samples: fc.constantFrom(present ?? new Uint8Array(0), absent ?? new Uint8Array(0)),
        parse: (bytes) => {
          const proof = parseMapProof(bytes);
          const isPresent = proof.other === undefined && equalBytes(bytes, present ?? new Uint8Array(0));
          const [subject, value] = isPresent ? ["@acme", newest] : ["@nobody", undefined];
          verifySubject(suite, log.headsRoot, subject, value, proof);
          map.verifyMapProof(suite, log.headsRoot, map.subjectKey(suite, subject), value, proof);
          return proof;
        },
        holds: (_, bytes) => [present, absent].some((honest) => honest !== undefined && equalBytes(bytes, honest)),
      });
    },
  },
  {
    name: "signed note",
    covers: ["protocol/log/note.ts#parseNote"],
    make: () =>
      textParser({
        samples: fc
          .record({
            text: fc
              .array(fc.stringMatching(/^[ -~è]{0,30}$/), { minLength: 1, maxLength: 4 })
              .map((lines) => `${lines.join("\n")}\n`),
            signatures: fc.array(signature, { minLength: 1, maxLength: 4 }),
          })
          .map(note.printNote),
        parse: note.parseNote,
        print: note.printNote,
        words: NOTE_WORDS,
      }),
  },
  {
    name: "signature line of a note",
    covers: ["protocol/log/note.ts#parseSignatureLine"],
    make: () =>
      textParser({
        samples: signature.map(note.printSignatureLine),
        parse: note.parseSignatureLine,
        print: note.printSignatureLine,
        words: NOTE_WORDS,
      }),
  },
  {
    name: "name of a note's key",
    covers: ["protocol/log/note.ts#isKeyName"],
    make: () =>
      textParser({
        samples: keyName,
        parse: note.isKeyName,
        holds: (_, text) => /^[^\s+]+$/.test(text),
        words: NOTE_WORDS,
      }),
  },
  {
    name: "verifier key, its id made anew",
    covers: ["protocol/log/note.ts#parseVerifierKey"],
    make: ({ suite }) =>
      textParser({
        samples: fc.oneof(verifierKey(1), verifierKey(4)),
        parse: (text) => note.parseVerifierKey(suite, withKeyId(suite, text)),
        print: (key) => withoutKeyId(note.printVerifierKey(suite, key)),
        words: NOTE_WORDS,
      }),
  },
  {
    name: "verifier key of a witness, its id made anew",
    covers: ["protocol/log/cosignature.ts#parseWitness"],
    make: ({ suite }) =>
      textParser({
        samples: verifierKey(4),
        parse: (text) => parseWitness(suite, withKeyId(suite, text)),
        print: (witness) => withoutKeyId(printWitness(suite, witness)),
        words: NOTE_WORDS,
      }),
  },
  {
    name: "checkpoint, signed anew",
    share: 0.7,
    covers: ["protocol/log/checkpoint.ts#openCheckpoint"],
    make: ({ suite }) => {
      const { log, logKey } = scene(suite);
      const { origin } = log.log;
      const keyId = note.keyIdOf(suite, { name: origin, type: "ed25519", publicKey: logKey.publicKey });
      return textParser({
        samples: fc
          .tuple(fc.integer({ min: 1, max: 2 ** 53 - 1 }), hash)
          .map(([size, root]) => `${origin}\n${size}\n${base64(root)}\n`),
        parse: (text) => {
          const line = note.printSignatureLine({ name: origin, keyId, signature: suite.sign(logKey, utf8(text)) });
          return openCheckpoint(suite, `${text}\n${line}`, log.log);
        },
        print: (checkpoint) => `${origin}\n${checkpoint.size}\n${base64(checkpoint.root)}\n`,
        words: NOTE_WORDS,
      });
    },
  },
  {
    name: "checkpoint, its note as it comes",
    share: 0.3,
    covers: ["protocol/log/checkpoint.ts#openCheckpoint"],
    make: ({ suite }) => {
      const { log, checkpoint, last } = scene(suite);
      return textParser({
        samples: fc.constantFrom(checkpoint, last.text),
        parse: (text) => openCheckpoint(suite, text, log.log),
        holds: ({ size, root, text }) =>
          [checkpoint, last.text].some((own) => note.parseNote(own).text === note.parseNote(text).text) &&
          note.parseNote(text).text.endsWith(`\n${size}\n${base64(root)}\n`),
        words: NOTE_WORDS,
      });
    },
  },
  {
    name: "cosignature line, added",
    covers: ["protocol/log/cosignature.ts#withCosignatures"],
    make: ({ suite }) => {
      const { log, checkpoint, key } = scene(suite);
      return textParser({
        samples: fc.tuple(keyName, fc.nat(1e9)).map(([name, seconds]) => cosign(suite, key, name, checkpoint, seconds)),
        parse: (line) => withCosignatures(checkpoint, [line]),
        holds: (text, line) =>
          openCheckpoint(suite, text, log.log).text.endsWith(line.endsWith("\n") ? line : `${line}\n`) ||
          note.parseNote(text).signatures.length === note.parseNote(checkpoint).signatures.length,
        words: NOTE_WORDS,
      });
    },
  },
  {
    name: "cosignature, its time signed anew",
    covers: ["protocol/log/cosignature.ts#timesByWitness"],
    make: ({ suite }) => {
      const { last, key, witness } = scene(suite);
      const text = note.parseNote(last.text).text;
      const keyId = note.keyIdOf(suite, { ...witness, type: "cosignature" });
      const secondsOf = (bytes: Uint8Array): bigint => BigInt(`0x${hex(bytes.subarray(0, 8)) || "0"}`);
      return bytesParser({
        samples: fc.nat(2 ** 31 - 1).map((seconds) => new ByteWriter().u64(seconds).done()),
        parse: (bytes) => {
          const signed = suite.sign(key, utf8(`cosignature/v1\ntime ${secondsOf(bytes)}\n${text}`));
          const line = { name: witness.name, keyId, signature: new ByteWriter().raw(bytes).raw(signed).done() };
          const [time] = witnessTimes(suite, { ...last, text: last.text + note.printSignatureLine(line) }, [witness]);
          return time === undefined ? undefined : { time };
        },
        holds: ({ time }, bytes) => bytes.length === 8 && BigInt(time) === 1000n * secondsOf(bytes),
      });
    },
  },
  {
    name: "proof bundle of the log",
    covers: ["protocol/log/proof.ts#parseLogProof"],
    make: () =>
      bytesParser({
        samples: fc
          .record({
            checkpoint: fc.string({ maxLength: 200 }),
            headsRoot: hash,
            inclusion: fc.array(hash, { maxLength: 8 }),
            since: fc.maxSafeNat(),
            consistency: fc.array(hash, { maxLength: 8 }),
            subjects: fc.array(mapProof, { maxLength: 3 }),
          })
          .map(encodeLogProof),
        parse: parseLogProof,
        print: encodeLogProof,
      }),
  },
  {
    name: "proof bundle of the log, verified",
    covers: ["protocol/log/proof.ts#verifyLogProof"],
    make: ({ suite }) => {
      const { bundle, trust, last } = scene(suite);
      return bytesParser({
        samples: fc.constant(encodeLogProof({ ...bundle, subjects: [] })),
        parse: (bytes) => verifyLogProof(suite, parseLogProof(bytes), trust, last, NOW),
        holds: ({ headsRoot, witnessTime }) => equalBytes(headsRoot, bundle.headsRoot) && witnessTime === NOW,
      });
    },
  },
  {
    name: "path of a tile",
    covers: ["protocol/log/tiles.ts#parseTilePath", "protocol/log/tiles.ts#printTilePath"],
    make: () =>
      textParser({
        samples: fc
          .record({
            level: fc.constantFrom<tiles.Tile["level"]>(0, 1, 2, 3, "entries"),
            index: fc.nat(2_000_000),
            width: fc.oneof(fc.constant(256), fc.integer({ min: 1, max: 255 })),
          })
          .map(tiles.printTilePath),
        parse: tiles.parseTilePath,
        print: tiles.printTilePath,
        words: words("tile/", "entries/", "x000/", "x001/", "000", ".p/", "256", "/", "7/"),
      }),
  },
  {
    name: "tile of hashes",
    covers: ["protocol/log/tiles.ts#parseTile"],
    make: () =>
      bytesParser({
        samples: fc.array(hash, { minLength: 3, maxLength: 3 }).map(tiles.encodeTile),
        parse: (bytes) => tiles.parseTile(bytes, 3),
        print: tiles.encodeTile,
      }),
  },
  {
    name: "bundle of leaves",
    covers: ["protocol/log/tiles.ts#parseEntryBundle"],
    make: () =>
      bytesParser({
        samples: fc.array(of.someBytes(40), { minLength: 3, maxLength: 3 }).map(tiles.encodeEntryBundle),
        parse: (bytes) => tiles.parseEntryBundle(bytes, 3),
        print: tiles.encodeEntryBundle,
      }),
  },
];

function writtenMapProof(proof: map.MapProof): Uint8Array {
  const writer = new ByteWriter();
  map.writeMapProof(writer, proof);
  return writer.done();
}

function parseMapProof(bytes: Uint8Array): map.MapProof {
  const reader = new ByteReader(bytes);
  const proof = map.readMapProof(reader);
  reader.end();
  return proof;
}
