import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMANDS } from "../docs/help.ts";
import { commandFile, runCommand, runProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { type Terminal, Terminals } from "../support/terminals.ts";
import { pinnedIn } from "./pinned.ts";

let home: TemporaryFolder;
let env: Readonly<Record<string, string>> & { readonly HOME: string };
beforeAll(async () => {
  home = await temporaryFolder();
  const keys = await pinnedIn(home.path);
  mkdirSync(join(home.path, "bin"));
  for (const name of COMMANDS) symlinkSync(commandFile(name), join(home.path, "bin", name));
  mkdirSync(join(home.path, "config/sshnp/profiles"), { recursive: true });
  for (const name of ["home", "work"]) writeFileSync(join(home.path, `config/sshnp/profiles/${name}.toml`), "");
  mkdirSync(join(home.path, "folder-1"));
  writeFileSync(join(home.path, "file-1"), "");
  env = {
    HOME: home.path,
    PATH: `${join(home.path, "bin")}:${process.env["PATH"] ?? ""}`,
    SSHNP_KEYS: keys.path,
    XDG_CONFIG_HOME: join(home.path, "config"),
    SSHNP_SYSTEM_CONFIG: join(home.path, "none"),
    SSHNP_DIRECTORY: "http://127.0.0.1:1#nobody-is-asked",
  };
});
afterAll(() => home.remove());

const HOSTS = ["mygateway.device.np", "scanner.depot.np"];
const EVERYBODY = ["@depot", "@device", ...HOSTS];
const SUBCOMMANDS = ["accept", "evidence", "forget", "ls", "show"];

/** What has been typed, and the words that it is completed to; `...`: among others. */
const TYPED: readonly (readonly [line: string, ...words: string[]])[] = [
  ["sshnp tru", "trust"],
  ["sshnp pro", "profile", "proxy"],
  ["sshnp trust ", ...SUBCOMMANDS],
  ["sshnp trust show ", ...EVERYBODY],
  ["sshnp trust show --j", "--json"],
  ["sshnp trust --keys folder-1 ls --j"],
  ["sshnp trust ls --keys folder-1 --j", "--json"],
  ["sshnp --wi", "--witness", "--witnesses"],
  ["sshnp --wait @de", "@depot", "@device"],
  ["sshnp @dev", "@device"],
  ["sshnp @device ", "mygateway"],
  ["sshnp @device=SHA256:abc ", "mygateway"],
  ["sshnp @me @device my", "mygateway"],
  ["sshnp @me @dep", "@depot"],
  ["sshnp my", "mygateway.device.np"],
  ["sshnp pi@my", "pi@mygateway.device.np"],
  ["sshnp @device pi@", "pi@mygateway"],
  ["sshnp proxy --client @me sc", "scanner.depot.np"],
  ["sshnp --profile ", "home", "work"],
  ["sshnp --profile w", "work"],
  ["sshnp profile use ", "home", "work"],
  ["sshnp profile import fi", "file-1"],
  ["sshnp completion ", "bash", "fish", "zsh"],
  ["sshnp help tr", "trust"],
  ["sshnp-keys policy ", "apply", "diff", "show", "test"],
  ["sshnp-keys unr", "unrevoke"],
  ["sshnp-keys backup --ke", "--keys"],
  ["sshnp-directory rendezvous ", "add", "ls", "remove"],
  ["sshnp-rendezvous run --cr", "--cram-file", "--cram-secret"],
  ["sshnpd --per", "--permit-open"],
  ["sshnpd -a @device --ma", "--manager", "--max-checkpoint-age"],
  ["sshnp trust show nobody", ...[]],
];

test("bash completes what has been typed", async () => {
  const lines = TYPED.map(([line]) => `t ${JSON.stringify(line)}`).join("\n");
  // What bash does not replace, because it breaks words there, is put in front again.
  const script = `source <(sshnp completion bash)
    t() {
      COMP_LINE=$1 COMP_POINT=\${#1} COMPREPLY=()
      _sshnp
      local word=\${1##* } kept=
      [[ $word == *[=:]* ]] && kept=\${word%"\${word##*[=:]}"}
      [[ $word == *@* ]] && kept=\${word%@*}
      printf '%s\\t' "$1" "\${COMPREPLY[@]/#/$kept}"
      echo
    }
    ${lines}`;
  expect(found((await shell("bash", ["--norc", "-c", script])).split("\n"))).toEqual(wanted());
});

test("fish completes what has been typed", async () => {
  const lines = TYPED.map(([line]) => `'${line}'`).join(" ");
  const script = `sshnp completion fish | source
    for line in ${lines}
      printf '%s\\t' $line (complete -C $line | string replace -r '\\t.*' '')
      echo
    end`;
  expect(found((await shell("fish", ["-N", "-c", script])).split("\n"))).toEqual(wanted());
});

test("zsh completes what has been typed", async () => {
  // Its completion runs inside of the line editor only; so a key tells what it adds, instead of showing it.
  const file = join(home.path, "hits");
  const setUp = `
    autoload -U compinit; compinit -u -D; source <(sshnp completion zsh)
    compadd() {
      local -a hits
      [[ " $*" == *" -"[OAD]" "* ]] || { builtin compadd -A hits "$@"; printf '%s\\t' "$IPREFIX"$^hits >> ${file}; }
      builtin compadd "$@"
    }
    look() { zle look-into; print >> ${file}; zle .kill-whole-line }
    look-into() { _main_complete; compstate[insert]=; compstate[list]= }
    zle -N look; zle -C look-into list-choices look-into; bindkey '^T' look`;
  writeFileSync(join(home.path, "set-up.zsh"), setUp);
  writeFileSync(file, "");
  await using terminals = await Terminals.start();
  const terminal = await terminals.open("zsh", { env });
  await terminal.type("exec zsh -f");
  await terminal.type("source ~/set-up.zsh; echo loa''ded");
  await terminal.shows(/^loaded/m);
  for (const [line] of TYPED) {
    await terminal.write(line);
    await terminal.press("C-t");
  }
  await terminal.type("echo do''ne");
  await terminal.shows(/^done/m, { timeoutMs: 60_000 });
  const lines = readFileSync(file, "utf8").split("\n");
  expect(found(TYPED.map(([line], i) => `${line}\t${lines[i] ?? ""}`))).toEqual(wanted());
});

test.each([
  ["bash", "exec bash --norc", "source <(sshnp completion bash)"],
  ["zsh", "exec zsh -f", "fpath=(~/zfunc $fpath); autoload -U compinit; compinit -u -D"],
  ["fish", "exec fish", "sshnp completion fish > ~/config/fish/completions/sshnp.fish"],
])("somebody who presses Tab in %s has the word completed", async (name, start, load) => {
  for (const folder of ["zfunc", "config/fish/completions"]) mkdirSync(join(home.path, folder), { recursive: true });
  writeFileSync(join(home.path, "zfunc/_sshnp"), (await runCommand("sshnp", ["completion", "zsh"], { env })).stdout);
  await using terminals = await Terminals.start();
  const terminal = await terminals.open(name, { env });
  await terminal.type(start);
  await terminal.type(`${load}; echo loa''ded`);
  await terminal.shows(/^loaded/m);
  for (const [typed, completed] of [
    ["sshnp trus", /sshnp trust\b/],
    ["sho", /sshnp trust show\b/],
    ["@devi", /sshnp trust show @device\b/],
    ["--js", /sshnp trust show @device --json\b/],
  ] as const) {
    await press(terminal, typed);
    await terminal.shows(completed);
  }
  await terminal.press("Enter");
  await terminal.shows(/"@device"/);
});

test("only what this machine knows is completed, and nothing that is wrong is told", async () => {
  const ask = async (more: Readonly<Record<string, string>>, ...words: string[]): Promise<unknown> =>
    await runCommand("sshnp", ["completion", ...words], { env: { ...env, ...more } });
  const silent = { code: 0, stdout: "", stderr: "" };
  expect(await ask({ SSHNP_KEYS: join(home.path, "none") }, "--devices")).toMatchObject(silent);
  writeFileSync(join(home.path, "wrong.toml"), "wrong");
  expect(await ask({ SSHNP_SYSTEM_CONFIG: join(home.path, "wrong.toml") }, "--devices")).toMatchObject(silent);
  expect(await ask({ XDG_CONFIG_HOME: "/none" }, "--profiles")).toMatchObject(silent);
  expect(await ask({ SSHNP_DEVICE: "@device" }, "--devices")).toMatchObject({
    stdout: ["@device", "@depot", ...HOSTS, "mygateway", ""].join("\n"),
  });
  expect(await ask({})).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("Which shell") });
  expect(await ask({}, "tcsh")).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("tcsh") });
});

async function press(terminal: Terminal, text: string): Promise<void> {
  await terminal.write(text);
  await terminal.press("Tab");
}

async function shell(name: string, words: readonly string[]): Promise<string> {
  const exit = await runProcess(name, words, { env, cwd: home.path, timeoutMs: 60_000 });
  expect(exit).toMatchObject({ code: 0, stderr: "" });
  return exit.stdout;
}

function wanted(): Record<string, string[]> {
  return Object.fromEntries(TYPED.map(([line, ...words]) => [line, [...words].sort()]));
}

function found(lines: readonly string[]): Record<string, string[]> {
  const cells = lines.filter((line) => line !== "").map((line) => line.split("\t"));
  return Object.fromEntries(
    cells.map(([line = "", ...words]) => [
      line,
      [...new Set(words.map((word) => word.trim()).filter((word) => word !== ""))].sort(),
    ]),
  );
}
