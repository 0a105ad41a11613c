import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SetupError } from "../../keys/errors.ts";
import { parseSessionCommand, type SessionCommand } from "../../sshnp/command-line.ts";
import { parseProxyLine } from "../../sshnp/proxy-line.ts";
import { runCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** Each would do something, somewhere, if it were ever expanded, run, opened or normalised. CANARY is a file's path. */
const HOSTILE: readonly string[] = [
  ...[
    "-oProxyCommand=touch CANARY",
    "-oProxyCommand=CANARY",
    "-oLocalCommand=touch CANARY",
    "-oPermitLocalCommand=yes",
  ],
  ...["-oKnownHostsCommand=/usr/bin/touch CANARY", "-oProxyJump=x", "-oPKCS11Provider=CANARY", "-oInclude=CANARY"],
  ...[
    "-FCANARY",
    "-ICANARY",
    "-JCANARY",
    "-SCANARY",
    "-ECANARY",
    "-wany",
    "-W127.0.0.1:1",
    "-D1080",
    "-oX",
    "-o",
    "-",
    "--",
  ],
  ...[
    "--frob",
    "--proxycommand=touch CANARY",
    "-p2222",
    "-Z",
    "-\u2013",
    "\u2010oProxyCommand=x",
    "-o\nProxyCommand=x",
  ],
  ...["$(touch CANARY)", "`touch CANARY`", ";touch CANARY", "|touch CANARY", "||touch CANARY", "&touch CANARY"],
  ...["&&touch CANARY", "\ntouch CANARY", "\r\ntouch CANARY\r\n", ">CANARY", ">>CANARY", "<(touch CANARY)", "$((1))"],
  ...[
    "{touch,CANARY}",
    "$IFS",
    "${IFS}touch${IFS}CANARY",
    "'",
    "''",
    '"',
    "';touch CANARY;'",
    '";touch CANARY;"',
    "\\",
  ],
  ...[
    "\\ntouch CANARY",
    "!touch",
    "!!",
    "#",
    "a b",
    " ",
    "",
    "\t",
    "*",
    "?",
    "[a-z]",
    "~",
    "~root",
    "$HOME",
    "${HOME}",
  ],
  ...["%h", "%%h", "%r", "%p", "%n", "%C", "%d", "%u", "%i", "%l", "%L", "%T", "%00", "%0a", "%2e%2e%2f", "%s%s%s%n"],
  ...[
    "../",
    "../../etc/passwd",
    "..",
    ".",
    "./x",
    "/etc/passwd",
    "/",
    "..\\..\\x",
    "C:\\x",
    "\\\\host\\x",
    "file:///x",
  ],
  ...["x\0", "\0", "x\0.np", "x\n", "x\r", "\x1b]0;x\x07", "\x1b[2J", "\x7f", "\x08", "\u009b2J"],
  ...[
    "GATEWAY",
    "Gateway",
    "\u0440ay",
    "\uff47w",
    "gw\u200d",
    "gw\u200b",
    "\u202egw",
    "gw\ufeff",
    "g\u0131w",
    "\u212aw",
    "gẃ",
    "☃",
  ],
  ...[
    "a,b",
    "@a,@b",
    "a;b",
    "a:b",
    "a:22",
    "a=b",
    "a/b",
    "a@b@c",
    "@@a",
    "@",
    "a@",
    "ssh://gw",
    "gw:22",
    "[::1]",
    "127.0.0.1",
  ],
  ...[
    "-gw",
    "gw-",
    "_gw",
    "gw_",
    ".gw",
    "gw.",
    "gw..np",
    "a".repeat(300),
    "a".repeat(37),
    "owner",
    "proxy",
    "trust",
    "help",
  ],
  ...["__proto__", "constructor.prototype", "{}", "null\n", "1e309\n", "SHA256:", "=SHA256:x"],
];

/** A word of somebody else's in the place of a name, as in `sshnp "$client" "$device" "$host"`. */
const WHOLE: readonly ((word: string) => string[])[] = [
  (word) => [word, "@device", "gw"],
  (word) => ["@client", word, "gw"],
  (word) => ["@client", "@device", word],
  (word) => ["@device", word, "uptime"],
  (word) => [`@device=${word}`, "gw"],
  (word) => [`--wait=${word}`, "@device", "gw"],
  (word) => [`--directory=${word}`, "@device", "gw"],
];

/** The same as a part of a name. */
const PART: readonly ((word: string) => string[])[] = [
  (word) => [`@${word}`, "gw"],
  (word) => [`@device${word}`, "gw"],
  (word) => ["@device", `gw${word}`],
  (word) => ["@device", `${word}@gw`],
  (word) => ["@device", "gw", `-l${word}`],
];

test("there are more than a hundred of them, all different", () => {
  expect(new Set(HOSTILE).size).toBe(HOSTILE.length);
  expect(HOSTILE.length).toBeGreaterThan(100);
});

test.each(HOSTILE.map((word) => [word]))("%j is a usage error where a name belongs", (word) => {
  for (const [position, line] of WHOLE.entries()) {
    if (position === 0 && word === "--") continue; // what getopt(3) has it for: the end of options
    expect({ position, code: codeOf(() => parseSessionCommand(line(word))) }).toEqual({ position, code: "E_USAGE" });
  }
  for (const line of [[word], [word, "gw.device.np"], ["--client", word, "gw.device.np"], [`${word}:22`]]) {
    expect({ line, code: codeOf(() => parseProxyLine(line)) }).toEqual({ line, code: "E_USAGE" });
  }
});

test.each(HOSTILE.map((word) => [word]))("%j as part of a name is an error or makes just another name", (word) => {
  for (const line of PART) {
    const { code, command } = outcome(() => parseSessionCommand(line(word)));
    if (command === undefined) {
      expect(code).toBe("E_USAGE");
      continue;
    }
    const { destination, ssh } = command;
    expect(destination.device.name).toMatch(/^@[a-z0-9-]{1,32}$/);
    expect(destination.device.member).toMatch(/^[a-z0-9][a-z0-9_-]{0,35}$/);
    expect(destination.login).toMatch(/^(?:[A-Za-z_][A-Za-z0-9_.-]{0,31})?$/);
    expect(ssh.before).toEqual([]);
  }
});

test("none of them ever runs, opens or makes anything", { timeout: 60_000 }, async () => {
  await using folder = await temporaryFolder();
  const canary = join(folder.path, "canary");
  const left = HOSTILE.filter((word) => !word.includes("\0") && word !== "--").map((word, i) => {
    const line = WHOLE[i % WHOLE.length];
    return line?.(word.replaceAll("CANARY", canary)) ?? [];
  });
  const run = async (): Promise<void> => {
    for (let line = left.pop(); line !== undefined; line = left.pop()) {
      const { code, stderr } = await runCommand("sshnp", line, { env: { HOME: folder.path } });
      expect({ line, code }).toEqual({ line, code: 2 });
      expect(stderr).toContain("[E_USAGE]");
      expect(stderr).toMatch(/^[ -~\n]*$/);
    }
  };
  await Promise.all(Array.from({ length: 6 }, run));
  expect(existsSync(canary)).toBe(false);
});

function codeOf(parse: () => unknown): string {
  return outcome(parse).code;
}

function outcome(parse: () => unknown): { readonly code: string; readonly command?: SessionCommand } {
  try {
    return { code: "accepted", command: parse() as SessionCommand };
  } catch (error) {
    return { code: error instanceof SetupError ? error.code : String(error) };
  }
}
