import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rename, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { DirectoryClient } from "../../directory/client.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { freePort } from "../support/free-port.ts";
import { filesBelow } from "../support/import-graph.ts";
import { type RunningProcess, runCommand, startCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { SELF_SIGNED } from "./certificate.ts";
import { http } from "./raw.ts";
import { activate, newPerson, patience, type Person, random, suite, putMessage } from "./world.ts";

let home: TemporaryFolder;
let data: string;
beforeEach(async () => {
  home = await temporaryFolder();
  data = join(home.path, "np");
});
afterEach(() => home.remove());

test("a directory serves from its first line on, remembers its address, and ends in order", async () => {
  const { directory, address } = await run();
  expect((await http(new URL(address), "/healthz")).status).toBe(200);
  expect((await command("address")).stdout).toBe(`${address}\n`);
  expect((await stat(data)).mode & 0o777).toBe(0o700);
  for (const file of filesBelow(data, "."))
    expect([file, (await stat(join(data, file))).mode & 0o077]).toEqual([file, 0]);
  const ended = await directory.kill("SIGTERM");
  expect(ended.code).toBe(0);
  expect(ended.stdout).toBe(`${address}\n`);
  expect((await command("address")).stdout).toBe(`${address}\n`);
  const again = await run();
  expect(new URL(again.address).hash).toBe(new URL(address).hash);
  expect((await again.directory.kill("SIGINT")).code).toBe(0);
});

test("who looks for how to remove a name is told why there is no way, and what is removed instead", async () => {
  const removing = await command("name", "remove", "@acme");
  expect(removing.code).toBe(2);
  expect(removing.stderr).toContain("See: sshnp-directory name --help");
  const { stdout } = await runCommand("sshnp-directory", ["name", "--help"], options());
  const [, instead = ""] = /No command removes a name: [^]*: sshnp-keys (\w+) NAME MEMBER/.exec(stdout) ?? [];
  expect((await runCommand("sshnp-keys", [instead, "--help"], options())).stdout).toContain("Remove a member: ");
});

test("the address that is told is the public one, with the fingerprint", async () => {
  const { address } = await run("--public", "https://np.example.org:7800");
  expect(address).toMatch(/^https:\/\/np\.example\.org:7800#SHA256:/);
  expect((await command("address")).stdout).toBe(`${address}\n`);
});

test("a name is added whether the directory runs or not; its secret alone goes to stdout", async () => {
  const { directory, address } = await run();
  const first = await command("name", "add", "@acme");
  expect(first.stdout).toMatch(/^[0-9a-f]{64}\n$/);
  const secret = first.stdout.trim();
  expect(first.stderr).toContain(`sshnp-keys activate -a @acme -c ${secret} --directory '${address}'\n`);
  await directory.kill("SIGTERM");
  const second = await command("name", "add", "@acme");
  expect(second.stdout).toMatch(/^[0-9a-f]{64}\n$/);
  expect(second.stdout).not.toBe(first.stdout);
  expect(second.stderr).toContain("void");
  expect(second.stderr).toContain(`--directory '${address}'`);
  expect((await command("names")).stdout).toMatch(/^NAME .*\n@acme +waiting /);

  const again = await run();
  const person = newPerson(parseName("@acme"), parseMember("laptop"), "client");
  await activate(clientOf(again.address), person, parseCramSecret(second.stdout));
  expect(await command("name", "add", "@acme")).toMatchObject({
    code: 78,
    stdout: "",
    stderr: expect.stringContaining("[E_NAME_TAKEN]"),
  });
  expect((await command("names")).stdout).toMatch(/\n@acme +activated .* laptop \(client\)\n/);
  await again.directory.kill("SIGTERM");
  expect((await command("name", "add", "@acme")).code).toBe(78);
});

test("a rendezvous is added as a name is", async () => {
  const { address } = await run();
  const added = await command("rendezvous", "add", "rz1");
  expect(added.stdout).toMatch(/^[0-9a-f]{64}\n$/);
  expect(added.stderr).toContain(`sshnp-rendezvous run --data rz1 --directory '${address}' -c ${added.stdout.trim()}`);
  expect((await command("rendezvous", "ls")).stdout).toMatch(/^NAME .*\nrz1 +not activated/);
});

test("a rendezvous that is removed is void, and what is none cannot be", async () => {
  await run();
  await command("rendezvous", "add", "rz1");
  expect(await command("rendezvous", "remove", "rz1")).toMatchObject({ code: 0, stdout: "" });
  expect((await command("rendezvous", "add", "rz1")).code).toBe(0);
  const unknown = await command("rendezvous", "remove", "rz2");
  expect(unknown).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining('no rendezvous "rz2"') });
});

