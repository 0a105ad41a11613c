import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import type { RunningProcess } from "../../support/processes.ts";
import type { Stack } from "../../support/stack.ts";
import { HOST, Person, startDevice } from "./person.ts";

const MIB = 1024 * 1024;

describe("a daemon with the built-in server", { skip: !CAN_MAKE_USERS, timeout: 120_000 }, () => {
  let stack: Stack;
  let person: Person;
  let baseline: readonly string[];

  beforeAll(async () => {
    stack = await startDevice("builtin");
    person = await Person.ordinary(stack, "--control-master", "no");
    await person.must("ssh", HOST, "true"); // what is loaded once, is now
    await stack.daemon.errorLine(/"msg":"session ended"/);
    baseline = open(stack.daemon.pid);
  });
  afterAll(async () => {
    await person[Symbol.asyncDispose]();
    await stack[Symbol.asyncDispose]();
  });

  /** What stands behind ssh, with our own bytes for those of ssh. */
  const proxy = (): RunningProcess =>
    stack.client.start("sshnp", "proxy", "--client", "@client", `${person.user?.name}@${HOST}`);
  const nothingLeft = async (): Promise<void> => {
    await vi.waitFor(
      () => {
        expect(childrenOf(stack.daemon.pid)).toEqual([]);
        expect(open(stack.daemon.pid).length).toBeLessThanOrEqual(baseline.length);
      },
      { timeout: 20_000, interval: 100 },
    );
  };

  test("garbage and half handshakes on its streams end them alone, and leave nothing", async () => {
    const session = person.start("ssh", HOST, "cat");
    session.stdin.write("before\n");
    await session.line(/^before$/);
    const banner = "SSH-2.0-OpenSSH_9.9\r\n";
    const garbage = [
      randomBytes(100_000),
      "GET / HTTP/1.1\r\n\r\n",
      `${banner}${"x".repeat(70_000)}`,
      Buffer.concat([Buffer.from(banner), Buffer.of(0xff, 0xff, 0xff, 0xff, 0, 0)]),
      Buffer.concat([Buffer.from(banner), Buffer.of(0, 0, 0, 12, 10, 20), Buffer.alloc(10)]),
    ];
    await Promise.all(
      garbage.map(async (bytes) => {
        const ssh = proxy();
        ssh.stdin.write(bytes);
        await ssh.line(/^SSH-2\.0-sshnpd/);
        ssh.stdin.end();
        await ssh.exit();
      }),
    );
    const halves = [proxy(), proxy(), proxy()];
    halves[1]?.stdin.write(banner);
    halves[2]?.stdin.write(Buffer.concat([Buffer.from(banner), Buffer.of(0, 0, 1, 0, 4, 20, 1, 2, 3)]));
    for (const half of halves) await half.line(/^SSH-2\.0-sshnpd/);
    await halves[0]?.kill("SIGKILL");
    await halves[1]?.kill("SIGTERM");
    halves[2]?.stdin.end();
    await halves[2]?.exit();
    session.stdin.end("after\n");
    expect(await session.exit()).toMatchObject({ code: 0, stdout: "before\nafter\n" });
    await nothingLeft();
    expect(await person.must("ssh", HOST, "echo in")).toBe("in\n");
  });

  test("to a client that ends its side it says farewell, as sshd does: nothing broke off", async () => {
    const ssh = proxy();
    ssh.stdin.write("SSH-2.0-OpenSSH_9.9\r\n");
    await ssh.line(/^SSH-2\.0-sshnpd/);
    ssh.stdin.end();
    expect(await ssh.exit()).toMatchObject({ code: 0, stderr: expect.not.stringContaining("[E_") });
  });

  test("large files go both ways by sftp at once, and one that is cut leaves nothing running", async () => {
    const bytes = randomBytes(48 * MIB);
    const folder = person.folder("large", (path) => {
      writeFileSync(join(path, "one"), bytes);
      writeFileSync(join(path, "up"), `put ${path}/one ${path}/two\n`);
      writeFileSync(join(path, "down"), `get ${path}/one ${path}/three\n`);
    });
    const both = ["up", "down"].map(async (batch) => await person.run("sftp", "-b", join(folder, batch), HOST));
    expect((await Promise.all(both)).map(({ code }) => code)).toEqual([0, 0]);
    for (const name of ["two", "three"]) expect(hash(readFileSync(join(folder, name)))).toBe(hash(bytes));
    const cut = person.start("sftp", "-b", join(folder, "up"), HOST);
    await vi.waitFor(() => expect(childrenOf(stack.daemon.pid)).not.toEqual([]), { timeout: 20_000, interval: 50 });
    await cut.stop();
    await nothingLeft();
  });

  test("ports that lead to a client are gone when the daemon is killed", async () => {
    const echo = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(echo, "listening");
    try {
      const { port: near } = echo.address() as { port: number };
      const ssh = person.start("ssh", "-v", "-N", "-R", `0:127.0.0.1:${near}`, HOST);
      const [, port = ""] = await ssh.errorLine(/Allocated port (\d+) for remote forward/);
      const socket = connect(Number(port), "127.0.0.1");
      socket.on("error", () => {}).write("hello");
      await once(socket, "data");
      const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
      await stack.daemon.kill("SIGKILL");
      await closed;
      const again = connect(Number(port), "127.0.0.1");
      expect(await once(again, "error")).toMatchObject([{ code: "ECONNREFUSED" }]);
      expect((await ssh.exit({ timeoutMs: 60_000 })).code).toBe(255);
    } finally {
      echo.close();
    }
  });
});

/** What a process has open, by what it is. */
function open(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(join(folder, name)).replace(/\[[0-9]+\]/, "")];
    } catch {
      return []; // closed meanwhile
    }
  });
}

function childrenOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const children = readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1");
    return children.split(" ").filter((child) => child !== "");
  });
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
