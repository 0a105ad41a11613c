import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CommandName, runCommand, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { COMMANDS, Help } from "./help.ts";

let home: TemporaryFolder;
let help: Help;
beforeAll(async () => {
  home = await temporaryFolder();
  help = new Help(home.path);
});
afterAll(() => home.remove());

// What each command is documented to take; further options are its own affair.
const DOCUMENTED: Readonly<Record<string, string>> = {
  "sshnp-directory run": "--data --listen --public --tls-cert --tls-key --rendezvous",
  "sshnp-directory name add": "--data",
  "sshnp-directory rendezvous add": "--data",
  "sshnp-directory rendezvous ls": "--data",
  "sshnp-directory rendezvous remove": "--data",
  "sshnp-directory address": "--data",
  "sshnp-directory names": "--data",
  "sshnp-directory broker-name": "--directory SSHNP_DIRECTORY",
  "sshnp-rendezvous run":
    "--data --directory -c --listen --public --region --drain-seconds --cram-file SSHNP_DIRECTORY SSHNP_CRAM",
  "sshnp-keys activate": "-a -c --directory -d --keys --cram-file SSHNP_CRAM SSHNP_DIRECTORY SSHNP_KEYS --passphrase",
  "sshnpd check": "-a -m -d --keys --ssh-port --ssh-mode --json",
  sshnpd: "-a -m -d --directory --keys --ssh-mode --ssh-program --ssh-port -s -u -v SSHNP_DIRECTORY SSHNP_KEYS",
  sshnp: "-s -x -v --wait --directory --keys SSHNP_DIRECTORY SSHNP_KEYS",
  "sshnp proxy": "--client --keys --directory --wait -s -v",
  "sshnp cp": "--wait --directory --keys --witness",
  "sshnp rsync": "--wait --directory --keys --witness -e",
  "sshnp sftp": "--wait --directory --keys --witness",
  "sshnp ssh-config":
    "--install --uninstall --check --file --host-pattern --client --control-master --keys --directory --wait",
  "sshnp forward":
    "--bind --socks --unix --keep-alive --exec --timeout --print-port --json --wait --directory --keys --witness -v",
  "sshnp-keys show": "--json --qr --keys SSHNP_KEYS",
  "sshnp ls": "-o --json --online --watch --directory --keys --witness -v",
  "sshnp ping": "-c --json --wait --directory --keys --witness -v",
  "sshnp status": "--json --directory --keys --witness",
  "sshnp doctor": "--json --directory --keys --witness",
  "sshnp trust ls": "--json --keys SSHNP_KEYS",
  "sshnp trust show": "--json --qr --keys",
  "sshnp trust accept": "--keys",
  "sshnp trust forget": "--keys",
};

test("every command, with every subcommand, explains itself on stdout with --help", async () => {
  const all = await help.all();
  for (const [command, ...path] of all) {
    const exit = await help.ask(command, ...path);
    const words = [command, ...path].join(" ");
    expect([words, exit.code, exit.stderr]).toEqual([words, 0, ""]);
    expect(exit.stdout).toMatch(new RegExp(`^Usage: ${command}[^]*\\n$`));
    expect(exit.stdout).toMatch(/^[\n -~]+$/);
  }
  const found = all.map((words) => words.join(" "));
  expect(found).toEqual(expect.arrayContaining(Object.keys(DOCUMENTED)));
});

test.each(Object.entries(DOCUMENTED))("%s has %s", async (words, flags) => {
  const [command = "", ...path] = words.split(" ");
  for (const flag of flags.split(" ")) {
    expect([flag, await help.hasFlag(flag, command as CommandName, ...path)]).toEqual([flag, true]);
  }
});

test("the man page of each command has the options of its --help, and no other", async () => {
  for (const [command, ...path] of await help.all()) {
    const { stdout } = await help.ask(command, ...path);
    const inHelp = [...stdout.matchAll(/^ {2}(-.*?)(?: {2}|$)/gm)].flatMap(([, flags = ""]) => flags.match(FLAG) ?? []);
    const words = [command, ...path].join(" ");
    const own = path.length === 0 ? manual(command) : manualSection(command, path);
    const inManual = [...own.matchAll(/^\\fB.*$/gm)].flatMap(
      ([line]) => line.replaceAll("\\fB", " ").match(FLAG) ?? [],
    );
    // That --help is there goes without saying below the first level.
    const without = (flags: readonly string[]): string[] => flags.filter((flag) => !/^-h$|^--help$/.test(flag)).sort();
    expect([words, without(inManual)]).toEqual([words, without(inHelp)]);
  }
});

test("man pages are well formed, and package.json names those that there are", async () => {
  const pages = readdirSync(join(ROOT, "man")).sort();
  expect(packageJson.man).toEqual(pages.map((page) => `man/${page}`));
  const lint = await runProcess("mandoc", ["-Tlint", "-W", "warning", ...packageJson.man], {
    ...{ env: { HOME: home.path }, cwd: ROOT },
  });
  expect(lint).toMatchObject({ code: 0, stdout: "", stderr: "" });
  for (const page of pages) {
    const shown = await runProcess("mandoc", ["-Tascii", join(ROOT, "man", page)], { env: { HOME: home.path } });
    const plain = shown.stdout.replace(/.[\b]/g, "");
    expect(plain).toMatch(/^NAME\n +sshnp[a-z-]* - [^]*^SYNOPSIS\n[^]*^DESCRIPTION\n[^]*^SEE ALSO\n/m);
    expect(plain).toMatch(/^[\n -~]+$/);
  }
});

const ROOT = join(import.meta.dirname, "../..");
const FLAG = /(?<=^|[ ,])--?[A-Za-z0-9][\w-]*/g;
const packageJson: { readonly man: readonly string[] } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** OPTIONS of a page, or of its only command. */
function manual(name: string): string {
  const page = readFileSync(join(ROOT, "man", `${name}.1`), "utf8").replaceAll("\\-", "-");
  return /^\.SH OPTIONS\n[^]*?(?=^\.SH)/m.exec(page)?.[0] ?? "";
}

function manualSection(command: string, path: readonly string[]): string {
  if (command === "sshnp" && path.length === 1) return manual(`sshnp-${path[0] ?? ""}`);
  const file = command === "sshnp" ? `sshnp-${path[0] ?? ""}` : command;
  const page = readFileSync(join(ROOT, "man", `${file}.1`), "utf8").replaceAll("\\-", "-");
  const [, section] = page.split(`\n.SS ${[command, ...path].join(" ")}\n`);
  return section?.split(/^\.S[SH]/m)[0] ?? "there is no such section";
}

test("every command tells its version, which is the package's, on stdout", async () => {
  for (const command of COMMANDS) {
    const exit = await runCommand(command, ["--version"], { env: { HOME: home.path } });
    expect(await runCommand(command, ["-V"], { env: { HOME: home.path } })).toEqual(exit);
    expect(exit).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  }
});

test("a flag that no command has is a usage error with a code and a next step, on stderr", async () => {
  for (const [command, ...path] of await help.all()) {
    const exit = await runCommand(command, [...path, "--no-such-flag"], { env: { HOME: home.path } });
    const words = [command, ...path].join(" ");
    const told = expect.stringMatching(/^sshnp\S*: .*\n +\S.*--help\S*\n +\[E_USAGE\]\n$/);
    expect([words, exit.code, exit.stdout, exit.stderr]).toEqual([words, 2, "", told]);
  }
});
