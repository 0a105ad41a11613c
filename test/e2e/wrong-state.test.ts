import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copyFolder } from "../support/copy-folder.ts";
import { freePort } from "../support/free-port.ts";
import { clockOffBy, preloading } from "../support/preload.ts";
import { type CommandName, type Exit, runCommand } from "../support/processes.ts";
import { startSshServer } from "../support/sshd.ts";
import { Machine, Stack } from "../support/stack.ts";

const HOUR_MS = 3_600_000;
const OTHER_FINGERPRINT = `SHA256:${"A".repeat(43)}`;

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
  expect(await stack.ssh("true")).toMatchObject({ code: 0 }); // the device and its host keys are pinned from here on
});
afterAll(() => stack[Symbol.asyncDispose]());

/** A session with words of its own, which must be refused in good order. */
async function refused(code: string, fact: RegExp, ...words: string[]): Promise<Exit> {
  return await refusedOn(stack.client, code, fact, ...words);
}

async function refusedOn(machine: Machine, code: string, fact: RegExp, ...words: string[]): Promise<Exit> {
  const before = pinsIn(machine.keys);
  const exit = await machine.run("sshnp", ...words);
  expect(exit).toMatchObject({ code: code === "E_USAGE" ? 2 : 255, stdout: "" });
  expectOneMessage("sshnp", exit, code, fact);
  expect(pinsIn(machine.keys)).toEqual(before);
  return exit;
}

/** One block: the fact, the next steps, the code; and nothing of how this program looks inside. */
function expectOneMessage(command: CommandName, { stderr }: Exit, code: string, fact: RegExp): void {
  const indent = " ".repeat(command.length + 2);
  const [first, ...rest] = stderr.trimEnd().split("\n");
  expect(first).toMatch(new RegExp(`^${command}: ${fact.source}`));
  expect(rest.pop()).toBe(`${indent}[${code}]`);
  expect(rest.length).toBeGreaterThan(0);
  for (const step of rest) expect(step).toMatch(new RegExp(`^${indent}\\S`));
}

describe("names and presence", () => {
  const target = (device: string, member: string): string[] => ["@client", device, member, ...stack.sshOptions, "true"];

  test("a name, a member and a name that is not activated are all unknown", async () => {
    await stack.addName("@later");
    for (const [device, member] of [
      ["@nobody", "mygateway"],
      ["@device", "mygatway"],
      ["@later", "box"],
    ] as const) {
      await refused(
        "E_UNKNOWN_NAME",
        new RegExp(`There is no device ${member} of ${device} `),
        ...target(device, member),
      );
    }
  });

  test("a device that never connected, one that is offline, and when it was last seen", async () => {
    const machine = newMachine("box");
    const secret = await stack.addName("@second");
    await machine.must(
      "sshnp-keys",
      "activate",
      "-a",
      "@second",
      "-c",
      secret,
      "--directory",
      stack.address,
      "-d",
      "box",
    );
    await refused("E_NEVER_SEEN", /box of @second is activated, but its daemon has never/, ...target("@second", "box"));

    await using daemon = machine.start("sshnpd", "-a", "@second", "-d", "box", "--ssh-port", String(stack.sshd.port));
    await daemon.line(/^online: box\.second\.np$/);
    await daemon.kill("SIGTERM");
    const seen = /box of @second is offline: last seen just now \(20\d\d-\d\d-\d\d \d\d:\d\d UTC\)\./;
    await refused("E_OFFLINE", seen, ...target("@second", "box"));
  });
});

test("an owner that is not the one whose fingerprint was given", async () => {
  const fact = /OWNER KEY CHANGED for @device\. Given SHA256:A{43}, the directory now says SHA256:\S{43}\./;
  await refused(
    "E_OWNER_KEY",
    fact,
    "@client",
    `@device=${OTHER_FINGERPRINT}`,
    "mygateway",
    ...stack.sshOptions,
    "true",
  );
});

