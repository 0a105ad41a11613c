import { execFileSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseSessionCommand } from "../../sshnp/command-line.ts";
import { parseProxyLine, proxyWords } from "../../sshnp/proxy-line.ts";
import { shellCommand, sshArguments } from "../../sshnp/ssh-command.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { type ProcessOptions, runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const ODD = ["plain", "a b", "it's", 'say "hi"', "100%h", "back\\slash", "$HOME `id` $(id)", "ü ☃", "#1;&|<>*?~!"];
const NODE = process.execPath;

/** Prints what it is called with, one word a line, for whoever runs it as a ProxyCommand. */
const PRINT_WORDS = `process.stderr.write(JSON.stringify(process.argv.slice(2)) + "\\n")`;

test("ssh understands what was meant, whatever the user's configuration says", async () => {
  await using folder = await temporaryFolder();
  const understood = await sshSettings(folder.path, "@client @device pi@mygateway -L 8080:localhost:80 -C uptime");
  expect(understood).toMatchObject({
    user: ["pi"],
    hostname: ["mygateway.device.np"],
    hostkeyalias: ["mygateway.device.np"],
    userknownhostsfile: [`${folder.path}/keys/state/known_hosts.mygateway.device.np`],
    globalknownhostsfile: ["/dev/null"],
    stricthostkeychecking: ["true"],
    updatehostkeys: ["false"],
    checkhostip: ["no"],
    verifyhostkeydns: ["false"],
    canonicalizehostname: ["false"],
    proxyusefdpass: ["no"],
    controlpersist: ["no"],
    serveraliveinterval: ["0"],
    compression: ["yes"],
    localforward: ["8080 [localhost]:80"],
  });
  expect(understood["proxycommand"]).toHaveLength(1);
  expect(understood["proxyjump"]).toBeUndefined();
  expect(understood["knownhostscommand"]).toBeUndefined();
});

test.each([
  ["@device gw", "none"],
  ["@device gw -O check", "/tmp/theirs"],
  ["-S /tmp/own @client @device gw", "/tmp/own"],
  ["@device gw -o ControlPath=/tmp/own", "/tmp/own"],
  ["@device gw -M", "/tmp/theirs"],
])("sshnp %s has the control socket %s, where the configuration has one for all", async (line, socket) => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "config"), "ControlPath /tmp/theirs\n");
  const words = sshArguments(command(line), { node: NODE, main: "/main.js", keys: "/keys" });
  const ask = ["-F", join(folder.path, "config"), "-G", ...words];
  const { stdout } = await runProcess("ssh", ask, { env: { HOME: folder.path } });
  expect(settings(stdout)["controlpath"] ?? ["none"]).toEqual([socket]);
});

test.each([
  ["@device gw", true],
  ["@device gw -v -p 22", true],
  ["@device gw uptime", false],
  ["@device gw -v uptime", false],
  ["@device gw -tt", false],
  ["-t @client @device gw", false],
  ["@device gw -T", false],
  ["@device gw -o RequestTTY=force", false],
  ["@device gw -orequesttty=auto", false],
])("sshnp %s leaves it to ssh whether a terminal is asked for: %j", (line, leaves) => {
  expect(command(line).ssh.leavesTerminal).toBe(leaves);
});

test("ssh asks for no terminal where that is left out", async () => {
  await using folder = await temporaryFolder();
  const words = sshArguments(command("@device gw"), {
    ...{ node: NODE, main: "/main.js", keys: "/keys" },
    withoutTerminal: true,
  });
  const { stdout } = await runProcess("ssh", ["-F", "none", "-G", ...words], { env: { HOME: folder.path } });
  expect(settings(stdout)["requesttty"]).toEqual(["false"]);
});

test("an option that would lead ssh past the host keys has no effect", async () => {
  await using folder = await temporaryFolder();
  const understood = await sshSettings(
    folder.path,
    "-oStrictHostKeyChecking=no @client @device gw -o UserKnownHostsFile=/dev/null -o HostKeyAlias=other",
  );
  expect(understood).toMatchObject({
    stricthostkeychecking: ["true"],
    hostkeyalias: ["gw.device.np"],
    userknownhostsfile: [`${folder.path}/keys/state/known_hosts.gw.device.np`],
  });
});

test.each(ODD)("a keys folder below %j reaches ssh and its proxy as it is", async (name) => {
  await using folder = await temporaryFolder();
  const program = join(folder.path, name.replace("\\", "")); // Node itself cannot run a file below such a folder
  const main = join(program, "main.mjs");
  const keys = join(folder.path, name, "keys");
  await mkdir(program);
  await writeFile(main, PRINT_WORDS);
  const words = sshArguments(command("@client @device pi@gw"), { node: NODE, main, keys });
  const options = { env: { HOME: folder.path } };
  const { stdout } = await runProcess("ssh", ["-F", "none", "-G", ...words], options);
  expect(settings(stdout)["userknownhostsfile"]).toEqual([`${keys}/state/known_hosts.gw.device.np`]);

  const { stderr } = await runProcess("ssh", ["-F", "none", ...words], options);
  expect(printedWords(stderr)).toEqual(["proxy", "--client", "@client", "--keys", keys, "pi@gw.device.np:22"]);
});

