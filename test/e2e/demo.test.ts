import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import { Terminals } from "../support/terminals.ts";

/** npm of newer versions of Node keeps compiled code in the temporary folder. */
const WITHOUT_CACHE = { NODE_DISABLE_COMPILE_CACHE: "1" };
const ROOT = join(import.meta.dirname, "../..");
const NOT_IN_A_CLONE = new Set([".git", "dist"]);
const DEMO_MS = 90_000;
const END_MS = 30_000; // a shell and a package manager notice that their terminal is gone, on a busy machine

// Run by a user who exists for nothing else, so that whatever is left over can be seen to be the demo's.
describe.skipIf(!CAN_MAKE_USERS)("npm run demo, by an ordinary user", () => {
  let user: OrdinaryUser;
  let clone: string;
  let temporary: string;

  beforeAll(async () => {
    // An SSH server that runs as an ordinary user hands its terminals to this group; some machines do so by themselves.
    user = await ordinaryUser(["tty"]);
    clone = join(user.home, "sshnp");
    temporary = join(user.home, "tmp");
    cpSync(ROOT, clone, { recursive: true, filter: (path) => !NOT_IN_A_CLONE.has(relative(ROOT, path)) });
    mkdirSync(temporary);
    execFileSync("chown", ["-R", `${user.name}:`, clone, temporary]);
  });
  afterAll(() => user.remove());

  const start = (file: string, ...words: string[]): RunningProcess =>
    startProcess(file, words, { user, cwd: clone, env: { HOME: user.home, TMPDIR: temporary, ...WITHOUT_CACHE } });

  const leavesNothing = async (): Promise<void> => {
    await expect.poll(() => commandLinesOf(user.uid), { timeout: END_MS }).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
    expect(readdirSync(user.home).sort()).not.toContain(".ssh");
  };

  // The first of all, for only in a clone where nothing is compiled yet it compiles.
  test.each([
    ["before anything has started", "set-up: compiling"],
    ["while services start", "1. A directory and a rendezvous"],
    ["while times are measured", "7. How long it takes"],
  ])(
    "Ctrl-C %s ends it, and leaves no process and no file",
    async (_, moment) => {
      await using demo = start("sh", "-c", "exec node scripts/demo.mjs 2>&1");
      await demo.line(new RegExp(`^${moment}$`), { timeoutMs: DEMO_MS });
      const { code, stdout } = await demo.kill("SIGINT");
      expect(code).toBe(130);
      expect(stdout).not.toMatch(/failed|All processes are stopped/);
      await leavesNothing();
    },
    DEMO_MS,
  );

  test(
    "without a terminal it shows what it promises and exits 0",
    async () => {
      await using demo = start("npm", "run", "demo");
      const { code, stdout, stderr } = await demo.exit({ timeoutMs: DEMO_MS });
      expect(code, stderr).toBe(0);
      expect(stderr).not.toContain("compiling"); // it is, since the time before
      expect(stdout).toMatch(/sshnpd +listens on nothing/);
      expect(stdout).toMatch(/ uname -sr\n +Linux /);
      expect(stdout).toMatch(/'exit 42'; echo \$\?\n +42\n/);
      const hashes = [...stdout.matchAll(/^ +([0-9a-f]{64}) {2}\S+$/gm)].map(([, hash]) => hash);
      expect(hashes).toHaveLength(2);
      expect(hashes[0]).toBe(hashes[1]);
      expect(
        stdout.match(/session [0-9a-f]{32}\n +from the client +[0-9,]+ bytes +(?:[0-9a-f]{2} ){24}/g),
      ).toHaveLength(4);
      expect(stdout.match(/fastest +\d+ ms +median +\d+ ms/g)).toHaveLength(3);
      expect(stdout).not.toContain("\u001b");
      await leavesNothing();
    },
    DEMO_MS,
  );

  test(
    "with a terminal it ends in a shell on the device, in which Ctrl-C is the shell's",
    async () => {
      await using terminals = await Terminals.start();
      const env = { HOME: user.home, TMPDIR: temporary, ...WITHOUT_CACHE };
      const window = await terminals.open("here", { user, env });
      await window.type(`cd ${clone} && npm run demo`);
      await window.shows(/Leave it with exit or Ctrl-D\n\n\$ $/m, { timeoutMs: DEMO_MS });
      await window.type("cat");
      await window.type("said to cat");
      await window.shows(/^said to cat\nsaid to cat$/m);
      await window.press("C-c");
      await window.type("echo answer $((6 * 7)) to $SSH_CONNECTION; tty");
      await window.shows(/^answer 42 to 127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+\n\/dev\/pts\/\d+$/m);
      await window.type("exit");
      await window.shows(/^All processes are stopped, and their data is removed$/m);
      await window.prompt();
      expect(await window.run("echo $?")).toBe("0");
      expect(readdirSync(temporary)).toEqual([]);
    },
    DEMO_MS,
  );

  test(
    "a terminal that is closed ends it as well",
    async () => {
      {
        await using terminals = await Terminals.start();
        const window = await terminals.open("here", {
          user,
          env: { HOME: user.home, TMPDIR: temporary, ...WITHOUT_CACHE },
        });
        await window.type(`cd ${clone} && exec npm run demo`);
        await window.shows(/Leave it with exit or Ctrl-D\n\n\$ $/m, { timeoutMs: DEMO_MS });
        await window.close();
        await leavesNothing();
      }
    },
    DEMO_MS,
  );
});

/** Command lines of the processes that run as a user. */
function commandLinesOf(uid: number): string[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      if (!/^\d+$/.test(name) || statSync(`/proc/${name}`).uid !== uid) return [];
      const line = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      return line === "" ? [] : [line]; // nothing in it: it has ended, and its parent has not looked yet
    } catch {
      return []; // it has ended meanwhile
    }
  });
}
