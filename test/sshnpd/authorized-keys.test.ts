import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { ed25519Line, type PublicKeyLine, parsePublicKeyBlob, parsePublicKeyLine } from "../../keys/openssh.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { addAuthorizedKey, hasKey } from "../../sshnpd/authorized-keys.ts";
import { startBuilt } from "../support/built-module.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const COMMENT = "sshnp:@client/laptop-client";
const OTHERS =
  "# a comment with \u00e4, and no end\n\n" +
  `from="10.0.0.0/8",command="echo \\"hi\\"" ${newKey().line} a person's key\r\n` +
  `${newKey().line}\n`;

test("folder and file are made, closed to others, with one line in it", async () => {
  await using home = await temporaryFolder();
  const key = newKey();
  expect(await addAuthorizedKey(home.path, key, COMMENT)).toBe(true);
  expect(readFileSync(fileOf(home), "utf8")).toBe(`${key.line} ${COMMENT}\n`);
  expect(statSync(fileOf(home)).mode & 0o777).toBe(0o600);
  expect(statSync(join(home.path, ".ssh")).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(home.path, ".ssh"))).toEqual(["authorized_keys"]);
});

test("sshd's own tool reads the line", async () => {
  await using home = await temporaryFolder();
  await addAuthorizedKey(home.path, newKey(), COMMENT);
  expect(execFileSync("ssh-keygen", ["-lf", fileOf(home)], { encoding: "utf8" })).toContain(COMMENT);
});

test.each([
  ["ending in a newline", OTHERS, OTHERS],
  ["ending without one", OTHERS.slice(0, -1), OTHERS],
  ["empty", "", ""],
])("other lines stay byte for byte: a file %s", async (_what, before, kept) => {
  await using home = await withFile(before);
  const key = newKey();
  expect(await addAuthorizedKey(home.path, key, COMMENT)).toBe(true);
  expect(readFileSync(fileOf(home), "utf8")).toBe(`${kept}${key.line} ${COMMENT}\n`);
});

test("bytes that are no text stay as they are", async () => {
  const before = Buffer.concat([randomBytes(2000), Buffer.of(10)]);
  await using home = await withFile(before);
  await addAuthorizedKey(home.path, newKey(), COMMENT);
  expect(readFileSync(fileOf(home)).subarray(0, before.length)).toEqual(before);
});

test("the mode of the file is kept", async () => {
  await using home = await withFile(OTHERS);
  chmodSync(fileOf(home), 0o644);
  await addAuthorizedKey(home.path, newKey(), COMMENT);
  expect(statSync(fileOf(home)).mode & 0o777).toBe(0o644);
});

const known = newKey();
test.each([
  ["as it is", `${known.line}\n`],
  ["with another comment", `${known.line} somebody`],
  ["restricted to one command", `restrict,command="/bin/echo a \\" b" ${known.line} x\n`],
  ["from one address", `  from="127.0.0.1"\t${known.line}\n`],
  ["as an authority", `cert-authority ${known.line}\n`],
  ["in Windows lines", `${known.line}\r\n${newKey().line}\r\n`],
  ["without base64's padding", `${known.line.replace(/=*$/, "")}\n`],
])("a key that is there already is not added again, whatever its options: %s", async (_what, before) => {
  await using home = await withFile(before);
  expect(await addAuthorizedKey(home.path, known, COMMENT)).toBe(false);
  expect(readFileSync(fileOf(home), "utf8")).toBe(before);
});

test("a key that is commented out is not there", () => {
  expect(hasKey(`# ${known.line}\n`, known.blob)).toBe(false);
  expect(hasKey(`  #${known.line}\n`, known.blob)).toBe(false);
});

