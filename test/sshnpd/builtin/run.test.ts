import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { memoryOf } from "../../support/memory.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { isRunning } from "../../support/processes.ts";
import { Terminals } from "../../support/terminals.ts";
import { authorize, Harness } from "./harness.ts";

const MIB = 1024 * 1024;

describe.each(["root", "an ordinary user"])(
  "commands and shells of the server as %s",
  { skip: !CAN_MAKE_USERS },
  (who) => {
    let user: OrdinaryUser;
    let server: Harness;
    /** What does not depend on who the server is. No skipIf: the describe's own `skip` would have the last word. */
    const once = who === "root" ? test : () => {};

    beforeAll(async () => {
      user = await ordinaryUser(["games"]);
      server = await Harness.start(who === "root" ? {} : { user });
      await authorize(user, await server.publicKey);
    });
    afterAll(async () => {
      await server[Symbol.asyncDispose]();
      await user.remove();
    });

    const run = (...command: string[]) => server.run([`${user.name}@builtin`, ...command]);
    const start = (...words: string[]) =>
      server.start([...words.slice(0, -1), `${user.name}@builtin`, words.at(-1) ?? ""]);

    test.each([0, 1, 42, 255])("status %i comes back", async (status) => {
      expect(await run(`exit ${status}`)).toMatchObject({ code: status, stdout: "", stderr: "" });
    });

    test("a command runs as the account, in its home, with its groups, output and errors apart", async () => {
      const { stdout, stderr, code } = await run(
        'id -un; id -Gn; pwd; echo "$HOME $USER $SHELL"; umask; echo oops >&2',
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "oops\n" });
      const { name, home } = user;
      expect(stdout).toBe(`${name}\n${name} games\n${home}\n${home} ${name} /bin/sh\n0022\n`);
    });

    test("of the client's environment the locale comes through, and nothing that programs obey", async () => {
      const set = ["LC_ALL=C.UTF-8", "LC_PATH=/tmp/x", "LD_PRELOAD=/tmp/evil.so", "PATH=/tmp", "FOO=bar"];
      const { stdout } = await server.run([`${user.name}@builtin`, "env"], [`SetEnv ${set.join(" ")}`]);
      expect(stdout).toContain("\nLC_ALL=C.UTF-8\n");
      expect(stdout).not.toMatch(/LC_PATH|LD_PRELOAD|FOO=|PATH=\/tmp/);
      expect(stdout).toContain("SSHNP_VISITOR=@client/laptop\n");
      expect(stdout).not.toMatch(/SSHNP_TEST_RUN|NODE/);
    });

    test("a command that a signal ends is told as that", async () => {
      const { code, stderr } = await server.run(["-v", `${user.name}@builtin`, "kill -KILL $$"], ["LogLevel DEBUG"]);
      expect(code).toBe(255);
      expect(stderr).toContain("rtype exit-signal");
    });

    test("the end of the input reaches the command, which may go on", async () => {
      const ssh = start("wc -c; sleep 0; echo after");
      ssh.stdin.end("x".repeat(300_000));
      expect(await ssh.exit()).toMatchObject({ code: 0, stdout: "300000\nafter\n" });
    });

    once("a command that reads nothing does not stand in the way of its end", async () => {
      const ssh = start("exec 0<&-; echo done; exit 3");
      ssh.stdin.write("x".repeat(8 * MIB));
      expect(await ssh.exit()).toMatchObject({ code: 3, stdout: "done\n" });
    });

    once("output and errors that fill their windows at the same time come whole and in their order", async () => {
      const script = `i=0; while [ $i -lt 60000 ]; do echo "line $i of the output, long enough to fill a window of two MiB"; echo "line $i of the errors, long enough to fill a window of two MiB" >&2; i=$((i+1)); done`;
      const { stdout, stderr, code } = await run(script);
      expect(code).toBe(0);
      for (const [text, kind] of [
        [stdout, "output"],
        [stderr, "errors"],
      ] as const) {
        const lines = text.trimEnd().split("\n");
        expect(lines).toHaveLength(60_000);
        expect(
          lines.every((line, i) => line === `line ${i} of the ${kind}, long enough to fill a window of two MiB`),
        ).toBe(true);
      }
    });

    test("a command that prints without end to somebody who does not read takes no memory", async () => {
      const ssh = start("-n", "yes | head -c 2000000000 & echo $!; wait");
      ssh.stdin.end();
      await ssh.line(/^[0-9]+$/);
      process.kill(ssh.pid, "SIGSTOP");
      // What is on its way fills up; then the server's memory is looked at while its producer is stuck.
      let before = 0;
      await expect
        .poll(
          async () => {
            const { now } = memoryOf(server.process.pid);
            const grown = Math.abs(now - before);
            before = now;
            return grown < MIB;
          },
          { interval: 300 },
        )
        .toBe(true);
      expect(before).toBeLessThan(160 * MIB);
      process.kill(ssh.pid, "SIGKILL");
      await server.process.line(/^attended, 0 left$/);
    });

    test("what hangs behind a command ends with the connection", async () => {
      const ssh = start("-n", "sleep 1000 & echo pid $!; sh -c 'sleep 1001 & echo pid $!; wait'; wait");
      const pids: number[] = [];
      await expect.poll(() => ssh.stdout.match(/^pid ([0-9]+)$/gm)?.length).toBe(2);
      for (const [, pid] of ssh.stdout.matchAll(/^pid ([0-9]+)$/gm)) pids.push(Number(pid));
      expect(pids.every(isRunning)).toBe(true);
      await ssh.kill("SIGKILL");
      await expect.poll(() => pids.some(isRunning)).toBe(false);
    });

    test("what hangs behind a terminal ends with the connection", async () => {
      const ssh = start("-tt", "sleep 1000 & echo pid $!; wait");
      await expect.poll(() => ssh.stdout).toMatch(/^pid ([0-9]+)\r\n/m);
      const pid = Number(/^pid ([0-9]+)/m.exec(ssh.stdout)?.[1]);
      await ssh.kill("SIGKILL");
      await expect.poll(() => isRunning(pid)).toBe(false);
    });

    test("a terminal that something in the background keeps open is closed with its shell", async () => {
      const ssh = start("-tt", "trap '' HUP; sleep 30 & echo started; exit 7");
      const { code, stdout } = await ssh.exit();
      expect({ code, stdout }).toEqual({ code: 7, stdout: "started\r\n" });
    });

    once("twenty at once over connections of their own, and twenty over one", async () => {
      const each = Array.from({ length: 20 }, (_, i) => i);
      const all = await Promise.all(each.map((i) => run(`echo ${i}; exit ${i}`)));
      expect(all.map(({ code, stdout }) => [code, stdout])).toEqual(each.map((i) => [i, `${i}\n`]));
      const path = join(server.folder, "control");
      const master = start("-M", "-S", path, "-n", "echo up; sleep 1000");
      await master.line(/^up$/);
      const shared = await Promise.all(each.map((i) => server.run(["-S", path, "builtin", `echo ${i}; exit ${i}`])));
      expect(shared.map(({ code, stdout }) => [code, stdout])).toEqual(each.map((i) => [i, `${i}\n`]));
      expect((await server.run(["-S", path, "-O", "exit", "builtin"])).code).toBe(0);
    });

    once("keys are exchanged anew under way", async () => {
      const { stdout } = await server.run(
        [`${user.name}@builtin`, "head -c 8000000 /dev/zero | tr '\\0' a"],
        ["RekeyLimit 1M"],
      );
      expect(stdout).toBe("a".repeat(8_000_000));
    });

    once("ssh's questions whether the server is there are answered", async () => {
      const { code, stdout } = await server.run(
        [`${user.name}@builtin`, "sleep 3; echo still here"],
        ["ServerAliveInterval 1", "ServerAliveCountMax 1"],
      );
      expect({ code, stdout }).toEqual({ code: 0, stdout: "still here\n" });
    });

    test("a terminal loses nothing to a slow reader", async () => {
      const lines = 200_000;
      const ssh = start("-tt", `stty -onlcr; seq 1 ${lines}`);
      await ssh.line(/^100$/);
      process.kill(ssh.pid, "SIGSTOP");
      await expect.poll(() => memoryOf(server.process.pid).now, { timeout: 2_000 }).toBeGreaterThan(0);
      process.kill(ssh.pid, "SIGCONT");
      const { stdout } = await ssh.exit();
      const whole = Array.from({ length: lines }, (_, i) => `${i + 1}\n`).join("");
      expect(sha256(stdout)).toBe(sha256(whole));
    });

    once("what is typed at a program that does not read waits, and the server goes on", async () => {
      const ssh = start("-tt", "stty raw -echo; echo ready; sleep 1000");
      await expect.poll(() => ssh.stdout).toContain("ready");
      ssh.stdin.write("x".repeat(MIB));
      expect(await run("echo others")).toMatchObject({ code: 0, stdout: "others\n" });
      await ssh.stop();
    });

    test("a shell in a terminal: modes, type, size, changes of the size, job control, its status", async () => {
      await using terminals = await Terminals.start({ columns: 101, rows: 33 });
      const terminal = await terminals.open("me", { env: { HOME: server.folder } });
      await terminal.run("stty erase ^H; stty -ixon");
      const words = server
        .options()
        .map((word) => `'${word}'`)
        .join(" ");
      await terminal.type(`ssh ${words} ${user.name}@builtin`);
      await terminal.type("PS1='far> '; stty -a | tr ';' '\\n'; echo $TERM; tty; echo end-of-it");
      await terminal.shows(/\nend-of-it/);
      const text = await terminal.text();
      expect(text).toMatch(/rows 33/);
      expect(text).toMatch(/columns 101/);
      expect(text).toMatch(/erase = \^H/);
      expect(text).toMatch(/-ixon/);
      expect(text).toMatch(/\niutf8|[ ]iutf8/);
      expect(text).toMatch(/\nscreen\n\/dev\/pts\//);
      await terminal.type("trap 'echo resized to $(stty size)' WINCH; echo trap-is-set");
      await terminal.shows(/\ntrap-is-set/);
      await terminal.resize(77, 22);
      // A shell that reads a line runs its traps after it; stty(1) sets rows and columns one after the other.
      await expect
        .poll(async () => {
          await terminal.press("Enter");
          return await terminal.text();
        })
        .toMatch(/resized to 22 77/);
      await terminal.type("sleep 1000");
      await terminal.press("C-c");
      await terminal.type("echo interrupted: $?; exit 42");
      await terminal.shows(/interrupted: 130/);
      await terminal.prompt();
      expect(await terminal.run("echo status $?")).toContain("status 42");
    });
  },
);

