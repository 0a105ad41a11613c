import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test, vi } from "vitest";
import { destinationOf, withDestinationOptions, withWaitOption } from "../../sshnp/cli/destination-options.ts";
import { NO_DEFAULTS } from "../../sshnp/settings.ts";
import { readTarget } from "../../sshnp/target.ts";
import { applyConfiguration } from "../../sshnp/config/apply.ts";
import { parseSettings } from "../../sshnp/config/toml.ts";
import { SETTINGS } from "../../sshnp/config/setting.ts";
import { printSettings } from "../../sshnp/config/write-file.ts";
import { CONFIGURATION_BYTES } from "../../protocol/limits.ts";
import { CAN_MAKE_USERS } from "../support/ordinary-user.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const FINGERPRINT = "SHA256:9gO7nVnPcPZwDbAtAjPyPqYSKUGVDnmcjPZdRPYm6cA";
const WHOLE = {
  client: "@alice",
  device: "@acme",
  user: "pi",
  directory: `https://np.example.org#${FINGERPRINT}`,
  keys: "/srv/keys",
  wait: "10m",
  "session-key": "yes",
  witnesses: "2:w1.example.org/a+0a1b2c3d+AbC+/=,w2+00000000+AA==",
};

test("every setting is read, from TOML in any of its ways, and printed for the next one to read", () => {
  const text = [
    "# ours",
    'client = "@alice"',
    "\"device\"='@acme'",
    'user = """pi"""',
    ...Object.entries(WHOLE)
      .slice(3)
      .map(([key, value]) => `${key} = ${JSON.stringify(value)} # and more`),
  ].join("\r\n");
  const settings = parseSettings(text, "/f");
  expect(Object.fromEntries(settings)).toEqual(WHOLE);
  expect([...settings.keys()].sort()).toEqual([...SETTINGS.keys()].sort());
  expect(parseSettings(printSettings(settings), "/f")).toEqual(settings);
});

test.each([
  ["", 'clinet = "@a"', 1, '"clinet" is no setting.', "Settings are client, device,"],
  ['client = "@a"\n# client\n\n', "wait = 10", 4, "wait is not a text.", 'Write it in quotes: wait = "10m"'],
  ['client = "@a"\n', "device = true", 2, "device is not a text.", "Write it in quotes"],
  ['client = "@a"\n', 'user = ["pi"]', 2, "user is not a text.", "Write it in quotes"],
  ['client = "@a"\n', "[keys]\nkeys = 1", 2, "keys is not a text.", "Write it in quotes"],
  ["\n\n", 'client = "alice"', 3, '"alice" is not a name.', "A name is @"],
  ["", 'wait = "soon"', 1, '"soon" is not a time of at most 24 hours.', "Write it as 30s"],
  ["", 'keys = "keys"', 1, "depends on where sshnp is started.", "Begin it with / or ~/"],
  ["", 'witnesses = "all"', 1, '"all" names no witnesses.', "It reads K:KEY,KEY"],
  ["", 'directory = "np.example.org"', 1, '"np.example.org"', ""],
  ["", 'passphrase = "x"', 1, '"passphrase" is no setting.', "Settings are"],
  ["", 'profile.a = "x"', 1, '"profile" is no setting.', "Settings are"],
  ['client = "@a"\n', 'client = "@b"', 2, "trying to redefine an already defined table or value.", 'KEY = "value"'],
  ['client = "@a"\n\n', "wait 10m", 3, "illegal character in key.", 'KEY = "value"'],
  ["", '__proto__ = "@a"', 1, '"__proto__" is no setting.', ""],
  ["", 'toString = "@a"', 1, '"toString" is no setting.', ""],
])("%j and %j is refused at its line", (before, wrong, line, fact, next) => {
  const told = expect.objectContaining({
    code: "E_USAGE",
    message: expect.stringMatching(new RegExp(`^'/a b', line ${line}: `)),
    next: expect.stringContaining(next),
  });
  const read = (): unknown => parseSettings(`${before}${wrong}\n# the end\n`, "/a b");
  expect(read).toThrow(told);
  expect(read).toThrow(fact);
});

test("a value of several lines is refused where it begins, a key in whichever way it is written", () => {
  expect(() => parseSettings('user = """\n\n"""\nclient = "@a"', "/f")).toThrow("/f, line 1: ");
  expect(() => parseSettings('\n"\\u0061" = "b"\n', "/f")).toThrow('/f, line 2: "a" is no setting.');
});

test("what variables lack comes from the profile, else from the user's file, else from the machine's", async () => {
  await using folder = await temporaryFolder();
  const env = environment(folder.path);
  const file = (path: string, text: string): void => writeFileSync(join(folder.path, path), text);
  await applyConfiguration(env);
  expect(env).toEqual(environment(folder.path));

  file("system.toml", 'client = "@system"\ndevice = "@system"\nuser = "system"\nwait = "1m"\n');
  file("sshnp/config.toml", 'client = "@file"\ndevice = "@file"\nuser = "file"\n');
  file("sshnp/profiles/work.toml", 'client = "@work"\ndevice = "@work"\n');
  file("sshnp/profile", "work\n");
  const all = { ...env, SSHNP_CLIENT: "@set", SSHNP_USER: "" };
  await applyConfiguration(all);
  expect(all).toMatchObject({
    ...{ SSHNP_CLIENT: "@set", SSHNP_DEVICE: "@work", SSHNP_USER: "file", SSHNP_WAIT: "1m" },
  });

  file("sshnp/profiles/home.toml", 'client = "@home"\n');
  const home: Record<string, string | undefined> = { ...env, SSHNP_PROFILE: "home" };
  await applyConfiguration(home);
  expect(home).toMatchObject({ SSHNP_CLIENT: "@home", SSHNP_DEVICE: "@file" });
});

