import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT_STATUS, type ErrorCode } from "../../keys/errors.ts";
import { clockOffBy, preloading } from "../support/preload.ts";
import { startAnswerRelay } from "../support/answer-relay.ts";
import { CAN_MAKE_USERS } from "../support/ordinary-user.ts";
import { activateHere, type Activating, Activations, clientHere, type Machine, told } from "./activation.ts";

const WRONG = "0123456789abcdef".repeat(4);

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

describe.concurrent("a secret", () => {
  test("that is wrong is refused, as one for a name that is not there is", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const wrong = await refused(machine, ["-a", name, "-c", WRONG], "E_CRAM_WRONG", 77);
    const unknown = await refused(machine, ["-a", "@nobody", "-c", secret], "E_CRAM_WRONG", 77);
    expect(unknown.fact).toBe(wrong.fact.replace(name, "@nobody"));
    expect((await machine.activate(["-a", name, "-c", secret])).code).toBe(0);
  });

  test("of another name is refused, and stays good for its own", async () => {
    const [one, two] = [await system.newName(), await system.newName()];
    const machine = system.newMachine();
    await refused(machine, ["-a", one.name, "-c", two.secret], "E_CRAM_WRONG", 77);
    expect((await machine.activate(["-a", two.name, "-c", two.secret])).code).toBe(0);
  });

  test("that was used on another machine is refused, and nothing changes there", async () => {
    const { name, secret } = await system.newName();
    const [first, second] = [system.newMachine(), system.newMachine()];
    await first.activate(["-a", name, "-c", secret, "-d", "gw"]);
    await refused(second, ["-a", name, "-c", secret, "-d", "gw"], "E_CRAM_USED", 78);
    await refused(second, ["-a", name, "-c", secret, "-d", "other"], "E_CRAM_USED", 78);
    await refused(second, ["-a", name, "-c", WRONG, "-d", "gw"], "E_CRAM_WRONG", 77);
    expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
    expect((await first.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
  });

  test("that was replaced before its use is void", async () => {
    const { name, secret } = await system.newName();
    const newer = await system.addName(name);
    const machine = system.newMachine();
    await refused(machine, ["-a", name, "-c", secret], "E_CRAM_WRONG", 77);
    expect((await machine.activate(["-a", name, "-c", newer])).code).toBe(0);
  });

  test.each([
    ["cut off", WRONG.slice(1)],
    ["too long", `${WRONG}0`],
    ["in upper case", WRONG.toUpperCase()],
    ["with a space", `${WRONG} `],
    ["of other characters", "x".repeat(64)],
    ["that is the placeholder of the help", "SECRET"],
  ])("%s is refused without being repeated", async (_, secret) => {
    const { fact, next } = await refused(system.newMachine(), ["-a", "@acme", "-c", secret], "E_CRAM_WRONG", 77);
    expect(fact + next).not.toContain(secret);
  });

  test("is read from one place, which must be readable", async () => {
    const machine = system.newMachine();
    const file = join(machine.home, "secret");
    writeFileSync(file, WRONG);
    await refused(machine, ["-a", "@acme", "-c", WRONG, "--cram-file", file], "E_USAGE", 2);
    await refused(machine, ["-a", "@acme", "--cram-file", join(machine.home, "nothing")], "E_STORAGE", 74);
    await refused(machine, ["-a", "@acme", "--cram-file", machine.home], "E_STORAGE", 74);
    await refused(machine, ["-a", "@acme", "--cram-file", "/dev/zero"], "E_STORAGE", 74);
    await refused(machine, ["-a", "@acme", "--cram-file", "/dev/null"], "E_CRAM_WRONG", 77);
    await refused(machine, ["-a", "@acme", "-c", "-"], "E_CRAM_WRONG", 77, { input: "" });
    await refused(machine, ["-a", "@acme", "-c", "-"], "E_STORAGE", 74, { input: "0".repeat(100_000) });
  });

  test("is guessed so often and no oftener, and the right one is good all the same", async (context) => {
    await using own = await Activations.start();
    const { name, secret } = await own.newName();
    const machine = own.newMachine();
    const guess = () => activateHere(own, own.newMachine(), { name, secret: WRONG });
    const results = await Promise.allSettled(Array.from({ length: 200 }, guess));
    const codes = results.map((result) =>
      result.status === "rejected" ? (result.reason as { code?: string }).code : "",
    );
    expect(new Set(codes)).toEqual(new Set(["E_CRAM_WRONG", "E_RATE"]));
    await context.expect.poll(async () => (await machine.activate(["-a", name, "-c", secret])).code).toBe(0);
  });
});

describe.concurrent("a name or member", () => {
  // names.test.ts has the whole grammar; these are what a shell, a terminal or a reader of command lines could stumble over.
  const NAMES = ["@ACME", "@../etc", "@$(id)", "@а1", "@a\u202eb", "@\u001b[31ma"];
  test.each([...NAMES, "", "@acme\n", "-oProxyCommand=reboot", "--keys", `@${"a".repeat(40)}`])(
    "-a %j is refused before anything is done",
    async (name) => {
      const directory = system.addressAt(1);
      await refused(system.newMachine(), ["-a", name, "-c", WRONG, "-d", "gw"], "E_USAGE", 2, { directory });
    },
  );

  const MEMBERS = ["GW", "../gw", "$(id)", "@gw", "g\u200bw", "", "gw\n", "owner"];
  test.each([...MEMBERS, "-oProxyCommand=reboot", "--keys", "a".repeat(37)])(
    "-d %j is refused before anything is done",
    async (member) => {
      const directory = system.addressAt(1);
      await refused(system.newMachine(), ["-a", "@acme", "-c", WRONG, "-d", member], "E_USAGE", 2, { directory });
    },
  );

  test("of the greatest length is taken", async () => {
    const [name, member] = [`@${"a".repeat(32)}`, "b".repeat(36)];
    const exit = await system.newMachine().activate(["-a", name, "-c", await system.addName(name), "-d", member]);
    expect(exit.code).toBe(0);
    expect(await system.members(name)).toEqual([{ member, role: "device" }]);
  });
});

describe.concurrent("a command line", () => {
  test.each([
    ["an unknown flag", ["-a", "@acme", "--what"], "Unknown option '--what'."],
    [
      "an unknown flag with a value, which may be a secret",
      ["-a", "@acme", `--cram=${WRONG}`],
      "Unknown option '--cram'.",
    ],
    ["no name", ["-c", WRONG], "Required option '-a, --atsign <name>' not specified."],
    ["a flag without its value", ["-a", "@acme", "-c"], "argument missing"],
    ["a word too many", ["-a", "@acme", WRONG], "Too many arguments"],
    ["an empty keys folder", ["-a", "@acme", "-c", WRONG, "--keys", ""], "--keys is empty."],
  ])("with %s is refused", async (_, words, fact) => {
    const found = await refused(system.newMachine(), words, "E_USAGE", 2);
    expect(found.fact).toContain(fact);
    expect(found.fact).not.toContain(WRONG);
  });
});

describe.concurrent("keys on this machine", () => {
  test("in a folder that others may use are refused, and neither used nor mended", async () => {
    for (const mode of [0o755, 0o750, 0o701, 0o777, 0o702]) {
      const { name, secret } = await system.newName();
      const machine = system.newMachine();
      mkdirSync(join(machine.home, "keys"));
      chmodSync(join(machine.home, "keys"), mode);
      const { next } = await refused(machine, ["-a", name, "-c", secret, "--keys", "keys"], "E_KEY_PERMISSIONS", 77);
      expect(next).toBe(`chmod 700 ${join(machine.home, "keys")}`);
    }
  });

  test("in a folder that is a link, a file or nothing that can be made are refused", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    mkdirSync(join(machine.home, "real"), { mode: 0o700 });
    symlinkSync(join(machine.home, "real"), join(machine.home, "link"));
    writeFileSync(join(machine.home, "file"), "");
    await refused(machine, ["-a", name, "-c", secret, "--keys", "link"], "E_KEY_PERMISSIONS", 77);
    await refused(machine, ["-a", name, "-c", secret, "--keys", "link/"], "E_KEY_PERMISSIONS", 77);
    await refused(machine, ["-a", name, "-c", secret, "--keys", "file"], "E_KEY_PERMISSIONS", 77);
    await refused(machine, ["-a", name, "-c", secret, "--keys", "file/keys"], "E_STORAGE", 74);
    expect((await machine.activate(["-a", name, "-c", secret, "--keys", "real"])).code).toBe(0);
  });

  test.skipIf(!CAN_MAKE_USERS)("of another user are refused", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await machine.activate(["-a", name, "-c", secret, "-d", "gw"]);
    const file = join(machine.keys, `${name}.gw.npkeys`);
    chownSync(file, 12_345, 12_345);
    await refused(machine, ["-a", name, "-c", ""], "E_KEY_PERMISSIONS", 77);
    chownSync(file, 0, 0);
    chownSync(machine.keys, 12_345, 12_345);
    await refused(machine, ["-a", name, "-c", ""], "E_KEY_PERMISSIONS", 77);
  });

  test("that others may read, or that are links, are refused", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await machine.activate(["-a", name, "-c", secret, "-d", "gw"]);
    const file = join(machine.keys, `${name}.gw.npkeys`);
    for (const mode of [0o640, 0o604, 0o660]) {
      chmodSync(file, mode);
      const { next } = await refused(machine, ["-a", name, "-c", ""], "E_KEY_PERMISSIONS", 77);
      expect(next).toBe(`chmod 600 ${file}`);
    }
    chmodSync(file, 0o600);
    renameSync(file, join(machine.home, "moved"));
    symlinkSync(join(machine.home, "moved"), file);
    await refused(machine, ["-a", name, "-c", ""], "E_KEY_PERMISSIONS", 77);
  });

  test.each([
    ["cut off", (text: string) => text.slice(0, -2)],
    ["empty", () => ""],
    ["of another name", (text: string) => text.replaceAll("@acme", "@beta")],
    ["with a digit changed in their binding", (text: string) => text.replace(/(kind\\":\\"binding.*seq\\":)1/, "$12")],
    ["with another role", (text: string) => text.replace('"role": "device"', '"role": "client"')],
  ])("%s are refused, whether the name is activated or about to be", async (_, damage) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const words = ["-a", name, "-c", secret, "-d", "gw"];
    await loseTheAnswer(machine, words);
    const file = join(machine.keys, `${name}.gw.npkeys`);
    const whole = readFileSync(file, "utf8");
    expect(damage(whole)).not.toBe(whole);
    const code = damage(whole).includes('"role": "client"') ? "E_KEY_EXISTS" : "E_BAD_KEY_FILE";
    writeFileSync(file, damage(whole));
    await refused(machine, words, code, EXIT_STATUS[code]);
    writeFileSync(file, whole);
    expect((await machine.activate(words)).code).toBe(0);
    writeFileSync(file, damage(whole));
    await refused(machine, words, code, EXIT_STATUS[code]);
  });

  test("of an owner that are damaged or somebody else's are refused", async () => {
    const [one, two] = [await system.newName(), await system.newName()];
    const machine = system.newMachine();
    const words = ["-a", one.name, "-c", one.secret, "-d", "gw"];
    await loseTheAnswer(machine, words);
    const file = join(machine.keys, `${one.name}.owner.npkeys`);
    const whole = readFileSync(file, "utf8");
    writeFileSync(file, whole.slice(0, 100));
    await refused(machine, words, "E_BAD_KEY_FILE", 65);

    const stranger = system.newMachine();
    await stranger.activate(["-a", two.name, "-c", two.secret, "-d", "gw"]);
    writeFileSync(file, readFileSync(join(stranger.keys, `${two.name}.owner.npkeys`)));
    await refused(machine, words, "E_BAD_KEY_FILE", 65);

    await using other = await Activations.start(); // where the same name has another owner
    const elsewhere = other.newMachine();
    await elsewhere.activate(["-a", one.name, "-c", await other.addName(one.name), "-d", "gw"]);
    writeFileSync(file, readFileSync(join(elsewhere.keys, `${one.name}.owner.npkeys`)));
    await refused(machine, words, "E_BAD_KEY_FILE", 65);
    writeFileSync(file, whole);
    expect((await machine.activate(words)).code).toBe(0);
  });

  test("of another role are neither used nor overwritten", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const asDevice = ["-a", name, "-c", secret, "-d", clientHere()];
    await loseTheAnswer(machine, ["-a", name, "-c", secret]);
    await refused(machine, asDevice, "E_KEY_EXISTS", 78);
    expect((await machine.activate(["-a", name, "-c", secret])).code).toBe(0);
    await refused(machine, asDevice, "E_KEY_EXISTS", 78);
  });

  test("without their owner's and unknown to the directory are left alone", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await loseTheAnswer(machine, ["-a", name, "-c", secret, "-d", "gw"]);
    renameSync(join(machine.keys, `${name}.owner.npkeys`), join(machine.home, "moved"));
    await refused(machine, ["-a", name, "-c", secret, "-d", "gw"], "E_KEY_EXISTS", 78);
  });

  test("are not made where a passphrase cannot be read", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    writeFileSync(join(machine.home, "empty"), "\nbehind\n");
    const words = ["-a", name, "-c", secret, "--passphrase-file"];
    await refused(machine, [...words, "empty"], "E_PASSPHRASE", 77);
    await refused(machine, [...words, "nothing"], "E_STORAGE", 74);
    writeFileSync(join(machine.home, "short"), "tulips7\nbehind\n");
    await refused(machine, [...words, "short"], "E_PASSPHRASE", 77);
    await refused(machine, ["-a", name, "-c", secret, "--passphrase"], "E_PASSPHRASE", 77);
  });
});

