import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test, vi } from "vitest";
import { profile as runProfile } from "../../sshnp/cli/profile.ts";
import { parseNoPortsProfile } from "../../sshnp/noports-profile.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { type Exit, type RunAs, runCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("a profile is made, looked at, used, changed and removed", async () => {
  await using home = await temporaryFolder();
  const profile = profilesOf(home.path);
  await must(profile("set", "work", "client=@alice", "device=@acme", "wait=10m"));
  await must(profile("set", "home-2", "device=@home"));
  expect(await must(profile("ls"))).toBe("   home-2          @home\n   work    @alice  @acme\n");

  await must(profile("use", "work"));
  expect(await must(profile("ls"))).toBe("   home-2          @home\n*  work    @alice  @acme\n");
  const file = join(home.path, ".config/sshnp/profiles/work.toml");
  const client = ["client", "@alice", file].join("  ");
  expect(await must(profile("show"))).toBe(`${client}\ndevice  @acme   ${file}\nwait    10m     ${file}\n`);
  expect(await must(profile("show", "work"))).toBe('client = "@alice"\ndevice = "@acme"\nwait = "10m"\n');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);

  await must(profile("set", "work", "wait=", "user=pi"));
  expect(readFileSync(file, "utf8")).toBe('client = "@alice"\ndevice = "@acme"\nuser = "pi"\n');
  expect(JSON.parse(await must(profile("show", "work", "--json")))).toEqual({
    ...{ v: 1, name: "work", settings: { client: "@alice", device: "@acme", user: "pi" } },
  });
  expect(JSON.parse(await must(profile("ls", "--json")))).toEqual({
    v: 1,
    profiles: [
      { name: "home-2", inUse: false, settings: { device: "@home" } },
      { name: "work", inUse: true, settings: { client: "@alice", device: "@acme", user: "pi" } },
    ],
  });

  await must(profile("rm", "work"));
  expect(existsSync(join(home.path, ".config/sshnp/profile"))).toBe(false);
  expect(await must(profile("ls"))).toBe("   home-2    @home\n");
  await must(profile("use", "home-2"));
  await must(profile("use", "--none"));
  expect(await must(profile("show"))).toBe("");
});

test("what counts is shown with where it is set", async () => {
  await using home = await temporaryFolder();
  const config = join(home.path, ".config/sshnp/config.toml");
  mkdirSync(dirname(config), { recursive: true });
  writeFileSync(config, 'client = "@file"\ndevice = "@file"\n');
  const profile = profilesOf(home.path, { SSHNP_CLIENT: "@env\u202e" });
  expect(JSON.parse(await must(profile("show", "--json")))).toEqual({
    v: 1,
    settings: [
      { key: "client", value: "@env\u202e", from: "SSHNP_CLIENT" },
      { key: "device", value: "@file", from: config },
    ],
  });
  expect(await must(profile("show"))).toMatch(/^client {2}@env\\u202e {2}SSHNP_CLIENT\n/);
});

test.each([
  ["set work", 2, "missing required argument"],
  ["set work clinet=@a", 2, '"clinet=@a" sets nothing that there is.'],
  ["set work client=alice", 2, '"alice" is not a name.'],
  ["set work constructor=x", 2, '"constructor=x" sets nothing that there is.'],
  ["set work keys=keys", 2, "depends on where sshnp is started."],
  ["set ../work client=@a", 2, '"../work" is no name for a profile.'],
  ["set Work client=@a", 2, '"Work" is no name for a profile.'],
  ["show nix", 2, 'There is no profile "nix".'],
  ["use nix", 2, 'There is no profile "nix".'],
  ["use", 2, "Which profile to use is missing"],
  ["use nix --none", 2, "more than one answer"],
  ["rm nix", 2, 'There is no profile "nix".'],
  ["rm ../profile", 2, '"../profile" is no name for a profile.'],
  ["import /nix/work.env", 74, "Cannot read /nix/work.env (ENOENT)."],
  ["import /dev/null --as work", 2, "/dev/null says nothing that a profile can say."],
])("sshnp profile %s fails, and changes nothing", async (words, status, fact) => {
  await using home = await temporaryFolder();
  vi.stubEnv("XDG_CONFIG_HOME", join(home.path, ".config"));
  vi.stubEnv("SSHNP_SYSTEM_CONFIG", join(home.path, "none"));
  vi.stubEnv("SSHNP_PROFILE", "");
  const { error } = await runProfile(words.split(" "));
  vi.unstubAllEnvs();
  expect(error).toMatchObject({ exitStatus: status });
  expect((error as Error).message.toLowerCase()).toContain(fact.toLowerCase());
  expect(existsSync(join(home.path, ".config"))).toBe(false);
});

