import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sealWithPassphrase } from "../../keys/age-file.ts";
import { Secret } from "../../keys/secret.ts";
import { type Exit, runCommand, runProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

const MAIN = join(import.meta.dirname, "../../dist/sshnp/main.js");
const MEGABYTES = 24;

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack[Symbol.asyncDispose]());

describe("sshnp runs ssh, and", () => {
  test("exit status, standard output and standard error are the remote command's", async () => {
    expect(await stack.ssh("echo out; echo err >&2; exit 7")).toMatchObject({
      code: 7,
      stdout: "out\n",
      stderr: expect.stringMatching(
        /^(sshnp: @device is new here: owner SHA256:\S+ \(not compared .*\)\nsshnp: In words, .*\n)?err\n$/,
      ),
    });
    expect(await stack.ssh("true")).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  test("where nobody types, the user's configuration decides about a terminal; ssh speaks of none that nobody has asked for", async () => {
    const shell = async (configuration: string, ...words: string[]): Promise<Exit> => {
      const file = join(stack.client.home, "ssh_config");
      await writeFile(file, configuration);
      const session = stack.startSsh("-F", file, ...words);
      session.stdin.end("tty; exit 3\n");
      return await session.exit();
    };
    const silent = { code: 3, stdout: "not a tty\n", stderr: expect.not.stringContaining("terminal") };
    expect(await shell("")).toMatchObject(silent);
    expect(await shell("RequestTTY auto\n")).toMatchObject(silent);
    expect((await shell("Host mygateway.device.np\n  RequestTTY force\n")).stdout).toMatch(/^\/dev\/pts\/\d+\r?$/m);
    expect((await shell("RequestTTY force\n", "tty")).stdout).toMatch(/^\/dev\/pts\/\d+\r?$/m);
    const wished = await shell("RequestTTY yes\n");
    expect(wished).toMatchObject({ code: 3, stderr: expect.stringContaining("Pseudo-terminal will not be allocated") });
  });

  test("client, device, rendezvous and the directory's audit call the session by one id", async () => {
    const { stderr } = await stack.client.run("sshnp", "-v", ...stack.words("true"));
    const [, sid = ""] = /session ([0-9a-f]{32})\b/.exec(stderr) ?? [];
    expect(sid).not.toBe("");
    await stack.daemon.errorLine(new RegExp(`"sid":"${sid}"`));
    await stack.rendezvous.errorLine(new RegExp(`"sid":"${sid}"`));
    const data = join(stack.server.home, "directory");
    const audit = await stack.server.run("sshnp-directory", "audit", "export", "--data", data, "--event", "session");
    const of = audit.stdout.split("\n").filter((line) => line.includes(`"sid":"${sid}"`));
    expect(of.map((line) => (JSON.parse(line) as { verdict: string }).verdict)).toEqual(["asked", "answered"]);
  });

  test("every byte arrives, both ways at once, whoever ends first", async () => {
    const sent = randomBytes(MEGABYTES * 1024 * 1024);
    const session = stack.startSsh("tee /dev/stderr | sha256sum");
    session.stdin.end(sent);
    const { code, stdout } = await session.exit();
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${sha256(sent)}  -\n` });

    const early = stack.startSsh("head -c 10; exec cat >/dev/null");
    early.stdin.end(Buffer.alloc(5_000_000, "x"));
    expect(await early.exit()).toMatchObject({ code: 0, stdout: "xxxxxxxxxx" });
  });

  test("options and command are ssh's, as they stand", async () => {
    const words = ["-o", "SendEnv=NP_*", "-p", "22", "-T", "--", "printf", "'%s|'", "'a b'", "-v", "--wait", "$HOME"];
    const { code, stdout } = await stack.ssh(...words);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `a b|-v|--wait|${await remoteHome()}|` });
  });

  test("ssh's own trouble with its options is told by ssh, with its status", async () => {
    const exit = await stack.ssh("-o", "Frobnicate=yes", "true");
    expect(exit).toMatchObject({ code: 255, stderr: expect.stringContaining("Bad configuration option: frobnicate") });
    expect(exit.stderr).not.toContain("[E_");
    expect(await stack.ssh("-G")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("host mygateway.device.np\n"),
    });
  });

  test("a terminal is ssh's, when there is one", async () => {
    const line = ["node", MAIN, ...stack.words("-tt", "tty && stty size")].map((word) => `'${word}'`).join(" ");
    const exit = await runProcess(
      "script",
      ["-qec", `stty cols 77 rows 33; ${line}`, "/dev/null"],
      stack.client.options,
    );
    expect(exit).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\/dev\/pts\/\d+\r\n33 77\r\n/) });
  });

  test("a port of the device is forwarded", async () => {
    const echo = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(echo, "listening");
    const target = echo.address();
    if (target === null || typeof target === "string") throw new Error("no port");
    const path = join(stack.client.home, "forward");
    await using session = stack.startSsh("-v", "-N", "-L", `${path}:127.0.0.1:${target.port}`);
    await session.errorLine(/Entering interactive session/);
    const socket = connect(path);
    socket.end("through");
    expect(await text(socket)).toBe("through");
    echo.close();
  });

  test("with -f it goes on in the background", async () => {
    const { code, stdout } = await stack.ssh("-f", "echo later");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "later\n" });
  });

  test("nothing is left in the runtime folder", async () => {
    const runtime = join(stack.client.home, "run");
    await mkdir(runtime, { mode: 0o700 });
    const env = { HOME: stack.client.home, XDG_RUNTIME_DIR: runtime };
    const exit = await runProcess("node", [MAIN, ...stack.words("true")], { env });
    expect(exit.code).toBe(0);
    expect(readdirSync(runtime)).toEqual([]);
  });

  test("-v tells the steps with their times, and ssh nothing", async () => {
    const { code, stderr } = await stack.client.run("sshnp", "-v", ...stack.words("true"));
    expect(code).toBe(0);
    const steps = stderr.trimEnd().split("\n");
    for (const step of steps) expect(step).toMatch(/^sshnp: +\d+ ms {2}[ -~]+$/);
    expect(stderr).toMatch(/asking .*ticket.*answered.*confirmed.*SSH port/s);
  });
});

describe("ssh, scp and sftp with sshnp as their ProxyCommand", () => {
  test("copy files both ways", async () => {
    const folder = join(stack.client.home, "copies");
    await mkdir(folder);
    const content = randomBytes(3_000_000);
    await writeFile(join(folder, "up"), content);
    const options = proxyOptions();
    const remote = `${stack.login}@mygateway.device.np:${folder}`;
    expect(await run("scp", ...options, join(folder, "up"), `${remote}/there`)).toMatchObject({ code: 0, stderr: "" });
    expect(await run("scp", ...options, `${remote}/there`, join(folder, "down"))).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(sha256(await readFile(join(folder, "down")))).toBe(sha256(content));

    const batch = join(folder, "batch");
    await writeFile(batch, `put ${folder}/up ${folder}/sftp-there\nget ${folder}/sftp-there ${folder}/sftp-down\n`);
    expect(await run("sftp", ...options, "-b", batch, `${stack.login}@mygateway.device.np`)).toMatchObject({ code: 0 });
    expect(sha256(await readFile(join(folder, "sftp-down")))).toBe(sha256(content));
  });

  test("run several sessions at once", async () => {
    const words = ["ssh", ...proxyOptions(), `${stack.login}@mygateway.device.np`];
    const exits = await Promise.all(Array.from({ length: 4 }, (_, i) => run(...(words as [string]), `echo ${i}`)));
    expect(exits.map(({ code, stdout }) => [code, stdout])).toEqual([0, 1, 2, 3].map((i) => [0, `${i}\n`]));
  });

  test("are told by the proxy why there is no session", async () => {
    const exit = await run("ssh", ...proxyOptions(), "nothere.device.np", "true");
    expect(exit).toMatchObject({ code: 255, stdout: "" });
    expect(exit.stderr).toMatch(/^sshnp: There is no device nothere of @device .*\n.*\n {7}\[E_UNKNOWN_NAME\]\n/);
  });

  test("the line that -x prints does the same in a shell, without us", async () => {
    const { code, stdout } = await stack.client.run("sshnp", "-x", ...stack.words("echo 'it is'", "$((6*7))"));
    expect(code).toBe(0);
    expect(await run("sh", "-c", stdout)).toMatchObject({ code: 0, stdout: "it is 42\n" });
  });
});

describe("when it goes wrong", () => {
  test("the last words are ours alone, and ssh adds none", async () => {
    const exit = await stack.client.run("sshnp", "@client", "@device", "nothere", ...stack.sshOptions, "true");
    expect(exit).toMatchObject({ code: 255, stdout: "" });
    expect(exit.stderr.split("\n")).toEqual([
      "sshnp: There is no device nothere of @device that @client may see.",
      expect.stringMatching(/^ {7}Check the spelling/),
      "       [E_UNKNOWN_NAME]",
      "",
    ]);
  });

  test("a key that sshd does not know is told apart from a tunnel that fails", async () => {
    const key = join(stack.client.home, "unknown");
    await runProcess("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key], stack.client.options);
    const exit = await stack.client.run(
      "sshnp",
      "@device",
      `${stack.login}@mygateway`,
      "-i",
      key,
      ...stack.sshOptions.slice(0, 4),
      "-o",
      "IdentitiesOnly=yes",
      "true",
    );
    expect(exit.code).toBe(255);
    expect(exit.stderr).toMatch(
      /Permission denied \(publickey\)\.\r?\n(?:.*\n)*sshnp: The tunnel .* was up; .*\n.*sshnp -s .*\n {7}\[E_SSH_AUTH\]\n$/,
    );
  });

  test("a pushed key that the daemon does not take is told", async () => {
    const exit = await stack.client.run("sshnp", "-s", ...stack.words("true"));
    expect(exit).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/did not take your key: its daemon runs without -s, or does not take /),
    });
  });

  test("-s without any key says how to make one", async () => {
    const exit = await stack.client.run("sshnp", "-s", "@device", `${stack.login}@mygateway`, "-i", "/nonexistent/key");
    expect(exit).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\/nonexistent\/key\.pub holds no public key\.(?:.*\n)*.*\[E_USAGE\]/),
    });
  });

  test("a path that breaks is told as that, and not as an end", async () => {
    const session = stack.startSsh("echo up; exec cat");
    await session.line(/^up$/);
    stack.tap.cut();
    const exit = await session.exit();
    expect(exit.code).toBe(255);
    expect(exit.stderr).toMatch(/sshnp: The session with mygateway of @device broke off.*\n.*\n {7}\[E_TRUNCATED\]\n$/);
  });

  test("a command that itself ends with 255 is not taken for a refused key", async () => {
    expect(await stack.ssh("exit 255")).toMatchObject({ code: 255, stdout: "", stderr: "" });
  });

  test("Ctrl-C after the login is no refused key, however little the server has said", async () => {
    const loggedIn = join(stack.client.home, "logged-in");
    const told = ["-N", "-o", "PermitLocalCommand=yes", "-o", `LocalCommand=touch ${loggedIn}`];
    const running = stack.client.start("sshnp", ...stack.words(), ...told);
    await expect.poll(() => existsSync(loggedIn), { timeout: 20_000 }).toBe(true);
    expect(await running.kill("SIGINT")).toMatchObject({ code: 255, stderr: expect.not.stringContaining("[E_") });
  });

  test("Ctrl-C while a device is waited for withdraws the request, and leaves nothing to come", async () => {
    const { daemon } = stack;
    await daemon.kill("SIGTERM");
    const waiting = stack.client.start("sshnp", "--wait=1h", ...stack.words("echo never"));
    await waiting.errorLine(/^sshnp: waiting for mygateway of @device: last seen .* Ctrl-C withdraws the request\.$/);
    const exit = await waiting.kill("SIGINT");
    expect(exit).toMatchObject({ code: 130, stdout: "" });
    const again = await stack.startDaemon();
    expect(await stack.ssh("echo after")).toMatchObject({ code: 0, stdout: "after\n" });
    expect(again.stderr.match(/"msg":"request granted"/g)).toHaveLength(1);
  });

  test("client keys that a passphrase guards are opened with it", async () => {
    const { keys } = stack.client;
    const [file = ""] = readdirSync(keys).filter((name) => /^@client\..*-client\.npkeys$/.test(name));
    const plain = await readFile(join(keys, file));
    const passphrase = join(stack.client.home, "passphrase");
    await writeFile(passphrase, "correct horse\n", { mode: 0o600 });
    await writeFile(join(keys, file), await sealWithPassphrase(plain, Secret.fromText("correct horse"), 10));
    try {
      const env = { ...stack.client.options.env, SSHNP_PASSPHRASE_FILE: passphrase };
      const open = () => runCommand("sshnp", stack.words("echo in"), { ...stack.client.options, env });
      expect(await open()).toMatchObject({ code: 0, stdout: "in\n" });
      await writeFile(passphrase, "another horse\n");
      expect(await open()).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_PASSPHRASE]") });
    } finally {
      await writeFile(join(keys, file), plain);
    }
  });

  test("a proxy between files ends when both sides have ended", async () => {
    const { keys } = stack.client;
    const line = `"$0" "$1" proxy --keys "$2" mygateway.device.np </dev/null >"$3"; echo $?`;
    const output = join(stack.client.home, "proxy-output");
    const exit = await run("sh", "-c", line, process.execPath, MAIN, keys, output);
    expect(exit.stdout.trim()).toBe("0");
    expect(await readFile(output, "utf8")).toMatch(/^SSH-2\.0-/);
  });

  test("a proxy whose ssh has gone does not wait on", async () => {
    const proxy = stack.client.start("sshnp", "proxy", "--wait", "never.device.np:22");
    proxy.stdin.write("SSH-2.0-x\r\n");
    expect(await proxy.exit()).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_UNKNOWN_NAME]") });

    await stack.daemon.kill("SIGTERM");
    const waiting = stack.client.start("sshnp", "proxy", "--wait", "mygateway.device.np:22");
    await waiting.errorLine(/^sshnp: waiting for mygateway of @device/);
    waiting.stdin.end();
    expect(await waiting.exit()).toMatchObject({ code: 129, stdout: "" });
    await stack.startDaemon();
  });

  test("a signal in the middle of a session ends it with its number", async () => {
    const session = stack.startSsh("echo up; exec cat");
    await session.line(/^up$/);
    expect((await session.kill("SIGTERM")).code).toBe(255);
  });

  test("a machine without ssh is told what to install", async () => {
    const exit = await run("env", "PATH=/nonexistent", process.execPath, MAIN, ...stack.words("true"));
    expect(exit).toMatchObject({
      code: 255,
      stderr: expect.stringMatching(/apt-get install openssh-client\).*\n +\[E_NO_SSH\]\n$/),
    });
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function remoteHome(): Promise<string> {
  return (await stack.ssh('printf %s "$HOME"')).stdout;
}

/** What a person would put into ssh_config for `Host *.np`. */
function proxyOptions(): string[] {
  const { keys } = stack.client;
  const options = [
    `ProxyCommand=${process.execPath} ${MAIN} proxy --keys ${keys} %r@%h:%p`,
    `UserKnownHostsFile=${keys}/state/known_hosts.%h`,
    "GlobalKnownHostsFile=/dev/null",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
  ];
  return [...stack.sshOptions, ...options.flatMap((option) => ["-o", option])];
}

function run(file: string, ...words: string[]): Promise<Exit> {
  return runProcess(file, words, stack.client.options);
}
