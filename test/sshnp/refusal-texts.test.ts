import { expect, test } from "vitest";
import { SecurityError, UnavailableError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { LogEvidenceError } from "../../protocol/log/proof.ts";
import { onlyLoginReason } from "../../protocol/only-login.ts";
import { REFUSAL_NUMBERS, type RefusalCode } from "../../protocol/refusal-codes.ts";
import { type Attempt, PROXY } from "../../sshnp/attempt.ts";
import { cannotListen, endedByDevice, streamRefusal, waitedInVain } from "../../sshnp/forward/texts.ts";
import { logTrouble } from "../../sshnp/log-texts.ts";
import { deviceRefusal, directoryRefusal, lastSeen, unsealedRefusal } from "../../sshnp/refusal-texts.ts";
import {
  accessWithdrawn,
  keyNotTaken,
  noSshServer,
  sshRefused,
  timedOut,
  truncated,
} from "../../sshnp/session-texts.ts";
import { noClientKeys, noSshBinary, severalClients } from "../../sshnp/setup-texts.ts";
import { type CommandName, runCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const ATTEMPT: Attempt = {
  client: parseName("@client"),
  device: { name: parseName("@device"), member: parseMember("mygateway") },
  login: "",
  directory: "http://np.example.org:7800",
};
const FORWARD = {
  ...ATTEMPT,
  service: "tcp:db.example.org:5432",
  asked: { verb: "forward", after: ["5432:db.example.org:5432", "--unix", "./a b:db:1"] },
};
const NOW = Date.UTC(2026, 10, 22, 10, 55);
const SEEN = NOW - 14 * 60_000;
const CODES = Object.keys(REFUSAL_NUMBERS) as RefusalCode[];
/** What daemons seal, and a code that they do not. */
const SEALED_CODES = ["E_DEVICE_REFUSED", "E_POLICY", "E_LOG", "E_NO_SSHD", "E_BUSY", "E_PROTOCOL"] as const;
/** What daemons answer by code alone, and a code that they do not. */
const UNSEALED_CODES = [
  "E_OWNER_KEY",
  "E_MEMBER_KEY",
  "E_STATEMENT",
  "E_TICKET",
  "E_REVOKED",
  "E_LOG",
  "E_WITNESS",
  "E_BUSY",
  "E_STORAGE",
  "E_PROTOCOL",
  "E_DEVICE_UNREADABLE",
  "E_VERSION",
] as const;

/** Of what the parts say that find it. */
const LOG_TROUBLE = [
  new SecurityError("E_LOG", "the log is smaller than it was"),
  new SecurityError("E_LOG", "The directory proves other statements than it gives."),
].map((found) => logTrouble(ATTEMPT, found) as SecurityError);

const ALL = [
  ...CODES.map((code) => directoryRefusal(ATTEMPT, { code, detail: code === "E_OFFLINE" ? SEEN : 2500 }, NOW)),
  ...SEALED_CODES.map((code) => deviceRefusal(ATTEMPT, { code, reason: "" })),
  deviceRefusal({ ...ATTEMPT, login: "root" }, { code: "E_NO_SSHD", reason: onlyLoginReason("root", "pi") }),
  deviceRefusal(ATTEMPT, { code: "E_DEVICE_REFUSED", reason: "it does not list @client" }),
  ...UNSEALED_CODES.map((code) => unsealedRefusal(ATTEMPT, { code, labels: "sshnp/1" })),
  directoryRefusal(FORWARD, { code: "E_POLICY", detail: 0 }, NOW),
  directoryRefusal(FORWARD, { code: "E_OFFLINE", detail: SEEN }, NOW),
  deviceRefusal(FORWARD, { code: "E_DEVICE_REFUSED", reason: "it does not list @client" }),
  deviceRefusal(FORWARD, { code: "E_POLICY", reason: "" }),
  ...["E_DEVICE_REFUSED", "E_CLOSED", "E_UNREACHABLE"].map((code) =>
    streamRefusal(FORWARD, FORWARD.service, Object.assign(new Error("reset"), { code })),
  ),
  waitedInVain(FORWARD, FORWARD.service, "too many wait already"),
  ...["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOENT", "ENOTSOCK", "EMFILE"].map((code) =>
    cannotListen("127.0.0.1:5432", Object.assign(new Error("listen"), { code })),
  ),
  ...(["E_OFFLINE", "E_WAIT_EXPIRED", "E_BUSY"] as const).map((code) =>
    directoryRefusal(
      { ...ATTEMPT, login: "pi", asked: PROXY },
      { code, detail: code === "E_OFFLINE" ? SEEN : 2500 },
      NOW,
    ),
  ),
  endedByDevice(FORWARD),
  truncated(FORWARD, undefined),
  noSshServer(ATTEMPT, "nothing answers on its SSH port."),
  sshRefused({ ...ATTEMPT, login: "pi" }, false),
  sshRefused(ATTEMPT, false),
  sshRefused({ ...ATTEMPT, login: "pi" }, true),
  truncated(ATTEMPT, undefined),
  timedOut(ATTEMPT, "The device did not come", 20),
  accessWithdrawn(ATTEMPT),
  ...LOG_TROUBLE,
  noClientKeys(undefined, "/home/me/keys"),
  noClientKeys(ATTEMPT.client, "/home/me/keys"),
  noClientKeys(ATTEMPT.device.name, "/home/me/keys", [ATTEMPT.client]),
  severalClients(["@alice", "@bob"], "/home/me/keys"),
  noSshBinary(undefined),
].filter((error) => error !== undefined);

test("the texts are these", async () => {
  const text = ALL.map(({ name, code, message, next }) => `${code} (${name})\n${message}\n${next}\n`).join("\n");
  await expect(text).toMatchFileSnapshot("refusal-texts.golden.txt");
});

test("every text is a fact and a next step, in plain characters", () => {
  for (const { message, next } of ALL) {
    expect(message).toMatch(/^[A-Za-z@][ -~]{20,}[.:"]$/);
    expect(next).toMatch(/^[ -~]{10,}$/);
  }
});

test("every command that a text names is there", { timeout: 60_000 }, async () => {
  await using folder = await temporaryFolder();
  const named = new Set(ALL.flatMap(({ message, next }) => commandsIn(`${message} ${next}`)));
  expect([...named].sort()).toMatchInlineSnapshot(`
    [
      "sshnp",
      "sshnp ping",
      "sshnp trust accept",
      "sshnp-directory rendezvous ls",
      "sshnp-keys activate",
      "sshnp-keys enroll",
      "sshnp-keys list",
      "sshnp-keys log",
      "sshnp-keys otp",
      "sshnp-rendezvous run",
      "sshnpd",
      "sshnpd check",
    ]
  `);
  for (const line of named) {
    const [command, ...verbs] = line.split(" ");
    const exit = await runCommand(command as CommandName, [...verbs, "--help"], { env: { HOME: folder.path } });
    expect({ line, ...exit }).toMatchObject({ line, code: 0, stdout: expect.stringContaining("Usage:") });
  }
});

test("a refusal by a code alone is told as the directory's word, with the code that came", () => {
  for (const code of UNSEALED_CODES) {
    const error = unsealedRefusal(ATTEMPT, { code, labels: "" });
    expect(error.code).toBe(code === "E_PROTOCOL" ? "E_DEVICE_UNREADABLE" : code);
    expect(error.message).toMatch(/^The directory says that mygateway of @device /);
  }
});

test("what is wrong with the directory's log is told with the directory's name, and its cause kept", () => {
  const found = new SecurityError("E_LOG", "the log is smaller than it was");
  expect(logTrouble(ATTEMPT, found)).toMatchObject({
    ...{ name: "SecurityError", code: "E_LOG", cause: found },
    message: expect.stringContaining("http://np.example.org:7800"),
  });
  const evidence = new LogEvidenceError(["one", "other"]);
  const others = [evidence, new SecurityError("E_TICKET", "x"), new UnavailableError("E_OFFLINE", "x"), new Error("x")];
  for (const other of others) expect(logTrouble(ATTEMPT, other)).toBe(other);
});

test("a key that is not taken is told with the reasons that it may have", () => {
  expect(keyNotTaken(ATTEMPT)).toBe(
    "mygateway of @device did not take your key: its daemon runs without -s, or does not take keys of that kind. " +
      "On the device: sshnpd -a @device -m @client -d mygateway -s",
  );
});

test("what a device says is escaped and marked as its own", () => {
  const { message } = deviceRefusal(ATTEMPT, { code: "E_DEVICE_REFUSED", reason: "\u001b]0;x\u0007\u202e no\n[E_OK]" });
  expect(message).toBe('mygateway of @device itself refused @client. It says: "\\u001b]0;x\\u0007\\u202e no\\n[E_OK]"');
});

test.each([
  [SEEN, "last seen 14 min ago (2026-11-22 10:41 UTC)"],
  [NOW - 1000, "last seen just now (2026-11-22 10:54 UTC)"],
  [NOW + 60_000, "last seen just now (2026-11-22 10:56 UTC)"],
  [NOW - 3 * 3_600_000, "last seen 3 h ago (2026-11-22 07:55 UTC)"],
  [NOW - 9 * 24 * 3_600_000, "last seen 9 days ago (2026-11-13 10:55 UTC)"],
  [0, "it is not known when it was last seen"],
  [Number.MAX_SAFE_INTEGER, "it is not known when it was last seen"],
])("%d is: %s", (time, text) => {
  expect(lastSeen(time, NOW)).toBe(text);
});

test("an error keeps its cause for those who look for bugs", () => {
  const cause = new UnavailableError("E_TRUNCATED", "x");
  expect(truncated(ATTEMPT, cause).cause).toBe(cause);
});

/** `sshnp-keys activate`, `sshnp trust accept` and so on, without their arguments. */
function commandsIn(text: string): string[] {
  const pattern =
    /\bsshnp(?:d(?: check)?|-keys [a-z]+|-directory rendezvous ls|-rendezvous run|-[a-z]+|(?: trust [a-z]+| ping)?)(?= |$|,|\.)/g;
  return text.match(pattern) ?? [];
}
