/** What somebody can make the daemon hold: ahead of any login, and with one. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Client, type ClientChannel } from "ssh2";
import {
  BUILTIN_ARRIVING,
  BUILTIN_ARRIVING_PER_CLIENT,
  BUILTIN_SESSIONS,
  BUILTIN_WINDOW_BYTES,
  BUILTIN_WINDOW_LEAST_BYTES,
  BUILTIN_WINDOWS_BYTES,
  SERVER_LOOKUPS,
} from "../../../protocol/limits.ts";
import { Arrivals } from "../../../sshnpd/builtin/arrivals.ts";
import { Windows } from "../../../sshnpd/builtin/windows.ts";
import { memoryOf } from "../../support/memory.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../../support/ordinary-user.ts";
import { authorize, Harness, loggedIn } from "./harness.ts";

const MIB = 1024 * 1024;

describe("of connections that have not logged in", () => {
  test("a client has no more than its own, and the one with most makes room for others", () => {
    const arrivals = new Arrivals();
    const cut: string[] = [];
    const enter = (client: string, number: number) =>
      arrivals.enter(client, () => cut.push(`${client} ${number}`)) !== undefined;
    for (let number = 0; number < BUILTIN_ARRIVING_PER_CLIENT; number++) expect(enter("@many", number)).toBe(true);
    expect(enter("@many", 99)).toBe(false);
    for (let number = BUILTIN_ARRIVING_PER_CLIENT; number < BUILTIN_ARRIVING; number++) {
      expect(enter(`@other${number}`, number)).toBe(true);
    }
    expect(cut).toEqual([]);
    expect([enter("@late", 0), enter("@late", 1)]).toEqual([true, true]);
    expect(cut).toEqual(["@many 0", "@many 1"]);
  });

  test("whoever has logged in or is gone counts no more", () => {
    const arrivals = new Arrivals();
    for (let number = 0; number < BUILTIN_ARRIVING * 2; number++) {
      const leave = arrivals.enter("@client", () => expect.unreachable());
      leave?.();
      leave?.();
      expect(leave).toBeDefined();
    }
  });
});

test("windows grow up to a share of what a client may have, and the rest is for its further channels", () => {
  const windows = new Windows();
  const open = (client: string) => windows.open(client);
  const grown = Array.from({ length: 20 }, () => open("@client"));
  for (let round = 0; round < 20; round++) for (const window of grown) window?.grow();
  const bytes = grown.reduce((sum, window) => sum + (window?.bytes ?? Number.NaN), 0);
  expect(Math.max(...grown.map((window) => window?.bytes ?? 0))).toBeLessThanOrEqual(BUILTIN_WINDOW_BYTES);
  expect(bytes).toBeGreaterThan(BUILTIN_WINDOWS_BYTES / 2);
  expect(bytes).toBeLessThanOrEqual((BUILTIN_WINDOWS_BYTES * 3) / 4);
  let further = 0;
  while (open("@client") !== undefined) further++;
  expect(further).toBe((BUILTIN_WINDOWS_BYTES - bytes) / BUILTIN_WINDOW_LEAST_BYTES);
  expect(open("@other")).toBeDefined();
  for (const window of [...grown, ...grown]) window?.close();
  const alone = open("@client");
  for (let round = 0; round < 20; round++) alone?.grow();
  expect(alone?.bytes).toBe(BUILTIN_WINDOW_BYTES);
});

describe("the server", { skip: !CAN_MAKE_USERS, timeout: 60_000 }, () => {
  let user: OrdinaryUser;
  let server: Harness;

  beforeAll(async () => {
    user = await ordinaryUser();
    server = await Harness.start();
  });
  beforeEach(async () => authorize(user, await server.publicKey));
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await user.remove();
  });

  test("breaks a client off that asks, reads no answers and has not logged in", async () => {
    const { socket, client } = await shakenHands(server);
    const before = memoryOf(server.process.pid).now;
    socket.pause();
    for (let sent = 0; sent < 20_000; sent++) protocolOf(client).ping();
    await server.process.errorLine(/The SSH client reads no answers and has not logged in\./);
    expect(memoryOf(server.process.pid).now - before).toBeLessThan(40 * MIB);
    socket.destroy();
    expect((await server.run([`${user.name}@builtin`, "echo in"])).stdout).toBe("in\n");
  });

  test("lets a client have no more connections than so many that have not logged in", async () => {
    const waiting: Socket[] = [];
    for (let number = 0; number < BUILTIN_ARRIVING_PER_CLIENT; number++) {
      waiting.push((await shakenHands(server)).socket);
    }
    expect(await server.run([`${user.name}@builtin`, "echo in"])).toMatchObject({ code: 255, stdout: "" });
    expect(server.process.stderr).toContain("The SSH client has too many connections that have not logged in.");
    for (const socket of waiting) socket.destroy();
    await expect.poll(() => server.process.stdout.trimEnd().split("\n").at(-1)).toBe("attended, 0 left");
    expect((await server.run([`${user.name}@builtin`, "echo in"])).stdout).toBe("in\n");
  });

  test("holds no more than a client's windows of what a server does not read, and goes on meanwhile", async () => {
    const sockets = new Set<Socket>();
    const silent = createServer({ pauseOnConnect: true }, (socket) => {
      sockets.add(socket.on("error", () => {}));
    }).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const client = await loggedIn(server, user.name);
    try {
      const before = memoryOf(server.process.pid).now;
      const channels: ClientChannel[] = [];
      for (let number = 0; number < 60; number++) {
        const channel = await forwarded(client, "127.0.0.1", (silent.address() as AddressInfo).port);
        channel.on("error", () => {});
        channel.write(Buffer.alloc(12 * MIB));
        channels.push(channel);
      }
      // The client has used all that it was given on each.
      await expect.poll(() => channels.filter(isStopped).length, { timeout: 40_000 }).toBe(channels.length);
      expect(await said(client, "echo in")).toBe("in\n");
      expect(channels.filter(isStopped).length).toBe(channels.length);
      expect(memoryOf(server.process.pid).now - before).toBeLessThan((BUILTIN_WINDOWS_BYTES * 3) / 4 + 64 * MIB);
      for (const socket of sockets) socket.resume();
      await expect.poll(() => channels.filter(isStopped).length).toBeLessThan(channels.length);
    } finally {
      client.end();
      silent.close();
      for (const socket of sockets) socket.destroy();
    }
  });

  test("counts a session once, however often its client closes it", async () => {
    const client = await loggedIn(server, user.name);
    const session = await bareSession(client);
    for (let times = 0; times < 300; times++) protocolOf(client).channelClose(session);
    const asked = Array.from({ length: BUILTIN_SESSIONS + 8 }, () => started(client, "exec sleep 1000"));
    const running = (await Promise.all(asked)).filter((isRunning) => isRunning);
    expect(running.length).toBe(BUILTIN_SESSIONS);
    client.end();
  });

  test("takes back what sessions of a connection had that was cut", async () => {
    const cut = async (client: Client): Promise<void> => {
      const closed = once(client, "close");
      client.destroy();
      await closed;
    };
    // Most of what a client may have, in windows that have grown; then the rest of it, in windows that have not.
    const first = await loggedIn(server, user.name);
    const grown = Array.from({ length: ((BUILTIN_WINDOWS_BYTES / BUILTIN_WINDOW_BYTES) * 3) / 4 }, async () => {
      const channel = await new Promise<ClientChannel>((resolve, reject) => {
        first.exec("exec cat > /dev/null", (error, made) => (error ? reject(error) : resolve(made)));
      });
      for (let piece = 0; piece < 32; piece++) {
        if (!channel.write(Buffer.alloc(BUILTIN_WINDOW_BYTES / 8))) await once(channel, "drain");
      }
    });
    await Promise.all(grown);
    await cut(first);
    const rounds = BUILTIN_WINDOWS_BYTES / 4 / BUILTIN_WINDOW_LEAST_BYTES / BUILTIN_SESSIONS + 2;
    for (let round = 0; round < rounds; round++) {
      const client = await loggedIn(server, user.name);
      await Promise.all(Array.from({ length: BUILTIN_SESSIONS }, () => started(client, "exec sleep 1000")));
      await cut(client);
    }
    const client = await loggedIn(server, user.name);
    expect(await said(client, "echo in")).toBe("in\n");
    client.end();
  });

  test("refuses a port that is none, and goes on", async () => {
    const client = await loggedIn(server, user.name);
    for (const port of [65_536, 70_000, 2 ** 32 - 1, 0]) {
      await expect(forwarded(client, "127.0.0.1", port)).rejects.toThrow("Channel open failure");
    }
    expect(await said(client, "echo in")).toBe("in\n");
    client.end();
  });

  test("looks up no more names at once than it may", async () => {
    // A name server that does not answer.
    const prelude = `const dns = (await import("node:dns")).default;
      dns.lookup = (host) => console.log("looked up " + host);
      (await import("node:module")).syncBuiltinESMExports();`;
    await using slow = await Harness.start({ prelude });
    await authorize(user, await slow.publicKey);
    const client = await loggedIn(slow, user.name);
    for (let number = 0; number < 10; number++) void forwarded(client, `name${number}.test`, 80).catch(() => {});
    await expect(forwarded(client, "127.0.0.1", 0)).rejects.toThrow("Channel open failure"); // by then they were asked for
    const looked = slow.process.stdout.split("\n").filter((line) => line.startsWith("looked up"));
    expect(looked).toEqual(Array.from({ length: SERVER_LOOKUPS }, (_value, index) => `looked up name${index}.test`));
    client.end();
  });
});

/** A client that has not logged in, and does not try to. */
async function shakenHands(server: Harness): Promise<{ readonly client: Client; readonly socket: Socket }> {
  const client = new Client();
  client.on("error", () => {});
  const socket = connect(server.socket);
  socket.on("error", () => {});
  client.connect({ sock: socket, username: "nobody", authHandler: () => {}, readyTimeout: 0 });
  await once(client, "handshake");
  return { client, socket };
}

