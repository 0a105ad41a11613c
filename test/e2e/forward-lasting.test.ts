import { writeFileSync } from "node:fs";
import { chmod, lstat, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copyFolder } from "../support/copy-folder.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { runProcess, startCommand } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { DeviceServer, localConnection, read, readAll, startForward } from "./forwarding.ts";

let stack: Stack;
let server: DeviceServer;
beforeAll(async () => {
  server = await DeviceServer.start();
  stack = await Stack.start({ daemon: ["--permit-open", `127.0.0.1:${server.port}`] });
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

describe("--keep-alive", () => {
  test("when the device's daemon is killed and comes back, listeners stay and what connected meanwhile is carried", async () => {
    await using forward = await startForward(stack, [specOf(server), "--keep-alive"]);
    const before = await localConnection(forward.port);
    const there = await server.connection();
    before.write("before");
    expect(await read(there)).toBe("before");

    const broken = expect(readAll(before)).rejects.toMatchObject({ code: "ECONNRESET" });
    await stack.daemon.kill("SIGKILL");
    await broken;
    await forward.process.errorLine(/^sshnp: Lost mygateway of @device: .* \[E_TRUNCATED\]$/);
    const meanwhile = await localConnection(forward.port);
    meanwhile.end("meanwhile");
    await forward.process.errorLine(/waiting for mygateway of @device/);
    await stack.startDaemon();
    await forward.process.errorLine(/^sshnp: mygateway.device.np is back: a new session stands\.$/);
    const late = await server.connection();
    expect(await readAll(late)).toBe("meanwhile");
    late.end("heard");
    expect(await readAll(meanwhile)).toBe("heard");
    expect(await forward.process.kill("SIGINT")).toMatchObject({ code: 130 });
  });

  test("without it a lost session ends the forward, and says so by its status", async () => {
    await using forward = await startForward(stack, [specOf(server)]);
    await stack.daemon.kill("SIGKILL");
    const exit = await forward.process.exit();
    expect(exit).toMatchObject({ code: 69, stderr: expect.stringContaining("[E_TRUNCATED]") });
    expect(exit.stderr).toContain(`sshnp forward @client @device mygateway ${specOf(server)}`);
    await stack.startDaemon();
  });

  test("Ctrl-C while it waits for the device ends it with 130", async () => {
    await using forward = await startForward(stack, [specOf(server), "--keep-alive"]);
    await stack.daemon.kill("SIGKILL");
    await forward.process.errorLine(/waiting for mygateway of @device/);
    expect(await forward.process.kill("SIGINT")).toMatchObject({ code: 130 });
    await stack.startDaemon();
  });
});

test("SOCKS alone asks for each session by what is wanted first, and one that is refused harms no other", async () => {
  await using forward = await startForward(stack, ["--socks", "0"]);
  const curl = async (port: number): ReturnType<typeof runProcess> =>
    await runProcess(
      "curl",
      ["-sS", "--http0.9", "--socks5-hostname", `127.0.0.1:${forward.port}`, `http://127.0.0.1:${port}/`],
      {
        ...stack.client.options,
      },
    );
  expect((await curl(1)).stderr).toContain("(2)");
  expect(forward.process.stderr).toContain("--permit-open 127.0.0.1:1 ");
  const good = curl(server.port);
  const there = await server.connection();
  expect(await read(there)).toMatch(/^GET \/ HTTP/);
  there.end("welcome");
  expect(await good).toMatchObject({ code: 0, stdout: "welcome" });
});

test.skipIf(!CAN_MAKE_USERS)(
  "a Unix socket of an ordinary user is for no other one, and a stale one is replaced",
  async () => {
    await using user = await ordinaryUser();
    await using stranger = await ordinaryUser();
    const options = { env: { HOME: user.home }, user };
    const keys = join(user.home, ".local/share/sshnp/keys");
    await mkdir(join(user.home, ".local/share/sshnp"), { recursive: true });
    copyFolder(stack.client.keys, keys);
    await runProcess("chown", ["-R", `${user.uid}:${user.gid}`, user.home], { env: { HOME: "/" } });
    await chmod(user.home, 0o755); // so that nothing but the socket's own mode keeps others out
    const path = join(user.home, "db.sock");
    const words = ["forward", "@client", "@device", "mygateway", "--unix", `${path}:127.0.0.1:${server.port}`];
    const start = async (): Promise<ReturnType<typeof startCommand>> => {
      const forward = startCommand("sshnp", words, options);
      await forward.errorLine(/^sshnp: Forwarding \/.*db\.sock to /);
      return forward;
    };
    const first = await start();
    expect(await stat(path)).toMatchObject({ uid: user.uid });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const talk = (as: typeof user): ReturnType<typeof runProcess> =>
      runProcess("socat", ["-u", `UNIX-CONNECT:${path}`, "STDOUT"], { env: { HOME: "/" }, user: as });
    const heard = talk(user);
    (await server.connection()).end("for you alone");
    expect(await heard).toMatchObject({ code: 0, stdout: "for you alone" });
    expect(await talk(stranger)).toMatchObject({ code: 1, stderr: expect.stringContaining("Permission denied") });

    const second = await startCommand("sshnp", words, options).exit();
    expect(second).toMatchObject({ code: 73, stderr: expect.stringContaining("something listens there already") });

    await first.kill("SIGKILL");
    expect((await lstat(path)).isSocket()).toBe(true);
    const third = await start();
    expect(await third.kill("SIGTERM")).toMatchObject({ code: 143 });
    await expect(lstat(path)).rejects.toMatchObject({ code: "ENOENT" });

    writeFileSync(path, "precious");
    const refused = await startCommand("sshnp", words, options).exit();
    expect(refused).toMatchObject({ code: 73, stderr: expect.stringContaining("no socket") });
  },
);

test("a policy that takes a service away ends its streams, and the session with the last one", async () => {
  await using kept = await DeviceServer.start();
  await using taken = await DeviceServer.start();
  await apply(`services: [tcp:127.0.0.1:${kept.port}, tcp:127.0.0.1:${taken.port}]`);
  await using forward = await startForward(stack, [specOf(kept), specOf(taken)], 2);
  const [one, two] = [await localConnection(forward.ports[0] ?? 0), await localConnection(forward.ports[1] ?? 0)];
  const there = await kept.connection();
  const broken = expect(readAll(two)).rejects.toMatchObject({ code: "ECONNRESET" });
  await taken.connection();
  await apply(`services: [tcp:127.0.0.1:${kept.port}]`);
  await broken;
  one.write("still here");
  expect(await read(there)).toBe("still here");
  const gone = expect(readAll(one)).rejects.toMatchObject({ code: "ECONNRESET" });
  await apply("services: [ssh]");
  await gone;
  const exit = await forward.process.exit();
  expect(exit).toMatchObject({ code: 65, stderr: expect.stringContaining("[E_POLICY]") });
  expect(exit.stderr).toContain(`does not let @client reach 127.0.0.1:${kept.port} by way of mygateway`);
});

function specOf({ port }: DeviceServer): string {
  return `0:127.0.0.1:${port}`;
}

let count = 0;
async function apply(grant: string): Promise<void> {
  const path = join(stack.device.home, `policy${(count += 1)}.yaml`);
  writeFileSync(path, `version: 1\ngrants: [{from: ["@client"], to: ["*"], ${grant}}]\n`);
  await stack.device.must("sshnp-keys", "policy", "apply", "@device", path, "--yes");
}