describe("keys", () => {
  test("that are not there", async () => {
    const machine = newMachine("nothing");
    await refusedOn(machine, "E_NO_KEYS", /No client keys of @client on this machine/, ...stack.words("true"));
    expect(readdirSync(machine.home)).toEqual([]);
  });

  test("of another name than the one asked for", async () => {
    const fact = /The client keys in \S+ are those of @client\.$/;
    const exit = await refused("E_NO_KEYS", fact, "@somebody", "@device", "mygateway", "true");
    expect(exit.stderr).toContain("Were the names swapped? First the client, then the device: sshnp @client @somebody");
  });

  test.each([
    ["a file for the group to read", ".local/share/sshnp/keys/@client.MEMBER.npkeys", 0o640],
    ["a folder for others to look into", ".local/share/sshnp/keys", 0o701],
    ["a folder of pins for others to write to", ".local/share/sshnp/keys/state", 0o702],
  ])("too open: %s", async (_, path, mode) => {
    const machine = copyOf(stack.client, "open");
    await chmod(join(machine.home, path.replace("MEMBER", clientMember())), mode);
    await refusedOn(machine, "E_KEY_PERMISSIONS", /\S+ /, ...stack.words("true"));
  });

  const damages: Record<string, (bytes: Buffer) => Buffer | string> = {
    "cut short": (bytes) => bytes.subarray(0, bytes.length / 2),
    empty: () => "",
    "with a changed byte": (bytes) => {
      const changed = Buffer.from(bytes);
      const at = changed.indexOf('"x25519"') + 14;
      changed[at] = (changed[at] ?? 0) ^ 1;
      return changed;
    },
    "that is no text": () => Buffer.alloc(1000, 0xff),
    "that is far too long": () => Buffer.alloc(10_000_000, " "),
  };
  test.each(Object.keys(damages))("a file %s", async (damage) => {
    const machine = copyOf(stack.client, "damaged");
    const file = join(machine.keys, `@client.${clientMember()}.npkeys`);
    writeFileSync(file, damages[damage]?.(readFileSync(file)) ?? "");
    await refusedOn(machine, "E_BAD_KEY_FILE", /\S*@client\.\S+\.npkeys /, ...stack.words("true"));
  });

  test("pins that cannot be read are not passed over", async () => {
    const machine = copyOf(stack.client, "damaged-pins");
    writeFileSync(join(machine.keys, "state/peer.@device.json"), "{}");
    await refusedOn(machine, "E_BAD_KEY_FILE", /\S*peer\.@device\.json is damaged/, ...stack.words("true"));
  });
});

