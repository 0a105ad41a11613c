import { expect, test } from "vitest";
import { tellUsageErrorsAsOurs } from "../../keys/command-line.ts";
import { command } from "../../sshnpd/cli.ts";
import type { DaemonOptions } from "../../sshnpd/daemon.ts";
import { NOPORTS_FLAGS, withNoPortsFlags } from "../../sshnpd/noports-flags.ts";
import { runCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

type Outcome = { readonly is: object } | { readonly refused: string } | { readonly note: string };

/** Every option in the usage texts of NoPorts' sshnpd, 2024 to 2026, in each of its spellings, behind `-a @d -d gw`. */
const FLAGS: Readonly<Record<string, Outcome>> = {
  "--config f": { refused: "The daemon reads no configuration file" },
  "--key-file k": { refused: "Key files of NoPorts are not read" },
  "-k k": { refused: "Key files of NoPorts are not read" },
  "--pass-phrase hunter2": { refused: "A passphrase is not taken from the command line" },
  "-P hunter2": { refused: "A passphrase is not taken from the command line" },
  "--atsign @x": { is: { name: "@x" } },
  "-a @x": { is: { name: "@x" } },
  "--root-server root.atsign.org": { refused: "There is no root server" },
  "--root-domain root.atsign.org": { refused: "There is no root server" },
  "--managers @a,@b": { is: { clients: expect.anything() } },
  "--manager @a": { is: { clients: expect.anything() } },
  "-m @a,@b": { is: { clients: expect.anything() } },
  "--policy-manager @p": { refused: "No other party is asked for each session" },
  "-p @p": { refused: "No other party is asked for each session" },
  "--permit-open localhost:80": { is: { permitOpen: expect.anything() } },
  "--po localhost:22,localhost:3389": { is: { permitOpen: expect.anything() } },
  "--device x": { is: { member: "x" } },
  "-d x": { is: { member: "x" } },
  "--device-group g": { refused: "A device says nothing of groups" },
  "--dg g": { refused: "A device says nothing of groups" },
  "--hide": { refused: "There is nothing to hide" },
  "-h": { refused: "There is nothing to hide" },
  "--un-hide": { is: {} },
  "--username": { note: "sshnpd: --username has no effect" },
  "-u": { is: {} },
  "--sshpublickey": { is: { acceptsKeys: true } },
  "-s": { is: { acceptsKeys: true } },
  "--sshpublickey-permissions x": { refused: "What a pushed key may do cannot be narrowed" },
  "-S x": { refused: "What a pushed key may do cannot be narrowed" },
  "--ephemeral-permissions x": { note: "sshnpd: --ephemeral-permissions has no effect" },
  "--ssh-client openssh": { note: "sshnpd: --ssh-client has no effect" },
  "--ssh-algorithm ssh-rsa": { note: "sshnpd: --ssh-algorithm has no effect" },
  "--local-sshd-port 2222": { is: { sshPort: 2222 } },
  "--storage-path f": { note: "sshnpd: --storage-path has no effect" },
  "--storage-dir f": { note: "sshnpd: --storage-dir has no effect" },
  "--clear-cached-pks": { refused: "Keys of clients are pinned" },
  "--strict": { note: "sshnpd: --strict has no effect" },
  "--verbose": { is: { isVerbose: true } },
  "-v": { is: { isVerbose: true } },
  "--debug": { is: { isVerbose: true } },
  "--doctor": { refused: "sshnpd has no doctor" },
  "--output f": { refused: "--output belongs to the doctor" },
  "-o f": { refused: "--output belongs to the doctor" },
};

const FOREIGN = Object.keys(NOPORTS_FLAGS).flatMap((flags) => flags.match(/--?[A-Za-z][\w-]*/g) ?? []);

test.each(Object.entries(FLAGS))("sshnpd -a @d -d gw %s", async (words, outcome) => {
  const told: string[] = [];
  const run = async (): Promise<DaemonOptions | undefined> =>
    await parsed(["-a", "@d", "-d", "gw", ...words.split(" ")], told);
  if ("refused" in outcome) {
    const error: unknown = await run().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "E_USAGE", message: expect.stringContaining(outcome.refused) });
    expect(JSON.stringify(error)).not.toContain("hunter2");
    return;
  }
  expect(await run()).toMatchObject("is" in outcome ? outcome.is : { name: "@d", member: "gw" });
  expect(told).toEqual("note" in outcome ? [expect.stringContaining(outcome.note)] : []);
});

test("no name of an option goes without an outcome", () => {
  const tried = new Set(Object.keys(FLAGS).map((words) => words.split(" ")[0]));
  for (const name of FOREIGN) expect([...tried]).toContain(name);
});

test("what NoPorts calls otherwise is the same as our own", async () => {
  const line = async (words: string): Promise<unknown> =>
    // Beside these there is what commander has read, by whatever name.
    ({ ...(await parsed(["-a", "@d", "-d", "gw", ...words.split(" ")], [])), witnesses: undefined });
  expect(await line("--po localhost:80,localhost:443")).toEqual(
    await line("--permit-open localhost:80 --permit-open localhost:443"),
  );
  expect(await line("--managers @a,@b --local-sshd-port 2222 --debug")).toEqual(
    await line("-m @a -m @b --ssh-port 2222 -v"),
  );
});

test("the daemon itself refuses and tells, and -h alone is help", async () => {
  await using home = await temporaryFolder();
  const options = { env: { HOME: home.path } };
  const refused = await runCommand("sshnpd", ["-a", "@d", "-d", "gw", "-m", "@c", "-h"], options);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/^sshnpd: There is nothing to hide.*\n +Leave it out.*\n +\[E_USAGE\]\n$/);
  const noted = await runCommand("sshnpd", ["--strict", "-a", "@d", "-d", "gw", "--local-sshd-port", "2222"], options);
  expect(noted.code).toBe(78);
  expect(noted.stderr).toMatch(/^sshnpd: --strict has no effect: it is always so\.\nsshnpd: No keys of gw/);
  const help = await runCommand("sshnpd", ["-h"], options);
  expect(help).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^Usage: sshnpd/) });
  for (const name of FOREIGN) expect(help.stdout).not.toMatch(new RegExp(`^ +${name}[ ,]`, "m"));
});

async function parsed(words: readonly string[], told: string[]): Promise<DaemonOptions | undefined> {
  let options: DaemonOptions | undefined;
  const program = withNoPortsFlags(
    command(async (understood) => void (options = understood)),
    words,
    (line) => told.push(line),
  );
  tellUsageErrorsAsOurs(program);
  await program.parseAsync(words, { from: "user" });
  return options;
}
