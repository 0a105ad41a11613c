import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SELF_SIGNED } from "../directory/certificate.ts";
import { clockOffBy, preloading } from "../support/preload.ts";
import { runCommand } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

let tls: TemporaryFolder;
let stack: Stack;
beforeAll(async () => {
  tls = await temporaryFolder();
  const [cert, key] = [join(tls.path, "cert.pem"), join(tls.path, "key.pem")];
  await writeFile(cert, SELF_SIGNED.cert);
  await writeFile(key, SELF_SIGNED.key);
  stack = await Stack.start({ directory: ["--tls-cert", cert, "--tls-key", key] });
}, 60_000);
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await tls.remove();
});

const ALL = [
  "clock",
  "name",
  "proxy",
  "connection",
  "certificate",
  "directory key",
  "key files",
  "own binding",
  "log",
  "rendezvous",
  "device",
  "online",
  "session",
  "host keys",
  "sshd",
];

test("all is well: a line for each look, a certificate that does not verify is told and is no failure, and nothing changes on disk", async () => {
  const before = await contents(stack.client.keys);
  const { code, stdout, stderr } = await doctor("@device", "mygateway");
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout.split("\n").filter((line) => !line.startsWith("  "));
  expect(lines.slice(0, -1).map((line) => [line.slice(0, 4), line.slice(6, 20).trim()])).toEqual(
    ALL.map((name) => ["ok  ", name]),
  );
  expect(stdout).toMatch(
    /certificate +of "np\.example\.org" by "np\.example\.org", until .*; it does not verify \(".*"\)/,
  );
  expect(stdout).toMatch(/proxy +no variable names one/);
  expect(stdout).toMatch(/key files +1 key file of members in .*\n +The owner key of @client lies here too\./);
  expect(stdout).toMatch(
    /log +\d+ entries.*; no witness is demanded\n +Without one a directory can show you a log that stands still\./,
  );
  expect(stdout).toMatch(/rendezvous +rz1: tcp:\/\/127\.0\.0\.1:\d+ answers; ws:\/\/127\.0\.0\.1:\d+ answers/);
  expect(stdout).toMatch(/host keys +none are pinned yet/);
  expect(stdout).toMatch(/sshd +it says "SSH-2\.0-OpenSSH_/);
  expect(await contents(stack.client.keys)).toEqual(before);
  // What is left in the logs of the device is a connection that was closed as connections are.
  await expect
    .poll(() => stack.sshd.process.stderr)
    .toMatch(/Received disconnect from 127\.0\.0\.1 port \d+:11: looked at/);
  await expect.poll(() => stack.daemon.stderr).toMatch(/"msg":"session ended"/);
  expect(stack.sshd.process.stderr).not.toContain("kex_exchange_identification");
  expect(stack.daemon.stderr).not.toMatch(/"(?:code|end)":"failed"/);
  expect(await stack.ssh("true")).toMatchObject({ code: 0 });
  expect((await doctor("@device", "mygateway")).stdout).toMatch(/host keys +the device shows those that are pinned/);
});

test("--json has the same, of version 1; names that are not there and words too many are told by the status", async () => {
  const json = await doctor("--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ v: 1, status: 0 });
  expect((JSON.parse(json.stdout) as Report).checks.map(({ check }) => check)).toEqual(ALL.slice(0, 10));
  const unknown = await doctor("--json", "@device", "mygatway");
  expect([unknown.code, verdicts(unknown.stdout)]).toEqual([
    68,
    [...ALL.slice(0, 10).map((name) => `ok ${name}`), "fail device", ...ALL.slice(11).map((name) => `skip ${name}`)],
  ]);
  expect((JSON.parse(unknown.stdout) as Report).checks.find(({ verdict }) => verdict === "fail")).toMatchObject({
    code: "E_UNKNOWN_NAME",
    next: expect.stringContaining("sshnp ls @client @device") as string,
  });
  expect(await doctor("@device", "mygateway", "uptime")).toMatchObject({ code: 2, stdout: "" });
});

test("a wrong clock fails, with what to do, and hides nothing behind it", async () => {
  const env = { HOME: stack.client.home, ...preloading(clockOffBy(-3_600_000)) };
  const exit = await runCommand("sshnp", ["doctor", "@device", "mygateway"], { env });
  expect(exit.code).toBe(75);
  expect(exit.stdout).toMatch(
    /^fail  clock +This machine's clock is 60 min behind the directory's\.\n +Set it: timedatectl set-ntp true\n +\[E_CLOCK\]\nok /,
  );
  expect(exit.stdout.match(/^fail/gm)).toHaveLength(1);
  expect(exit.stdout).toMatch(/^ok {4}sshd /m);
});

test("proxies are shown without their passwords, and what others put there reaches no terminal", async () => {
  const env = { HOME: stack.client.home, HTTPS_PROXY: "http://me:secret@proxy:3128\u001b[2J", NO_PROXY: "127.0.0.1" };
  const { code, stdout } = await runCommand("sshnp", ["doctor"], { env });
  expect(code).toBe(0);
  expect(stdout).toContain("HTTPS_PROXY=http://...@proxy:3128\\u001b[2J NO_PROXY=127.0.0.1");
  expect(stdout).toMatch(/^[ -~\n]+$/);
});

test("key files that others may read fail, and the rest is looked at", async () => {
  const file = join(stack.client.keys, "@client.owner.npkeys");
  await chmod(file, 0o644);
  const { code, stdout } = await doctor();
  await chmod(file, 0o600);
  expect(code).toBe(77);
  expect(stdout).toMatch(/^fail {2}key files +.*@client\.owner\.npkeys.* may be used by others \(mode 0644\)/m);
  expect(stdout).toMatch(/^ok {4}log /m);
});

test("without keys everything that needs none is looked at, and the rest says what it lacks", async () => {
  const home = join(stack.client.home, "empty");
  await mkdir(home);
  const { code, stdout } = await runCommand("sshnp", ["doctor", "--json", "--directory", stack.address], {
    env: { HOME: home },
  });
  expect([code, verdicts(stdout)]).toEqual([
    78,
    [
      ...["skip clock", "ok name", "ok proxy", "ok connection", "ok certificate", "skip directory key"],
      ...["fail key files", "skip own binding", "skip log", "skip rendezvous"],
    ],
  ]);
});

test("an address with another root key is not believed", async () => {
  const [url] = stack.address.split("#");
  const { code, stdout } = await doctor("--json", "--directory", `${url}#SHA256:${"A".repeat(43)}`);
  expect(code).toBe(76);
  expect(verdicts(stdout)).toContain("fail directory key");
  expect(stdout).toContain("E_DIRECTORY_KEY");
});

test("sshnp status tells who this machine is, how its directory looks and what is here, and changes nothing", async () => {
  const before = await contents(stack.client.keys);
  const { code, stdout, stderr } = await stack.client.run("sshnp", "status");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^client +@client as \S+-client, counts until \d{4}-\d\d-\d\d \d\d:\d\d UTC\n/);
  expect(stdout).toMatch(
    /^directory +https:\/\/127\.0\.0\.1:\d+\ncertificate +of "np\.example\.org" .*does not verify/m,
  );
  expect(stdout).toMatch(
    /^key +SHA256:\S+ signed what it uses until .*\nclock +\d+\.\d s (?:behind|ahead of) the directory's\n/m,
  );
  expect(stdout).toMatch(
    /^log +newest checkpoint of \d+ entries; no witness is demanded, so nobody says how old it is\n/m,
  );
  expect(stdout).toMatch(/^agent +none: SSH_AUTH_SOCK is not set\nssh +OpenSSH_/m);
  expect(stdout).toMatch(/^ssh config +\S.*\nversion +sshnp \d+\.\d+\.\d+, Node v\d/m);
  expect(await contents(stack.client.keys)).toEqual(before);
});

test("sshnp status --json has it for programs, with what is wrong and its status", async () => {
  const env = {
    HOME: stack.client.home,
    ...preloading(clockOffBy(400 * 86_400_000)),
    SSH_AUTH_SOCK: "/nonexistent",
    ALL_PROXY: "p",
  };
  const ahead = await runCommand("sshnp", ["status", "--json"], { env });
  const told = JSON.parse(ahead.stdout) as { readonly directories: readonly { readonly clockOffsetMs: number }[] };
  expect(told).toMatchObject({
    ...{ v: 1, status: 0 },
    clients: [{ name: "@client", directory: stack.address, error: null }],
    directories: [
      {
        address: stack.address,
        error: null,
        certificate: { subject: '"np.example.org"' },
        log: { witnessesNeeded: 0 },
      },
    ],
    proxy: { ALL_PROXY: "p" },
    agent: { keys: null, error: { code: "E_AGENT" } },
    ssh: { version: expect.stringMatching(/^OpenSSH_/) as string },
  });
  expect(Math.round((told.directories[0]?.clockOffsetMs ?? 0) / 86_400_000)).toBe(-400); // and its binding counts by the directory's clock
  const home = join(stack.client.home, "empty");
  expect(await runCommand("sshnp", ["status"], { env: { HOME: home } })).toMatchObject({ code: 78, stdout: "" });
  expect((await stack.client.run("sshnp", "status", "@nobody")).code).toBe(78);
});

test("witnesses that are demanded have seen the log, or it fails and with it no other look at the directory", async () => {
  const place = ["--data", join(stack.server.home, "w1"), "--listen", "127.0.0.1:0"];
  const witness = stack.server.start("sshnp-rendezvous", "witness", ...place, "--directory", stack.address, "-v");
  const [, url = ""] = await witness.line(/^(http:.*)$/m);
  const [, key = ""] = await witness.line(/^(sshnp-witness-.*)$/m);
  await witness.errorLine(/"msg":"follows"/);
  const data = join(stack.server.home, "directory");
  await stack.server.must("sshnp-directory", "witness", "add", "w1", url, key, "--data", data);
  await witness.errorLine(/"msg":"cosigned"/);
  const never = await stack.server.must("sshnp-rendezvous", "witness-key", "--data", join(stack.server.home, "w2"));
  const seen = await doctor("--witness", key);
  expect(seen.code).toBe(0);
  expect(seen.stdout).toMatch(/^ok {4}log +\d+ entries.*; 1 of 1 witnesses have seen it, .* ago\nok /m);
  const status = await stack.client.run("sshnp", "status", "--witness", key);
  expect(status.stdout).toMatch(/^log +newest checkpoint of \d+ entries; 1 of 1 witnesses saw it .* ago\n/m);
  const unseen = await doctor("--json", "--witness", never);
  expect(unseen.code).toBe(76);
  expect(verdicts(unseen.stdout).filter((line) => !line.startsWith("ok "))).toEqual(["fail log"]);
  expect(unseen.stdout).toContain("E_WITNESS");
  await witness.stop();
});

test("a device that is offline, a rendezvous that is down, a directory that is down: each is told, and its status", async () => {
  await stack.daemon.kill("SIGTERM");
  const offline = await doctor("@device", "mygateway");
  expect(offline.code).toBe(69);
  expect(offline.stdout).toMatch(
    /^ok {4}device .*\nfail {2}online +mygateway of @device is offline: last seen just now/m,
  );
  expect(offline.stdout).toMatch(/^skip {2}session /m);
  await stack.rendezvous.kill("SIGKILL");
  const alone = await doctor();
  expect(alone.code).toBe(69);
  expect(alone.stdout).toMatch(
    /^fail {2}rendezvous +rz1: not reached: tcp:\/\/127\.0\.0\.1:\d+ \(.*\); not reached: ws:/m,
  );
  await stack.directory.kill("SIGTERM");
  const down = await doctor("@device", "mygateway");
  expect(down.code).toBe(69);
  expect(down.stdout).toMatch(/^fail {2}connection +127\.0\.0\.1:\d+ cannot be connected to \(ECONNREFUSED\)/m);
  expect(down.stdout).toMatch(/^ok {4}key files /m);
  expect(down.stdout).toMatch(/^skip {2}sshd /m);
  const status = await stack.client.run("sshnp", "status");
  expect(status.code).toBe(69);
  expect(status.stdout).toMatch(
    /^client +@client as .*\ndirectory .*\n.*\n +Cannot reach the directory at .* \[E_DIRECTORY\]\n/,
  );
});

interface Report {
  readonly checks: readonly { readonly check: string; readonly verdict: string }[];
}

function verdicts(stdout: string): string[] {
  return (JSON.parse(stdout) as Report).checks.map(({ check, verdict }) => `${verdict} ${check}`);
}

function doctor(...words: string[]) {
  return stack.client.run("sshnp", "doctor", ...words);
}

/** Every file below a folder, with what is in it and when it was written. */
async function contents(folder: string): Promise<Record<string, readonly [string, number]>> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const entries = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path, [await readFile(path, "utf8"), (await stat(path)).mtimeMs]] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
