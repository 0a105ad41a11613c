/**
 * What people read when something goes wrong: each failure is brought about with the real programs, and all that they print
 * is one file in errors/. Nothing but this goes to stdout or stderr. error-codes.test.ts says which codes have no file here.
 */
import { hostname } from "node:os";
import { chmodSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorCode } from "../../keys/errors.ts";
import { clientMember, parseMember, parseName } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { DirectoryClient } from "../../directory/client.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { WRONG_SECRETS_LOOPBACK_BURST } from "../../protocol/limits.ts";
import { activate, newPerson, random, suite } from "../directory/world.ts";
import { copyFolder } from "../support/copy-folder.ts";
import { freePort } from "../support/free-port.ts";
import { startReverseProxy } from "../support/haproxy.ts";
import { INSPECTION } from "../support/interceptor.ts";
import { clockOffBy, preloading } from "../support/preload.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { type CommandName, commandFile, runProcess, startCommand } from "../support/processes.ts";
import { startSquid } from "../support/squid.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { Machine, Stack } from "../support/stack.ts";
import { expectFailure, expectFinding, expectJsonFailure, type Failure } from "./golden-failure.ts";

const SESSION = ["@client", "@device", "pi@mygateway"];
const OTHER_FINGERPRINT = `SHA256:${"A".repeat(43)}`;

let stack: Stack;
let reimaged: SshServer;
let user: OrdinaryUser | undefined; // whose login shell is nobody's own, and so nobody's configuration delays it
beforeAll(async () => {
  user = CAN_MAKE_USERS ? await ordinaryUser() : undefined;
  stack = await Stack.start({ sshd: user === undefined ? {} : { user } });
  expect(await stack.ssh("true")).toMatchObject({ code: 0 }); // the device and its host keys are pinned from here on
  reimaged = await startSshServer();
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  await reimaged?.stop();
  await user?.remove();
});

describe("on this machine", () => {
  test("E_USAGE: half a command line", () => expectGolden("E_USAGE", "sshnp", ["@client", "@device"]));

  test("E_USAGE: a variable that says nonsense", () =>
    expectGolden("E_USAGE", "sshnp", ["ping", "@client", "@device", "mygateway"], {
      env: { SSHNP_WAIT: "soon" },
      variant: "variable",
    }));

  test("E_NO_KEYS: a machine without keys", async () => {
    await session("E_NO_KEYS", SESSION, { machine: await newMachine("keyless") });
  });

  test("E_NO_KEYS: a device without keys", async () => {
    const machine = await newMachine("keyless-device");
    const words = ["-a", "@device", "-m", "@client", "-d", "mygateway"];
    await expectGolden("E_NO_KEYS", "sshnpd", words, { machine, variant: "device" });
  });

  test("E_NOT_ACTIVATED: nothing to go on with", async () => {
    const machine = await newMachine("not-activated");
    await expectGolden("E_NOT_ACTIVATED", "sshnp-keys", ["activate", "-a", "@client", "-c", ""], { machine });
  });

  test("E_KEY_PERMISSIONS: a key that others can read", async () => {
    const machine = await copyOfClient("open");
    chmodSync(keyFile(machine), 0o644);
    await session("E_KEY_PERMISSIONS", SESSION, { machine });
  });

  test("E_BAD_KEY_FILE: a key that was cut short", async () => {
    const machine = await copyOfClient("damaged");
    writeFileSync(keyFile(machine), readFileSync(keyFile(machine)).subarray(0, 100));
    await session("E_BAD_KEY_FILE", SESSION, { machine });
  });

  test("E_KEY_EXISTS: a name that is activated here, as a device as well", async () => {
    const words = ["activate", "-a", "@client", "-c", "0".repeat(64), "-d", "gateway2", "--directory", stack.address];
    await expectGolden("E_KEY_EXISTS", "sshnp-keys", words);
  });

  test("E_PASSPHRASE: a script is asked for one", () =>
    expectGolden("E_PASSPHRASE", "sshnp-keys", ["backup", "@client", "client.age"]));

  test("E_AGENT: an agent that does not run", async () => {
    const agent = ["--owner-key", `agent:${OTHER_FINGERPRINT}`, "--directory", stack.address];
    const words = ["activate", "-a", "@acme", "-c", "0".repeat(64), ...agent];
    await expectGolden("E_AGENT", "sshnp-keys", words, { machine: await newMachine("agentless") });
  });

  test("E_SSH_CONFIG: ssh does not know of sshnp", () =>
    expectGolden("E_SSH_CONFIG", "sshnp", ["ssh-config", "--check", "--file", join(stack.client.home, "ssh_config")]));

  test("E_NO_SSH: no scp", async () => {
    const words = ["cp", "file", "mygateway.device.np:"];
    const started = ["PATH=/nonexistent", process.execPath, commandFile("sshnp"), ...words];
    const exit = await runProcess("env", started, stack.client.options);
    await expectGolden("E_NO_SSH", "sshnp", words, { exit });
  });

  test("E_LISTEN: a port that is taken", () => {
    const words = ["forward", "@client", "@device", "mygateway", `${stack.sshd.port}:localhost:80`];
    return expectGolden("E_LISTEN", "sshnp", words, { replace: [[`${stack.sshd.port}:`, "8080:"]] });
  });

  test("E_STORAGE: a full disk", async () => {
    const words = ["trust", "ls"];
    const line = `exec "$0" "$@" > /dev/full`;
    const exit = await runProcess("sh", ["-c", line, process.execPath, commandFile("sshnp"), ...words], {
      ...stack.client.options,
    });
    await expectGolden("E_STORAGE", "sshnp", words, { exit });
  });

  test("E_POLICY: a policy that is none", async () => {
    writeFileSync(join(stack.client.home, "policy.yaml"), "version: 1\ngrants: [{from: [client], to: ['*']}]\n");
    await expectGolden("E_POLICY", "sshnp-keys", ["policy", "apply", "@client", "policy.yaml"], { variant: "file" });
  });
});

