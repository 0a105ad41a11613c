import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { controlPathIn, sshConfigBlock } from "../../sshnp/ssh-config-block.ts";
import { hasInclude, withInclude, withoutInclude } from "../../sshnp/include-line.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { type Exit, runCommand, runProcess } from "../support/processes.ts";
import { startSshServer } from "../support/sshd.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const MAIN = join(import.meta.dirname, "../../dist/sshnp/main.js");

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

/** Configurations that people may have. */
const CONFIGURATIONS: Readonly<Record<string, string | undefined>> = {
  none: undefined,
  empty: "",
  "one that ends without a newline": "Host *\n  User pi",
  "one with Windows' line ends": "Host *\r\n  User pi\r\n",
  "one that is no UTF-8": "# caf\xe9\nHost *\n\tUser pi\n\n\n",
  "one with an Include of everything": "Include config.d/*\nHost *\n  ControlMaster no\n",
};

describe.each(Object.entries(CONFIGURATIONS))("a configuration: %s", (_, before) => {
  test("is as it was after --uninstall, byte for byte", async () => {
    await using place = await temporaryFolder();
    const file = join(place.path, "config");
    if (before !== undefined) await writeFile(file, before, { encoding: "latin1", mode: 0o640 });
    expect(await sshConfig("--install", "--file", file)).toMatchObject({ code: 0 });
    const installed = readFileSync(file, "latin1");
    expect(installed.split("\n").slice(1)).toEqual([
      `Include "${place.path}/config.d/sshnp"`,
      ...(before ?? "").split("\n"),
    ]);
    expect(statSync(file).mode & 0o777).toBe(before === undefined ? 0o600 : 0o640);
    expect(statSync(join(place.path, "config.d")).mode & 0o777).toBe(0o700);
    expect(statSync(join(place.path, "config.d/sshnp")).mode & 0o777).toBe(0o600);

    const inode = statSync(file).ino;
    expect(await sshConfig("--install", "--file", file)).toMatchObject({ code: 0 });
    expect(readFileSync(file, "latin1")).toBe(installed);
    expect(statSync(file).ino).toBe(inode); // it was not even written again

    expect(await sshConfig("--uninstall", "--file", file)).toMatchObject({ code: 0 });
    expect(existsSync(file) ? readFileSync(file, "latin1") : undefined).toBe(before);
    expect(readdirSync(place.path)).toEqual(before === undefined ? [] : ["config"]);
    expect(await sshConfig("--uninstall", "--file", file)).toMatchObject({
      code: 0,
      stderr: "sshnp: There was nothing to take away.\n",
    });
  });
});

test("what was added to a file that --install made stays", () => {
  const made = withInclude(undefined, "config.d/sshnp");
  expect(withoutInclude(made)).toBeUndefined();
  expect(withoutInclude(withInclude(`${made}Host x\n`, "config.d/sshnp"))).toBe("Host x\n");
  expect(withoutInclude(`Host x\n${made}Host y\n`)).toBe("Host x\nHost y\n");
  expect([made, "Include config.d/sshnp\n"].map(hasInclude)).toEqual([true, false]);
});

test("a link stays, and what it leads to keeps its mode and its owner", async () => {
  await using place = await temporaryFolder();
  const [file, target] = [join(place.path, "config"), join(place.path, "dotfiles/ssh_config")];
  mkdirSync(join(place.path, "dotfiles"));
  await writeFile(target, "Host *\n");
  chmodSync(target, 0o444);
  if (CAN_MAKE_USERS) chownSync(target, 65534, 65534);
  await symlink("dotfiles/ssh_config", file);
  expect(await sshConfig("--install", "--file", file)).toMatchObject({ code: 0 });
  expect(lstatSync(file).isSymbolicLink()).toBe(true);
  expect(readFileSync(target, "utf8")).toMatch(/^# sshnp .*\nInclude .*\nHost \*\n$/);
  expect(statSync(target).mode & 0o777).toBe(0o444);
  if (CAN_MAKE_USERS) expect(statSync(target)).toMatchObject({ uid: 65534, gid: 65534 });
  expect(await sshConfig("--uninstall", "--file", file)).toMatchObject({ code: 0 });
  expect(readFileSync(file, "utf8")).toBe("Host *\n");
});

test("a link to nothing, and a block of somebody else's, are left alone", async () => {
  await using place = await temporaryFolder();
  const file = join(place.path, "config");
  await symlink("nowhere", file);
  expect(await sshConfig("--install", "--file", file)).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/link to a file that is not there/),
  });
  await rm(file);
  await rm(join(place.path, "config.d"), { recursive: true });
  mkdirSync(join(place.path, "config.d"));
  await writeFile(join(place.path, "config.d/sshnp"), "Host mine\n");
  for (const action of ["--install", "--uninstall"]) {
    expect(await sshConfig(action, "--file", file)).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/not of sshnp's making/),
    });
  }
  expect(readFileSync(join(place.path, "config.d/sshnp"), "utf8")).toBe("Host mine\n");
  expect(existsSync(file)).toBe(false);
});

