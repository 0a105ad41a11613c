import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CommandName, runCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

/*
 * Nobody has typed what a variable or a file says, so an error that takes it for an option of the command line sends people to
 * the wrong place.
 */

let home: TemporaryFolder;
beforeAll(async () => {
  home = await temporaryFolder();
});
afterAll(() => home.remove());

const SESSION = ["@client", "@device", "gw"];
// The variable, its value, the command, and how the message begins.
test.each<[string, string, CommandName, string[], string]>([
  ["SSHNP_WAIT", "soon", "sshnp", SESSION, 'SSHNP_WAIT="soon" is not a time of at most 24 hours.'],
  ["SSHNP_WAIT", "25h", "sshnp", ["proxy", "gw.acme.np"], 'SSHNP_WAIT="25h" is not a time'],
  ["SSHNP_WAIT", "soon", "sshnp", ["cp", "a", "gw.acme.np:b"], 'SSHNP_WAIT="soon" is not a time'],
  ["SSHNP_WAIT", "soon", "sshnp", ["ping", ...SESSION], 'SSHNP_WAIT="soon" is not a time'],
  ["SSHNP_WAIT", "1x", "sshnp", ["forward", ...SESSION, "80"], 'SSHNP_WAIT="1x" is not a time'],
  ["SSHNP_SESSION_KEY", "1", "sshnp", SESSION, 'SSHNP_SESSION_KEY: "1" is neither yes nor no.'],
  ["SSHNP_SESSION_KEY", "on", "sshnp", ["sftp", "gw.acme.np"], 'SSHNP_SESSION_KEY: "on" is neither yes nor no.'],
  ["SSHNP_DEVICE", "@", "sshnp", ["gw"], 'SSHNP_DEVICE: "@" is not a name.'],
  ["SSHNP_USER", "-x", "sshnp", SESSION, 'SSHNP_USER: "-x" is not a user name.'],
  ["SSHNP_KEYS", "-k", "sshnp", ["trust", "ls"], 'SSHNP_KEYS="-k" is no folder that can be used.'],
  ["SSHNP_KEYS", "/a\n", "sshnp", ["ls"], 'SSHNP_KEYS="/a\\n" is no folder that can be used.'],
  ["SSHNP_KEYS", "/a\n", "sshnp", SESSION, 'SSHNP_KEYS="/a\\n" is no folder that can be used.'],
  ["SSHNP_DIRECTORY", "np", "sshnpd", ["-a", "@a", "-d", "b"], 'SSHNP_DIRECTORY: "np" is not a directory address.'],
  ["SSHNP_DIRECTORY", "np", "sshnp-keys", ["activate", "-a", "@a", "-c", "0"], 'SSHNP_DIRECTORY: "np" is not'],
  ["SSHNP_DIRECTORY", "np", "sshnp-keys", ["enroll", "@a", "b", "--otp", "c"], 'SSHNP_DIRECTORY: "np" is not'],
  ["SSHNP_DIRECTORY", "np", "sshnp-rendezvous", ["run", "--data", "d"], 'SSHNP_DIRECTORY: "np" is not'],
])("%s=%j of %s %j is told by its name", async (variable, value, command, words, message) => {
  const exit = await runCommand(command, words, { env: { HOME: home.path, [variable]: value } });
  expect(exit).toMatchObject({ code: 2, stdout: "" });
  const [fact, ...rest] = exit.stderr.split("\n");
  expect(fact?.slice(0, `${command}: ${message}`.length)).toBe(`${command}: ${message}`);
  expect(fact).not.toContain("--");
  expect(rest).toEqual([expect.stringMatching(/^ +\S/), expect.stringMatching(/^ +\[E_USAGE\]$/), ""]);
});

test.each([
  ["wait", "soon", 'wait = "soon" is not a time'],
  ["session-key", "on", '"on" is neither yes nor no.'],
  ["keys", "/a\\u0007", 'keys = "/a\\u0007" is no folder'],
])("%s in a file is told by file, line and key", async (key, value, message) => {
  const folder = join(home.path, key);
  mkdirSync(join(folder, ".config/sshnp"), { recursive: true });
  const file = join(folder, ".config/sshnp/config.toml");
  writeFileSync(file, `# mine\n${key} = "${value}"\n`);
  const exit = await runCommand("sshnp", ["ping", ...SESSION], { env: { HOME: folder } });
  expect(exit.stderr.startsWith(`sshnp: ${file}, line 2: ${message}`)).toBe(true);
  expect(exit.stderr).not.toContain("--");
});

test("an option counts for more than a variable, which then may say anything; an empty variable says nothing", async () => {
  for (const [words, value] of [
    [["ping", "--wait=1m", ...SESSION], "soon"],
    [["ping", "--no-wait", ...SESSION], "soon"],
    [["ping", ...SESSION], ""],
    [["--wait=1m", ...SESSION], "soon"],
  ] as const) {
    const exit = await runCommand("sshnp", words, { env: { HOME: home.path, SSHNP_WAIT: value } });
    expect(exit.stderr).toContain("[E_NO_KEYS]");
  }
});