test("a profile of NoPorts is imported, and what has no place in it is named", async () => {
  await using home = await temporaryFolder();
  const file = join(home.path, "Site_1.env");
  writeFileSync(
    file,
    [
      "# home",
      ...[
        "FROM=@alice",
        'TO="@acme"',
        "DEVICE=GW_1",
        "SRVD=@rv_am",
        "export REMOTE_USER_NAME = pi ",
        "LOCAL_PORT=2222",
      ],
      ...[
        "SEND_SSH_PUBLIC_KEY=true",
        "IDENTITY_FILE=~/.ssh/id",
        "VERBOSE=false",
        "QUIET=",
        "ROOT_DOMAIN=root.atsign.org",
      ],
      ...["PASS_PHRASE=hunter2", "FOO=bar", "what\u202eever", "SSH_CLIENT=openssh"],
    ].join("\n"),
  );
  const profile = profilesOf(home.path);
  const exit = await profile("import", file);
  expect(exit).toMatchObject({ code: 0, stdout: "" });
  expect(await must(profile("show", "site_1"))).toBe('client = "@alice"\ndevice = "@acme"\nuser = "pi"\n');
  expect(exit.stderr.split("\n")).toEqual([
    "sshnp: DEVICE: name it in each command: sshnp --profile NAME gw_1",
    "sshnp: SRVD: has no effect: the directory names the rendezvous.",
    expect.stringMatching(/^sshnp: LOCAL_PORT: -l names no port here/),
    "sshnp: SEND_SSH_PUBLIC_KEY: say it in each command: sshnp -s @device mygateway",
    "sshnp: IDENTITY_FILE: IdentityFile in ~/.ssh/config says it, for Host *.np",
    expect.stringMatching(/^sshnp: ROOT_DOMAIN: There is no root server/),
    expect.stringMatching(/^sshnp: PASS_PHRASE: A passphrase is not taken/),
    "sshnp: FOO: not known",
    "sshnp: line 15: no KEY=VALUE",
    "",
  ]);
  expect(exit.stderr).not.toContain("hunter2");
  const again = await profile("import", file);
  expect(again).toMatchObject({ code: 78, stderr: expect.stringContaining("There is a profile site_1 already") });
  expect(await profile("import", file, "--as", "other")).toMatchObject({ code: 0 });
});

test("what is wrong in a profile of NoPorts is told, and the rest is taken", () => {
  const { settings, notes } = parseNoPortsProfile("FROM=alice\r\nTO='@acme'\r\nREMOTE_USER_NAME=a b\r\n");
  expect(Object.fromEntries(settings)).toEqual({ device: "@acme" });
  expect(notes).toEqual(['FROM: "alice" is not a name.', 'REMOTE_USER_NAME: "a b" is not a user name.']);
});

test.runIf(CAN_MAKE_USERS)(
  "a folder that cannot be written is told of, and a profile of mode 0666 is refused",
  async () => {
    await using user = await ordinaryUser();
    const profile = profilesOf(user.home, {}, user);
    await must(profile("set", "work", "client=@alice"));
    const file = join(user.home, ".config/sshnp/profiles/work.toml");
    chmodSync(file, 0o666);
    expect(await profile("show", "work")).toMatchObject({ code: 2, stderr: expect.stringContaining("by other users") });
    chmodSync(file, 0o600);
    chmodSync(dirname(file), 0o500);
    const exit = await profile("set", "work", "client=@bob");
    expect(exit).toMatchObject({ code: 74, stderr: expect.stringContaining("(EACCES)") });
    expect(await must(profile("show", "work"))).toBe('client = "@alice"\n');
  },
);

type Profile = (...words: readonly string[]) => Promise<Exit>;

function profilesOf(home: string, more: Readonly<Record<string, string>> = {}, user?: RunAs): Profile {
  const env = { HOME: home, SSHNP_SYSTEM_CONFIG: join(home, "none"), ...more };
  return (...words) => runCommand("sshnp", ["profile", ...words], { env, ...(user === undefined ? {} : { user }) });
}

async function must(exit: Promise<Exit>): Promise<string> {
  expect(await exit).toMatchObject({ code: 0, stderr: "" });
  return (await exit).stdout;
}