describe("--check", () => {
  const file = (): string => join(folder.path, "config");
  const check = async (): Promise<Exit> => await sshConfig("--check", "--file", file());
  beforeAll(async () => {
    await writeFile(
      file(),
      "Host *\n  User pi\n  ForwardAgent yes\n  ServerAliveInterval 3\n  ProxyCommand false\n  ControlPath none\n",
    );
    expect(await sshConfig("--install", "--file", file(), "--host-pattern", "*.acme.np")).toMatchObject({ code: 0 });
  });

  test("says so when all is well, whatever stands below", async () => {
    expect(await check()).toMatchObject({ code: 0, stderr: expect.stringContaining("is in force") });
  });

  test.each([
    [
      "a Host above that sets other values",
      (text: string) => `Host *\n  ProxyCommand nc %h %p\n  StrictHostKeyChecking no\n${text}`,
      /values that are not sshnp's: proxycommand "nc %h %p", stricthostkeychecking "false"\.\n/,
    ],
    ["an agent that is let through", (text: string) => `ForwardAgent yes\n${text}`, /not sshnp's: forwardagent "yes"/],
    [
      "a missing Include",
      (text: string) => text.replace(/^Include.*\n/m, ""),
      /\n.*sshnp ssh-config --install --file \S+\n/,
    ],
    ["no line of ours at all", () => "Host *\n", /does not include .*config\.d\/sshnp/],
    [
      "an Include that another Host takes in",
      (text: string) => `Host elsewhere\n${text}`,
      /values that are not sshnp's: proxycommand "false"/,
    ],
    [
      "a configuration that ssh refuses",
      (text: string) => `${text}Frobnicate yes\n`,
      /ssh refuses its configuration: .*Bad configuration option: frobnicate/,
    ],
  ])("finds %s", async (_, change, told) => {
    const text = readFileSync(file(), "utf8");
    await writeFile(file(), change(text));
    const exit = await check();
    await writeFile(file(), text);
    expect(exit).toMatchObject({ code: 78, stdout: "", stderr: expect.stringMatching(told) });
    expect(exit.stderr).toMatch(/ {7}\[E_SSH_CONFIG\]\n$/);
  });

  test.each([
    [
      "sshnp that has moved",
      (text: string) => text.replace("/dist/sshnp/main.js", "/dist/gone/main.js"),
      /starts \S*\/dist\/gone\/main\.js, which is not there/,
    ],
    [
      "Node that was removed",
      (text: string) => text.replace(/ProxyCommand \S+node /, "ProxyCommand '/opt/a b/node' "),
      /starts '\/opt\/a b\/node', which is not there/,
    ],
    ["a block that was cut off", (text: string) => text.slice(0, 300), /was changed by somebody/],
    [
      "a block that this ssh does not take",
      (text: string) => text.replace("UpdateHostKeys no", "UpdateHostKeys maybe"),
      /ssh does not take the block .*line 10: unsupported option/,
    ],
    [
      "a folder for sockets that is not there",
      (text: string) => text.replace(/ControlPath .*/, 'ControlPath "/nowhere at all/%C"'),
      /control sockets, '\/nowhere at all', is not there/,
    ],
  ])("finds %s", async (_, change, told) => {
    const block = join(folder.path, "config.d/sshnp");
    const text = readFileSync(block, "utf8");
    await writeFile(block, change(text));
    const exit = await check();
    await writeFile(block, text);
    expect(exit).toMatchObject({ code: 78, stdout: "", stderr: expect.stringMatching(told) });
  });

  test("names the block when there is none", async () => {
    expect(await sshConfig("--check", "--file", join(folder.path, "other/config"))).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/no block for ssh at /),
    });
  });
});

