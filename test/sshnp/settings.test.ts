import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { type Exit, runCommand, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const ADDRESS = "http://np.example.org:7800#SHA256:9gO7nVnPcPZwDbAtAjPyPqYSKUGVDnmcjPZdRPYm6cA";

let home: TemporaryFolder;
beforeAll(async () => {
  home = await temporaryFolder();
  write(
    ".config/sshnp/config.toml",
    `client = "@me"\ndevice = "@acme"\nuser = "pi"\ndirectory = "${ADDRESS}"\nkeys = "~/my keys"\nwait = "2m"\nwitnesses = "1:w/a+01234567+AbC="\n`,
  );
  write(".config/sshnp/profiles/work.toml", 'client = "@worker"\nwait = "3m"\n');
});
afterAll(() => home.remove());

test("a session of a bare name is that of all settings, and its printed line needs none of them", async () => {
  const { stdout, stderr, code } = await sshnp(["-x", "gw"]);
  expect([stderr, code]).toEqual(["", 0]);
  const keys = join(home.path, "my keys");
  expect(stdout).toContain(
    ` proxy --client @me --keys '\\''${keys}'\\'' --directory '\\''${ADDRESS}'\\'' --witness w/a+01234567+AbC= --witnesses 1 --wait=120 pi@gw.acme.np:22'`,
  );
  expect(stdout).toMatch(/ -o ConnectTimeout=0 .* pi@gw\.acme\.np\n$/);
});

// The words, further variables, and what stands in the proxy's command line.
test.each([
  ["pi@gw", {}, "--client @me", "--wait=120 pi@gw.acme.np:22"],
  ["root@gw -p 22", {}, "--client @me", "root@gw.acme.np:22"],
  ["--no-wait gw", {}, "--client @me", "w/a+01234567+AbC= --witnesses 1 --no-wait pi@gw.acme.np:22"],
  ["--wait=4m @you @other gw", {}, "--client @you", "--wait=240 pi@gw.other.np:22"],
  ["gw", { SSHNP_CLIENT: "@env", SSHNP_WAIT: "5m", SSHNP_USER: "u" }, "--client @env", "--wait=300 u@gw.acme.np:22"],
  ["gw", { SSHNP_PROFILE: "work" }, "--client @worker", "--wait=180 pi@gw.acme.np:22"],
  ["gw", { SSHNP_PROFILE: "work", SSHNP_CLIENT: "@env" }, "--client @env", "--wait=180 pi@gw.acme.np:22"],
  ["gw.other.np", { SSHNP_DEVICE: "@env" }, "--client @me", "pi@gw.other.np:22"],
])("%s with %j", async (words, env, ...shown) => {
  const { stdout, stderr } = await sshnp(["-x", ...words.split(" ")], env);
  expect(stderr).toBe("");
  for (const text of shown) expect(stdout).toContain(text);
});

test("-l counts for more than the user that is set, ahead of the device and behind it", async () => {
  for (const words of [
    ["-l", "root", "@acme", "@acme", "gw"],
    ["gw", "-l", "root"],
  ]) {
    const { stdout } = await sshnp(["-x", ...words]);
    expect(stdout).not.toContain("pi@");
    const parsed = await runProcess("sh", ["-c", stdout.replace(/^ssh /, "ssh -G ")], { env: { HOME: home.path } });
    expect(parsed.stdout).toMatch(/^user root$/m);
  }
});

test("session-key counts for sessions and for ssh's block until a word or a variable undoes it", async () => {
  write(".config/sshnp/profiles/certified.toml", 'session-key = "yes"\n');
  const env = { SSHNP_PROFILE: "certified" };
  const refused = { code: 2, stdout: "", stderr: expect.stringMatching(/ go with -x .*\n.* --no-session-key\./) };
  expect(await sshnp(["-x", "gw"], env)).toMatchObject(refused);
  expect(await sshnp(["--no-session-key", "--session-key", "-x", "gw"], env)).toMatchObject(refused);
  const printed = { code: 0, stderr: "", stdout: expect.stringMatching(/^ssh /) };
  expect(await sshnp(["--no-session-key", "-x", "gw"], env)).toMatchObject(printed);
  expect(await sshnp(["-x", "gw"], { ...env, SSHNP_SESSION_KEY: "no" })).toMatchObject(printed);
  expect((await sshnp(["ssh-config"], env)).stdout).toMatch(/ProxyCommand .* --session-key /);
  expect((await sshnp(["ssh-config", "--no-session-key"], env)).stdout).not.toContain("--session-key");
});

test("--profile stands ahead of all words, is joined or not, and is refused anywhere else", async () => {
  for (const words of [["--profile", "work"], ["--profile=work"]]) {
    expect((await sshnp([...words, "-x", "gw"])).stdout).toContain("--client @worker");
  }
  const late = await sshnp(["-x", "--profile", "work", "gw"]);
  expect(late).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--profile stands ahead of all other words."),
  });
  expect(await sshnp(["--profile"])).toMatchObject({ code: 2, stderr: expect.stringContaining("lacks its argument") });
  const none = await sshnp(["--profile", "nix", "trust", "ls"]);
  expect(none).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining('There is no profile "nix".') });
});

