import { spawnSync } from "node:child_process";
import { userInfo } from "node:os";
import { chmod, chown, lstat, mkdir, readdir, readFile, realpath, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { utf8, utf8Text } from "../../keys/bytes.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { runProcess, startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { wholeVersion } from "./versions.ts";

let script: Bundle;
beforeAll(async () => {
  script = await bundle("folder-script.ts");
  return () => script.folder.remove();
});

describe("a private folder", () => {
  test("is made on demand, with the folders above it, and holds what was put in", async () => {
    await using here = await temporaryFolder();
    const path = join(here.path, "share/sshnp/keys");
    expect(await PrivateFolder.open(path)).toBeUndefined();
    const folder = await PrivateFolder.openOrCreate(`${path}/`);
    expect(folder.path).toBe(path);
    for (const made of [path, dirname(path), dirname(dirname(path))]) expect(await modeOf(made)).toBe(0o700);
    expect(await folder.read("@acme.owner.npkeys", 100)).toBeUndefined();
    await folder.create("@acme.owner.npkeys", utf8("first"));
    await folder.replace("other", utf8("one"));
    await folder.replace("other", utf8("two"));
    expect(await textIn(folder, "@acme.owner.npkeys")).toBe("first");
    expect(await textIn(folder, "other")).toBe("two");
    expect(await folder.list()).toEqual(["@acme.owner.npkeys", "other"]);
    await folder.remove("other");
    await folder.remove("other");
    expect(await readdir(path)).toEqual(["@acme.owner.npkeys"]);
  });

  test("can be taken back with the folders made for it, as far as they are empty", async () => {
    await using here = await temporaryFolder();
    const path = join(here.path, "share/sshnp/keys");
    await (await PrivateFolder.openOrCreate(path)).removeMade();
    expect(await readdir(here.path)).toEqual([]);

    const folder = await PrivateFolder.openOrCreate(path);
    await (await PrivateFolder.openOrCreate(path)).removeMade(); // it made none of them
    await mkdir(join(here.path, "share/other"));
    await folder.create("key", utf8("first"));
    await folder.removeMade();
    expect(await textIn(folder, "key")).toBe("first");
    await folder.remove("key");
    await folder.removeMade();
    expect(await readdir(join(here.path, "share"))).toEqual(["other"]);
  });

  test("is made by many at once, with the folders above it", async () => {
    await using here = await temporaryFolder();
    const path = join(here.path, "a/b/c/d/e/f");
    const folders = await Promise.all(Array.from({ length: 20 }, () => PrivateFolder.openOrCreate(path)));
    expect(new Set(folders.map((folder) => folder.path))).toEqual(new Set([path]));
  });

  test("never overwrites a file that is to be new", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    await folder.create("key", utf8("first"));
    await expect(folder.create("key", utf8("second"))).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
    expect(await textIn(folder, "key")).toBe("first");
    expect(await readdir(here.path)).toEqual(["key"]);
  });

  test("lets one of many writers make a new file, and the others know", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    const writers = Array.from({ length: 40 }, (_, i) => folder.create("key", utf8(`writer ${i}`)));
    const results = await Promise.allSettled(writers);
    const winners = results.flatMap((result, i) => (result.status === "fulfilled" ? [i] : []));
    expect(winners).toHaveLength(1);
    expect(await textIn(folder, "key")).toBe(`writer ${winners[0]}`);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "E_KEY_EXISTS" });
    }
    expect(await readdir(here.path)).toEqual(["key"]);
  });

  test("keeps a whole file when many replace it at once", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    const texts = Array.from({ length: 40 }, (_, i) => `${i}`.repeat(1000 + i));
    await Promise.all(texts.map((text) => folder.replace("state", utf8(text))));
    expect(texts).toContain(await textIn(folder, "state"));
    expect(await readdir(here.path)).toEqual(["state"]);
  });

  test("reads no more of a file than the caller allows", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    await folder.create("key", utf8("12345"));
    expect(await folder.read("key", 5)).toEqual(utf8("12345"));
    await expect(folder.read("key", 4)).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  });

  test("removes what a killed writer left an hour ago, and leaves alone what somebody writes now", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    const anHourAgo = Date.now() / 1000 - 3601;
    for (const [name, time] of [
      [".key.00.new", anHourAgo],
      [".key.11.new", Date.now() / 1000],
      [".note", anHourAgo],
    ] as const) {
      await writeFile(join(here.path, name), "secret");
      await utimes(join(here.path, name), time, time);
    }
    expect(await folder.list()).toEqual([]);
    await folder.replace("key", utf8("text"));
    expect(await readdir(here.path)).toEqual([".key.11.new", ".note", "key"]);
  });

  test("says so when it cannot write, and leaves nothing behind", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    await mkdir(join(here.path, "state"));
    await expect(folder.replace("state", utf8("text"))).rejects.toMatchObject({
      name: "SetupError",
      code: "E_STORAGE",
    });
    expect(await readdir(here.path)).toEqual(["state"]);
    await here.remove();
    const text = utf8("text");
    for (const use of [() => folder.replace("key", text), () => folder.create("key", text), () => folder.list()]) {
      await expect(use()).rejects.toMatchObject({ name: "SetupError", code: "E_STORAGE" });
    }
  });

  test("is not made behind a link that leads nowhere", async () => {
    await using here = await temporaryFolder();
    await symlink(join(here.path, "nowhere"), join(here.path, "link"));
    await expect(PrivateFolder.openOrCreate(join(here.path, "link/keys"))).rejects.toMatchObject({ code: "E_STORAGE" });
    expect(await readdir(here.path)).toEqual(["link"]);
  });

  test.each([
    "",
    ".",
    "..",
    "../key",
    "a/b",
    "/etc/passwd",
    ".key",
    "a\0b",
    "a\nb",
    "a\\b",
    "Ключ",
    "KEY",
    "-rf",
    "%2e%2e",
  ])("takes no file called %j", async (file) => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(join(here.path, "keys"));
    expect(() => folder.pathOf(file)).toThrow("broken invariant");
    await expect(folder.read(file, 100)).rejects.toThrow("broken invariant");
    await expect(folder.create(file, utf8("x"))).rejects.toThrow("broken invariant");
    await expect(folder.replace(file, utf8("x"))).rejects.toThrow("broken invariant");
    await expect(folder.remove(file)).rejects.toThrow("broken invariant");
    expect(await readdir(here.path, { recursive: true })).toEqual(["keys"]);
  });
});