describe("while everything runs", () => {
  test("E_UNKNOWN_NAME: a typing error", () => session("E_UNKNOWN_NAME", ["@client", "@device", "pi@mygatway"]));

  test("E_UNKNOWN_NAME: a command that is mistyped, where a setting says which device", () =>
    session("E_UNKNOWN_NAME", ["lst"], { variant: "command", env: { SSHNP_DEVICE: "@device" } }));

  test("E_UNKNOWN_NAME: the same for a program", () =>
    expectJsonFailure("E_UNKNOWN_NAME", failing("sshnp", ["ls", "--json", "@client", "@devise"], { variant: "json" })));

  test("E_NEVER_SEEN: a device whose daemon was never started", async () => {
    await machineOf("@second", "-d", "spare");
    await session("E_NEVER_SEEN", ["@client", "@second", "pi@spare"]);
  });

  test("E_DEVICE_REFUSED, E_REVOKED: a client that the device does not list; one that its owner has revoked", async () => {
    const machine = await machineOf("@alice");
    const words = ["@alice", "@device", "pi@mygateway"];
    await session("E_DEVICE_REFUSED", words, { machine });
    await machine.must("sshnp-keys", "revoke", "@alice", memberOf(), "--yes");
    await session("E_REVOKED", words, { machine });
  });

  test("E_OWNER_KEY: another owner than the one whose fingerprint was given", () =>
    session("E_OWNER_KEY", ["@client", `@device=${OTHER_FINGERPRINT}`, "pi@mygateway"]));

  test("E_SSH_AUTH: ssh's own keys are not admitted", () =>
    session("E_SSH_AUTH", [
      ...["@client", "@device", `${stack.login}@mygateway`, "-F", "none"],
      ...["BatchMode=yes", "IdentityFile=none", "IdentityAgent=none"].flatMap((option) => ["-o", option]),
    ]));

  test("E_CRAM_WRONG: a secret that is not the one", async () => {
    await stack.addName("@wrong");
    const words = ["activate", "-a", "@wrong", "-c", "0".repeat(64), "--directory", stack.address];
    await expectGolden("E_CRAM_WRONG", "sshnp-keys", words, { machine: await newMachine("wrong") });
  });

  test("E_CRAM_USED: a secret that was used by somebody else", async () => {
    const secret = await stack.addName("@used");
    const words = ["activate", "-a", "@used", "-c", secret, "--directory", stack.address];
    await (await newMachine("first")).must("sshnp-keys", ...words);
    await expectGolden("E_CRAM_USED", "sshnp-keys", words, { machine: await newMachine("late") });
  });

  test("E_PENDING, E_MEMBER_TAKEN, E_TOKEN: keys that wait for their owner, that are there already, that nobody asked for", async () => {
    const printed = await stack.client.must("sshnp-keys", "otp", "@client");
    const words = (member: string, password: string): string[] => [
      ...["enroll", "@client", member, "--otp", password, "--directory", stack.address],
    ];
    const password = printed.split("\n").at(-1) ?? "";
    await expectGolden("E_PENDING", "sshnp-keys", words("laptop2", password), { machine: await newMachine("laptop2") });
    const taken = words(memberOf(), (await stack.client.must("sshnp-keys", "otp", "@client")).split("\n").at(-1) ?? "");
    await expectGolden("E_MEMBER_TAKEN", "sshnp-keys", taken, { machine: await newMachine("laptop3") });
    const guessed = words("laptop4", "abcd-efgh-jkmn-pqrs");
    await expectGolden("E_TOKEN", "sshnp-keys", guessed, { machine: await newMachine("laptop4") });
  });

  test("E_NAME_TAKEN: a name that is somebody's", () => {
    const words = ["name", "add", "@client", "--data", join(stack.server.home, "directory")];
    return expectGolden("E_NAME_TAKEN", "sshnp-directory", words, { machine: stack.server });
  });

  test("E_DIRECTORY_KEY: a directory with another key than its address says", () => {
    const address = stack.address.replace(/#.*/, `#${OTHER_FINGERPRINT}`);
    return session("E_DIRECTORY_KEY", ["--directory", address, ...SESSION]);
  });

  test("E_WITNESS: a witness that has not cosigned", async () => {
    const place = join(stack.server.home, "witness");
    const key = await stack.server.must("sshnp-rendezvous", "witness-key", "--data", place);
    await session("E_WITNESS", ["--witness", key, ...SESSION], { replace: [[key, "NAME+hash+base64"]] });
  });

  test("E_CLOCK: a clock that is off, which doctor finds and a session bears", async () => {
    const env = preloading(clockOffBy(-432_000));
    await expectFinding("E_CLOCK", 75, /clock/, failing("sshnp", ["doctor", "@client"], { env }));
  });

  test("a company's TLS inspection keeps nobody from anything, and doctor says so", async () => {
    const port = Number(new URL(stack.address).port);
    await using inspection = await startReverseProxy({ directory: port, rendezvous: port, tls: INSPECTION });
    const address = `https://127.0.0.1:${inspection.port}${new URL(stack.address).hash}`;
    const words = ["doctor", "--directory", address, "@client"];
    await expectFinding("E_DIRECTORY", 0, /certificate/, failing("sshnp", words, { variant: "tls-inspection" }));
  });

  test("E_PROXY_AUTH: a proxy that asks for a password", async () => {
    await using squid = await startSquid({ names: ["np.example.org"], asksPassword: true });
    const address = stack.address.replace("127.0.0.1", "np.example.org");
    const env = { HTTP_PROXY: `http://127.0.0.1:${squid.port}` };
    const port = new URL(address).port;
    await session("E_PROXY_AUTH", ["--directory", address, ...SESSION], { env, replace: [[`:${port}`, ":PORT"]] });
  });

  test("E_RUNNING: a second daemon with the same keys", () => {
    const words = ["-a", "@device", "-m", "@client", "-d", "mygateway"];
    const replace = [[`process ${stack.daemon.pid}`, "process 1234"]] as const;
    return expectGolden("E_RUNNING", "sshnpd", words, { machine: stack.device, replace });
  });

  test("E_POLICY, E_NOT_AUTHORIZED: a login that is not granted, and a grant that is taken away", async () => {
    await apply(`[{from: ["@client"], to: ["*"], services: [ssh], logins: [${stack.login}]}]`);
    await session("E_POLICY", ["@client", "@device", "admin@mygateway"]);
    try {
      await liveSession("E_NOT_AUTHORIZED", () => apply("[]"));
    } finally {
      await apply(`[{from: ["@client"], to: ["*"], services: [ssh]}]`);
    }
  });
});

describe("when a part is away", () => {
  test("E_NO_SSHD: nothing on the device speaks SSH", async () => {
    await restartDaemon("--ssh-mode", "tcp", "--ssh-port", String(await freePort()));
    await session("E_NO_SSHD", SESSION);
  });

  test("E_HOST_KEY: the device was set up anew", async () => {
    await restartDaemon("--ssh-mode", "tcp", "--ssh-port", String(reimaged.port));
    await session("E_HOST_KEY", SESSION);
  });

  test("E_TRUNCATED: the device dies in the middle of a session", async () => {
    await restartDaemon();
    await liveSession("E_TRUNCATED", () => stack.daemon.kill("SIGKILL"));
  });

  test("E_OFFLINE: a device that was there a moment ago", async () => {
    await restartDaemon();
    await stack.daemon.stop();
    await session("E_OFFLINE", SESSION);
    const ping = ["ping", "--json", "@client", "@device", "mygateway"];
    await expectJsonFailure("E_OFFLINE", failing("sshnp", ping, { variant: "json" }));
    await expectFailure("E_OFFLINE", failing("sshnp", ["proxy", "pi@mygateway.device.np"], { variant: "proxy" }));
  });

  test("E_WAIT_EXPIRED: a device that does not come back", () => session("E_WAIT_EXPIRED", ["--wait=1s", ...SESSION]));

  test("E_RENDEZVOUS: a rendezvous that was there a moment ago", async () => {
    await restartDaemon();
    await stack.rendezvous.kill("SIGKILL");
    await stack.tap[Symbol.asyncDispose]();
    await session("E_RENDEZVOUS", SESSION);
  });

  test("E_DIRECTORY: no directory", async () => {
    await stack.directory.kill("SIGKILL");
    await session("E_DIRECTORY", SESSION);
  });

  test("E_DIRECTORY: something else where the directory should be", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {}).end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }).listen(Number(new URL(stack.address).port), "127.0.0.1");
    try {
      await session("E_DIRECTORY", SESSION, { variant: "other-server" });
    } finally {
      server.close();
    }
  });

  test("E_VERSION: a directory of the next version", async () => {
    const installation = join(stack.server.home, "next");
    await mkdir(installation);
    copyFolder(join(ROOT, "dist"), join(installation, "dist"));
    cpSync(join(ROOT, "package.json"), join(installation, "package.json"));
    symlinkSync(join(ROOT, "node_modules"), join(installation, "node_modules"));
    const directory = join(installation, "dist/directory");
    const changes = [
      ['LABEL = "sshnp/1"', 'LABEL = "sshnp/2"'],
      [
        '!== 1) throw new PeerError("E_VERSION", "a sealed message',
        '!== 2) throw new PeerError("E_VERSION", "a sealed message',
      ],
    ] as const;
    const made: string[] = [];
    for (const name of readdirSync(directory).filter((file) => file.endsWith(".js"))) {
      let text = readFileSync(join(directory, name), "utf8");
      for (const [now, next] of changes) {
        if (!text.includes(now)) continue;
        text = text.replace(now, next);
        made.push(now);
      }
      writeFileSync(join(directory, name), text);
    }
    expect(made.toSorted()).toEqual(changes.map(([now]) => now).toSorted());
    await using next = startCommand(
      "sshnp-directory",
      ["run", "--data", data(), "--listen", new URL(stack.address).host],
      { ...stack.server.options, user: { installation, setprivArguments: [] } },
    );
    await next.line(/#SHA256:/);
    await session("E_VERSION", SESSION);
  });

  test("E_OWNER_KEY, E_NO_RENDEZVOUS, E_LOG: a directory gives the name to somebody else, and then goes back to what it was", async () => {
    const aside = join(stack.server.home, "aside");
    copyFolder(data(), aside);
    const level = new Level(join(data(), "store"));
    for await (const key of level.keys()) if (key.includes(":@device")) await level.del(key);
    await level.close();
    await stack.startDirectory();
    await machineOf("@device", "-d", "mygateway");
    const machine = await copyOfClient("victim");
    await session("E_OWNER_KEY", SESSION, { machine, variant: "pinned" });

    await stack.directory.kill("SIGTERM");
    rmSync(data(), { recursive: true });
    renameSync(aside, data());
    // A minute from now it has heard nothing of its rendezvous for long.
    const ahead = { env: { ...stack.server.options.env, ...preloading(clockOffBy(60_000)) } };
    const words = ["run", "--data", data(), "--listen", new URL(stack.address).host];
    await using later = startCommand("sshnp-directory", words, ahead);
    await later.line(/#SHA256:/);
    await restartDaemon();
    await session("E_NO_RENDEZVOUS", SESSION);
    await stack.startRendezvous();
    await session("E_LOG", SESSION, { machine });
    await later.stop();
    await stack.startDirectory(); // for what comes next
  });

  test("E_RATE: wrong secrets from everywhere", async () => {
    const wrong = Secret.fromBytes(random(32));
    const person = newPerson(parseName("@target"), parseMember("laptop"), "client");
    const client = new DirectoryClient({ address: parseDirectoryAddress(stack.address), suite, random });
    const guess = (): Promise<unknown> => activate(client, person, wrong).catch(() => {});
    await Promise.all(Array.from({ length: WRONG_SECRETS_LOOPBACK_BURST }, guess));
    const over = new AbortController();
    const guessing = (async () => {
      while (!over.signal.aborted) await guess(); // whatever is given back meanwhile
    })();
    const words = ["activate", "-a", "@target", "-c", "0".repeat(64), "--directory", stack.address];
    await expectGolden("E_RATE", "sshnp-keys", words, { machine: await newMachine("target") });
    over.abort();
    await guessing;
  });
});