test.each(["a b", "it's", "100%h", "$HOME", "ü"])(
  "ssh finds keys below %j, and the words for the proxy are as they were",
  async (name) => {
    const keys = join(folder.path, name, "keys");
    const text = sshConfigBlock({
      ...BLOCK,
      proxy: [process.execPath, join(folder.path, "print.mjs"), "proxy", "--keys", keys],
      keys,
    });
    const file = join(folder.path, "odd");
    await writeFile(file, text);
    await writeFile(
      join(folder.path, "print.mjs"),
      `process.stderr.write(JSON.stringify(process.argv.slice(2)) + "\\n")`,
    );
    const settings = await runProcess("ssh", ["-F", file, "-G", "gw.acme.np"], { env: { HOME: folder.path } });
    expect(settings.stdout).toContain(`\nuserknownhostsfile ${keys}/state/known_hosts.gw.acme.np\n`);
    const { stderr } = await runProcess("ssh", ["-F", file, "pi@gw.acme.np"], { env: { HOME: folder.path } });
    expect(stderr).toContain(JSON.stringify(["proxy", "--keys", keys, "pi@gw.acme.np:22"]));
  },
);

test("a host or a user with an apostrophe, which would end the proxy's word, reaches no proxy", async () => {
  const file = join(folder.path, "apostrophe");
  await writeFile(file, sshConfigBlock({ ...BLOCK, proxy: ["/bin/echo"], keys: "/keys" }));
  const proxyOf = async (...words: string[]): Promise<string | undefined> => {
    const { stdout } = await runProcess("ssh", ["-F", file, "-G", ...words], { env: { HOME: folder.path } });
    return /^proxycommand (.*)$/m.exec(stdout)?.[1];
  };
  expect(await proxyOf("-l", "pi", "gw.acme.np")).toBe("/bin/echo '%r@%h:%p'");
  // This ssh may refuse them itself; an older one asks the configuration.
  expect([undefined, "false"]).toContain(await proxyOf("-l", "p'i", "gw.acme.np"));
  expect(await proxyOf("g'w.acme.np")).toBeUndefined();
});

test("a folder for control sockets is taken while their path is short enough for ssh, and the next one then", async () => {
  await using sshd = await startSshServer();
  await using place = await temporaryFolder("/tmp"); // TMPDIR may be too long itself
  const longest = join(place.path, "x".repeat(39 - place.path.length - 1));
  mkdirSync(longest);
  const controlPath = controlPathIn([longest, "/run/user/1000"]);
  expect(controlPath).toBe(`${longest}/sshnp-%C`);
  const share = [
    "-o",
    "ControlMaster=auto",
    "-o",
    `ControlPath=${controlPath}`,
    "-o",
    "ControlPersist=60",
    ...sshd.sshOptions,
  ];
  const ssh = (...words: string[]): Promise<Exit> =>
    runProcess("ssh", [...share, ...words, "127.0.0.1", "true"], { env: { HOME: folder.path } });
  expect(await ssh()).toMatchObject({ code: 0 });
  expect(await ssh("-O", "exit")).toMatchObject({ code: 0, stderr: expect.stringContaining("Exit request sent") });
  expect(controlPathIn([`${longest}x`, "/run/user/1000"])).toBe("/run/user/1000/sshnp-%C");
  expect(controlPathIn([`${longest}x`])).toBeUndefined();
});

test.each([
  ["*.np", "mygateway.device.np"],
  ["*.dev2.np", "mygateway.dev2.np"],
  ["gw-?.*.np", "gw-x.device.np"],
])("--install for %s names a host to try that it is for: %s", async (pattern, host) => {
  await using place = await temporaryFolder();
  const file = join(place.path, "config");
  const { stderr } = await sshConfig("--install", "--file", file, "--host-pattern", pattern);
  expect(stderr).toBe(`sshnp: ${place.path}/config.d/sshnp is in force. Try it: ssh -F ${file} ${host}\n`);
  const asked = await runProcess("ssh", ["-F", file, "-G", host], { env: { HOME: folder.path } });
  expect(asked.stdout).toMatch(/^proxycommand .* proxy /m);
});

