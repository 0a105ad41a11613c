import * as fc from "fast-check";
import { type AuditEntry, BEFORE_FIRST, nextAuditLine, parseAuditLine } from "../../../directory/audit/line.ts";
import { LogCopy } from "../../../directory/audit/log-copy.ts";
import { LineSplitter } from "../../../directory/audit/read-lines.ts";
import { parseReceiver } from "../../../directory/audit/receiver.ts";
import { syslogMessage } from "../../../directory/audit/syslog.ts";
import { parseHead, printHead, tailOf } from "../../../directory/audit/tail.ts";
import { AuditVerifier } from "../../../directory/audit/verify.ts";
import { parseCursor } from "../../../directory/cli/audit-export.ts";
import { parseWhen } from "../../../directory/cli/when.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { fromHex } from "../../../keys/bytes.ts";
import { encodeLeaf, type Leaf } from "../../../protocol/log/leaf.ts";
import { Frontier, leafHash } from "../../../protocol/log/tree.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { type Parser, streamParser, textParser } from "../subject.ts";

const DIRECTORY = "3f9c2a7be1d0446a";
const TIME = Date.UTC(2026, 0, 31);
const WORDS = words(
  ...['"n":1', '"n":2', '"event":"torn"', '"event":"anchored"', '"event":"begun"', '"prev":"', '"bytes":3', '"hash":"'],
  ...['"statements":[{"index":0,', '"subject":"@acme"', '"log":0', '"line":1', '"index":1', DIRECTORY, "\n"],
);

const entry = fc.oneof(
  fc.record({ event: fc.constant("session" as const), verdict: fc.constant("E_OFFLINE"), client: fc.string() }),
  fc.record({ event: fc.constant("link up" as const), peer: fc.jsonValue() }),
  fc.record({ event: fc.constant("torn" as const), bytes: fc.nat(9), hash: fc.constant(BEFORE_FIRST) }),
);

/** A short audit, whose last line the log holds. */
function auditOf(entries: readonly AuditEntry[]): { readonly lines: string[]; readonly hash: string } {
  let head = { directory: DIRECTORY, n: 0, hash: BEFORE_FIRST };
  const lines = [{ event: "begun", log: 0 } as const, ...entries].map((one) => {
    const next = nextAuditLine(nativeSuite, head, one, TIME);
    head = next.head;
    return next.line;
  });
  return { lines, hash: head.hash };
}
const audit = fc.array(entry, { maxLength: 5 }).map(auditOf);

/** A log that holds the last line of `hash`. */
async function logWith(suite: CipherSuite, hash: string): Promise<LogCopy> {
  const leaves: Leaf[] = [
    { type: "heads", hash: new Uint8Array(32) },
    { type: "audit", directory: fromHex(DIRECTORY, 8), hash: fromHex(hash, 32) },
    { type: "heads", hash: new Uint8Array(32) },
  ];
  let frontier = Frontier.EMPTY;
  for (const leaf of leaves) ({ frontier } = frontier.append(suite, leafHash(suite, encodeLeaf(leaf))));
  const checkpoint = { origin: "log", size: leaves.length, root: frontier.root(suite), text: "" };
  const source = {
    checkpoint: () => Promise.resolve(checkpoint),
    leaves: () => Promise.resolve(leaves.map(encodeLeaf)),
  };
  return await LogCopy.read(suite, source, { signal: new AbortController().signal });
}

const FIXED = auditOf([{ event: "session" }, { event: "session" }]);