const ROOT = join(import.meta.dirname, "../..");

function data(): string {
  return join(stack.server.home, "directory");
}

type More = Partial<Omit<Failure, "command" | "words">>;

function failing(command: CommandName, words: readonly string[], more: More = {}): Failure {
  const replace = [
    [`${stack.login}@`, "pi@"],
    [`user ${stack.login}`, "user pi"],
    [stack.sshd.identityFile, "IDENTITY"],
    [memberOf(), "HOST-client"],
    ...(more.replace ?? []),
  ] as const;
  return { command, words, machine: stack.client, ...more, replace };
}

/** A session that does not come about: all statuses are ssh's. */
async function session(code: ErrorCode, words: readonly string[], more?: More): Promise<void> {
  await expectFailure(code, failing("sshnp", [...words, "true"], more));
}

async function expectGolden(code: ErrorCode, command: CommandName, words: string[], more?: More): Promise<void> {
  await expectFailure(code, failing(command, words, more));
}

/** A session that is up when `action` puts an end to it. */
async function liveSession(code: ErrorCode, action: () => Promise<unknown>): Promise<void> {
  const words = ["echo up; exec sleep 600"];
  const live = stack.startSsh(...words);
  await live.line(/^up$/);
  await action();
  const { stdout, stderr, ...exit } = await live.exit();
  expect(stdout).toBe("up\n");
  // What ssh itself says of it depends on which of its two pipes it finds closed first.
  const ours = stderr.replace(/^(?:Connection to|client_loop:).*\r?\n/gm, "");
  await expectGolden(code, "sshnp", stack.words(...words), { exit: { ...exit, stdout: "", stderr: ours } });
}

