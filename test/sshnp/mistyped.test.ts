/** What was mistyped, by the commands as they are built: nothing here asks the network. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeniedError } from "../../keys/errors.ts";
import { withMeant } from "../../sshnp/meant.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { commandFile, type Exit, runCommand, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

let folder: TemporaryFolder;
let env: { HOME: string; SSHNP_KEYS: string };
beforeAll(async () => {
  folder = await temporaryFolder();
  const keys = join(folder.path, "keys");
  mkdirSync(join(keys, "state"), { recursive: true, mode: 0o700 });
  for (const host of ["mygateway.device.np", "twice.device.np", "twice.other.np", "mygateway.device.np.old"]) {
    writeFileSync(join(keys, "state", `known_hosts.${host}`), "");
  }
  env = { HOME: folder.path, SSHNP_KEYS: keys };
});
afterAll(() => folder.remove());

const run = (...words: string[]): Promise<Exit> => runCommand("sshnp", words, { env });

test.each([
  ["pign @device mygateway", "Did you mean sshnp ping?"],
  ["list", "Did you mean sshnp ls?"],
  ["docter", "Did you mean sshnp doctor?"],
  ["devices", "Did you mean sshnp ls?"],
  ["ssh pi@mygateway", "Leave ssh out: sshnp @device mygateway"],
  ["--wiat=4s @device mygateway", "Did you mean --wait?"],
  ["--wait 4s @device mygateway", "join them: --wait=4s"],
  ["ping --wait 4s @device mygateway", "join them: --wait=4s"],
  ["help nosuch", 'sshnp has no command "nosuch".'],
  ["help docter", "Did you mean doctor?"],
  ["mygateway", "Did you mean mygateway of @device?"],
  ["ping mygateway", "Put @device ahead of it, or write mygateway.device.np."],
  ["cp file pi@mygateway:", "Did you mean mygateway of @device?"],
  ["pi@mygatewy", "Did you mean mygateway of @device?"],
  ["twice", "write one of: twice.device.np, twice.other.np"],
  [
    "-v --keys k -L 8080:localhost:80 @device pi@mygateway true",
    "sshnp --keys k -v @device pi@mygateway -L 8080:localhost:80 true",
  ],
])("sshnp %s", async (line, told) => {
  const exit = await run(...line.split(" "));
  expect(exit).toMatchObject({ code: 2, stdout: "" });
  expect(exit.stderr).toContain(told);
  expect(exit.stderr).toMatch(/\n {7}\[E_USAGE\]\n$/);
});

test.each([
  ["lst", "There is no lst.", "There is no lst. Did you mean sshnp ls?"],
  ["lst", "There is no lst. Did you mean last?", "There is no lst. Did you mean last? Or sshnp ls?"],
  ["ls", "There is no @other.", "There is no @other."],
  ["pi@lst", "There is no lst.", "There is no lst."],
  ["lst.device.np", "There is no lst.", "There is no lst."],
  ["gateway", "There is no gateway.", "There is no gateway."],
])("sshnp %s, of which the directory says: %s", (first, fact, told) => {
  const error = new DeniedError("E_UNKNOWN_NAME", fact, { next: "Check it." });
  expect(withMeant(error, first, ["ls", "ping"])).toMatchObject({ message: told, code: "E_UNKNOWN_NAME" });
});

test("--native refuses a session key", async () => {
  const exit = await run("--native", "--session-key", "@device", "pi@mygateway");
  expect(exit).toMatchObject({ code: 2, stderr: expect.stringContaining("cannot log in with a session key") });
});

test("a file beside the host keys costs no completion", async () => {
  const { stdout } = await run("completion", "--devices", "@device");
  expect(stdout.split("\n")).toEqual(expect.arrayContaining(["mygateway", "twice"]));
});

test("ssh-config says when its block cannot be written", async () => {
  const words = ["-c", '"$@" > /dev/full', "sh"];
  const exit = await runProcess("sh", [...words, process.execPath, commandFile("sshnp"), "ssh-config"], { env });
  expect(exit).toMatchObject({ code: 74, stderr: expect.stringContaining("[E_STORAGE]") });
});

test("a block has what the settings say of client, directory and witnesses", async () => {
  const directory = `https://np.example.org#SHA256:${"A".repeat(43)}`;
  const witness = "w1.example.org/a+0a1b2c3d+AbC+/=";
  const configuration = join(folder.path, ".config/sshnp");
  mkdirSync(join(configuration, "profiles"), { recursive: true });
  writeFileSync(
    join(configuration, "profiles/work.toml"),
    `client = "@me"\ndirectory = "${directory}"\nwitnesses = "1:${witness}"\n`,
    { mode: 0o600 },
  );
  const { stdout } = await run("--profile", "work", "ssh-config", "--no-wait");
  expect(stdout).toContain(`proxy --client @me --keys ${env.SSHNP_KEYS} --directory '${directory}' `);
  expect(stdout).toContain(`--witness ${witness} --witnesses 1 --no-wait '%r@%h:%p'\n`);
  const stated = await run("--profile", "work", "ssh-config", "--client", "@other");
  expect(stated.stdout).toContain("--client @other ");
});

test.each(["ls", "ping", "status", "doctor", "forward", "trust", "version"])(
  "%s --json tells what fails ahead of it in JSON too",
  async (verb) => {
    const exit = await run("--profile", "nosuch", verb, "--json");
    if (verb === "version") return expect(exit.code).toBe(0);
    expect(exit).toMatchObject({ code: 2, stdout: "" });
    expect(exit.stderr).toMatch(/^.*\n$/);
    expect(JSON.parse(exit.stderr)).toMatchObject({ v: 1, error: { code: "E_USAGE", status: 2 } });
  },
);

describe.runIf(CAN_MAKE_USERS)("with a home folder that is another user's", () => {
  test("every command tells that, and what needs no settings works", async () => {
    const user = await ordinaryUser();
    await using home = await temporaryFolder();
    mkdirSync(join(home.path, ".config/sshnp"), { recursive: true });
    chmodSync(home.path, 0o700);
    try {
      const as = { env: { HOME: home.path }, cwd: "/", user };
      for (const words of [
        ["ls"],
        ["@device", "gw"],
        ["proxy", "gw.device.np"],
        ["status"],
        ["cp", "a", "gw.device.np:"],
      ]) {
        const exit = await runCommand("sshnp", words, as);
        expect(exit.stderr).toMatch(/^sshnp: Cannot read .*\(EACCES\)\.\n.*HOME.*\n {7}\[E_STORAGE\]\n$/);
        expect([74, 255]).toContain(exit.code);
      }
      expect(await runCommand("sshnp", ["version"], as)).toMatchObject({ code: 0, stderr: "" });
    } finally {
      await user.remove();
    }
  });
});