test("a key with a newline in it, or anything else beside a key, is none", () => {
  const { line, blob } = newKey();
  const second = newKey().line;
  for (const text of [`${line}\n${second}`, `${line}\r\n${second}\n`, `command="x" ${line}`, `${line} a\u0000b`]) {
    expect(() => parsePublicKeyLine(text)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
  }
  for (const bytes of [Buffer.concat([blob, Buffer.from(`\n${second}\n`)]), Buffer.from(`${line}\n${second}\n`)]) {
    expect(() => parsePublicKeyBlob(bytes)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
  }
});

interface Attack {
  readonly what: string;
  readonly prepare: (home: string, canary: string) => void;
}
const ATTACKS: readonly Attack[] = [
  {
    what: "the file is a symlink",
    prepare: (home, canary) => {
      mkdirSync(join(home, ".ssh"), { mode: 0o700 });
      symlinkSync(canary, join(home, ".ssh/authorized_keys"));
    },
  },
  {
    what: "the file is a symlink to nowhere",
    prepare: (home, canary) => {
      mkdirSync(join(home, ".ssh"), { mode: 0o700 });
      symlinkSync(`${canary}.not-there`, join(home, ".ssh/authorized_keys"));
    },
  },
  {
    what: "the file is a hard link",
    prepare: (home, canary) => {
      mkdirSync(join(home, ".ssh"), { mode: 0o700 });
      linkSync(canary, join(home, ".ssh/authorized_keys"));
    },
  },
  {
    what: "the folder is a symlink",
    prepare: (home, canary) => {
      mkdirSync(`${canary}.folder`, { mode: 0o700 });
      symlinkSync(`${canary}.folder`, join(home, ".ssh"));
    },
  },
  { what: "the folder is a file", prepare: (home) => writeFileSync(join(home, ".ssh"), "") },
  {
    what: "the file is a folder",
    prepare: (home) => mkdirSync(join(home, ".ssh/authorized_keys"), { recursive: true }),
  },
  {
    what: "the file is a named pipe",
    prepare: (home) => {
      mkdirSync(join(home, ".ssh"), { mode: 0o700 });
      execFileSync("mkfifo", [join(home, ".ssh/authorized_keys")]);
    },
  },
  {
    what: "others may write the file",
    prepare: (home) => {
      mkdirSync(join(home, ".ssh"), { mode: 0o700 });
      writeFileSync(join(home, ".ssh/authorized_keys"), OTHERS);
      chmodSync(join(home, ".ssh/authorized_keys"), 0o620);
    },
  },
  {
    what: "others may write the folder",
    prepare: (home) => {
      mkdirSync(join(home, ".ssh"));
      chmodSync(join(home, ".ssh"), 0o777);
    },
  },
  {
    what: "the file is enormous",
    prepare: (home) => {
      mkdirSync(join(home, ".ssh"), { mode: 0o700 });
      writeFileSync(join(home, ".ssh/authorized_keys"), Buffer.alloc(1024 * 1024 + 1, "\n"), { mode: 0o600 });
    },
  },
];

test.each(ATTACKS)("refused, and nothing anywhere is changed: $what", async ({ prepare }) => {
  await using home = await temporaryFolder();
  await using elsewhere = await temporaryFolder();
  const canary = join(elsewhere.path, "canary");
  writeFileSync(canary, OTHERS, { mode: 0o600 });
  prepare(home.path, canary);
  const before = [listing(home.path), listing(elsewhere.path)];
  await expect(addAuthorizedKey(home.path, newKey(), COMMENT)).rejects.toMatchObject({ code: "E_KEY_PERMISSIONS" });
  expect([listing(home.path), listing(elsewhere.path)]).toEqual(before);
  expect(readFileSync(canary, "utf8")).toBe(OTHERS);
});

test.runIf(CAN_MAKE_USERS)("refused: file or folder of another owner", async () => {
  for (const foreign of [".ssh", ".ssh/authorized_keys"]) {
    await using home = await withFile(OTHERS);
    chownSync(join(home.path, foreign), 12_345, 12_345);
    await expect(addAuthorizedKey(home.path, newKey(), COMMENT)).rejects.toMatchObject({ code: "E_KEY_PERMISSIONS" });
    expect(readFileSync(fileOf(home), "utf8")).toBe(OTHERS);
  }
});

test("twenty writers at once lose no line", async () => {
  await using home = await withFile(OTHERS);
  const keys = Array.from({ length: 20 }, newKey);
  const added = await Promise.all(keys.map((key) => addAuthorizedKey(home.path, key, COMMENT)));
  expect(added).toEqual(keys.map(() => true));
  const text = readFileSync(fileOf(home), "utf8");
  expect(text.startsWith(OTHERS)).toBe(true);
  expect(text.slice(OTHERS.length).split("\n").toSorted()).toEqual(
    ["", ...keys.map(({ line }) => `${line} ${COMMENT}`)].toSorted(),
  );
});

test("of twenty that bring the same key, one adds it", async () => {
  await using home = await withFile(OTHERS);
  const key = newKey();
  const added = await Promise.all(Array.from({ length: 20 }, () => addAuthorizedKey(home.path, key, COMMENT)));
  expect(added.filter(Boolean)).toHaveLength(1);
  expect(readFileSync(fileOf(home), "utf8")).toBe(`${OTHERS}${key.line} ${COMMENT}\n`);
});

test("a line that a program without our lock adds meanwhile is not lost", async () => {
  await using home = await withFile(OTHERS);
  await using appender = startBuilt(
    home,
    `
    import { appendFileSync } from "node:fs";
    console.log("ready");
    for await (const _ of process.stdin) break;
    for (let i = 0; i < 200; i++) appendFileSync(argument, "# line " + i + "\\n");`,
    fileOf(home),
  );
  await appender.line(/^ready$/);
  appender.stdin.end("go");
  const keys = Array.from({ length: 10 }, newKey);
  await Promise.allSettled(keys.map((key) => addAuthorizedKey(home.path, key, COMMENT)));
  expect((await appender.exit()).code).toBe(0);
  // Between its last look and the rename a line may still be lost: that is what locks are for. Never more than one each.
  const text = readFileSync(fileOf(home), "utf8");
  expect(text.startsWith(OTHERS)).toBe(true);
  expect(text.match(/^# line \d+$/gm)?.length).toBeGreaterThanOrEqual(200 - keys.length);
});

test("kill -9 at any moment leaves whole lines, and the next writer cleans up", { timeout: 60_000 }, async () => {
  await using home = await withFile(OTHERS);
  for (let round = 0; round < 12; round++) {
    await using writer = startBuilt(
      home,
      `
      import { randomBytes } from "node:crypto";
      const { addAuthorizedKey } = await load("sshnpd/authorized-keys.js");
      const { parsePublicKeyBlob } = await load("keys/openssh.js");
      const { nativeSuite } = await load("protocol/suite/native.js");
      const { ed25519Line, parsePublicKeyLine } = await load("keys/openssh.js");
      const { Ed25519PrivateKey } = await load("keys/ed25519.js");
      for (;;) {
        const { publicKey } = Ed25519PrivateKey.generate(nativeSuite, (n) => new Uint8Array(randomBytes(n)));
        await addAuthorizedKey(argument, parsePublicKeyLine(ed25519Line(publicKey)), "${COMMENT}");
        console.log("added");
      }`,
      home.path,
    );
    await writer.line(/^added$/);
    // Wherever it stands by now.
    await new Promise((resolve) => setImmediate(resolve));
    await writer.kill("SIGKILL");
    const text = readFileSync(fileOf(home), "utf8");
    expect(text.startsWith(OTHERS)).toBe(true);
    expect(text.slice(OTHERS.length)).toMatch(new RegExp(`^(?:ssh-ed25519 [A-Za-z0-9+/]{68} ${COMMENT}\\n)+$`));
    expect(statSync(fileOf(home)).mode & 0o777).toBe(0o600);
  }
  expect(await addAuthorizedKey(home.path, newKey(), COMMENT)).toBe(true);
  expect(readdirSync(join(home.path, ".ssh"))).toEqual(["authorized_keys"]);
});

test("what a killed writer left is removed, other files are not", async () => {
  await using home = await withFile(OTHERS);
  writeFileSync(join(home.path, ".ssh/.authorized_keys.0123456789abcdef.new"), "half a li");
  writeFileSync(join(home.path, ".ssh/.authorized_keys.mine.new"), "");
  await addAuthorizedKey(home.path, newKey(), COMMENT);
  expect(readdirSync(join(home.path, ".ssh")).toSorted()).toEqual([".authorized_keys.mine.new", "authorized_keys"]);
});

const PUSH = `
  const { acceptPushedKey } = await load("sshnpd/pushed-keys.js");
  const { accountFor } = await load("sshnpd/accounts.js");
  const { parsePublicKeyLine } = await load("keys/openssh.js");
  const { login, line } = JSON.parse(argument);
  const account = await accountFor(login);
  try {
    console.log(account === undefined ? "no account" : await acceptPushedKey(account, parsePublicKeyLine(line), "${COMMENT}"));
  } catch (error) {
    console.log(error.code ?? error.stack);
  }`;

test.runIf(CAN_MAKE_USERS)("as root the key goes to the login's file, made by that user", async () => {
  await using user = await ordinaryUser();
  await using home = await temporaryFolder();
  const key = newKey();
  expect(await push(home, user.name, key)).toBe("true\n");
  expect(await push(home, user.name, key)).toBe("false\n");
  const file = join(user.home, ".ssh/authorized_keys");
  expect(readFileSync(file, "utf8")).toBe(`${key.line} ${COMMENT}\n`);
  for (const path of [file, join(user.home, ".ssh")]) {
    expect([statSync(path).uid, statSync(path).gid]).toEqual([user.uid, user.gid]);
  }
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test.runIf(CAN_MAKE_USERS)("as root no link of the login leads to another's files", async () => {
  await using user = await ordinaryUser();
  await using home = await temporaryFolder();
  mkdirSync(join(home.path, ".ssh"), { mode: 0o700 });
  writeFileSync(join(home.path, ".ssh/authorized_keys"), OTHERS, { mode: 0o600 });
  const own = join(user.home, ".ssh");
  for (const target of [join(home.path, ".ssh"), "/etc"]) {
    execFileSync("setpriv", [...user.setprivArguments, "--", "ln", "-sfn", target, own]);
    expect(await push(home, user.name, newKey())).toBe("E_KEY_PERMISSIONS\n");
  }
  execFileSync("rm", [own]);
  mkdirSync(own, { mode: 0o700 });
  chownSync(own, user.uid, user.gid);
  symlinkSync(join(home.path, ".ssh/authorized_keys"), join(own, "authorized_keys"));
  expect(await push(home, user.name, newKey())).toBe("E_KEY_PERMISSIONS\n");
  expect(readFileSync(join(home.path, ".ssh/authorized_keys"), "utf8")).toBe(OTHERS);
  expect(existsSync("/etc/authorized_keys")).toBe(false);
});

test.runIf(CAN_MAKE_USERS)("as root a login that is not there, or not said, gets nothing", async () => {
  await using home = await temporaryFolder();
  for (const login of ["", "np-not-there", "0"]) expect(await push(home, login, newKey())).toBe("no account\n");
});

test.runIf(CAN_MAKE_USERS)(
  "an ordinary user's daemon writes its own file from passwd, and no other login's",
  async () => {
    await using user = await ordinaryUser();
    await using other = await ordinaryUser();
    const key = newKey();
    const run = async (login: string): Promise<string> => {
      await using process = startBuilt({ path: "/nonexistent" }, PUSH, JSON.stringify({ login, line: key.line }), user);
      return (await process.exit()).stdout;
    };
    expect(await run(other.name)).toBe("no account\n");
    expect(await run("root")).toBe("no account\n");
    expect(await run(user.name)).toBe("true\n");
    expect(await run("")).toBe("false\n");
    expect(readFileSync(join(user.home, ".ssh/authorized_keys"), "utf8")).toBe(`${key.line} ${COMMENT}\n`);
    expect(existsSync(join(other.home, ".ssh"))).toBe(false);
  },
);

async function push(home: TemporaryFolder, login: string, key: PublicKeyLine): Promise<string> {
  await using process = startBuilt(home, PUSH, JSON.stringify({ login, line: key.line }));
  return (await process.exit()).stdout;
}

async function withFile(content: string | Buffer): Promise<TemporaryFolder> {
  const home = await temporaryFolder();
  mkdirSync(join(home.path, ".ssh"), { mode: 0o700 });
  writeFileSync(fileOf(home), content, { mode: 0o600 });
  return home;
}

function fileOf(home: TemporaryFolder): string {
  return join(home.path, ".ssh/authorized_keys");
}

/** Names, modes, owners and inodes of everything in a folder. */
function listing(folder: string): string {
  return execFileSync("find", [folder, "-printf", "%P %y %m %U %i %s\n"], { encoding: "utf8" });
}

function newKey(): PublicKeyLine {
  const { publicKey } = Ed25519PrivateKey.generate(nativeSuite, (length) => new Uint8Array(randomBytes(length)));
  return parsePublicKeyLine(ed25519Line(publicKey));
}
