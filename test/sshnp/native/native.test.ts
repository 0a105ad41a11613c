import { createHash, randomBytes } from "node:crypto";
import { chmod, copyFile, readFile, symlink } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MemberName, Name } from "../../../keys/names.ts";
import { Escape } from "../../../sshnp/native/escape.ts";
import { logIn } from "../../../sshnp/native/log-in.ts";
import { commandFile, type Exit, type RunningProcess, runProcess, startProcess } from "../../support/processes.ts";
import { RealAgent } from "../../support/ssh-agent.ts";
import { Stack } from "../../support/stack.ts";
import { Terminals } from "../../support/terminals.ts";

const MIB = 1024 * 1024;

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack[Symbol.asyncDispose]());

/** A folder for PATH with no ssh in it. */
async function withoutSsh(): Promise<string> {
  const folder = join(stack.client.home, "bin");
  await runProcess("mkdir", ["-p", folder], { env: { HOME: "/" } });
  await symlink("/usr/bin/setpriv", join(folder, "setpriv")).catch(() => {}); // which starts it
  return folder;
}

const words = (...more: string[]): string[] => ["--native", ...target(), ...identity(), ...more];
const target = (): string[] => ["@device", "mygateway"];
const identity = (): string[] => ["-i", stack.sshd.identityFile];

function start(all: readonly string[], env: Record<string, string> = {}): RunningProcess {
  const { options } = stack.client;
  return startProcess(process.execPath, [commandFile("sshnp"), ...all], {
    ...options,
    env: { ...options.env, ...env },
  });
}

async function run(all: readonly string[], env: Record<string, string> = {}): Promise<Exit> {
  const sshnp = start(all, env);
  sshnp.stdin.end();
  return await sshnp.exit();
}