test("the proxy and the verbs have the settings, too", async () => {
  const proxied = await sshnp(["proxy", "--no-wait", "gw.acme.np"]);
  expect(proxied.stderr).toContain("[E_NO_KEYS]");
  expect(proxied.stderr).toContain("@me");
  expect(proxied.stderr).toContain(join(home.path, "my keys"));
  const listed = await sshnp(["trust", "ls"]);
  expect(listed).toMatchObject({ code: 78, stderr: expect.stringContaining(join(home.path, "my keys")) });
});

test("a file that is wrong stops all but what helps to mend it, with file and line", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "system.toml");
  writeFileSync(file, '# of the machine\nclinet = "@a"\n');
  const env = { SSHNP_SYSTEM_CONFIG: file };
  for (const words of [
    ["-x", "gw"],
    ["proxy", "gw.acme.np"],
    ["trust", "ls"],
  ]) {
    const exit = await sshnp(words, env);
    expect(exit).toMatchObject({ code: 2, stdout: "" });
    expect(exit.stderr).toBe(
      `sshnp: ${file}, line 2: "clinet" is no setting.\n` +
        "       Settings are client, device, user, directory, keys, wait, session-key, witnesses.\n       [E_USAGE]\n",
    );
  }
  for (const words of [
    ["--help"],
    ["--version"],
    ["help"],
    ["help", "trust"],
    ["trust", "ls", "--help"],
    ["profile", "ls"],
  ]) {
    expect(await sshnp(words, env)).toMatchObject({ code: 0, stderr: "" });
  }
});

test("a member may be called what objects have, and is no verb for it", async () => {
  expect((await sshnp(["-x", "constructor"])).stdout).toContain("pi@constructor.acme.np");
});

test.runIf(CAN_MAKE_USERS)(
  "an ordinary user has the machine's settings and no file that another user could write",
  async () => {
    await using user = await ordinaryUser();
    const file = join(user.home, ".config/sshnp/config.toml");
    const system = join(user.home, "system.toml");
    mkdirSync(dirname(file), { recursive: true });
    for (const [path, text] of [
      [file, 'device = "@acme"\n'],
      [system, 'client = "@machine"\n'],
    ] as const) {
      writeFileSync(path, text);
      chmodSync(path, 0o644);
    }
    chownSync(file, user.uid, user.gid); // the other one is root's
    const env = { HOME: user.home, SSHNP_SYSTEM_CONFIG: system };
    const exit = await runCommand("sshnp", ["-x", "gw"], { env, user });
    expect(exit).toMatchObject({ code: 0, stdout: expect.stringContaining("--client @machine") });
    chownSync(file, user.uid + 1, user.gid);
    const refused = await runCommand("sshnp", ["-x", "gw"], { env, user });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("belongs to another user") });
  },
);

test("without a file, nothing that reads one is loaded", async () => {
  await using folder = await temporaryFolder();
  const loaded = async (path: string): Promise<string> => {
    // Node writes down which scripts it has run.
    const coverage = join(folder.path, path.replaceAll("/", "-"));
    const env = { HOME: path, SSHNP_SYSTEM_CONFIG: join(path, "none"), NODE_V8_COVERAGE: coverage };
    expect(await runCommand("sshnp", ["-x", "@acme", "gw"], { env })).toMatchObject({ code: 0, stderr: "" });
    return readdirSync(coverage)
      .map((file) => readFileSync(join(coverage, file), "utf8"))
      .join("");
  };
  const without = await loaded(folder.path);
  expect(without).toContain("/dist/sshnp/front-");
  expect(without).not.toMatch(/dist\/sshnp\/(?:apply|toml)-/);
  expect(await loaded(home.path)).toMatch(/dist\/sshnp\/(?:apply|toml)-/);
});

function write(path: string, text: string): void {
  const file = join(home.path, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function sshnp(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Exit> {
  return runCommand("sshnp", words, { env: { HOME: home.path, SSHNP_SYSTEM_CONFIG: join(home.path, "none"), ...env } });
}