describe("services", () => {
  test("a directory where nothing listens", async () => {
    const nowhere = stack.address.replace(/:\d+#/, `:${await freePort()}#`);
    await refused(
      "E_DIRECTORY",
      /Cannot reach the directory at http:\/\/127\.0\.0\.1:/,
      "--directory",
      nowhere,
      ...stack.words("true"),
    );
  });

  test("a directory with another key than its address says", async () => {
    const wrong = stack.address.replace(/#.*/, `#${OTHER_FINGERPRINT}`);
    await refused("E_DIRECTORY_KEY", /.*SHA256:A{43}/, "--directory", wrong, ...stack.words("true"));
  });

  test("a rendezvous that has gone", async () => {
    await stack.rendezvous.kill("SIGKILL");
    try {
      await refused("E_RENDEZVOUS", /.*127\.0\.0\.1:\d+/, ...stack.words("true"));
    } finally {
      await stack.startRendezvous();
    }
    await expect.poll(() => stack.ssh("echo", "back")).toMatchObject({ code: 0, stdout: "back\n" });
  });

  test.each([
    ["ahead of", HOUR_MS],
    ["behind", -HOUR_MS],
  ])(
    "a client's clock an hour %s the directory's connects all the same, and people are told",
    async (which, offset) => {
      const env = { HOME: stack.client.home, ...preloading(clockOffBy(offset)) };
      const exit = await runCommand("sshnp", stack.words("echo", "in time"), { env });
      expect(exit).toMatchObject({ code: 0, stdout: "in time\n" });
      expect(exit.stderr).toContain(`this machine's clock is 60 min ${which} the directory's`);
    },
  );
});

describe("a device whose SSH server has other host keys", () => {
  test("is refused with both fingerprints until exactly the new keys are accepted", async () => {
    const machine = copyOf(stack.client, "host-key");
    await stack.sshd.stop();
    await using other = await startSshServer({ port: stack.sshd.port });
    const words = stack.words("echo", "new").map((word) => word.replace(stack.sshd.identityFile, other.identityFile));
    const changed =
      /HOST KEY CHANGED for mygateway\.device\.np\. Pinned (?:SHA256:\S{43}(?: and |, ))+the device now presents SHA256:\S{43}(?: and SHA256:\S{43})?\./;
    const { stderr } = await refusedOn(machine, "E_HOST_KEY", changed, ...words);
    const accepts = stderr.match(/sshnp trust accept mygateway\.device\.np SHA256:[A-Za-z0-9+/]{43}/g) ?? [];
    expect(accepts).toHaveLength(other.hostKeys.length);

    await machine.must("sshnp", "trust", "accept", "mygateway.device.np", OTHER_FINGERPRINT);
    for (const accept of accepts) {
      await refusedOn(machine, "E_HOST_KEY", changed, ...words);
      await machine.must("sshnp", ...accept.split(" ").slice(1));
    }
    expect(await machine.run("sshnp", ...words)).toMatchObject({ code: 0, stdout: "new\n" });

    expect(await machine.must("sshnp", "trust", "ls")).toMatch(/^mygateway\.device\.np\tssh-ed25519\tSHA256:/m);
    await machine.must("sshnp", "trust", "forget", "mygateway.device.np");
    expect(await machine.must("sshnp", "trust", "ls")).not.toContain("mygateway.device.np");
    expect(await machine.run("sshnp", ...words)).toMatchObject({ code: 0, stdout: "new\n" });
  });
});

/*
 * Whoever runs the directory can do to its database what he likes. Here he takes a name out of it and activates it again,
 * with keys of his own; root key and address are what they were. SSH itself would let him in.
 */
describe("a directory that swaps the owner of a name grants nothing", () => {
  let swapped: Stack;
  beforeAll(async () => {
    swapped = await Stack.start();
    expect(await swapped.ssh("true")).toMatchObject({ code: 0 });
  });
  afterAll(() => swapped[Symbol.asyncDispose]());

  test("of the device's: the client knows another one", async () => {
    await swapped.daemon.kill("SIGTERM");
    const thief = await takeName("@device", "-d", "mygateway");
    const port = String(swapped.sshd.port);
    await using daemon = thief.start("sshnpd", "-a", "@device", "-m", "@client", "-d", "mygateway", "--ssh-port", port);
    await daemon.line(/^online: mygateway\.device\.np$/);
    const victim = copyOf(swapped.client, "victim");
    const before = pinsIn(victim.keys);
    const exit = await victim.run("sshnp", ...swapped.words("echo", "who is it?"));
    expect(exit).toMatchObject({ code: 255, stdout: "" });
    const changed = /OWNER KEY CHANGED for @device\. Pinned SHA256:\S{43}, the directory now says SHA256:\S{43}\./;
    expectOneMessage("sshnp", exit, "E_OWNER_KEY", changed);
    expect(pinsIn(victim.keys)).toEqual(before);
    expect(daemon.stderr).not.toContain("granted");
    await daemon.kill("SIGTERM");
    await giveBack();
    await swapped.startDaemon();
    expect(await swapped.ssh("echo", "as before")).toMatchObject({ code: 0, stdout: "as before\n" });
    // Who has seen what the thief did knows that it is gone from the log now.
    const after = await victim.run("sshnp", ...swapped.words("echo", "as before"));
    expectOneMessage("sshnp", after, "E_LOG", /The directory.s log does not hold: the log is smaller than it was\./);
  });

  test("of the client's: the device knows another one", async () => {
    const before = pinsIn(swapped.device.keys);
    const thief = await takeName("@client");
    await expect.poll(() => swapped.daemon.stdout).toMatch(/^online: .*\noffline: .*\nonline: .*\n$/);
    const exit = await thief.run("sshnp", ...swapped.words("echo", "I am @client"));
    expect(exit).toMatchObject({ code: 255, stdout: "" });
    const fact = /The directory says that mygateway of @device does not accept the owner key of @client\./;
    expectOneMessage("sshnp", exit, "E_OWNER_KEY", fact);
    expect(swapped.daemon.stderr).toMatch(/OWNER KEY CHANGED for @client\./);
    expect(pinsIn(swapped.device.keys)).toEqual(before);
    await giveBack();
    await expect.poll(() => swapped.daemon.stderr).toMatch(/the log is smaller than it was/);
    await swapped.daemon.kill("SIGTERM");
    forgetLog(swapped.device.keys);
    await swapped.startDaemon();
    await expect.poll(() => swapped.ssh("echo", "as before")).toMatchObject({ code: 0, stdout: "as before\n" });
  });

  const data = (): string => join(swapped.server.home, "directory");
  const aside = (): string => join(swapped.server.home, "aside");

  /** A machine of the thief's, with the name as its own. */
  async function takeName(name: string, ...words: string[]): Promise<Machine> {
    await swapped.directory.kill("SIGTERM");
    copyFolder(data(), aside());
    const level = new Level(join(data(), "store"));
    for await (const key of level.keys()) if (key.includes(`:${name}`)) await level.del(key);
    await level.close();
    await swapped.startDirectory();
    const thief = newMachine(`thief-of-${name.slice(1)}`);
    const secret = await swapped.addName(name);
    await thief.must("sshnp-keys", "activate", "-a", name, "-c", secret, "--directory", swapped.address, ...words);
    return thief;
  }

  async function giveBack(): Promise<void> {
    await swapped.directory.kill("SIGTERM");
    rmSync(data(), { recursive: true });
    renameSync(aside(), data());
    await swapped.startDirectory();
  }
});

describe("a word that is no name", () => {
  const words = [
    "",
    "acme",
    "@Acme",
    "@\u0430cme",
    "@a/../b",
    "@a b",
    "@a;touch x",
    "@a\n",
    `@${"a".repeat(33)}`,
    "-oProxyCommand=touch x",
  ];
  const places: [CommandName, (word: string) => string[]][] = [
    ["sshnp-directory", (word) => ["name", "add", "--data", "np", "--", word]],
    ["sshnp-keys", (word) => ["activate", "-a", word, "-c", "a".repeat(64), "--directory", stack.address]],
    ["sshnpd", (word) => ["-a", word, "-m", "@client", "-d", "mygateway"]],
    ["sshnpd", (word) => ["-a", "@device", "-m", `@client,${word}`, "-d", "mygateway"]],
    ["sshnpd", (word) => ["-a", "@device", "-m", "@client", "-d", word.replace("acme", "Acme")]],
    ["sshnp-directory", (word) => ["rendezvous", "add", "--data", "np", "--", word.replace("acme", "Acme")]],
  ];
  test.each(places)("is a usage error of %s, and makes nothing", async (command, place) => {
    const machine = newMachine("names");
    // The grammar is one (test/keys/names.test.ts): each place has some of the words, and each word comes to two places.
    const at = places.findIndex(([, each]) => each === place);
    const some = words.filter((_, i) => (i + at) % 3 === 0);
    const exits = await Promise.all(some.map((word) => machine.run(command, ...place(word))));
    for (const [i, exit] of exits.entries()) {
      expect(exit, some[i]).toMatchObject({ code: 2, stdout: "" });
      expectOneMessage(command, exit, "E_USAGE", /\S/);
    }
    expect(readdirSync(machine.home)).toEqual([]);
  });
});

function newMachine(name: string): Machine {
  const machine = new Machine(join(stack.server.home, "..", `machine-${name}`));
  rmSync(machine.home, { recursive: true, force: true });
  mkdirSync(machine.home, { mode: 0o700 });
  return machine;
}

function copyOf(machine: Machine, name: string): Machine {
  const copy = newMachine(name);
  copyFolder(join(machine.home, ".local"), join(copy.home, ".local"));
  return copy;
}

/** The client's only member, which is called after the machine. */
function clientMember(): string {
  const files = readdirSync(stack.client.keys).filter((file) => /^@client\.(?!owner\.).+\.npkeys$/.test(file));
  return files[0]?.split(".")[1] ?? "";
}

/** All that is in a keys folder but what was seen of the directory's log, which grows with every look. */
function pinsIn(folder: string): Record<string, string> {
  return contentOf(folder, (path) => !/^state\/\.?log\./.test(path));
}

/** What whoever runs a machine does to believe a log that has gone back. */
function forgetLog(keys: string): void {
  for (const file of readdirSync(join(keys, "state"))) if (file.startsWith("log.")) rmSync(join(keys, "state", file));
}

/** Mode and hash of what is below a folder; of what is written meanwhile another name is there a moment later. */
function contentOf(folder: string, isMeant = (_path: string) => true): Record<string, string> {
  if (!existsSync(folder)) return {};
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(isMeant).sort();
  return Object.fromEntries(
    paths.map((path) => {
      const stats = lstatSync(join(folder, path));
      const content = stats.isFile() ? readFileSync(join(folder, path)) : "";
      return [path, `${stats.mode.toString(8)} ${createHash("sha256").update(content).digest("hex")}`];
    }),
  );
}