test("no secret is in the log, the audit, the store, the arguments or the environment of the directory", async () => {
  const port = await freePort();
  const { directory, address } = await run("-v", "--rendezvous", `127.0.0.1:${port}`);
  const secret = (await command("name", "add", "@acme")).stdout.trim();
  const person = newPerson(parseName("@acme"), parseMember("laptop"), "client");
  await activate(clientOf(address), person, parseCramSecret(secret));
  const children = (await readFile(`/proc/${directory.pid}/task/${directory.pid}/children`, "utf8")).trim().split(" ");
  expect(children).toHaveLength(1);
  for (const pid of [directory.pid, ...children]) {
    const known = (await readFile(`/proc/${pid}/cmdline`, "utf8")) + (await readFile(`/proc/${pid}/environ`, "utf8"));
    expect(known).not.toMatch(/[0-9a-f]{64}/);
  }
  const { stderr } = await directory.kill("SIGTERM");
  expect(stderr).toContain("activation");
  expect(stderr).not.toContain(secret);
  const bytes = Buffer.from(secret, "hex");
  for (const file of filesBelow(data, ".")) {
    const content = await readFile(join(data, file));
    for (const form of [secret, bytes, bytes.toString("base64")]) expect(content.includes(form)).toBe(false);
  }
});

test("a second directory on the same data is refused, and the first one goes on", async () => {
  const { directory, address } = await run();
  const second = await command("run", "--listen", "127.0.0.1:0");
  expect(second).toMatchObject({ code: 75, stdout: "", stderr: expect.stringContaining("[E_RUNNING]") });
  expect((await http(new URL(address), "/healthz")).status).toBe(200);
  expect((await command("name", "add", "@acme")).code).toBe(0);
  await directory.kill("SIGTERM");
});

test("a port that is taken is told, and changes nothing", async () => {
  const { address } = await run();
  const other = join(home.path, "other");
  const { port } = new URL(address);
  const taken = await runCommand(
    "sshnp-directory",
    ["run", "--data", other, "--listen", `127.0.0.1:${port}`],
    options(),
  );
  expect(taken).toMatchObject({ code: 75, stdout: "", stderr: expect.stringContaining("[E_RUNNING]") });
});

