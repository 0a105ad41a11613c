import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Exit, runCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const DEVICE = ["-a", "@device", "-d", "mygateway"];
const FINGERPRINT = `SHA256:${"A".repeat(43)}`;

test("--help tells what it does, and --version its version", async () => {
  await using home = await temporaryFolder();
  const help = await sshnpd(home, "--help");
  expect(help).toMatchObject({ code: 0, stderr: "" });
  for (const flag of ["-a,", "-m,", "-d,", "--directory", "--keys", "--ssh-port", "--status-file", "-s,", "-v,"]) {
    expect(help.stdout).toContain(flag);
  }
  expect(help.stdout).toMatch(/^-s: run as root, .* for any login, root included;/m);
  expect(help.stdout).toMatch(/-u, --un-hide +has no effect/);
  expect(await sshnpd(home, "--version")).toMatchObject({ code: 0, stdout: "0.1.0\n" });
});

test.each([
  [[...DEVICE, "--bogus"], "Unknown option"],
  [["-a", "@device"], "--device"],
  [["-d", "mygateway"], "--atsign"],
  [[...DEVICE, "extra"], "Too many arguments"],
  [["-a", "device", "-d", "mygateway"], "is not a name"],
  [["-a", "@Device", "-d", "mygateway"], "is not a name"],
  [["-a", "@d\u0435vice", "-d", "mygateway"], "\\u0435"],
  [["-a", "-oProxyCommand=x", "-d", "mygateway"], "is not a name"],
  [["-a", "@device", "-d", "../mygateway"], "is not a name for a device"],
  [["-a", "@device", "-d", "owner"], "is not a name for a device"],
  [["-a", "@device", "-d", "$(x)"], "is not a name for a device"],
  [["-a", "@device", "-d", "ls"], "is not a name for a device"],
  [[...DEVICE, "-m", "client"], "is not a name"],
  [[...DEVICE, "-m", "@client=SHA256:short"], "is not a key fingerprint"],
  [[...DEVICE, "--ssh-port", "0"], "is not a port"],
  [[...DEVICE, "--ssh-port", "65536"], "is not a port"],
  [[...DEVICE, "--ssh-port", "22;id"], "is not a port"],
  [[...DEVICE, "--ssh-mode", "on"], "is no SSH mode"],
  [[...DEVICE, "--ssh-program", "dropbear"], "is no SSH server that can be started"],
  [[...DEVICE, "--ssh-program", "/bin/sh"], "is no SSH server that can be started"],
  [["check", "--ssh-mode", "on", ...DEVICE], "is no SSH mode"],
  [[...DEVICE, "--directory", "http://127.0.0.1:1"], "has no fingerprint"],
  [[...DEVICE, "--directory", `ftp://127.0.0.1:1#${FINGERPRINT}`], "is not a directory address"],
])("%j is a usage error: %s", async (words, message) => {
  await using home = await temporaryFolder();
  const exit = await sshnpd(home, ...words);
  expect(exit).toMatchObject({ code: 2, stdout: "" });
  expect(exit.stderr).toContain(message);
  expect(exit.stderr).toMatch(/\[E_USAGE\]\n$/);
  expect(readdirSync(home.path)).toEqual([]);
});

test("without keys it says so, and which command makes them", async () => {
  await using home = await temporaryFolder();
  const exit = await sshnpd(home, ...DEVICE);
  expect(exit).toMatchObject({ code: 78, stdout: "" });
  expect(exit.stderr).toMatch(/^sshnpd: No keys of mygateway of @device on this machine \(looked in .*\)\.$/m);
  expect(exit.stderr).toMatch(/sshnp-keys activate -a @device .*\n(?: +.*\n)+ +\[E_NO_KEYS\]$/m);
  expect(readdirSync(home.path)).toEqual([]);
});

interface BadKeys {
  readonly what: string;
  readonly code: string;
  readonly status: number;
  readonly prepare: (keys: string) => void;
}
const MEMBER_FILE = "@device.mygateway.npkeys";
const BAD_KEYS: readonly BadKeys[] = [
  {
    what: "a folder that others may read",
    code: "E_KEY_PERMISSIONS",
    status: 77,
    prepare: (keys) => chmodSync(keys, 0o755),
  },
  {
    what: "a key file that others may read",
    code: "E_KEY_PERMISSIONS",
    status: 77,
    prepare: (keys) => writeFileSync(join(keys, MEMBER_FILE), "{}", { mode: 0o640 }),
  },
  {
    what: "a key file that is a link",
    code: "E_KEY_PERMISSIONS",
    status: 77,
    prepare: (keys) => symlinkSync("/etc/passwd", join(keys, MEMBER_FILE)),
  },
  {
    what: "a damaged key file",
    code: "E_BAD_KEY_FILE",
    status: 65,
    prepare: (keys) => writeFileSync(join(keys, MEMBER_FILE), "{}", { mode: 0o600 }),
  },
];

test.each(BAD_KEYS)("$what: $code", async ({ code, status, prepare }) => {
  await using home = await temporaryFolder();
  const keys = join(home.path, "keys");
  mkdirSync(keys, { mode: 0o700 });
  prepare(keys);
  const exit = await sshnpd(home, ...DEVICE, "--keys", keys);
  expect(exit).toMatchObject({ code: status, stdout: "" });
  expect(exit.stderr).toContain(`[${code}]`);
  expect(exit.stderr).not.toMatch(/^ +at /m);
});

test("keys and directory come from the environment where no flag gives them", async () => {
  await using home = await temporaryFolder();
  const keys = join(home.path, "elsewhere");
  const fromKeys = await runCommand("sshnpd", DEVICE, { env: { HOME: home.path, SSHNP_KEYS: keys } });
  expect(fromKeys.stderr).toContain(`looked in ${keys}`);
  const fromDirectory = await runCommand("sshnpd", DEVICE, { env: { HOME: home.path, SSHNP_DIRECTORY: "nonsense" } });
  expect(fromDirectory).toMatchObject({ code: 2 });
  const data = join(home.path, "data");
  const fromData = await runCommand("sshnpd", DEVICE, { env: { HOME: home.path, XDG_DATA_HOME: data } });
  expect(fromData.stderr).toContain(`looked in ${data}/sshnp/keys`);
});

function sshnpd(home: TemporaryFolder, ...words: string[]): Promise<Exit> {
  return runCommand("sshnpd", words, { env: { HOME: home.path } });
}
