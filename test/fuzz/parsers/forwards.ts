import * as fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { concat, hex, utf8 } from "../../../keys/bytes.ts";
import { shellWord } from "../../../keys/shell-word.ts";
import { printService } from "../../../protocol/policy/patterns.ts";
import { parseService } from "../../../protocol/service.ts";
import { parseCommandWords } from "../../../sshnp/forward/command-words.ts";
import { SocksHandshake } from "../../../sshnp/forward/socks.ts";
import {
  isLoopbackBind,
  parseBind,
  parseIdleTime,
  parseLocalPort,
  parsePortForward,
  parseSocketForward,
  printPortForward,
  tcpService,
} from "../../../sshnp/forward/spec.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { type Parser, type StreamOutcome, streamParser, textParser } from "../subject.ts";

const host = fc.oneof(
  fc.domain(),
  of.ipv4,
  of.ipv6.map((text) => `[${text}]`),
  fc.constant("localhost"),
);
const portForward = fc.oneof(
  of.port.map(String),
  fc.tuple(of.port, of.port).map((ports) => ports.join(":")),
  fc.tuple(fc.nat(65_535), host, of.port).map((fields) => fields.join(":")),
  fc
    .tuple(
      fc.oneof(
        of.ipv4,
        of.ipv6.map((text) => `[${text}]`),
        fc.constant("localhost"),
      ),
      of.port,
      host,
      of.port,
    )
    .map((fields) => fields.join(":")),
);
const FIELDS = words(":80", "0:", "[", "]", "::", "[::1]:", "localhost:", "0.0.0.0:", "065:", "A.example");

/** Whether it is the one way to write a service that grants are compared by. */
const isOneService = (service: string): boolean => printService(parseService(service)) === service;

/** Words of a shell in single quotes or none, and others. */
const commandLine = fc.oneof(
  fc
    .array(fc.stringMatching(/^[ -~]{1,20}$/), { minLength: 1, maxLength: 4 })
    .map((all) => all.map(shellWord).join(" ")),
  fc.constantFrom('psql -p {port} "a \\" b"', "sh -c 'exit 7'", "curl http://127.0.0.1:{port2}/ a\\ b"),
);

const address = fc.oneof(
  of.bytesOf(4).map((bytes) => concat(Uint8Array.of(1), bytes)),
  of.bytesOf(16).map((bytes) => concat(Uint8Array.of(4), bytes)),
  fc.domain().map((name) => concat(Uint8Array.of(3, name.length), utf8(name))),
);
const socks = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 5 }), address, of.port, of.someBytes(40))
  .map(([methods, to, port, rest]) =>
    concat(
      Uint8Array.of(5, methods.length + 1),
      methods,
      Uint8Array.of(0),
      Uint8Array.of(5, 1, 0),
      to,
      Uint8Array.of(port >> 8, port & 255),
      rest,
    ),
  );

/** What is said in all, what is wanted, and what is then to be carried to it. */
function handshake(chunks: readonly Uint8Array[]): StreamOutcome {
  const machine = new SocksHandshake();
  const said: Uint8Array[] = [];
  const carried: Uint8Array[] = [];
  let end = "more";
  for (const chunk of chunks) {
    if (end.startsWith("tcp:")) carried.push(chunk);
    for (const action of machine.push(chunk)) {
      if (action.type === "send") said.push(action.bytes);
      else if (action.type === "close") end = "close";
      else {
        if (!isOneService(action.service)) throw new Error(`${action.service} has another form`);
        end = action.service;
        carried.push(action.rest);
      }
    }
  }
  return { values: [hex(concat(...said)), hex(concat(...carried))], end };
}

export const FORWARD_PARSERS: readonly Parser[] = [
  {
    name: "what to forward",
    covers: ["sshnp/forward/spec.ts#parsePortForward", "sshnp/forward/spec.ts#tcpService"],
    mayRefuseSamples: true, // such as a name of more than 253 characters
    make: () =>
      textParser({
        samples: portForward,
        parse: parsePortForward,
        holds: (forward) =>
          isOneService(forward.service) &&
          tcpService(...hostAndPort(forward.service)) === forward.service &&
          isDeepStrictEqual(parsePortForward(printPortForward(forward)), forward),
        words: FIELDS,
      }),
  },
  {
    name: "a socket to forward",
    covers: ["sshnp/forward/spec.ts#parseSocketForward"],
    mayRefuseSamples: true,
    make: () =>
      textParser({
        samples: fc
          .tuple(fc.constantFrom("db.sock", "/run/user/1000/a:b", "./x y"), host, of.port)
          .map((all) => all.join(":")),
        parse: parseSocketForward,
        holds: ({ path, service }, text) =>
          isOneService(service) && text.startsWith(`${path}:`) && !/\p{Cc}/u.test(path),
        words: FIELDS,
      }),
  },
  {
    name: "where to listen",
    covers: ["sshnp/forward/spec.ts#parseBind", "sshnp/forward/spec.ts#isLoopbackBind"],
    make: () =>
      textParser({
        samples: fc.oneof(of.ipv4, of.ipv6, fc.constantFrom("localhost", "[::1]", "::", "0.0.0.0")),
        parse: parseBind,
        holds: (bind) =>
          bind === "loopback" ||
          (isDeepStrictEqual(parseBind(bind.address), bind) &&
            isLoopbackBind(bind) === (bind.address === "::1" || bind.address.split(".")[0] === "127")),
        words: FIELDS,
      }),
  },
  {
    name: "a local port",
    covers: ["sshnp/forward/spec.ts#parseLocalPort"],
    make: () =>
      textParser({
        samples: fc.nat(65_535).map(String),
        parse: (text) => [parseLocalPort(text)],
        print: ([port]) => String(port),
      }),
  },
  {
    name: "--timeout of a forward",
    covers: ["sshnp/forward/spec.ts#parseIdleTime"],
    make: () =>
      textParser({
        samples: fc.constantFrom("30", "30s", "10m", "2h", "576h", "999999s"),
        parse: parseIdleTime,
        holds: (ms) => Number.isInteger(ms) && ms > 0 && ms <= 2 ** 31 - 1,
        words: words("s", "m", "h", "0", "999999"),
      }),
  },
  {
    name: "command of --exec",
    covers: ["sshnp/forward/command-words.ts#parseCommandWords"],
    make: () =>
      textParser({
        samples: commandLine,
        parse: parseCommandWords,
        // What a shell would be given quoted is read back as the same words.
        holds: (all) =>
          !all.every((word) => /^[ -~]*$/.test(word)) ||
          isDeepStrictEqual(parseCommandWords(all.map((word) => shellWord(word)).join(" ")), all),
        words: words("'", '"', "\\", "$(", "`", "|", "{port}", " ", "\n"),
      }),
  },
  {
    name: "SOCKS5 of a local program",
    covers: ["sshnp/forward/socks.ts#SocksHandshake"],
    make: () => streamParser({ samples: socks, run: handshake, isAccepted: ({ end }) => end.startsWith("tcp:") }),
  },
];

function hostAndPort(service: string): [string, number] {
  const { kind, ...place } = parseService(service);
  if (kind !== "tcp" || !("host" in place)) throw new Error("it is a port");
  return [place.host, place.port];
}