describe("a terminal that script(1) makes, without node-pty", { skip: !CAN_MAKE_USERS }, () => {
  let user: OrdinaryUser;
  let server: Harness;
  beforeAll(async () => {
    user = await ordinaryUser();
    rmSync(join(user.installation, "node_modules/@lydell"), { recursive: true });
    server = await Harness.start({ user });
    await authorize(user, await server.publicKey);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  test("of the usual size where the client has no window, and the status comes back", async () => {
    const ssh = await server.run(["-tt", `${user.name}@builtin`, "stty size; tty; echo $SHELL $TERM; exit 42"]);
    expect(ssh.stdout).toMatch(/24 80\r\n\/dev\/pts\/[0-9]+\r\n\/bin\/sh dumb\r\n/);
    expect(ssh.code).toBe(42);
  });

  test("a signal that ends the program comes back as script tells it", async () => {
    expect((await server.run(["-tt", `${user.name}@builtin`, "kill -KILL $$"])).code).toBe(128 + 9);
  });

  test.each([
    ["the program", ""],
    ["a program whose input is a file", "exec </dev/null; "],
  ])("changes of the window reach %s, the last one last, and C-c ends it", async (_whom, first) => {
    await using terminals = await Terminals.start({ columns: 101, rows: 33 });
    const terminal = await terminals.open("me", { env: { HOME: server.folder } });
    const words = server
      .options()
      .map((word) => `'${word}'`)
      .join(" ");
    const size = "$(stty size </dev/tty)";
    const script = `${first}trap 'echo resized to ${size}' WINCH; echo at ${size}; while :; do sleep 0.1; done`;
    await terminal.type(`ssh -t ${words} ${user.name}@builtin "${script.replaceAll("$", "\\$")}"`);
    await terminal.shows(/^at 33 101$/m);
    for (const columns of [90, 91, 92, 93, 77]) await terminal.resize(columns, 22);
    await terminal.shows(/^resized to 22 77$/m);
    await terminal.press("C-c");
    await terminal.prompt();
  });
});

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
