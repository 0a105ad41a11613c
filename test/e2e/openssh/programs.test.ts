import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import { Terminals } from "../../support/terminals.ts";
import type { Stack } from "../../support/stack.ts";
import { DEVICE_MODES, HOST, Person, startDevice } from "./person.ts";
import { RemoteWindow } from "./vs-code.ts";

/*
 * What people do with OpenSSH's programs, and with those that start them, once `sshnp ssh-config --install` was run. One of
 * the two has a connection for each program, the other shares one, as is the default.
 */
const PEOPLE = [
  [
    "whoever runs the tests",
    "an own connection each",
    (stack: Stack) => Person.withFile(stack, "--control-master", "no"),
  ],
  ["an ordinary user", "one shared connection", (stack: Stack) => Person.ordinary(stack)],
] as const;

describe.each(DEVICE_MODES)("with a device in mode %s", { timeout: 120_000 }, (mode) => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startDevice(mode);
  });
  afterAll(() => stack[Symbol.asyncDispose]());

  describe.each(PEOPLE.slice(mode === "tcp" ? 0 : 1, CAN_MAKE_USERS ? 2 : 1))("%s, with %s", (_, __, come) => {
    let person: Person;
    beforeAll(async () => {
      person = await come(stack);
    });
    afterAll(() => person[Symbol.asyncDispose]());

    test.each([0, 1, 42, 255])("ssh ends with the status %i of the command", async (status) => {
      const { code, stdout, stderr } = await person.run("ssh", HOST, `echo out; echo err >&2; exit ${status}`);
      expect([code, stdout, stderr]).toEqual([status, "out\n", expect.stringMatching(/(?:^|\n)err\n$/)]);
    });

    test("ssh tells of a command that a signal ended", async () => {
      expect(await person.run("ssh", HOST, "echo up; kill -KILL $$; echo never")).toMatchObject({
        code: 255,
        stdout: "up\n",
      });
    });

    // The parent of the command is the server's process for this connection, and in mode builtin the daemon.
    if (mode !== "builtin")
      test("ssh ends when the device's server ends the connection", async () => {
        const alone = ["-o", "ControlPath=none"];
        const ssh = person.start("ssh", ...alone, HOST, "echo up; read line; kill -KILL $PPID; sleep 60");
        await ssh.line(/^up$/);
        ssh.stdin.write("go on\n");
        expect(await ssh.exit()).toMatchObject({ code: 255 });
      });

    test("every byte goes through a pipe, both ways at once", async () => {
      const sent = randomBytes(8 * 1024 * 1024);
      const folder = person.folder("pipe", (path) => writeFileSync(join(path, "sent"), sent));
      const exit = await person.shell(
        `"$@" 'tee /dev/stderr' <${folder}/sent >${folder}/out 2>${folder}/err`,
        "ssh",
        HOST,
      );
      expect(exit.code).toBe(0);
      expect([hash(join(folder, "out")), hash(join(folder, "err"))]).toEqual([sha256(sent), sha256(sent)]);
    });

    test.each(["-O", "-s"])("scp %s copies both ways, names and times as they are", async (protocol) => {
      const content = randomBytes(1_000_000);
      const folder = person.folder(`scp${protocol}`, (path) => {
        writeFileSync(join(path, "a b"), content, { mode: 0o640 });
        utimesSync(join(path, "a b"), 1e9, 1e9);
        mkdirSync(join(path, "there"));
      });
      await person.must("scp", protocol, "-p", join(folder, "a b"), `${HOST}:${folder}/there/`);
      const remote = `${HOST}:${folder}/there/a${protocol === "-O" ? "\\ " : " "}b`;
      await person.must("scp", protocol, "-p", remote, `${HOST}:${folder}/there/twice`); // from the device to the device
      await person.must("scp", protocol, "-p", `${HOST}:${folder}/there/twice`, join(folder, "back"));
      for (const name of ["there/a b", "there/twice", "back"]) {
        const { mtimeMs, mode: bits } = statSync(join(folder, name));
        expect([name, hash(join(folder, name)), mtimeMs, bits & 0o777]).toEqual([name, sha256(content), 1e12, 0o640]);
      }
      const missing = await person.run("scp", protocol, `${HOST}:${folder}/nothing`, folder);
      expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("No such file") });
    });

    test("sftp does what a batch says", async () => {
      const content = randomBytes(300_000);
      const folder = person.folder("sftp", (path) => {
        writeFileSync(join(path, "up"), content);
        const lines = [
          "mkdir there",
          "put up there/one",
          "rename there/one there/two",
          "chmod 600 there/two",
          "ls -l there",
          "get there/two down",
          "rm there/two",
          "rmdir there",
        ];
        writeFileSync(join(path, "batch"), [`cd ${path}`, `lcd ${path}`, ...lines, ""].join("\n"));
      });
      const { code, stdout } = await person.run("sftp", "-b", join(folder, "batch"), HOST);
      expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^-rw-------.* 300000 .*two$/m) });
      expect(hash(join(folder, "down"))).toBe(sha256(content));
      expect(existsSync(join(folder, "there"))).toBe(false);
    });

    test("rsync brings a tree over, then only what has changed, and takes away what has gone", async () => {
      const folder = person.folder("rsync", (path) => {
        mkdirSync(join(path, "from/deep/er"), { recursive: true });
        for (const name of ["one", "two", "deep/three", "deep/er/four"])
          writeFileSync(join(path, "from", name), randomBytes(50_000));
      });
      const words = ["-a", "--delete", "--itemize-changes", `${folder}/from/`, `${HOST}:${folder}/to/`];
      expect((await person.must("rsync", ...words)).match(/^<f\+/gm)).toHaveLength(4);
      expect(await person.must("rsync", ...words)).toBe("");
      await person.must("ssh", HOST, `cd ${folder}/from && rm one && echo more >>two`);
      expect(await person.must("rsync", ...words)).toMatch(/^\*deleting +one\n(?:.*\n)?<f\S+ two\n$/);
      expect(
        await person.must("rsync", "-a", "--itemize-changes", `${HOST}:${folder}/to/`, `${folder}/back/`),
      ).toContain(">f");
      for (const name of ["two", "deep/er/four"])
        expect(hash(join(folder, "back", name))).toBe(hash(join(folder, "from", name)));
    });

    test("git clones, pushes and fetches", async () => {
      const folder = person.folder("git");
      await person.must("git", "init", "--quiet", "--bare", "--initial-branch=main", join(folder, "there.git"));
      await person.must("git", "clone", "--quiet", `${HOST}:${folder}/there.git`, join(folder, "one"));
      const at = (clone: string, ...words: string[]): Promise<string> =>
        person.must("git", "-C", join(folder, clone), ...words);
      await person.must("ssh", HOST, `echo content >${folder}/one/file`);
      await at("one", "add", "file");
      await at("one", "commit", "--quiet", "-m", "first");
      await at("one", "push", "--quiet", "origin", "HEAD:main");
      await person.must("git", "clone", "--quiet", `ssh://${HOST}${folder}/there.git`, join(folder, "two"));
      expect(await at("two", "log", "--format=%s")).toBe("first\n");
      await at("one", "commit", "--quiet", "--allow-empty", "-m", "second");
      await at("one", "push", "--quiet", "origin", "HEAD:main");
      await at("two", "pull", "--quiet");
      expect(await at("two", "log", "--format=%s")).toBe("second\nfirst\n");
    });

    test("windows of VS Code start a server over there, find it again, and reach it", async () => {
      const folder = person.folder("vs-code");
      const first = await RemoteWindow.open(person, folder);
      try {
        const large = "x".repeat(300_000);
        expect(first.found).toBe("started");
        expect(await Promise.all([first.ask("one"), first.ask(large), first.ask("two")])).toEqual([
          "one",
          large,
          "two",
        ]);
        const second = await RemoteWindow.open(person, folder);
        expect(second).toMatchObject({ found: "running", server: first.server });
        expect([await first.close(), await second.ask("three"), await second.close()]).toEqual([3, "three", 3]);
        await person.run("ssh", "-O", "exit", HOST); // as after a loss of the network: nothing is left of the session
        const third = await RemoteWindow.open(person, folder);
        expect(third).toMatchObject({ found: "running", server: first.server });
        expect([await third.ask("four"), await third.close()]).toEqual(["four", 3]);
      } finally {
        process.kill(first.server.pid);
      }
    });

    test("a terminal is one, and hears of its new size", async () => {
      await using terminals = await Terminals.start({ columns: 90, rows: 30 });
      const { user, options } = person;
      const window = await terminals.open("here", { env: options.env, ...(user && { user }) });
      await window.type(
        `${person.words("ssh", "-t", HOST).join(" ")} 'echo at $(stty size); trap "stty size" WINCH; echo rea''dy; while :; do sleep 0.1; done'`,
      );
      await window.shows(/^at 30 90\n(?:.*\n)*ready$/m);
      await window.resize(101, 27);
      await window.shows(/^27 101$/m);
      await window.press("C-c");
      await window.prompt();
    });
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function hash(path: string): string {
  return sha256(readFileSync(path));
}
