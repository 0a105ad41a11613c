import { chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { type RunningProcess, startProcess } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temp-folder.ts";
import { authorize, Harness } from "./harness.ts";

/** The folder for what is temporary, and somebody who has not logged in by then is turned away soon. */
const prelude = (temporary: string): string => `
process.env.TMPDIR = ${JSON.stringify(temporary)};
const { setTimeout: wait } = globalThis;
globalThis.setTimeout = (callback, ms, ...rest) => wait(callback, ms === 120_000 ? 3_000 : ms, ...rest);
`;

describe("what a client leaves behind", { skip: !CAN_MAKE_USERS }, () => {
  let user: OrdinaryUser;
  let server: Harness;
  let temporary: string;
  let baseline: string[];

  beforeAll(async () => {
    user = await ordinaryUser();
    temporary = join(user.home, "temporary");
    mkdirSync(temporary);
    server = await Harness.start({ prelude: prelude(temporary) });
    await authorize(user, await server.publicKey);
    // What is loaded and opened once, is now.
    expect((await server.run(["-tt", at(), "true"])).code).toBe(0);
    expect((await server.run([at(), "true"])).code).toBe(0);
    await vi.waitFor(() => expect(server.process.stdout.match(/^attended/gm)).toHaveLength(2), 10_000);
    baseline = descriptors(server.process.pid);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  const at = (): string => `${user.name}@builtin`;
  const nothingLeft = async (): Promise<void> => {
    expect(readdirSync(temporary)).toEqual([]);
    await expect.poll(() => descriptors(server.process.pid)).toEqual(baseline);
    await expect.poll(() => childrenOf(server.process.pid)).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
  };

  test("a command's input, output and errors are pipes of its own account that have no name", async () => {
    const script = "for fd in 0 1 2; do stat -L -c '%F %a %U' /dev/fd/$fd; readlink /dev/fd/$fd; done";
    const { stdout } = await server.run([at(), `${script}; echo again >/dev/stdout; echo oops >/dev/stderr`]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((_, i) => i % 2 === 0)).toEqual([...Array(3).fill(`fifo 600 ${user.name}`), "again"]);
    for (const line of [1, 3, 5]) expect(lines[line]).toMatch(/ \(deleted\)$/);
    await nothingLeft();
  });

  test("nothing is left of commands, shells and sftp when their client ends well, and when kill -9 ends it", async () => {
    const sessions = (): RunningProcess[] => [
      server.start([at(), "echo up; cat"]),
      server.start(["-tt", at(), "echo up; cat"]),
      server.start([at()]),
      startProcess("sftp", [...server.options(), at()], { env: { HOME: server.folder } }),
    ];
    const up = async (running: readonly RunningProcess[]): Promise<void> => {
      running[2]?.stdin.write("echo up\n");
      running[3]?.stdin.write("!echo up\n");
      await Promise.all(running.map((one) => one.line(/^up\r?$/)));
    };
    const well = sessions();
    await up(well);
    for (const [index, one] of well.entries()) one.stdin.end(index === 1 ? "\u0004" : "");
    expect((await Promise.all(well.map((one) => one.exit()))).map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    await nothingLeft();
    const cut = sessions();
    await up(cut);
    await Promise.all(cut.map((one) => one.stop()));
    await nothingLeft();
  });

  test("nothing is left of handshakes and sessions that end in the middle, wherever that is", async () => {
    const length = await bytesOfAFlight();
    expect(length).toBeGreaterThan(1_500);
    const places = Array.from({ length: 24 }, (_, i) => Math.round((i * length) / 24));
    for (const how of ["end", "destroy"] as const) await Promise.all(places.map((place) => cutAfter(place, how)));
    await nothingLeft();
    expect((await server.run([at(), "echo in"])).stdout).toBe("in\n");
  });

  test("whoever begins and says no more is turned away, and others log in meanwhile", async () => {
    const silent = ["", "SSH-2.0-x\r\n"].map((words) => {
      const socket = connect(server.socket);
      socket.write(words);
      return new Promise<void>((resolve) => socket.resume().once("close", () => resolve()));
    });
    expect((await server.run([at(), "echo in"])).stdout).toBe("in\n");
    await Promise.all(silent);
    expect(server.process.stderr).toContain("The SSH client has not logged in in time.");
    await nothingLeft();
  });

  /** As many bytes as ssh sends for a session with a command. */
  async function bytesOfAFlight(): Promise<number> {
    let length = 0;
    await through(
      (bytes) => (length += bytes.length),
      () => {},
    );
    return length;
  }

  /** ssh's own bytes up to a place, and then an end. */
  async function cutAfter(place: number, how: "end" | "destroy"): Promise<void> {
    let seen = 0;
    await through(
      () => {},
      (bytes, far) => {
        const rest = place - seen;
        seen += bytes.length;
        if (bytes.length < rest) return true;
        if (rest > 0) far.write(bytes.subarray(0, rest));
        if (how === "end") far.end();
        else far.destroy();
        return false;
      },
    );
  }

  /** Runs ssh through a socket of ours; `pass` says whether bytes of its may go on. */
  async function through(
    see: (bytes: Buffer) => unknown,
    pass: (bytes: Buffer, far: Socket) => boolean | void,
  ): Promise<void> {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "tap");
    const tap = createServer((near) => {
      const far = connect(server.socket);
      let isOpen = true;
      near.on("data", (bytes: Buffer) => {
        see(bytes);
        isOpen = isOpen && pass(bytes, far) !== false;
        if (isOpen) far.write(bytes);
      });
      far.pipe(near);
      for (const socket of [near, far]) socket.on("error", () => {}).on("close", () => (near.destroy(), far.destroy()));
    }).listen(path);
    const ssh = server.start([at(), "true"], [`ProxyCommand socat - UNIX-CONNECT:${path}`]);
    ssh.stdin.end();
    await ssh.exit();
    tap.close();
  }
});

test.skipIf(!CAN_MAKE_USERS).each(["close", "SIGTERM", "SIGKILL"] as const)(
  "nothing is left of a session when %s ends the server",
  async (end) => {
    await using user = await ordinaryUser();
    const temporary = join(user.home, "temporary");
    mkdirSync(temporary);
    chownSync(temporary, user.uid, user.gid);
    await using server = await Harness.start({ prelude: prelude(temporary) });
    await authorize(user, await server.publicKey);
    const at = `${user.name}@builtin`;
    const sessions = [server.start([at, "echo pid $$; exec cat"]), server.start(["-tt", at, "echo pid $$; exec cat"])];
    await Promise.all(sessions.map((one) => one.line(/^pid \d+\r?$/)));
    if (end === "close") {
      server.process.stdin.write("close\n");
      await server.process.line(/^closed$/);
    } else {
      await server.process.kill(end);
    }
    expect(readdirSync(temporary)).toEqual([]);
    await expect.poll(() => processesOf(user.uid)).toEqual([]);
    expect((await Promise.all(sessions.map((one) => one.exit()))).map(({ code }) => code)).toEqual([255, 255]);
  },
);

/** What a process has open, by what it is; sockets and the like without their numbers. */
function descriptors(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  const open = readdirSync(folder).flatMap((name) => {
    try {
      return readlinkSync(join(folder, name)).replace(/\[[0-9]+\]/, "");
    } catch {
      return []; // closed meanwhile
    }
  });
  return open.sort();
}

function childrenOf(pid: number): string[] {
  return processes().flatMap(({ pid: child, parent, state }) => (parent === pid && state !== "Z" ? `${child}` : []));
}

function processesOf(uid: number): string[] {
  return processes().flatMap(({ pid, owner, state }) => (owner === uid && state !== "Z" ? `${pid}` : []));
}

function processes(): { pid: number; parent: number; owner: number; state: string }[] {
  return readdirSync("/proc")
    .map(Number)
    .filter(Number.isInteger)
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // as proc(5) has it
        return { pid, state, parent: Number(parent), owner: statSync(`/proc/${pid}`).uid };
      } catch {
        return []; // it has ended meanwhile
      }
    });
}
