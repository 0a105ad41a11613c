import { describe, expect, test } from "vitest";
import { SecurityError, UnavailableError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { ago, duration } from "../../sshnp/ago.ts";
import { type Check, checkLines, checksJson, failed, ok, skipped, statusOf } from "../../sshnp/cli/doctor/check.ts";
import { proxyVariables } from "../../sshnp/cli/doctor/surroundings.ts";
import { legLines, pingJson, roundTripLine, summaryLine } from "../../sshnp/cli/ping/text.ts";
import { sshBanner } from "../../sshnp/ssh-banner.ts";

const CHECKS: readonly Check[] = [
  ok("clock", "0.2 s behind the directory's"),
  ok("log", "12 entries; no witness is demanded", "Name witnesses: SSHNP_WITNESSES=K:KEY,KEY"),
  failed(
    "rendezvous",
    new UnavailableError("E_RENDEZVOUS", "rz1: not reached\u001b[2J", { next: "Check the firewall." }),
  ),
  skipped("session", "there is no device to ask"),
  failed("host keys", new SecurityError("E_HOST_KEY", "HOST KEY CHANGED \u202e")),
];

describe("what doctor says", () => {
  test("is a line for each look, and below it what to do", async () => {
    await expect(CHECKS.map(checkLines).join("")).toMatchFileSnapshot("doctor.golden.txt");
  });

  test("is JSON of version 1 for programs", async () => {
    await expect(checksJson(CHECKS)).toMatchFileSnapshot("doctor-json.golden.txt");
  });

  test("ends with the status of the first failure", () => {
    expect(statusOf(CHECKS)).toBe(69);
    expect(statusOf(CHECKS.slice(3))).toBe(76);
    expect(statusOf(CHECKS.slice(0, 2))).toBe(0);
    expect(() => failed("clock", new Error("a bug"))).toThrow("a bug");
  });
});

describe("what ping says", () => {
  const device = { name: parseName("@device"), member: parseMember("mygateway") };
  const times = { ticket: 12.34, answer: 21, dialled: 1.26, joined: 20.04 };
  const places = { directory: "http://np.example.org:7800", rendezvous: "tcp://rz.example.org:7801" };

  test("is the way part by part, then each round trip, then all of them", async () => {
    const lines = [legLines(device, places, times), ...[2.05, 1.9].map((one, i) => roundTripLine(i + 1, one))];
    await expect(lines.join("") + summaryLine([2.05, 1.9])).toMatchFileSnapshot("ping.golden.txt");
  });

  test("is JSON of version 1 for programs", async () => {
    await expect(pingJson(device, places, times, [2.05, 1.9])).toMatchFileSnapshot("ping-json.golden.txt");
  });
});

test.each([
  [0, "under a minute", "just now"],
  [59_999, "under a minute", "just now"],
  [60_000, "1 min", "1 min ago"],
  [7_199_999, "119 min", "119 min ago"],
  [7_200_000, "2 h", "2 h ago"],
  [172_799_999, "47 h", "47 h ago"],
  [172_800_000, "2 days", "2 days ago"],
  [-5_000, "under a minute", "just now"],
])("%d ms are %s", (milliseconds, text, since) => {
  expect([duration(milliseconds), ago(1_000_000_000_000, 1_000_000_000_000 + milliseconds)]).toEqual([text, since]);
});

test.each([
  ["http://proxy:3128", "http://proxy:3128"],
  ["http://me:pass@word@proxy:3128/", "http://...@proxy:3128/"],
  ["me:secret@proxy", "...@proxy"],
])("a proxy %s is shown as %s", (value, shown) => {
  expect(proxyVariables({ https_proxy: value, HTTP_PROXY: "" })).toEqual([["https_proxy", shown]]);
});

test.each([
  ["SSH-2.0-OpenSSH_9.2p1\r\n\0\0", { banner: "SSH-2.0-OpenSSH_9.2p1" }],
  ["Welcome\r\nSSH-2.0-dropbear\n", { banner: "SSH-2.0-dropbear" }],
  ["SSH-2.0-Open", "more"],
  ["", "more"],
  ["HTTP/1.1 400 Bad Request\r\n\r\n", "more"],
  [`SSH-${"a".repeat(251)}\n`, undefined],
  ["a".repeat(8193), undefined],
])("a server that begins with %j says %j", (first, banner) => {
  expect(sshBanner(first)).toEqual(banner);
});
