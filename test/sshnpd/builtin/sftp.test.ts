import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { memoryOf } from "../../support/memory.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { runProcess } from "../../support/processes.ts";
import { authorize, Harness } from "./harness.ts";

const MIB = 1024 * 1024;

describe.each([
  ["root", "own"],
  ["an ordinary user", "own"],
  ["root", "auto"],
] as const)("files through the server as %s, by the sftp server '%s'", { skip: !CAN_MAKE_USERS }, (who, sftpServer) => {
  let user: OrdinaryUser;
  let server: Harness;
  let far: string;
  let near: string;
  /** Each way is gone once; what is large, the first alone. No skipIf: the describe's own `skip` would have the last word. */
  const once = who === "root" && sftpServer === "own" ? test : () => {};

  beforeAll(async () => {
    user = await ordinaryUser();
    server = await Harness.start({ sftpServer, ...(who === "root" ? {} : { user }) });
    await authorize(user, await server.publicKey);
    far = join(user.home, "far");
    mkdirSync(far);
    chownSync(far, user.uid, user.gid);
    near = join(server.folder, "near");
    mkdirSync(near);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  const target = (path: string): string => `${user.name}@builtin:${path}`;
  const sftp = (...lines: string[]) =>
    server.copy("sftp", ["-b", "-", `${user.name}@builtin`], `${lines.join("\n")}\n`);

  test.each(["-s", "-O"])(
    "scp %s there and back keeps bytes, modes and times, and the account owns them",
    async (way) => {
      const file = join(near, `file${way}`);
      const bytes = randomBytes(3 * MIB + 17);
      writeFileSync(file, bytes);
      chmodSync(file, 0o754);
      utimesSync(file, 1_234_567_890, 1_234_567_891);
      const there = join(far, `name with spaces, ä and '${way}`);
      // The old way's path goes through a shell.
      const words = way === "-O" ? there.replace(/[^\w/-]/g, "\\$&") : there;
      expect(await server.copy("scp", [way, "-p", file, target(words)])).toMatchObject({ code: 0, stderr: "" });
      const { mode, mtimeMs, uid, gid } = statSync(there);
      expect({ mode: mode & 0o7777, mtimeMs, uid, gid }).toEqual({
        mode: 0o754,
        mtimeMs: 1_234_567_891_000,
        uid: user.uid,
        gid: user.gid,
      });
      expect(await server.copy("scp", [way, target(words), `${file}.back`])).toMatchObject({ code: 0, stderr: "" });
      expect(readFileSync(`${file}.back`).equals(bytes)).toBe(true);
    },
  );

  once("a hundred megabytes there and back, and the server's memory stays flat", { timeout: 120_000 }, async () => {
    const file = join(near, "large");
    writeFileSync(file, Buffer.alloc(100 * MIB, randomBytes(MIB + 1)));
    const before = memoryOf(server.process.pid).now;
    expect(await server.copy("scp", [file, target(join(far, "large"))])).toMatchObject({ code: 0, stderr: "" });
    expect(await server.copy("scp", [target(join(far, "large")), `${file}.back`])).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(hashOf(join(far, "large"))).toBe(hashOf(file));
    expect(hashOf(`${file}.back`)).toBe(hashOf(file));
    expect(memoryOf(server.process.pid).peak - before).toBeLessThan(100 * MIB);
  });

  once("a tree of 2,000 files there and back", { timeout: 120_000 }, async () => {
    const tree = join(near, "tree");
    for (let folder = 0; folder < 20; folder++) {
      const path = join(tree, `folder ${folder}`);
      mkdirSync(path, { recursive: true });
      for (let i = 0; i < 100; i++) writeFileSync(join(path, `file ${i}`), `${folder}/${i}`);
    }
    symlinkSync("folder 1/file 1", join(tree, "link"));
    expect(await server.copy("scp", ["-r", tree, target(far)])).toMatchObject({ code: 0, stderr: "" });
    expect(await server.copy("scp", ["-r", target(join(far, "tree")), join(near, "back")])).toMatchObject({ code: 0 });
    const { code, stdout } = await runProcess("diff", ["-r", tree, join(near, "back")], { env: { HOME: near } });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(readdirSync(join(far, "tree"))).toHaveLength(21);
  });

  test("sftp's commands", async () => {
    writeFileSync(join(near, "a"), "hello");
    const { stdout, stderr, code } = await sftp(
      "pwd",
      "cd far",
      "mkdir m",
      `put ${join(near, "a")} m/a`,
      "rename m/a m/b",
      "symlink b m/s",
      "ln m/b m/h",
      "chmod 640 m/b",
      "ls -la m",
      `get m/s ${join(near, "a.back")}`,
      "rm m/h",
      "df",
      `put ${join(near, "a")} m/c`,
      "rename m/c m/b",
      "-rmdir m",
      "-get nothing",
      "-ls /root",
      "mkdir gone",
      "rmdir gone",
    );
    expect(code).toBe(0);
    expect(stdout).toContain(`Remote working directory: ${user.home}`);
    expect(stdout).toMatch(new RegExp(`^-rw-r----- .*${user.name} +${user.name} +5 .* (m/)?b$`, "m"));
    expect(stdout).toMatch(/^lrwxrwxrwx .* (m\/)?s$/m);
    expect(stdout).toMatch(/^drwxr-xr-x .* (m\/)?\.$/m);
    expect(stdout).toMatch(/Avail/);
    expect(stderr).toMatch(/nothing" not found|No such file/);
    expect(stderr).toMatch(/Permission denied|Can't ls/);
    expect(readFileSync(join(near, "a.back"), "utf8")).toBe("hello");
    expect(readlinkSync(join(far, "m/s"))).toBe("b");
    expect(lstatSync(join(far, "m/b")).mode & 0o777).toBe(0o644);
    expect(existsSync(join(far, "m/c"))).toBe(false);
    expect(existsSync(join(far, "gone"))).toBe(false);
  });

  once("a copy that was broken off goes on where it was", async () => {
    const bytes = randomBytes(2 * MIB);
    writeFileSync(join(near, "whole"), bytes);
    writeFileSync(join(far, "part"), bytes.subarray(0, 700_000));
    chownSync(join(far, "part"), user.uid, user.gid);
    expect(await sftp(`reput ${join(near, "whole")} far/part`)).toMatchObject({ code: 0 });
    expect(readFileSync(join(far, "part")).equals(bytes)).toBe(true);
  });

  test("what the account may not, it may not here", async () => {
    const { code, stderr } = await server.copy("scp", [target("/etc/shadow"), near]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/Permission denied/);
    expect(await sftp(`put ${join(near, "a")} /etc/sshnp-was-here`)).toMatchObject({ code: 1 });
    expect(existsSync("/etc/sshnp-was-here")).toBe(false);
  });
});

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