describe.concurrent("a directory", () => {
  test.each([
    ["without a fingerprint", (at: string) => at.replace(/#.*/, "")],
    ["with a fingerprint that is cut off", (at: string) => at.slice(0, -1)],
    ["with a fingerprint of another kind", (at: string) => at.replace("SHA256:", "MD5:")],
    ["with a user", (at: string) => at.replace("http://", "http://user:word@")],
    ["with a query", (at: string) => at.replace("#", "?a=b#")],
    ["of another scheme", (at: string) => at.replace("http", "ftp")],
    ["that is a file", () => "/etc/passwd"],
    ["that is an option", () => "--keys"],
    ["that speaks to the terminal", (at: string) => `${at}\u001b[2J`],
    ["that is endless", (at: string) => at.replace("127", "1".repeat(600))],
  ])("%s is no address", async (_, change) => {
    const directory = change(system.address);
    await refused(system.newMachine(), ["-a", "@acme", "-c", WRONG], "E_USAGE", 2, { directory });
  });

  test("must be given", async () => {
    await refused(system.newMachine(), ["-a", "@acme", "-c", WRONG], "E_USAGE", 2, { directory: null });
  });

  test("with another root key than its address says is refused before it learns anything", async () => {
    await using other = await Activations.start();
    const { name, secret } = await system.newName();
    const directory = other.addressAt(system.port);
    const { fact } = await refused(system.newMachine(), ["-a", name, "-c", secret], "E_DIRECTORY_KEY", 76, {
      directory,
    });
    expect(fact).toContain(new URL(system.address).hash.slice(1));
    expect(fact).toContain(new URL(other.address).hash.slice(1));
  });

  test("that nobody runs, or whose host nobody knows, is told apart", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const closed = await closedPort();
    const nobody = { directory: system.addressAt(closed) };
    const { fact } = await refused(machine, ["-a", name, "-c", secret], "E_DIRECTORY", 69, nobody);
    expect(fact).toContain(`http://127.0.0.1:${closed} (ECONNREFUSED)`);
    const unknown = { directory: system.address.replace("127.0.0.1", "np.invalid") };
    const lost = await refused(machine, ["-a", name, "-c", secret], "E_DIRECTORY", 69, unknown);
    expect(lost.fact).toMatch(/http:\/\/np\.invalid:\d+ \(E\w+\)/);
  });

  const STRANGERS: readonly [string, RequestListener | string, string][] = [
    [
      "a page that wants a login",
      (_, response) => response.end("<html>Log in</html>"),
      "answers, but not as a directory",
    ],
    [
      "a page that is elsewhere",
      (_, response) => response.writeHead(302, { location: "/login" }).end(),
      "(status 302)",
    ],
    ["another server", (_, response) => response.writeHead(404).end("no"), "(status 404)"],
    ["a server that fails", (_, response) => response.writeHead(500).end(), "(status 500)"],
    ["an empty page", (_, response) => response.end(), "answers, but not as a directory"],
    ["an endless page", flood, "answers, but not as a directory"],
    [
      "a page that is cut off",
      (_, response) => response.writeHead(200, { "content-length": 9 }).write("x", () => response.destroy()),
      "Cannot reach",
    ],
    ["an SSH server", "SSH-2.0-OpenSSH_9.2\r\n", "Cannot reach"],
    ["words to the terminal", "HTTP/1.1 200 \u001b[31mOK\r\n\r\n\u001b[2J", "answers, but not as a directory"],
    ["silence at its end", "", "Cannot reach"],
  ];
  test.each(STRANGERS)("in whose place there is %s is told so", async (_, answer, fact) => {
    const { name, secret } = await system.newName();
    const server =
      typeof answer === "string"
        ? createTcpServer((socket) => socket.on("error", () => {}).end(answer))
        : createServer(answer);
    const directory = system.addressAt(await listen(server));
    const found = await refused(system.newMachine(), ["-a", name, "-c", secret], "E_DIRECTORY", 69, { directory });
    expect(found.fact).toContain(fact);
    server.close();
  });

  test.each([
    ["an hour behind", -3_600_000],
    ["an hour ahead", 3_600_000],
    ["a week ahead", 7 * 24 * 3_600_000],
    ["in 1970, as on a device without a battery", -Date.now()],
  ])("takes no offence at a clock that is %s, and says when things were issued", async (_, ms) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const before = Date.now();
    const exit = await machine.activate(["-a", name, "-c", secret], { env: preloading(clockOffBy(ms)) });
    expect(exit).toMatchObject({ code: 0, stdout: "" });
    for (const { text } of machine.keyFile(name, clientHere()).statements) {
      const { issued } = JSON.parse(text) as { issued: number };
      expect(issued).toBeGreaterThanOrEqual(before);
      expect(issued).toBeLessThanOrEqual(Date.now());
    }
  });
});

/** Runs it, and sees that it fails with one clear message of this code and status, and that nothing has changed. */
async function refused(
  machine: Machine,
  words: readonly string[],
  code: ErrorCode,
  status: number,
  activating?: Activating,
): Promise<{ readonly fact: string; readonly next: string }> {
  const before = machine.snapshot();
  const exit = await machine.activate(words, activating);
  const { fact, next, ...found } = told(exit);
  expect({ ...found, status: exit.code }).toEqual({ code, status });
  expect(EXIT_STATUS[code]).toBe(status);
  expect(machine.snapshot()).toEqual(before);
  return { fact, next };
}

/** An activation whose answer does not come back. */
async function loseTheAnswer(machine: Machine, words: readonly string[]): Promise<void> {
  await using relay = await startAnswerRelay(system.port, (connection) => (connection === 3 ? "lose" : "pass"));
  expect((await machine.activate(words, { directory: system.addressAt(relay.port) })).code).toBe(69);
}

const flood: RequestListener = (_, response) => {
  const pour = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536)));
  };
  response.on("drain", pour);
  pour();
};

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const server = createTcpServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}