test("what was acknowledged before a kill -9 is there afterwards", async () => {
  const owner = newPerson(parseName("@acme"), parseMember("laptop"), "client");
  const acknowledged: Person[] = [];
  for (let round = 0; round < 3; round++) {
    const { directory, address } = await run();
    const client = clientOf(address);
    if (round === 0) await activate(client, owner, parseCramSecret((await command("name", "add", "@acme")).stdout));
    const before = acknowledged.length;
    const enough = new Promise<void>((resolve) => {
      const writes = Array.from({ length: 200 }, async (_, i) => {
        const member = newPerson(owner.name, parseMember(`m${round}-${i}`), "device", { owner: owner.owner });
        await client.request(member.x25519, putMessage(member.binding), { signal: patience() });
        acknowledged.push(member);
        if (acknowledged.length === before + 40 * (round + 1)) resolve();
      });
      void Promise.allSettled(writes).then(() => resolve());
    });
    await enough;
    expect((await directory.kill("SIGKILL")).signal).toBe("SIGKILL");
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(240);
  const { stdout } = await command("names");
  for (const { member } of acknowledged) expect(stdout).toContain(`${member} (device)`);
});

test.each([
  ["its CURRENT file gone", (store: string) => unlink(join(store, "CURRENT"))],
  ["its CURRENT file empty", (store: string) => truncate(join(store, "CURRENT"))],
  ["its manifest cut off", async (store: string) => truncate(join(store, await manifest(store)), 20)],
  ["its manifest gone", async (store: string) => unlink(join(store, await manifest(store)))],
])("a store with %s is not served and not begun anew", async (_what, damage) => {
  await (await run()).directory.kill("SIGTERM");
  expect((await command("name", "add", "@acme")).code).toBe(0);
  await damage(join(data, "store"));
  const before = await readdir(join(data, "store"));
  for (const words of [["run", "--listen", "127.0.0.1:0"], ["names"], ["name", "add", "@other"]]) {
    expect(await command(...words)).toMatchObject({
      code: 74,
      stdout: "",
      stderr: expect.stringContaining("[E_STORAGE]"),
    });
  }
  const tables = (files: string[]): string[] => files.filter((file) => /\.(?:ldb|log)$/.test(file));
  expect(tables(await readdir(join(data, "store")))).toEqual(tables(before));
});

test("the admin socket is for its owner alone, and no nonsense on it ends the directory", async () => {
  const { address } = await run();
  const path = join(data, "admin.sock");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const say = (text: string) =>
    new Promise<string>((resolve) => {
      let answer = "";
      const socket = connect({ path, allowHalfOpen: true });
      socket.on("data", (chunk: Buffer) => (answer += chunk.toString())).on("close", () => resolve(answer));
      socket.on("error", () => {});
      socket.end(text);
    });
  for (const text of ["", "\n", "{}\n", "nonsense\n", '{"command":"names","x":1}\n', "x".repeat(100_000)])
    await say(text);
  const key = '"activationKey":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="';
  const refused = await say(`{"command":"add-name","name":"@acme",${key}}\n`);
  expect(JSON.parse(refused)).toMatchObject({ error: { code: "E_PROTOCOL" } });
  expect(JSON.parse(await say('{"command":"names"}\n'))).toEqual({ ok: [] });
  expect((await http(new URL(address), "/healthz")).status).toBe(200);
});

test("a directory that cannot be administered does not serve", async () => {
  await (await run()).directory.kill("SIGTERM");
  await mkdir(join(data, "admin.sock"));
  const exit = await command("run", "--listen", "127.0.0.1:0");
  expect(exit).toMatchObject({ code: 74, stdout: "", stderr: expect.stringContaining("admin.sock") });
});

test("the audit says what was done for whom, and goes on in a new file when the old one was moved away", async () => {
  const { address } = await run();
  const secret = parseCramSecret((await command("name", "add", "@acme")).stdout);
  await activate(clientOf(address), newPerson(parseName("@acme"), parseMember("laptop"), "client"), secret);
  const events = async (): Promise<unknown[]> => {
    const lines = (await readFile(join(data, "audit.ndjson"), "utf8").catch(() => "")).trim().split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as unknown);
  };
  await expect.poll(events).toMatchObject([
    { n: 1, event: "begun", log: 1 },
    { n: 2, event: "started", address },
    { event: "name added", name: "@acme", again: false },
    { event: "activation", verdict: "stored", subjects: ["@acme", "@acme/laptop"] },
  ]);
  await rename(join(data, "audit.ndjson"), join(data, "audit.old"));
  await expect.poll(async () => [await command("name", "add", "@other"), await events()][1]).not.toEqual([]);
  expect((await stat(join(data, "audit.ndjson"))).mode & 0o777).toBe(0o600);
});

test("a data folder may lie deeper than a socket's path can say", async () => {
  data = join(home.path, "a".repeat(60), "b".repeat(60), "np");
  const { directory } = await run();
  expect((await command("name", "add", "@acme")).code).toBe(0);
  expect((await command("names")).stdout).toContain("@acme");
  await directory.kill("SIGTERM");
  expect((await command("names")).stdout).toContain("@acme");
});