export const AUDIT_PARSERS: readonly Parser[] = [
  {
    name: "line of an audit",
    covers: ["directory/audit/line.ts#parseAuditLine", "directory/audit/line.ts#isPrintable"],
    make: () =>
      textParser({
        samples: audit.map(({ lines }) => lines.at(-1) ?? ""),
        parse: parseAuditLine,
        // What was read can be said in syslog, and a terminal shows it.
        holds: (line, text) => {
          const message = syslogMessage(line, text, "host");
          return /^<\d{3}>1 \S+ \S+ \S+ - \S+ \[[ -~]*\] \{[ -~]*\}$/.test(message) && message.endsWith(` ${text}`);
        },
        words: WORDS,
      }),
  },
  {
    name: "lines of a file",
    covers: ["directory/audit/read-lines.ts#LineSplitter"],
    mayRefuseSamples: true,
    make: () =>
      streamParser({
        samples: fc.array(of.word(9), { maxLength: 5 }).map((lines) => new Uint8Array(Buffer.from(lines.join("\n")))),
        run: (chunks) => {
          const splitter = new LineSplitter();
          const values = chunks.flatMap((chunk) => [...splitter.take(chunk)]);
          return { values: [...values, ...splitter.end()], end: "more" };
        },
        isAccepted: ({ values }) => values.length > 0,
      }),
  },
  {
    name: "end of an audit",
    covers: ["directory/audit/tail.ts#readTail"],
    make: ({ suite }) =>
      textParser({
        samples: audit.map(({ lines }) => `${lines.join("\n")}\n`),
        parse: (text) => {
          const tail = tailOf(suite, Buffer.from(text, "latin1"));
          return tail.head !== undefined && tail;
        },
        holds: ({ torn }, text) =>
          Buffer.from(text, "latin1")
            .subarray(-torn.length || text.length)
            .equals(torn),
        words: WORDS,
      }),
  },
  {
    name: "where an audit stands",
    covers: ["directory/audit/tail.ts#parseHead"],
    make: () =>
      textParser({
        samples: fc.nat().map((n) => printHead({ directory: DIRECTORY, n, hash: BEFORE_FIRST })),
        parse: parseHead,
        print: printHead,
      }),
  },
  {
    name: "audit against a log",
    covers: ["directory/audit/verify.ts#AuditVerifier"],
    mayRefuseSamples: true,
    make: async () => {
      // Hashes are what it is about, so they are the true ones.
      const log = await logWith(nativeSuite, FIXED.hash);
      return textParser({
        samples: fc
          .oneof(
            fc.constant(FIXED.lines),
            audit.map(({ lines }) => lines),
            fc.shuffledSubarray(FIXED.lines),
          )
          .map((lines) => `${lines.join("\n")}\n`),
        parse: (text) => {
          const verifier = new AuditVerifier(nativeSuite, log, { logSize: 3, areOthersAllowed: false });
          const splitter = new LineSplitter();
          for (const line of splitter.take(Buffer.from(text))) verifier.take("file", line);
          for (const line of splitter.end()) verifier.take("file", line);
          verifier.endFile();
          return { text, report: verifier.finish() };
        },
        // Whatever else stands there, what the log holds is there, unchanged and in its order.
        holds: ({ text, report: { directories } }) =>
          directories.every(({ first }) => FIXED.lines.slice(first - 1).every((line) => text.includes(line))) &&
          directories[0]?.anchored.line === FIXED.lines.length,
        words: WORDS,
      });
    },
  },
  {
    name: "where syslog is sent",
    covers: ["directory/audit/receiver.ts#parseReceiver"],
    make: () =>
      textParser({
        samples: fc.constantFrom("tcp://127.0.0.1:514", "tls://logs.example.org", "tls://[::1]:6514", "TCP://h:1"),
        parse: parseReceiver,
        holds: ({ port, text }, given) => text === given && port > 0 && port < 65_536,
        words: words("tcp://", "tls://", "[::1]", ":6514"),
      }),
  },
  {
    name: "cursor of an export",
    covers: ["directory/cli/audit-export.ts#parseCursor"],
    make: () =>
      textParser({
        samples: fc.nat().map((n) => `${DIRECTORY} ${n + 1}\n`),
        parse: parseCursor,
        print: ({ directory, n }) => `${directory} ${n}\n`,
      }),
  },
  {
    name: "moment of an audit",
    covers: ["directory/cli/when.ts#parseWhen"],
    make: () =>
      textParser({
        samples: fc.constantFrom("2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12:00:00.5Z", "90m", "24h", "7d"),
        parse: (text) => parseWhen("--since", text, TIME),
        holds: (time) => /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/.test(time),
        words: words("2026-", "-31", "T12:00", ":00Z", "999999d"),
      }),
  },
];
