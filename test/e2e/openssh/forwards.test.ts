import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../support/free-port.ts";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import type { Stack } from "../../support/stack.ts";
import { DEVICE_MODES, HOST, Person, startDevice } from "./person.ts";
import { said, throughSocks } from "./socks.ts";

describe.each(DEVICE_MODES)("with a device in mode %s", { timeout: 120_000 }, (mode) => {
  let stack: Stack;
  let person: Person;
  let echo: Server;
  beforeAll(async () => {
    stack = await startDevice(mode);
    // Each session must have its own connection here, or the forward of one would be the master's.
    const options = ["--control-master", "no"];
    person = CAN_MAKE_USERS ? await Person.ordinary(stack, ...options) : await Person.withFile(stack, ...options);
    echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(echo, "listening");
  });
  afterAll(async () => {
    echo.close();
    await person[Symbol.asyncDispose]();
    await stack[Symbol.asyncDispose]();
  });

  test("-L reaches a port of the device, and a Unix socket here does as well", async () => {
    const [port, path] = [await freePort(), person.path("forward")];
    await using session = person.start(
      "ssh",
      "-v",
      "-N",
      "-L",
      `${port}:127.0.0.1:${portOf(echo)}`,
      "-L",
      `${path}:127.0.0.1:${portOf(echo)}`,
      HOST,
    );
    await session.errorLine(/Entering interactive session/);
    expect(await said(connect(port, "127.0.0.1"), "through a port")).toBe("through a port");
    expect(await said(connect(path), "through a socket")).toBe("through a socket");
    const many = Array.from(
      { length: 20 },
      async (_, i) => await said(connect(port, "127.0.0.1"), `${i}`.repeat(50_000)),
    );
    expect((await Promise.all(many)).map((text) => text.length)).toEqual(
      Array.from({ length: 20 }, (_, i) => `${i}`.length * 50_000),
    );
  });

  test("-R brings a port of the device here", async () => {
    await using session = person.start("ssh", "-v", "-N", "-R", `0:127.0.0.1:${portOf(echo)}`, HOST);
    const [, port = ""] = await session.errorLine(/Allocated port (\d+) for remote forward/);
    expect(await said(connect(Number(port), "127.0.0.1"), "from the device")).toBe("from the device");
  });

  test("-D is a SOCKS proxy into the network of the device", async () => {
    const port = await freePort();
    await using session = person.start("ssh", "-v", "-N", "-D", `${port}`, HOST);
    await session.errorLine(/Entering interactive session/);
    expect(await said(await throughSocks(port, portOf(echo)), "through socks")).toBe("through socks");
    await expect(throughSocks(port, await freePort())).rejects.toThrow("refused");
  });

  test("-J hops over the device to a host behind it", async () => {
    const { port, hostKeys } = stack.sshd;
    const inner = [
      "-p",
      `${port}`,
      "-o",
      `KnownHostsCommand=/bin/echo [127.0.0.1]:${port} ${hostKeys[0]}`,
      "-o",
      "StrictHostKeyChecking=yes",
    ];
    expect(await person.run("ssh", "-J", HOST, ...inner, "127.0.0.1", "echo $SSH_CONNECTION")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port}\n$`)),
    });
    expect((await person.shell('"$@" </dev/null', "ssh", "-W", `127.0.0.1:${port}`, HOST)).stdout).toMatch(
      /^SSH-2\.0-/,
    );
  });
});

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