test("a data folder that others may read is refused", async () => {
  await (await run()).directory.kill("SIGTERM");
  await chmod(data, 0o755);
  for (const words of [["names"], ["address"], ["run"]]) {
    expect(await command(...words)).toMatchObject({ code: 77, stderr: expect.stringContaining("chmod 700") });
  }
});

test("commands on a folder that is no directory's make none", async () => {
  for (const words of [["names"], ["address"], ["name", "add", "@acme"], ["rendezvous", "ls"]]) {
    expect(await command(...words)).toMatchObject({
      code: 78,
      stdout: "",
      stderr: expect.stringContaining("[E_NO_KEYS]"),
    });
  }
  expect(existsSync(data)).toBe(false);
});

test.each(
  [
    ["name", "add", "acme"],
    ["name", "add", "@Acme"],
    ["name", "add", "@аcme"],
    ["name", "add", "@a/../b"],
    ["name", "add", "@$(touch x)"],
    ["name", "add", "-oProxyCommand=x"],
    ["name", "add"],
    ["rendezvous", "add", "../rz"],
    ["rendezvous", "add", "RZ"],
    ["rendezvous"],
    ["nothing"],
    ["run", "--listen", "7800"],
    ["run", "--listen", "127.0.0.1:99999"],
    ["run", "--listen", "0.0.0.0:0"],
    ["run", "--rendezvous", "np.example.org"],
    ["run", "--public", "np.example.org:7800"],
    ["run", "--public", "http://np.example.org:7800#SHA256:x"],
    ["run", "--public", "http://user@np.example.org"],
    ["run", "--tls-cert", "c.pem"],
    ["run", "--nothing"],
  ].map((words) => ({ line: words.join(" "), words })),
)("sshnp-directory $line is a usage error, and changes nothing", async ({ words }) => {
  const exit = await command(...words);
  expect([exit.code, exit.stdout]).toEqual([2, ""]);
  expect(exit.stderr).toMatch(/^[\x20-\x7e\n]+$/);
  expect(existsSync(data)).toBe(false);
});

test("every command explains itself", async () => {
  for (const words of [
    [],
    ["run"],
    ["name"],
    ["name", "add"],
    ["names"],
    ["rendezvous"],
    ["rendezvous", "add"],
    ["rendezvous", "ls"],
    ["address"],
  ]) {
    const help = await runCommand("sshnp-directory", [...words, "--help"], options());
    expect(help).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`Usage: sshnp-directory ${words.join(" ")}`),
      stderr: "",
    });
  }
});

test("HTTPS is served with any certificate, and files that are none are refused", async () => {
  const cert = join(home.path, "cert.pem");
  const key = join(home.path, "key.pem");
  await writeFile(cert, SELF_SIGNED.cert);
  await writeFile(key, SELF_SIGNED.key);
  const { address } = await run("--tls-cert", cert, "--tls-key", key);
  expect(address).toMatch(/^https:\/\/127\.0\.0\.1:/);
  await clientOf(address).keyList({ signal: patience() });
  const wrong = join(home.path, "wrong");
  const exit = await runCommand(
    "sshnp-directory",
    ["run", "--data", wrong, "--listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", cert],
    options(),
  );
  expect(exit).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("certificate") });
});

async function run(...words: string[]): Promise<{ directory: RunningProcess; address: string }> {
  const directory = startCommand(
    "sshnp-directory",
    ["run", "--data", data, "--listen", "127.0.0.1:0", ...words],
    options(),
  );
  const [address = ""] = await directory.line(/^https?:\/\/.*$/);
  return { directory, address };
}

function command(...words: string[]) {
  return runCommand("sshnp-directory", [...words, ...(words.includes("--data") ? [] : ["--data", data])], options());
}

function options() {
  return { env: { HOME: home.path } };
}

function clientOf(address: string): DirectoryClient {
  return new DirectoryClient({ address: parseDirectoryAddress(address), suite, random });
}

async function manifest(store: string): Promise<string> {
  const file = (await readdir(store)).find((name) => name.startsWith("MANIFEST"));
  if (file === undefined) throw new Error("no manifest");
  return file;
}
