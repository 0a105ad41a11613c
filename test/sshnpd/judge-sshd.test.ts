import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judgeAuthorizedKeys } from "../../sshnpd/judge-authorized-keys.ts";
import { judgeSshd } from "../../sshnpd/judge-sshd.ts";
import { parseSshdConfiguration, readSshdConfiguration } from "../../sshnpd/sshd-configuration.ts";
import { CAN_MAKE_USERS } from "../support/ordinary-user.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** As OpenSSH 9.8 and later print it. */
const NEWER = `port 22
maxstartups 10:30:100
persourcemaxstartups none
persourcepenalties crash:90 authfail:5 noauth:1 grace-exceeded:10 refuseconnection:10 max:600 min:15 max-sources4:65536 max-sources6:65536 overflow:permissive overflow6:permissive
persourcepenaltyexemptlist none
clientaliveinterval 0
clientalivecountmax 3
`;

test("a server that listens, as it is by default since OpenSSH 9.8, is to leave 127.0.0.1 out of its penalties", () => {
  const findings = judgeSshd(parseSshdConfiguration(NEWER), { isListening: true });
  expect(findings.filter(({ isFine }) => !isFine)).toEqual([
    {
      about: "sshd",
      isFine: false,
      text: "PerSourcePenalties are on: one client's failed logins shut out all, for all come from 127.0.0.1",
      next: "echo 'PerSourcePenaltyExemptList 127.0.0.1' >> /etc/ssh/sshd_config.d/sshnpd.conf && systemctl reload ssh",
    },
  ]);
  expect(findings[0]?.text).toBe("MaxStartups 10:30:100: 7 clients at a time log in, others wait for a moment");
});

test.each([
  ["persourcepenaltyexemptlist none", "persourcepenaltyexemptlist 10.0.0.0/8,127.0.0.1/32"],
  [/persourcepenalties .*/, "persourcepenalties no"],
])("nor is there anything to fix once it does", (before, after) => {
  const findings = judgeSshd(parseSshdConfiguration(NEWER.replace(before, after)), { isListening: true });
  expect(findings.filter(({ isFine }) => !isFine)).toEqual([]);
});

test("a process for each session counts nobody's address", () => {
  const findings = judgeSshd(parseSshdConfiguration(NEWER), { isListening: false });
  expect(findings.map(({ isFine }) => isFine)).toEqual([true]);
});

test("what lets one client in at a time is to be fixed, and how long a silent session lives is told", () => {
  const text = NEWER.replace("10:30:100", "2")
    .replace("persourcemaxstartups none", "persourcemaxstartups 3")
    .replace("clientaliveinterval 0", "clientaliveinterval 15");
  const findings = judgeSshd(parseSshdConfiguration(text), { isListening: true });
  expect(findings.map(({ isFine, text: said }) => [isFine, said.slice(0, 23)])).toEqual([
    [false, "MaxStartups 2: one clie"],
    [false, "PerSourceMaxStartups 3:"],
    [false, "PerSourcePenalties are "],
    [true, "it ends a session whose"],
  ]);
  expect(findings.at(-1)?.text).toContain("for 45 s");
});

test("the real sshd says what is in force, or that it lacks host keys", async () => {
  await using folder = await temporaryFolder();
  const { signal } = new AbortController();
  await writeFile(join(folder.path, "config"), "MaxStartups 5\nHostKey /nonexistent\n");
  const words = ["-f", join(folder.path, "config")];
  expect(await readSshdConfiguration("/usr/sbin/sshd", words, signal)).toBe("no host keys");
  await expect(readSshdConfiguration("/usr/sbin/sshd", ["-f", "/nonexistent"], signal)).rejects.toMatchObject({
    code: "E_NO_SSH",
  });
});

// The system's own folder stays as it is: in a mount namespace there is another /run.
test.skipIf(!CAN_MAKE_USERS)(
  "that the folder for its privilege separation is missing is told, and how to have it for good",
  async () => {
    await using folder = await temporaryFolder();
    const program = join(folder.path, "sshd");
    const inside = 'mount -t tmpfs none /run && exec /usr/sbin/sshd "$@"';
    await writeFile(program, `#!/bin/sh\nexec unshare --mount sh -c '${inside}' sshd "$@"\n`, { mode: 0o755 });
    await expect(readSshdConfiguration(program, [], new AbortController().signal)).rejects.toMatchObject({
      code: "E_NO_SSH",
      message: "sshd does not run: its folder /run/sshd (privilege separation) is missing.",
      next: expect.stringMatching(/^mkdir -m 0755 \/run\/sshd .*tmpfiles\.d/),
    });
  },
);

test("authorized_keys that others may write are told apart, as sshd does", async () => {
  await using home = await temporaryFolder();
  const user = { username: "somebody", homedir: home.path, uid: process.getuid?.() ?? 0 };
  expect(await judgeAuthorizedKeys(user, undefined, WAYS)).toMatchObject({
    isFine: true,
    text: expect.stringMatching(/^none of somebody/),
  });
  await mkdir(join(home.path, ".ssh"), { mode: 0o700 });
  const file = join(home.path, ".ssh/authorized_keys");
  await writeFile(file, "", { mode: 0o600 });
  const configuration = parseSshdConfiguration(
    "authorizedkeysfile %h/.ssh/authorized_keys /etc/keys/%u\nstrictmodes yes\n",
  );
  expect(await judgeAuthorizedKeys(user, configuration, WAYS)).toMatchObject({ isFine: true });
  await chmod(join(home.path, ".ssh"), 0o770);
  expect(await judgeAuthorizedKeys(user, configuration, WAYS)).toMatchObject({
    isFine: false,
    next: `chmod go-w ${join(home.path, ".ssh")}`,
  });
});

test("without any the text says how else clients log in, and where they cannot it is to fix", async () => {
  await using home = await temporaryFolder();
  const user = { username: "pi", homedir: home.path, uid: process.getuid?.() ?? 0 };
  const judge = async (ways: Partial<typeof WAYS>) => await judgeAuthorizedKeys(user, undefined, { ...WAYS, ...ways });
  expect((await judge({})).text).toMatch(/; clients need another key, or a password$/);
  const ofUser = { hasPasswords: false, isOnlyLogin: true };
  expect((await judge({ ...ofUser, hasOtherKeys: true })).text).toMatch(
    /clients need a key of the session or one that they push$/,
  );
  expect(await judge(ofUser)).toMatchObject({
    isFine: false,
    text: expect.stringMatching(/so nobody can log in: there are no passwords here$/),
    next: expect.stringContaining("sshnpd --session-keys pi"),
  });
});

const WAYS = { hasPasswords: true, hasOtherKeys: false, isOnlyLogin: false };