describe("sshnp --native", () => {
  test.each([0, 1, 42, 255])("status %i, output and errors are the remote command's", async (status) => {
    const { code, stdout, stderr } = await run(words(`echo out; echo err >&2; exit ${status}`));
    expect({ code, stdout }).toEqual({ code: status, stdout: "out\n" });
    expect(stderr.replace(/^sshnp: .*\n/gm, "")).toBe("err\n");
  });

  test("every byte arrives, both ways, and the end of the input", async () => {
    const bytes = randomBytes(12 * MIB);
    const sshnp = start(words("tee /dev/stderr | sha256sum"));
    sshnp.stdin.end(bytes);
    const { code, stdout } = await sshnp.exit();
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${createHash("sha256").update(bytes).digest("hex")}  -\n` });
  });

  test("a machine without ssh is served without being asked to, and told what takes ssh", async () => {
    const env = { PATH: await withoutSsh() };
    const [, ...plain] = words("echo in");
    expect(await run(plain, env)).toMatchObject({ code: 0, stdout: "in\n" });
    const refused = await run([...target(), "-L", "8080:localhost:80", "true"], env);
    expect(refused).toMatchObject({ code: 255, stderr: expect.stringMatching(/knows no "-L".*\[E_NO_SSH\]/s) });
  });

  test("no key that is admitted: the reason, and status 255", async () => {
    const other = join(stack.client.home, "other_key");
    await runProcess("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other], { env: { HOME: "/" } });
    const { code, stderr } = await run(["--native", ...target(), "-i", other, "true"]);
    expect(code).toBe(255);
    expect(stderr).toMatch(/mygateway\.device\.np does not admit you as \w+: none of your keys.*\[E_SSH_AUTH\]/s);
  });

  test("keys come from the agent", async () => {
    await using agent = await RealAgent.start(stack.client.home);
    await agent.add("-q", stack.sshd.identityFile);
    const env = { SSH_AUTH_SOCK: agent.socket };
    expect(await run(["--native", ...target(), "echo by the agent"], env)).toMatchObject({
      code: 0,
      stdout: "by the agent\n",
    });
  });

  test("a key that a passphrase guards is asked for, and a shell has a terminal that follows the window", async () => {
    const guarded = join(stack.client.home, "guarded_key");
    await copyFile(stack.sshd.identityFile, guarded);
    await chmod(guarded, 0o600);
    await runProcess("ssh-keygen", ["-q", "-p", "-P", "", "-N", "tulip bulbs", "-f", guarded], { env: { HOME: "/" } });
    await using terminals = await Terminals.start({ columns: 101, rows: 33 });
    const me = await terminals.open("me", stack.client.options);
    await me.type(`${process.execPath} ${commandFile("sshnp")} --native @device mygateway -i ${guarded}`);
    await me.shows(/Passphrase of .*guarded_key: /);
    await me.type("wrong");
    await me.shows(/(Passphrase of [^]*){2}/);
    await me.type("tulip bulbs");
    await me.shows(/[#$>] $/m);
    await me.type("PS1='far> '; stty size; tty; trap 'echo now $(stty size)' WINCH; echo set-now");
    await me.shows(/\n33 101\n\/dev\/pts\/[0-9]+\n[^]*set-now/);
    await me.resize(77, 22);
    await me.press("Enter");
    await me.shows(/now 22 77/);
    await me.type("echo begun; sleep 1000");
    await me.shows(/^begun$/m);
    await me.press("C-c");
    await me.type("echo interrupted: $?");
    await me.shows(/^interrupted: 130$/m);
    await me.type("exit 42");
    await me.prompt();
    expect(await me.run("echo status $?; stty -a | grep -o -- '-\\?icanon'")).toMatch(/status 42\nicanon/);
    await me.type(
      `${process.execPath} ${commandFile("sshnp")} --native @device mygateway -i ${stack.sshd.identityFile} -t 'echo up; sleep 1000'`,
    );
    await me.shows(/^up$/m);
    await me.press("Enter");
    await me.type("~.");
    await me.prompt();
    expect(await me.run("echo status $?")).toContain("status 255");
  });
});

test("Ctrl-C while it connects ends it, and whatever ends it gives the terminal back", async () => {
  await using terminals = await Terminals.start();
  const me = await terminals.open("me", stack.client.options);
  const line = `${process.execPath} ${commandFile("sshnp")} --native @device mygateway -i ${stack.sshd.identityFile}`;
  const modes = "echo status $?; stty -a | grep -o -w -e '-\\?icanon' -e '-\\?echo' -e '-\\?isig'";
  process.kill(stack.daemon.pid, "SIGSTOP"); // so that nothing answers
  await me.type(line.replace("--native", "--native -v"));
  await me.shows(/asking http/);
  await me.press("C-c");
  await me.prompt();
  expect(await me.run(modes)).toMatch(/^status 130\nisig\nicanon\necho$/);
  process.kill(stack.daemon.pid, "SIGCONT");
  await me.type(line);
  await me.shows(/[#$>] $/m);
  await me.type("echo my parent is $(ps -o comm= -p $PPID)");
  await me.shows(/my parent is sshd/);
  const { stdout } = await runProcess("pgrep", ["-f", "--", `^${line}$`], { env: { HOME: "/" } });
  process.kill(Number(stdout.trim()), "SIGTERM");
  await me.shows(/[#$>] me\$ $/m); // behind the prompt over there
  await me.press("Enter");
  await me.prompt();
  expect(await me.run(modes)).toMatch(/^status 143\nisig\nicanon\necho$/);
});

describe("the built-in client", () => {
  const attempt = {
    client: "@client" as Name,
    device: { name: "@device" as Name, member: "mygateway" as MemberName },
    login: "",
    directory: "",
  };
  const logInWith = async (pinned: readonly string[]): Promise<void> => {
    const options = {
      login: stack.login,
      identityFiles: [stack.sshd.identityFile],
      terminal: "no",
      noInput: true,
    } as const;
    const socket = connect({ port: stack.sshd.port, host: "127.0.0.1" });
    const more = { ...options, batch: true, command: "true" };
    const client = await logIn(socket, attempt, pinned, more, new AbortController().signal);
    client.end();
  };

  test.each([0, 1])("believes the host keys that the device told and no other (%i)", async (which) => {
    const key = stack.sshd.hostKeys[which] ?? "";
    await logInWith([key]);
    const type = key.split(" ")[0] ?? "";
    const path = join(stack.client.home, `another_${which}`);
    await runProcess(
      "ssh-keygen",
      ["-q", "-t", type.startsWith("ecdsa") ? "ecdsa" : "ed25519", "-N", "", "-C", "", "-f", path],
      {
        env: { HOME: "/" },
      },
    );
    const another = (await readFile(`${path}.pub`, "utf8")).trim();
    await expect(logInWith([another])).rejects.toMatchObject({ code: "E_HOST_KEY" });
    await expect(logInWith([])).rejects.toMatchObject({ code: "E_HOST_KEY" });
  });

  test("~. leaves at the beginning of a line, ~~ is one, and a ~ elsewhere is one", () => {
    const typed = (...pieces: string[]) => {
      const escape = new Escape();
      const pushed = pieces.map((piece) => escape.push(Buffer.from(piece)));
      return [
        pushed.map(({ bytes }) => Buffer.from(bytes).toString()).join("|"),
        pushed.some(({ isLeaving }) => isLeaving),
      ];
    };
    expect(typed("~.")).toEqual(["", true]);
    expect(typed("ls\r", "~", ".")).toEqual(["ls\r||", true]);
    expect(typed("~~.")).toEqual(["~.", false]);
    expect(typed("a~.")).toEqual(["a~.", false]);
    expect(typed("~x", "\n~\n~.")).toEqual(["~x|\n~\n", true]);
  });
});