test.skipIf(!CAN_MAKE_USERS)("an ordinary user's ssh understands the same, with any login shell", async () => {
  await using user = await ordinaryUser();
  chmodSync(user.home, 0o755);
  const main = join(user.home, "main.mjs");
  await writeFile(main, PRINT_WORDS);
  const words = sshArguments(command("@device gw"), { node: NODE, main, keys: join(user.home, "it's") });
  for (const shell of ["/bin/sh", "/bin/bash"]) {
    const options: ProcessOptions = { env: { HOME: user.home, SHELL: shell }, user };
    const { stderr } = await runProcess("ssh", ["-F", "none", ...words], options);
    expect(printedWords(stderr)).toEqual(["proxy", "--keys", join(user.home, "it's"), "gw.device.np:22"]);
  }
});

test("the printed command line is the same words again to a shell", () => {
  const printable = fc.string({ unit: fc.constantFrom(...Array.from(" '\"\\$`%;&|<>(){}[]*?~#!=abcü☃\t\n-")) });
  fc.assert(
    fc.property(fc.array(printable, { minLength: 1, maxLength: 5 }), (words) => {
      const script = `printf '%s\\0' ${shellCommand(words)}`;
      const printed = execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" });
      expect(printed.split("\0").slice(0, -1)).toEqual(words);
    }),
    { numRuns: 50 },
  );
});

test("a path that ssh's configuration cannot hold is refused", () => {
  for (const keys of ["/a\nb", "/${HOME}/keys"]) {
    expect(() => sshArguments(command("@device gw"), { node: NODE, main: "/main.js", keys })).toThrow(
      /cannot be written/,
    );
  }
});

test("a proxy understands the words that are made for it", () => {
  const line = "-s --wait=5m --keys ./k @client @device gw -l pi -i id";
  const { destination } = command(line);
  expect(parseProxyLine(proxyWords(destination).slice(1))).toEqual(destination);
});

test.each([
  ["mygateway.device.np", ""],
  ["mygateway.device.np:22", ""],
  ["pi@mygateway.device.np:22", "pi"],
])("a proxy to %s logs in as %j", (target, login) => {
  const device = { name: "@device", member: "mygateway" };
  expect(parseProxyLine([target])).toMatchObject({ device, login, client: undefined });
});

test.each([
  [],
  ["mygateway.device.np:2222"],
  ["mygateway.device.np", "other.device.np"],
  ["mygateway"],
  ["example.org:22"],
  ["-oProxyCommand=x"],
  ["--client", "client", "mygateway.device.np"],
  ["--frob", "mygateway.device.np"],
  ["@mygateway.device.np"],
  ["a b@mygateway.device.np"],
  ["mygateway.device.np:22:22"],
])("a proxy is not called with %j", (...words) => {
  expect(() => parseProxyLine(words)).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

function command(line: string) {
  const parsed = parseSessionCommand(line.split(" "));
  if (typeof parsed === "string") throw new Error("not a session");
  return parsed;
}

/** What the main file above has printed among ssh's own lines. */
function printedWords(stderr: string): unknown {
  return JSON.parse(stderr.split("\n").find((line) => line.startsWith("[")) ?? "null");
}

/** What ssh makes of a command line, below a configuration that would have it otherwise. */
async function sshSettings(home: string, line: string): Promise<Record<string, string[]>> {
  const configuration = [
    "Host *",
    "  ProxyCommand false",
    "  ProxyJump elsewhere",
    "  HostKeyAlias elsewhere",
    "  StrictHostKeyChecking no",
    "  UserKnownHostsFile /dev/null",
    "  UpdateHostKeys yes",
    "  KnownHostsCommand /bin/cat /etc/ssh/known_hosts",
    "  VerifyHostKeyDNS yes",
    "  CanonicalizeHostname always",
    "  ServerAliveInterval 3",
    "  ControlPersist yes",
    "  ProxyUseFdpass yes",
  ];
  const file = join(home, "config");
  await writeFile(file, `${configuration.join("\n")}\n`);
  const words = sshArguments(command(line), { node: NODE, main: "/main.js", keys: join(home, "keys") });
  const { stdout, stderr } = await runProcess("ssh", ["-F", file, "-G", ...words], { env: { HOME: home } });
  expect(stderr).not.toContain("onfiguration");
  return settings(stdout);
}

function settings(output: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const line of output.split("\n")) {
    const [key = "", ...value] = line.split(" ");
    (found[key] ??= []).push(value.join(" "));
  }
  return found;
}