describe("kill -9 of a writer", { timeout: 60_000 }, () => {
  const KILLS = 15;

  test("leaves the old file or the new one, and nothing that was reported is lost", async () => {
    await using here = await temporaryFolder();
    const folder = await PrivateFolder.openOrCreate(here.path);
    for (let kill = 1; kill <= KILLS; kill++) {
      const reported = await killAfter(kill, ["replace-for-ever", here.path, "state"], here.path);
      const version = wholeVersion((await folder.read("state", 1_000_000)) ?? new Uint8Array(0));
      expect(version).toBeGreaterThanOrEqual(reported);
    }
  });

  test("leaves no new file or a whole one, and nothing that was reported is lost", async () => {
    await using here = await temporaryFolder();
    for (let kill = 1; kill <= KILLS; kill++) {
      const folder = await PrivateFolder.openOrCreate(join(here.path, `${kill}`));
      const reported = await killAfter(kill, ["create-for-ever", folder.path, "key"], here.path);
      const files = await folder.list();
      for (const file of files) {
        expect(wholeVersion((await folder.read(file, 1_000_000)) ?? new Uint8Array(0))).toBe(Number(file.slice(3)));
      }
      expect(files.length).toBeGreaterThanOrEqual(reported);
    }
  });

  /** Kills the script once it has reported so many writes, in the midst of the next; tells how many it reported. */
  async function killAfter(writes: number, args: readonly string[], home: string): Promise<number> {
    const writer = startProcess(process.execPath, [script.file, ...args], { env: { HOME: home } });
    await writer.line(new RegExp(`"version":${writes}}`));
    const { stdout, signal } = await writer.kill("SIGKILL");
    expect(signal).toBe("SIGKILL");
    return stdout.split("\n").length - 1;
  }
});