async function restartDaemon(...words: string[]): Promise<void> {
  await stack.daemon.stop();
  await stack.startDaemon(...words);
}

async function newMachine(folder: string): Promise<Machine> {
  const home = join(stack.client.home, "..", folder);
  await mkdir(home, { mode: 0o700 });
  return new Machine(home);
}

async function machineOf(name: string, ...words: string[]): Promise<Machine> {
  const machine = await newMachine(`of-${name.slice(1)}`);
  const secret = await stack.addName(name);
  await machine.must("sshnp-keys", "activate", "-a", name, "-c", secret, "--directory", stack.address, ...words);
  return machine;
}

async function copyOfClient(folder: string): Promise<Machine> {
  const copy = await newMachine(folder);
  copyFolder(join(stack.client.home, ".local"), join(copy.home, ".local"));
  return copy;
}

/** What a client member is called on this machine. */
function memberOf(): string {
  return clientMember(hostname());
}

function keyFile(machine: Machine): string {
  return join(machine.keys, `@client.${memberOf()}.npkeys`);
}

let policies = 0;
async function apply(grants: string): Promise<void> {
  const path = join(stack.device.home, `policy${(policies += 1)}.yaml`);
  writeFileSync(path, `version: 1\ngrants: ${grants}\n`);
  await stack.device.must("sshnp-keys", "policy", "apply", "@device", path, "--yes");
}
