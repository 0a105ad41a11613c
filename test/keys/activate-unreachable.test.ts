import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, test } from "vitest";
import { preloading } from "../support/preload.ts";
import { startProcess } from "../support/processes.ts";
import { Activations, told } from "./activation.ts";

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

const FASTER = 40; // two minutes become three seconds

describe.concurrent("a directory that does not answer is not waited for endlessly", () => {
  test("when packets to it are lost", async ({ expect }) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using hole = startProcess(process.execPath, ["-e", BLACK_HOLE], { env: { HOME: machine.home } });
    const port = Number((await hole.line(/^\d+$/))[0]);
    const waiting = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
    await Promise.all(
      waiting.map((socket) =>
        once(
          socket.on("error", () => {}),
          "connect",
        ),
      ),
    );
    const directory = system.addressAt(port);
    const exit = await machine.activate(["-a", name, "-c", secret], { directory, env: timersFasterBy(FASTER) });
    expect(told(exit)).toMatchObject({ code: "E_DIRECTORY", fact: expect.stringContaining("(ETIMEDOUT)") });
    expect(exit.code).toBe(69);
    expect(machine.snapshot()).toHaveLength(1);
    for (const socket of waiting) socket.destroy();
  });

  test("when it accepts and says nothing", async ({ expect }) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using server = await listening(() => {});
    const directory = system.addressAt(server.port);
    const exit = await machine.activate(["-a", name, "-c", secret], { directory, env: timersFasterBy(FASTER) });
    expect(told(exit)).toMatchObject({ code: "E_DIRECTORY", fact: expect.stringContaining("(ETIMEDOUT)") });
    expect(exit.code).toBe(69);
    expect(machine.snapshot()).toHaveLength(1);
  });

  test("when it says a byte now and then", async ({ expect }) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using server = await listening((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const drip = setInterval(() => socket.write("."), 50);
      socket.once("close", () => clearInterval(drip));
    });
    const exit = await machine.activate(["-a", name, "-c", secret], {
      directory: system.addressAt(server.port),
      env: timersFasterBy(FASTER),
    });
    expect(told(exit)).toMatchObject({ code: "E_DIRECTORY", fact: expect.stringContaining("too slow") });
    expect(exit.code).toBe(69);
    expect(machine.snapshot()).toHaveLength(1);
  });
});

/** Listens and never accepts: once two wait in line, the kernel drops every further SYN, as a firewall does. */
const BLACK_HOLE = `const server = require("node:net").createServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    require("node:fs").writeSync(1, server.address().port + "\\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

/** A process whose timers, and those of its sockets, run faster. */
function timersFasterBy(factor: number): Record<string, string> {
  return preloading(`import { Socket } from "node:net";
    const timeout = globalThis.setTimeout;
    globalThis.setTimeout = (action, ms, ...words) => timeout(action, ms / ${factor}, ...words);
    const socketTimeout = Socket.prototype.setTimeout;
    Socket.prototype.setTimeout = function (ms, ...words) { return socketTimeout.call(this, ms / ${factor}, ...words); };`);
}

async function listening(onConnection: (socket: Socket) => void): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    socket.resume();
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