/** Who runs the script, and where it finds its folder. */
interface Stage {
  readonly uid: number;
  readonly keys: string;
  readonly key: string;
  readonly run: (command: string, folder?: string) => Promise<Record<string, string>>;
}

for (const who of ["the user of these tests", "an ordinary user"] as const) {
  describe.skipIf(who === "an ordinary user" && !CAN_MAKE_USERS)(`for ${who}`, () => {
    let user: OrdinaryUser | undefined;
    beforeAll(async () => {
      if (who === "an ordinary user") user = await ordinaryUser();
    });
    afterAll(async () => user?.remove());

    test("with umask 0 the folder is 0700 and its files 0600", async () => {
      await onStage(async ({ run, keys }) => {
        const folder = join(keys, "new/keys");
        expect(await run("create", folder)).toEqual({ created: "key" });
        expect(await modeOf(join(keys, "new"))).toBe(0o700);
        expect(await modeOf(folder)).toBe(0o700);
        expect(await modeOf(join(folder, "key"))).toBe(0o600);
      });
    });

    test("a folder of 0700 with a file of 0600 is read", async () => {
      await onStage(async ({ run }) => expect(await run("read")).toEqual({ text: "secret" }));
    });

    test.each([0o755, 0o750, 0o701, 0o710, 0o777])(
      "a folder of mode %o is refused until it is closed",
      async (mode) => {
        await onStage(async ({ run, keys }) => {
          await chmod(keys, mode);
          await expectCure(run, { code: "E_KEY_PERMISSIONS", next: `chmod 700 ${keys}` });
        });
      },
    );

    test.each([0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o666])(
      "a file of mode %o is refused until it is closed",
      async (mode) => {
        await onStage(async ({ run, key }) => {
          await chmod(key, mode);
          await expectCure(run, { code: "E_KEY_PERMISSIONS", next: `chmod 600 ${key}` });
        });
      },
    );

    test.skipIf(!CAN_MAKE_USERS)("a folder of another user is refused until it is ours", async () => {
      await onStage(async ({ run, keys, uid }) => {
        await chown(keys, 65534, 65534);
        expect(await run("read")).toMatchObject({ error: "SetupError", code: "E_KEY_PERMISSIONS" });
        await chown(keys, uid, uid);
        expect(await run("read")).toEqual({ text: "secret" });
      });
    });

    test.skipIf(!CAN_MAKE_USERS)("a file of another user is refused until it is ours", async () => {
      await onStage(async ({ run, key }) => {
        await chown(key, 65534, 65534);
        const name = user?.name ?? userInfo().username;
        await expectCure(run, { code: "E_KEY_PERMISSIONS", next: `chown ${name} ${key}` });
      });
    });

    test("a link in place of the file is refused, though it leads to a private file", async () => {
      await onStage(async ({ run, key, keys }) => {
        await writeOwned(join(keys, "elsewhere"), "secret");
        spawnSync("rm", [key]);
        await symlink("elsewhere", key);
        const refusal = await run("read");
        expect(refusal).toMatchObject({ code: "E_KEY_PERMISSIONS", next: `Remove the link: rm ${key}` });
        await expectUntouched(run("create"), join(keys, "elsewhere"));
      });
    });

    test("a link that leads nowhere is refused, and nothing is written through it", async () => {
      await onStage(async ({ run, key, keys }) => {
        spawnSync("rm", [key]);
        await symlink("nowhere", key);
        expect(await run("read")).toMatchObject({ code: "E_KEY_PERMISSIONS" });
        expect(await run("create")).toMatchObject({ code: "E_KEY_EXISTS" });
        expect(await readdir(keys)).toEqual(["key"]);
      });
    });

    test.each(["", "/", "/."])("a link in place of the folder is refused, written with %j at its end", async (end) => {
      await onStage(async ({ run, keys }) => {
        const linked = `${keys}-link`;
        await symlink(keys, linked);
        for (const command of ["read", "create"]) {
          const refusal = await run(command, `${linked}${end}`);
          const next = `Give the folder itself: ${await realpath(keys)}`;
          expect(refusal).toMatchObject({ error: "SetupError", code: "E_KEY_PERMISSIONS", next });
        }
        await expectUntouched(run("read"), join(keys, "key"));
      });
    });

    test("a named pipe in place of the file is refused at once", async () => {
      await onStage(async ({ run, key, keys }) => {
        spawnSync("rm", [key]);
        spawnSync("mkfifo", ["-m", "600", key]);
        if (user !== undefined) await chown(key, user.uid, user.gid);
        expect(await run("read")).toMatchObject({ code: "E_KEY_PERMISSIONS", message: `${key} is not a file.` });
        expect(await readdir(keys)).toEqual(["key"]);
      });
    });

    test("a folder in place of the file, and a file in place of the folder, are refused", async () => {
      await onStage(async ({ run, key, keys }) => {
        expect(await run("read", key)).toMatchObject({ code: "E_KEY_PERMISSIONS", message: `${key} is not a folder.` });
        expect(await run("create", key)).toMatchObject({ code: "E_KEY_PERMISSIONS" });
        await mkdir(join(dirname(keys), "other"), { mode: 0o700 });
        await mkdir(join(dirname(keys), "other/key"), { mode: 0o700 });
        spawnSync("chown", ["-R", `${user?.uid ?? process.getuid?.()}`, join(dirname(keys), "other")]);
        expect(await run("read", join(dirname(keys), "other"))).toMatchObject({ code: "E_KEY_PERMISSIONS" });
      });
    });

    /** A folder of this user with one file in it, both as they should be. */
    async function onStage(act: (stage: Stage) => Promise<void>): Promise<void> {
      await using here = await temporaryFolder();
      if (user !== undefined) await chown(here.path, user.uid, user.gid);
      const keys = join(here.path, "keys");
      await mkdir(keys, { mode: 0o700 });
      if (user !== undefined) await chown(keys, user.uid, user.gid);
      await writeOwned(join(keys, "key"), "secret");
      const uid = user?.uid ?? process.getuid?.() ?? -1;
      const run = async (command: string, folder: string = keys): Promise<Record<string, string>> => {
        const options = { env: { HOME: here.path }, ...(user === undefined ? {} : { user }) };
        const { stdout, stderr } = await runProcess(process.execPath, [script.file, command, folder, "key"], options);
        expect(stderr).toBe("");
        return JSON.parse(stdout) as Record<string, string>;
      };
      await act({ uid, keys, key: join(keys, "key"), run });
    }

    async function writeOwned(path: string, text: string): Promise<void> {
      await writeFile(path, text, { mode: 0o600 });
      if (user !== undefined) await chown(path, user.uid, user.gid);
    }

    /** Refused by reader and writer alike; once the command in the next step was run (by root), all is well. */
    async function expectCure(
      run: Stage["run"],
      refusal: { readonly code: string; readonly next: string },
    ): Promise<void> {
      const refused = await run("read");
      expect(refused).toMatchObject({ error: "SetupError", code: refusal.code });
      expect(refused["next"]?.replace(/^If it is yours: (?:sudo )?/, "")).toBe(refusal.next);
      const { status } = spawnSync("sh", ["-c", refusal.next]);
      expect(status).toBe(0);
      expect(await run("read")).toEqual({ text: "secret" });
    }

    async function expectUntouched(action: Promise<unknown>, path: string): Promise<void> {
      await action;
      expect(await readFile(path, "utf8")).toBe("secret");
    }
  });
}

test("a word of a shell command is what the shell reads", () => {
  const words = [
    "",
    "plain",
    "/home/a b/keys",
    "it's",
    '$HOME `id` $(id) ; & | > \\ " * ~',
    "a\nb",
    "\u001b]0;x\u0007",
    "Ключ",
    "-x",
  ];
  for (const word of words) {
    const printed = shellWord(word);
    expect(printed).toMatch(/^[ -~]+$/);
    expect(spawnSync("bash", ["-c", `printf '%s' ${printed}`], { encoding: "utf8" }).stdout).toBe(word);
  }
});

async function modeOf(path: string): Promise<number> {
  return (await lstat(path)).mode & 0o7777;
}

async function textIn(folder: PrivateFolder, file: string): Promise<string | undefined> {
  const bytes = await folder.read(file, 1_000_000);
  return bytes && utf8Text(bytes);
}
