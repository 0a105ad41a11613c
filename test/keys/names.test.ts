import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SetupError } from "../../keys/errors.ts";
import {
  clientMember,
  hostName,
  isMember,
  isName,
  parseHostName,
  parseMember,
  parseName,
  quoted,
  RESERVED_MEMBERS,
} from "../../keys/names.ts";

const LETTERS = ["@", "a", "-", "Z", "_", ".", "\n"];
const EDGE = "abcdefghijklmnopqrstuvwxyz0123456789";
const NO_NAMES = [
  ...["", "@", "acme", "acme@", "@@acme", " @acme", "@acme ", "@acme\n", "\n@acme", "@-acme", "@acme-", "@-"],
  ...["@ACME", "@aCme", "@a_b", "@a.b", "@a b", "@a/b", "@../etc", "@a\\b", "@a%2e", "@a\0b", "@a;reboot", "@a|b"],
  ...["@$HOME", "@`id`", "@$(id)", "@*", "@a'b", '@a"b', "@a\tb", "-oProxyCommand=reboot", "--keys", "-a", "@CON"],
  ...["@а1", "@ａｃｍｅ", "@bücher", "@ﬁ", "@①", "@a\u0301", "@a\u200db", "@a\u202eb", "@\u001b[31ma", "@\ud800"],
  ...[33, 40, 300, 100_000].map((length) => `@${"a".repeat(length)}`),
];
const NO_MEMBERS = [
  ...[
    "",
    "-gw",
    "gw-",
    "_gw",
    "gw_",
    "-",
    "_",
    "GW",
    "gW",
    "g.w",
    "g w",
    "g/w",
    "..",
    ".",
    "../gw",
    "g\\w",
    "gw\n",
    "g\0w",
  ],
  ...["gw;reboot", "$(id)", "`id`", "*", "g'w", 'g"w', "@gw", "g@w", "g:w", "-oProxyCommand=reboot", "--keys", "-d"],
  ...["gé", "ｇｗ", "g\u200bw", "g\u202ew", "\u001b[31mgw", "ﬁ", "\ud800"],
  ...[37, 40, 300, 100_000].map((length) => "a".repeat(length)),
];

describe("a name", () => {
  test("is an @ and 1 to 32 letters, digits and hyphens within", () => {
    for (const name of ["@a", "@7", "@acme", "@a-b", "@a--b", "@0-0", `@${"a".repeat(32)}`]) {
      expect(parseName(name)).toBe(name);
    }
  });

  test("is refused when it is anything else, and never made to fit", () => {
    for (const text of NO_NAMES) expect([text, isName(text)]).toEqual([text, false]);
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom(...LETTERS) }));
    fc.assert(
      fc.property(text, (any) => {
        expect(isName(any)).toBe(isSpelt(any.slice(1), 32, "-") && any[0] === "@");
      }),
    );
  });

  test("that is refused is told as a usage error that a terminal shows and nothing more", () => {
    for (const text of NO_NAMES) expectUsageError(() => parseName(text));
  });
});

describe("a member", () => {
  test("is 1 to 36 letters and digits with hyphens and underscores within", () => {
    for (const member of ["a", "7", "mygateway", "a-b", "a_b", "a-_-b", "a".repeat(36)]) {
      expect(parseMember(member)).toBe(member);
    }
  });

  test("is refused when it is anything else, and never made to fit", () => {
    for (const text of NO_MEMBERS) expect([text, isMember(text)]).toEqual([text, false]);
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom(...LETTERS) }));
    fc.assert(
      fc.property(text, (any) => {
        expect(isMember(any)).toBe(isSpelt(any, 36, "-_"));
      }),
    );
  });

  test("is never called as a verb of sshnp is, now or later", () => {
    expect(RESERVED_MEMBERS).toEqual(expect.arrayContaining(["owner", "proxy", "trust", "ls", "forward", "help"]));
    for (const word of RESERVED_MEMBERS)
      expect([word, isMember(word), isMember(`${word}1`)]).toEqual([word, false, true]);
  });

  test("that is refused is told as a usage error that a terminal shows and nothing more", () => {
    for (const text of [...NO_MEMBERS, ...RESERVED_MEMBERS]) expectUsageError(() => parseMember(text));
  });
});

test.each([
  ["laptop", "laptop-client"],
  ["Laptop-7.example.org", "laptop-7-client"],
  ["my_host", "my-host-client"],
  ["-odd-", "odd--client"],
  ["a".repeat(63), `${"a".repeat(29)}-client`],
  ["bücher", "b-cher-client"],
  ["", "this-client"],
  ["...", "this-client"],
  ["§§§", "this-client"],
])("on a host called %j a client is %s", (host, member) => {
  expect(clientMember(host)).toBe(member);
});

test("on a host called anything a client has a name that is one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (host) => {
      expect(isMember(clientMember(host))).toBe(true);
    }),
  );
});

test("a device is an SSH host of its own name, and of no other", () => {
  const device = { name: parseName("@acme"), member: parseMember("my_gateway") };
  expect(hostName(device)).toBe("my_gateway.acme.np");
  expect(parseHostName("my_gateway.acme.np")).toEqual(device);
  const others = [
    "",
    ".np",
    "acme.np",
    "a.b.acme.np",
    "gw.acme",
    "gw.acme.np.",
    "gw.acme.NP",
    "gw.@acme.np",
    "ls.acme.np",
  ];
  for (const text of others) expectUsageError(() => parseHostName(text));
});

test("whatever text is quoted, a terminal shows it and nothing more", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      expect(quoted(text)).toMatch(/^"[ -~]*"$/);
    }),
  );
  expect(quoted("\u001b[2J\u202e")).toBe('"\\u001b[2J\\u202e"');
  expect(quoted("a".repeat(1000)).length).toBeLessThan(100);
});

/** The grammar again, character by character. */
function isSpelt(text: string, longest: number, within: string): boolean {
  const letters = Array.from(text);
  const isEdge = (letter: string | undefined): boolean => letter !== undefined && EDGE.includes(letter);
  const isSpeltWithin = letters.every((letter) => isEdge(letter) || within.includes(letter));
  return letters.length <= longest && isEdge(letters[0]) && isEdge(letters.at(-1)) && isSpeltWithin;
}

function expectUsageError(parse: () => unknown): void {
  let thrown: unknown;
  try {
    parse();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SetupError);
  const { code, message, next = "" } = thrown as SetupError;
  expect(code).toBe("E_USAGE");
  expect(`${message} ${next}`).toMatch(/^[ -~]{20,400}$/);
}
