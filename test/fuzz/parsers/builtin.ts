import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { ByteReader, ByteWriter, concat, utf8 } from "../../../keys/bytes.ts";
import { SshnpError } from "../../../keys/errors.ts";
import { isAccepted, terminalType } from "../../../sshnpd/builtin/environment.ts";
import { encodeHeldReport, parseHeldReport } from "../../../sshnpd/builtin/held-words.ts";
import { type KeyLine, parseKeyLine } from "../../../sshnpd/builtin/key-line.ts";
import { parseExpiryTime, rightsOf } from "../../../sshnpd/builtin/key-rights.ts";
import { shadowRefusal } from "../../../sshnpd/builtin/login-account.ts";
import { readAttributes } from "../../../sshnpd/builtin/sftp/attributes.ts";
import { SFTP_PACKET_BYTES } from "../../../protocol/limits.ts";
import { PacketReader } from "../../../sshnpd/builtin/sftp/packets.ts";
import { parseInit, parseRequest } from "../../../sshnpd/builtin/sftp/request.ts";
import { sttyWords } from "../../../sshnpd/builtin/terminal-modes.ts";
import { Escape } from "../../../sshnp/native/escape.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, streamParser, textParser } from "../subject.ts";

const option = fc.oneof(
  fc.constantFrom("restrict", "pty", "no-pty", "port-forwarding", "cert-authority"),
  fc.constantFrom('command="echo \\"hi\\", all"', 'from="10.0.0.0/8"', 'expiry-time="20300101"', 'permitopen="*:80"'),
);
const keyLine = fc
  .tuple(fc.array(option, { maxLength: 3 }), of.publicKeyLine, fc.constantFrom("", " me@home"))
  .map(([options, key, comment]) => `${options.join(",")}${options.length > 0 ? " " : ""}${key}${comment}`);

const string = (maxLength: number): fc.Arbitrary<Uint8Array> =>
  of.someBytes(maxLength).map((bytes) => new ByteWriter().bytes32(bytes).done());
const u32 = of.u32.map((value) => new ByteWriter().u32(value).done());
const attributes = fc
  .tuple(fc.constantFrom(0, 4, 8, 2, 1, 15), of.someBytes(0))
  .map(([flags]) => concat(new ByteWriter().u32(flags).done(), new Uint8Array(ATTRIBUTE_BYTES[flags] ?? 0)));
const ATTRIBUTE_BYTES: Readonly<Record<number, number>> = { 0: 0, 1: 8, 2: 8, 4: 4, 8: 8, 15: 28 };
const fields = fc.oneof(
  fc.tuple(fc.constantFrom(4, 7, 8, 11, 12, 13, 15, 16, 17, 19), string(20)),
  fc.tuple(fc.constantFrom(18, 20), string(20), string(20)),
  fc.tuple(fc.constantFrom(9, 10, 14), string(20), attributes),
  fc.tuple(fc.constant(3), string(20), u32, attributes),
  fc.tuple(fc.constant(5), string(16), u32, u32, u32),
  fc.tuple(fc.constant(6), string(16), u32, u32, string(60)),
);
const request = fc
  .tuple(of.u32, fields)
  .map(([id, [type, ...parts]]) => concat(new ByteWriter().u8(type).u32(id).done(), ...parts));

