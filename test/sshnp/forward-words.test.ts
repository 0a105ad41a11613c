import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseCommandWords, withPorts } from "../../sshnp/forward/command-words.ts";
import {
  isLoopbackBind,
  parseBind,
  parseIdleTime,
  parseLocalPort,
  parsePortForward,
  parseSocketForward,
} from "../../sshnp/forward/spec.ts";

const ANY = { bind: undefined };
test.each([
  ["80", { ...ANY, port: 0, service: "tcp:localhost:80" }],
  ["8080:80", { ...ANY, port: 8080, service: "tcp:localhost:80" }],
  ["8080:DB.Example.org:80", { ...ANY, port: 8080, service: "tcp:db.example.org:80" }],
  ["0:10.0.0.7:80", { ...ANY, port: 0, service: "tcp:10.0.0.7:80" }],
  ["8080:[FD00:0::1]:80", { ...ANY, port: 8080, service: "tcp:[fd00::1]:80" }],
  ["localhost:8080:db:80", { bind: "loopback", port: 8080, service: "tcp:db:80" }],
  ["0.0.0.0:8080:db:80", { bind: { address: "0.0.0.0" }, port: 8080, service: "tcp:db:80" }],
  ["[::]:8080:[::1]:80", { bind: { address: "::" }, port: 8080, service: "tcp:[::1]:80" }],
])("%s says what to forward", (text, forward) => {
  expect(parsePortForward(text)).toEqual(forward);
});

test.each(
  [
    "",
    "0",
    ":80",
    "80:",
    "080",
    "65536",
    "8080:65536",
    "70000:80",
    "a:80",
    "8080::80",
    "fd00::1:80",
    "8080:[fd00::1:80",
  ].concat(
    [
      "8080:a_b:80",
      "8080:-a:80",
      "8080:a.:80",
      "8080:[a]:80",
      "8080:[:9]:80",
      "8080:a b:80",
      "8080:\u212Aa:80",
      "8080:a:80:",
      "*:80:a:80",
    ],
    [
      "1:2:3:4:5",
      "fe80::1%eth0:80:a:80",
      `8080:${"a".repeat(254)}:80`,
      "8080:a:80\n",
      "db:5432",
      "-1:80",
      "+80",
      "8e1",
    ],
  ),
)("%j does not", (text) => {
  expect(() => parsePortForward(text)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

test("a Unix socket's path may hold what separates the rest, and has the system's length", () => {
  expect(parseSocketForward("/run/a:b.sock:[::1]:80")).toEqual({ path: "/run/a:b.sock", service: "tcp:[::1]:80" });
  expect(parseSocketForward(`${"p".repeat(103)}:a:80`)).toMatchObject({ path: "p".repeat(103) });
  for (const text of [`${"p".repeat(108)}:a:80`, ":a:80", "a:80", "p\n:a:80", "p:a:0", "p\0:a:80"]) {
    expect(() => parseSocketForward(text), text).toThrow(expect.objectContaining({ code: "E_USAGE" }));
  }
});

test.each([
  ["localhost", true],
  ["127.0.0.1", true],
  ["127.1.2.3", true],
  ["::1", true],
  ["[::1]", true],
  ["0:0:0:0:0:0:0:1", true],
  ["0.0.0.0", false],
  ["::", false],
  ["::ffff:127.0.0.1", false],
  ["192.168.1.7", false],
])("whoever connects to %s comes from this machine: %s", (text, isOwn) => {
  expect(isLoopbackBind(parseBind(text))).toBe(isOwn);
});

test.each(["", "*", "eth0", "127.1", "256.0.0.1", "fe80::1%eth0", "example.org"])(
  "%j is no address to listen at",
  (text) => {
    expect(() => parseBind(text)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
  },
);

test("ports and times are numbers in their bounds", () => {
  expect([parseLocalPort("0"), parseLocalPort("65535")]).toEqual([0, 65_535]);
  expect(["30", "30s", "10m", "2h"].map(parseIdleTime)).toEqual([30_000, 30_000, 600_000, 7_200_000]);
  for (const text of ["", "00", "65536", "-1", "1e3"]) expect(() => parseLocalPort(text), text).toThrow("no port");
  for (const text of ["", "0", "1d", "600h", "1.5h"]) expect(() => parseIdleTime(text), text).toThrow("not a time");
});

test("a command's words are those that a shell would make of it", () => {
  const piece = fc.oneof(
    fc.stringMatching(/^[a-z0-9{}./:=@%+,-]{1,6}$/).filter((text) => !/^[{}]$|[{},]{2}|^[a-z]+=/.test(text)),
    fc.stringMatching(/^[ -&(-~]{0,6}$/).map((text) => `'${text}'`),
    fc
      .stringMatching(/^[ !#%-[\]-_a-~]{0,6}$/)
      .map((text) => `"${text.replaceAll("$", "\\$").replaceAll("`", "\\`")}"`),
    fc.stringMatching(/^[ -~]$/).map((text) => `\\${text}`),
  );
  const word = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(""));
  const line = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join("  "));
  fc.assert(
    fc.property(line, (text) => {
      const program = "x";
      const shell = execFileSync("sh", ["-c", `printf '%s\\0' ${program} ${text}`])
        .toString()
        .split("\0")
        .slice(0, -1);
      expect(parseCommandWords(`${program} ${text}`)).toEqual(shell);
    }),
    { numRuns: 150 },
  );
});

test.each([
  "a | b",
  "a; b",
  "a && b",
  "a > f",
  "a $HOME",
  "a `b`",
  'a "$b"',
  "a 'b",
  'a "b',
  "a \\",
  "",
  "  ",
  "''",
  "(a)",
])("%j is refused, because no shell reads it", (text) => {
  expect(() => parseCommandWords(text)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

test("ports are filled in by their numbers, and one that there is not is refused", () => {
  expect(withPorts(["a{port}", "{port}:{port1}", "-p{port2}", "{other}"], [80, 443])).toEqual([
    "a80",
    "80:80",
    "-p443",
    "{other}",
  ]);
  expect(() => withPorts(["a", "{port3}"], [80, 443])).toThrow("--exec names {port3}, and there are 2 ports.");
});
