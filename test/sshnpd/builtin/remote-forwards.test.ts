import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "../../support/free-port.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { type RunningProcess, runProcess } from "../../support/processes.ts";
import { authorize, Harness } from "./harness.ts";

const STRICT = ["ExitOnForwardFailure yes"];

describe("ports of the device that lead to the client (ssh -R)", { skip: !CAN_MAKE_USERS }, () => {
  let user: OrdinaryUser;
  let server: Harness;
  let key: string;
  let echo: Server;
  let target: string;

  beforeAll(async () => {
    user = await ordinaryUser();
    server = await Harness.start();
    key = await server.publicKey;
    echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(echo, "listening");
    target = `127.0.0.1:${(echo.address() as { port: number }).port}`;
  });
  beforeEach(() => authorize(user, key));
  afterAll(async () => {
    echo.close();
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  const forward = (...words: string[]): RunningProcess =>
    server.start(["-v", "-N", ...words.flatMap((word) => ["-R", word]), `${user.name}@builtin`], STRICT);
  const allocated = async (ssh: RunningProcess): Promise<number> =>
    Number((await ssh.errorLine(/Allocated port (\d+) for remote forward/))[1]);
  const begun = async (...words: string[]): Promise<{ ssh: RunningProcess; port: number }> => {
    const ssh = forward(...words);
    return { ssh, port: await allocated(ssh) };
  };
  /** Resolves when nobody listens there, and nothing of any connection is left in the server. */
  const gone = async (port: number): Promise<void> => {
    await expect.poll(() => isRefused(port)).toBe(true);
    await expect.poll(() => connectionsAt(port)).toEqual([]);
  };

  test.each(["", "*:", "0.0.0.0:", "localhost:"])(
    "a port that the device chooses is told, and is on loopback alone when %j is asked for",
    async (address) => {
      const { ssh, port } = await begun(`${address}0:${target}`);
      expect(await listeners(server.process.pid)).toEqual([`127.0.0.1:${port}`]);
      const big = "x".repeat(300_000);
      expect(await Promise.all([said(port, "one"), said(port, big)])).toEqual(["one", big]);
      await ssh.kill("SIGTERM");
      await gone(port);
    },
  );

  test("what is cancelled is not listened on, and what was connected by then goes on", async () => {
    const control = join(server.folder, "cancel");
    await using master = server.start(
      ["-v", "-M", "-S", control, "-N", "-R", `0:${target}`, `${user.name}@builtin`],
      STRICT,
    );
    const port = await allocated(master);
    const before = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    before.write("before ");
    await once(before, "data");
    const told = await server.run(["-S", control, "-O", "cancel", "-R", `0:${target}`, "builtin"]);
    expect(told).toMatchObject({ code: 0, stderr: "" });
    expect(await listeners(server.process.pid)).toEqual([]);
    expect(await isRefused(port)).toBe(true);
    before.end("after");
    expect(await text(before)).toBe("after");
    const more = await server.run(["-S", control, "-O", "forward", "-R", `0:${target}`, "builtin"]);
    expect(more).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
    expect(await said(Number(more.stdout), "anew")).toBe("anew");
    await master.kill("SIGTERM");
    await gone(Number(more.stdout));
  });

  test("a port of somebody else's is refused, and the session that asked goes on", async () => {
    const port = await freePort();
    await using first = forward(`${port}:${target}`);
    await first.errorLine(/remote forward success/);
    const second = await server.run(["-R", `${port}:${target}`, `${user.name}@builtin`, "echo in"], []);
    expect(second).toMatchObject({ code: 0, stdout: "in\n" });
    expect(await server.run(["-R", `${port}:${target}`, `${user.name}@builtin`, "echo in"], STRICT)).toMatchObject({
      code: 255,
      stdout: "",
    });
    expect(await said(port, "still the first's")).toBe("still the first's");
  });

  test("what the key, the account or the number of ports does not permit is refused", async () => {
    const [one, other] = [await freePort(), await freePort()];
    const ask = async (line: string, ...words: string[]): Promise<number | null> => {
      await authorize(user, line);
      const all = words.flatMap((word) => ["-R", word]);
      return (await server.run([...all, `${user.name}@builtin`, "true"], STRICT)).code;
    };
    expect(await ask(`permitlisten="${one}" ${key}`, `${one}:${target}`)).toBe(0);
    expect(await ask(`permitlisten="${one}" ${key}`, `${other}:${target}`)).toBe(255);
    expect(await ask(`permitlisten="${one}" ${key}`, `0:${target}`)).toBe(255);
    expect(await ask(`permitlisten="192.0.2.1:${one}" ${key}`, `${one}:${target}`)).toBe(255);
    expect(await ask(`restrict ${key}`, `0:${target}`)).toBe(255);
    expect(await ask(`no-port-forwarding ${key}`, `0:${target}`)).toBe(255);
    expect(await ask(key, `1023:${target}`)).toBe(255); // the server itself is root
    expect(await ask(key, `${join(user.home, "a-socket")}:${target}`)).toBe(255);
    const many = Array.from({ length: 17 }, (_, i) => `0:127.0.0.1:${i + 1}`); // ssh leaves equal ones out
    expect(await ask(key, ...many.slice(1))).toBe(0);
    expect(await ask(key, ...many)).toBe(255);
  });

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "when %s ends the client, its ports and the connections to them are gone, those that it never answered too",
    async (signal) => {
      const { ssh, port } = await begun(`0:${target}`);
      const answered = connect(port, "127.0.0.1");
      answered.write("hello");
      await once(answered, "data");
      process.kill(ssh.pid, "SIGSTOP");
      const waiting = connect(port, "127.0.0.1");
      await once(waiting, "connect");
      await expect.poll(() => connectionsAt(port)).toHaveLength(2);
      const ended = [answered, waiting].map(whenClosed);
      if (signal === "SIGTERM") process.kill(ssh.pid, "SIGCONT");
      await ssh.kill(signal);
      await Promise.all(ended);
      await gone(port);
    },
  );
});

test.skipIf(!CAN_MAKE_USERS)("the end of the server ends them while the client goes on", async () => {
  await using user = await ordinaryUser();
  await using server = await Harness.start();
  await authorize(user, await server.publicKey);
  const echo = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(echo, "listening");
  try {
    const { port: far } = echo.address() as { port: number };
    const ssh = server.start(["-v", "-N", "-R", `0:127.0.0.1:${far}`, `${user.name}@builtin`]);
    const [, port = ""] = await ssh.errorLine(/Allocated port (\d+) for remote forward/);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write("hello");
    await once(socket, "data");
    const closed = whenClosed(socket);
    server.process.stdin.end("close\n");
    await server.process.line(/^closed$/);
    await closed;
    expect((await ssh.exit()).code).toBe(255);
    expect(await listeners(server.process.pid)).toEqual([]);
  } finally {
    echo.close();
  }
});

async function said(port: number, words: string): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(words);
  return await text(socket);
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const refused = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(false)).once("error", () => resolve(true));
  });
  socket.destroy();
  return refused;
}

function whenClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("error", () => {}).once("close", () => resolve());
    socket.resume();
  });
}

/** Where a process listens on TCP. */
async function listeners(pid: number): Promise<string[]> {
  const { stdout } = await runProcess("ss", ["-Hltnp"], { env: { HOME: "/nonexistent" }, cwd: "/" });
  const lines = stdout.split("\n").filter((line) => line.includes(`pid=${pid},`));
  return lines.map((line) => line.split(/\s+/)[3] ?? "");
}

/** Connections whose own end is this port, in any state that holds a descriptor. */
async function connectionsAt(port: number): Promise<string[]> {
  const words = ["-Htn", "state", "established", "state", "close-wait", "src", `127.0.0.1:${port}`];
  const { stdout } = await runProcess("ss", words, { env: { HOME: "/nonexistent" }, cwd: "/" });
  return stdout.split("\n").filter((line) => line !== "");
}