export const BUILTIN_PARSERS: readonly Parser[] = [
  {
    name: "line of authorized_keys",
    covers: ["sshnpd/builtin/key-line.ts#parseKeyLine", "sshnpd/builtin/key-rights.ts#rightsOf"],
    make: () =>
      textParser({
        samples: keyLine,
        parse: (text) => (text.includes("\n") ? undefined : parseKeyLine(text)),
        holds: (line) => {
          const rights = rightsOf(line.options, 0);
          const isForced = line.options.some(({ name }) => name === "command");
          const isKept = "refusal" in rights || !isForced || rights.command !== undefined;
          return isKept && isDeepStrictEqual(parseKeyLine(printKeyLine(line)), line);
        },
        words: words("command=", "restrict", "no-pty", '"', '\\"', ",", "expiry-time=", "from=", "ssh-ed25519", "#"),
      }),
  },
  {
    name: "report of a terminal's holder",
    covers: ["sshnpd/builtin/held-words.ts#parseHeldReport"],
    make: () =>
      textParser({
        samples: fc.constantFrom("started", "status 0", "status 42", "status 255", "signal KILL", "signal USR1"),
        parse: parseHeldReport,
        holds: (report, text) => encodeHeldReport(report) === `${text}\n`,
        words: words("started", "status ", "signal ", "256", "SIGKILL", "TERM"),
      }),
  },
  {
    name: "expiry-time of a key",
    covers: ["sshnpd/builtin/key-rights.ts#parseExpiryTime"],
    make: () =>
      textParser({
        samples: fc.constantFrom("20300101", "203001011200", "20300101120059Z", "20280229", "20280229Z"),
        parse: (text) => parseExpiryTime(text),
        holds: (time, text) => Number.isSafeInteger(time) && /^[0-9]{8,14}Z?$/.test(text),
      }),
  },
  {
    name: "variable and terminal of an SSH session",
    covers: ["sshnpd/builtin/environment.ts#isAccepted", "sshnpd/builtin/environment.ts#terminalType"],
    make: () =>
      textParser({
        samples: fc.constantFrom("LANG=C.UTF-8", "LC_ALL=de_DE.UTF-8@euro", "LC_TIME="),
        parse: (text) => {
          const at = text.indexOf("=");
          const [name, value] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
          if (!/^[\w.+-]{1,64}$/.test(terminalType(name))) throw new Error("a terminal of no name");
          return at >= 0 && isAccepted(name, value) ? { name, value } : undefined;
        },
        print: ({ name, value }) => `${name}=${value}`,
        holds: ({ name, value }) => /^(?:L|C|N)[A-Z_]+$/.test(name) && !/[^ -~]|[/$`'"\\;&|<>()]/.test(value),
        words: words("LC_", "xterm-256color", "LD_PRELOAD", "PATH", "/", "$("),
      }),
  },
  {
    name: "line of shadow(5)",
    covers: ["sshnpd/builtin/login-account.ts#shadowRefusal"],
    make: () =>
      textParser({
        samples: fc.constantFrom("me:!:1:0:9:7:::", "me:!*:1:0:9:7:::", "me:*:1:0:9:7::1:", "me:!$6$a$b:1::::::"),
        parse: (text) => shadowRefusal(text, "me", Date.UTC(2026, 0, 1)),
        holds: (refusal, text) => text.startsWith("me:") && refusal.length > 0,
      }),
  },
  {
    name: "terminal modes of an SSH session",
    covers: ["sshnpd/builtin/terminal-modes.ts#sttyWords"],
    isTotal: true,
    make: () =>
      bytesParser({
        samples: fc.constantFrom(utf8("VERASE\0\x08ECHO\0\x00IUTF8\0\x01"), utf8("VINTR\0\x7f")),
        parse: (bytes) => {
          const text = Buffer.from(bytes).toString("latin1");
          const modes = [...text.matchAll(/([A-Z0-9]+)\0([^]*?)(?=[A-Z]|$)/g)].map(([, name = "", value = ""]) => [
            name,
            Number.parseInt(Buffer.from(value, "latin1").toString("hex") || "0", 16),
          ]);
          return sttyWords(Object.fromEntries(modes) as Record<string, number>);
        },
        holds: (all) => all.every((word) => /^-?[a-z0-9]+$/.test(word)),
      }),
  },
  {
    name: "packets of SFTP",
    covers: ["sshnpd/builtin/sftp/packets.ts#PacketReader"],
    make: () =>
      streamParser({
        samples: fc
          .array(
            string(40).filter((packet) => packet.length > 4),
            { maxLength: 4 },
          )
          .map((all) => concat(...all)),
        run: (chunks) => {
          const reader = new PacketReader();
          const values: Uint8Array[] = [];
          try {
            for (const chunk of chunks) values.push(...reader.push(chunk).map((body) => new Uint8Array(body)));
          } catch (error) {
            if (error instanceof SshnpError) return { values, end: error.code };
            throw error;
          }
          return { values, end: values.some(({ length }) => length > SFTP_PACKET_BYTES) ? "too long" : "more" };
        },
        isAccepted: ({ end }) => end === "more",
      }),
  },
  {
    name: "request of SFTP",
    mayRefuseSamples: true, // numbers of 64 bits that are beyond what a file has
    covers: ["sshnpd/builtin/sftp/request.ts#parseRequest", "sshnpd/builtin/sftp/attributes.ts#readAttributes"],
    dictionary: words("posix-rename@openssh.com", "limits@openssh.com", "fsync@openssh.com"),
    make: () =>
      bytesParser({
        samples: request,
        parse: (bytes) => {
          if (bytes[0] === 0) readAttributes(new ByteReader(bytes.subarray(1)));
          return parseRequest(bytes);
        },
        holds: ({ id }, bytes) => id === new ByteReader(bytes.subarray(1)).u32(),
      }),
  },
  {
    name: "first packet of SFTP",
    covers: ["sshnpd/builtin/sftp/request.ts#parseInit"],
    make: () =>
      bytesParser({
        samples: fc.constant(new ByteWriter().u8(1).u32(3).done()),
        parse: (bytes) => ({ version: parseInit(bytes) }),
        holds: ({ version }, bytes) => bytes[0] === 1 && version === new ByteReader(bytes.subarray(1)).u32(),
      }),
  },
  {
    name: "what is typed in a session of the built-in client",
    covers: ["sshnp/native/escape.ts#Escape"],
    isTotal: true,
    dictionary: words("~.", "~~", "\r~", "\n~."),
    make: () =>
      streamParser({
        samples: fc.constantFrom("ls\r~.", "~~.", "a~b\n~", "\r~\r~.x").map(utf8),
        run: (chunks) => {
          const escape = new Escape();
          const passed: Uint8Array[] = [];
          for (const chunk of chunks) {
            const { bytes, isLeaving } = escape.push(chunk);
            passed.push(bytes);
            if (isLeaving) return { values: [concat(...passed)], end: "left" };
          }
          return { values: [concat(...passed)], end: "more" };
        },
        isAccepted: () => true,
      }),
  },
];

function printKeyLine({ key, options }: KeyLine): string {
  const printed = options.map(({ name, value }) =>
    value === undefined ? name : `${name}="${value.replaceAll('"', '\\"')}"`,
  );
  return printed.length === 0 ? key.line : `${printed.join(",")} ${key.line}`;
}