test("with --session-key ssh has one agent and no key of the user's, and --check knows", async () => {
  await using place = await temporaryFolder();
  const file = join(place.path, "config");
  const users = "Host *\n  IdentityFile ~/.ssh/mine\n  IdentitiesOnly yes\n  IdentityAgent none\n";
  await writeFile(file, users);
  const keys = join(place.path, "50%");
  const words = ["--install", "--file", file, "--session-key", "--keys", keys];
  expect(await sshConfig(...words)).toMatchObject({ code: 0, stderr: expect.stringContaining("is in force") });
  const asked = await runProcess("ssh", ["-F", file, "-G", "pi@gw.acme.np"], { env: { HOME: folder.path } });
  expect(asked.stdout).toContain(`\nidentityagent ${keys}/state/agent.pi@gw.acme.np\n`);
  expect(asked.stdout).toMatch(/^identitiesonly no$/m);
  expect(asked.stdout).toMatch(/^proxycommand \S+ \S+ proxy --keys \S+ --session-key '%r@%h:%p'$/m);

  await writeFile(file, `${users}${readFileSync(file, "utf8")}`);
  expect(await sshConfig("--check", "--file", file)).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(
      /not sshnp's: identityagent "none", identityfile "~\/.ssh\/mine", identitiesonly "yes"\./,
    ),
  });
  const long = await sshConfig("--session-key", "--keys", join("/k", "x".repeat(80)));
  expect(long).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(/too long .*\n.* \d+ bytes less/) });
});

test("options reach the proxy, and what cannot be is refused", async () => {
  const { stdout } = await sshConfig(
    "--client",
    "@me",
    "--keys",
    "/k",
    "--wait=5m",
    "--control-master",
    "no",
    "--host-pattern",
    "*.acme.np",
  );
  expect(stdout).toMatch(/^ {2}ProxyCommand \S+node \S+main\.js proxy --client @me --keys \/k --wait=300 '%r@%h:%p'$/m);
  expect(stdout).toMatch(/^ {2}ConnectTimeout 0$/m);
  expect(stdout).not.toContain("ControlMaster");
  expect(stdout).not.toContain("Identity");
  expect((await sshConfig("--no-wait")).stdout).toMatch(/^ {2}ProxyCommand .* --no-wait '%r@%h:%p'$/m);
  for (const words of [
    ["--control-master", "maybe"],
    ["--host-pattern", "*"],
    ["--host-pattern", "*.np !x.np"],
    ["--client", "me"],
    ["--install", "--check"],
    ["--install", "--file", "/tmp/a*b/config"],
    ["--install", "--file", "/etc/ssh/ssh_config"],
    ["words"],
  ]) {
    expect([words, (await sshConfig(...words)).code]).toEqual([words, 2]);
  }
});

describe.skipIf(!CAN_MAKE_USERS)("an ordinary user", () => {
  let user: OrdinaryUser;
  beforeAll(async () => {
    user = await ordinaryUser();
  });
  afterAll(() => user.remove());
  const run = (...words: string[]): Promise<Exit> =>
    runCommand("sshnp", ["ssh-config", ...words], { env: { HOME: "/nonexistent" }, cwd: "/", user });

  test("has it in the home folder that ssh takes, which is the one of passwd; ssh needs no option then", async () => {
    expect(await run("--install")).toMatchObject({ code: 0, stderr: expect.stringContaining("is in force") });
    const ssh = join(user.home, ".ssh");
    for (const path of [ssh, join(ssh, "config.d")]) expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(ssh, "config"), "utf8")).toContain(`\nInclude "${ssh}/config.d/sshnp"\n`);
    expect(await run("--check")).toMatchObject({ code: 0 });
    const { stdout } = await runProcess("ssh", ["-G", "gw.acme.np"], { env: { HOME: "/nonexistent" }, cwd: "/", user });
    expect(stdout).toMatch(new RegExp(`^controlpath ${ssh}/sshnp-[0-9a-f]{40}$`, "m"));

    chmodSync(join(ssh, "config"), 0o666);
    expect(await run("--check")).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/refuses its configuration: "Bad owner or permissions/),
    });
    chmodSync(join(ssh, "config"), 0o600);
    expect(await run("--uninstall")).toMatchObject({ code: 0 });
    expect(readdirSync(ssh)).toEqual([]);
  });

  test("is told of a file that it may not write, and nothing is half done", async () => {
    const file = join(user.home, "sealed/config");
    mkdirSync(join(user.home, "sealed/config.d"), { recursive: true });
    chmodSync(join(user.home, "sealed"), 0o755);
    await writeFile(file, "Host *\n");
    expect(await run("--install", "--file", file)).toMatchObject({
      code: 74,
      stderr: expect.stringMatching(/Cannot read or write .*\(EACCES\)/),
    });
    expect(readFileSync(file, "utf8")).toBe("Host *\n");
  });
});

const BLOCK = { hostPattern: "*.np", controlPath: undefined, waits: false, knowsKnownHostsCommand: true } as const;

function sshConfig(...words: string[]): Promise<Exit> {
  return runProcess(process.execPath, [MAIN, "ssh-config", ...words], { env: { HOME: folder.path } });
}