async function forwarded(client: Client, host: string, port: number): Promise<ClientChannel> {
  return await new Promise((resolve, reject) => {
    client.forwardOut("127.0.0.1", 1, host, port, (error, channel) => (error ? reject(error) : resolve(channel)));
  });
}

async function started(client: Client, command: string): Promise<boolean> {
  return await new Promise((resolve) => client.exec(command, (error) => resolve(error === undefined)));
}

async function said(client: Client, command: string): Promise<string> {
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.exec(command, (error, opened) => (error ? reject(error) : resolve(opened)));
  });
  let text = "";
  for await (const chunk of channel as AsyncIterable<Buffer>) text += chunk.toString();
  return text;
}

/** What the types of ssh2 leave out of its client. */
interface Inside {
  readonly _protocol: {
    ping(): void;
    channelClose(channel: number): void;
    session(channel: number, window: number, packetBytes: number): void;
  };
  readonly _chanMgr: { add(then: (error: Error | undefined, channel: ClientChannel) => void): number };
}

function protocolOf(client: Client): Inside["_protocol"] {
  return (client as unknown as Inside)._protocol;
}

/** The server's number of a session in which nothing is started. */
async function bareSession(client: Client): Promise<number> {
  const { _chanMgr: channels, _protocol: protocol } = client as unknown as Inside;
  return await new Promise((resolve, reject) => {
    const number = channels.add((error, channel) =>
      error ? reject(error) : resolve((channel as unknown as { outgoing: { id: number } }).outgoing.id),
    );
    protocol.session(number, 2 * MIB, 32 * 1024);
  });
}

function isStopped(channel: ClientChannel): boolean {
  return (channel as unknown as { outgoing: { window: number } }).outgoing.window === 0;
}