test("~/ in a folder's name is the home folder", () => {
  expect(parseSettings('keys = "~/k"', "/f").get("keys")).toMatch(/^\/.*\/k$/);
});

test("a profile that is not there, or cannot be, is an error and not passed over", async () => {
  await using folder = await temporaryFolder();
  const env = environment(folder.path);
  await expect(applyConfiguration({ ...env, SSHNP_PROFILE: "nix" })).rejects.toThrow('There is no profile "nix".');
  await expect(applyConfiguration({ ...env, SSHNP_PROFILE: "../config" })).rejects.toThrow("SSHNP_PROFILE:");
  writeFileSync(join(folder.path, "sshnp/profile"), "a/b\n");
  await expect(applyConfiguration(env)).rejects.toThrow('/sshnp/profile: "a/b" is no name for a profile.');
});

test("a file that others can write is refused, of whatever kind it is", async () => {
  await using folder = await temporaryFolder();
  const env = environment(folder.path);
  const [file, other, system, inUse] = [
    "sshnp/config.toml",
    "sshnp/profiles/work.toml",
    "system.toml",
    "sshnp/profile",
  ];
  for (const path of [file, other, system, inUse].map((name) => join(folder.path, name ?? ""))) {
    writeFileSync(path, path.endsWith("profile") ? "work\n" : 'client = "@a"\n');
  }
  for (const path of [file, other, system, inUse].map((name) => join(folder.path, name ?? ""))) {
    for (const mode of [0o664, 0o646, 0o777]) {
      chmodSync(path, mode);
      await expect(applyConfiguration({ ...env })).rejects.toMatchObject({
        code: "E_USAGE",
        message: `${path} can be written by other users.`,
        next: `Run: chmod go-w ${path}`,
      });
    }
    chmodSync(path, 0o644);
  }
  const read: Record<string, string | undefined> = { ...env };
  await applyConfiguration(read);
  expect(read["SSHNP_CLIENT"]).toBe("@a");
});

test.runIf(CAN_MAKE_USERS)("a file of another user is refused, and root's is not", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "system.toml");
  writeFileSync(path, 'client = "@a"\n');
  chownSync(path, 12345, 12345);
  await expect(applyConfiguration(environment(folder.path))).rejects.toMatchObject({
    code: "E_USAGE",
    message: `${path} belongs to another user, who could change it.`,
  });
});

test("what is no file, and what is too long for one, is refused; a link is followed", async () => {
  await using folder = await temporaryFolder();
  const env = environment(folder.path);
  const path = join(folder.path, "sshnp/config.toml");
  mkdirSync(path);
  await expect(applyConfiguration({ ...env })).rejects.toThrow("is no file.");
  const long = join(folder.path, "long.toml");
  writeFileSync(long, `${"#".repeat(CONFIGURATION_BYTES)}\n`);
  await expect(applyConfiguration({ ...env, SSHNP_SYSTEM_CONFIG: long })).rejects.toThrow();
  chmodSync(long, 0o600);
  const linked = join(folder.path, "linked");
  mkdirSync(join(linked, "sshnp"), { recursive: true });
  symlinkSync(long, join(linked, "sshnp/config.toml"));
  await expect(applyConfiguration({ ...env, XDG_CONFIG_HOME: linked })).rejects.toThrow("is larger than 16384 bytes.");
});

test("a verb that can wait waits as the settings say; an option counts for more", async () => {
  const waitOf = async (...words: string[]): Promise<number> => {
    const verb = withWaitOption(withDestinationOptions(new Command("verb")));
    await verb.parseAsync(words, { from: "user" });
    return destinationOf(verb.opts(), readTarget(["@device", "gw"], NO_DEFAULTS, "usage")).waitSeconds;
  };
  expect([await waitOf(), await waitOf("--wait"), await waitOf("--wait=2h"), await waitOf("--no-wait")]).toEqual([
    0, 600, 7200, 0,
  ]);
  vi.stubEnv("SSHNP_WAIT", "2m");
  try {
    expect([await waitOf(), await waitOf("--wait"), await waitOf("--wait=2h"), await waitOf("--no-wait")]).toEqual([
      120, 600, 7200, 0,
    ]);
    vi.stubEnv("SSHNP_WAIT", "soon");
    await expect(waitOf()).rejects.toMatchObject({ code: "E_USAGE" });
  } finally {
    vi.unstubAllEnvs();
  }
});

function environment(path: string): Record<string, string | undefined> {
  mkdirSync(join(path, "sshnp/profiles"), { recursive: true });
  return { XDG_CONFIG_HOME: path, SSHNP_SYSTEM_CONFIG: join(path, "system.toml") };
}
