import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { expect, test } from "vitest";
import { parseLegHello } from "../../protocol/leg-hello.ts";
import { dialLeg, isPrivateAddress } from "../../rendezvous/client.ts";
import { SELF_SIGNED } from "../directory/certificate.ts";
import { dial, readAll, readBytes, serve } from "./serving.ts";
import { newBoot, newKey, newSession, newWorld } from "./world.ts";

test("after a restart the leg is dialled again with the new boot and a higher number, early data included", async () => {
  for (const transport of ["tcp", "ws"]) {
    await using serving = await serve();
    const addresses = [`${transport}://127.0.0.1:${serving.port}`];
    const session = newSession({ ...serving.world, boot: newBoot() }, { addresses });
    const dials: number[] = [];
    const nextDial = (): number => dials.push(dials.length + 1);
    const client = await dial(serving.world, session, "client", { nextDial });
    client.socket.write("early");
    const device = await dial(serving.world, session, "device");
    expect(await readBytes(device.socket, 5)).toEqual(Buffer.from("early"));
    await client.joined;
    expect(dials).toEqual([1, 2]);
    expect(client.rendezvous.equals(serving.world.rendezvous.publicKey)).toBe(true);
    device.socket.end();
    client.socket.end();
  }
});

test("a rendezvous that names a new boot each time is given up", async () => {
  await using fake = await listen((socket) => {
    socket.on("data", () => socket.end(Buffer.from([1, ...newBoot()])));
  });
  const world = newWorld();
  const leg = await dial(world, newSession(world, { addresses: [fake.address] }), "client");
  await expect(leg.joined).rejects.toMatchObject({
    code: "E_RENDEZVOUS",
    message: expect.stringContaining("restarts"),
  });
  expect(fake.connections()).toBe(2);
});

test("each refusal is told in words, with the address", async () => {
  const words: Record<number, string> = {
    2: "understand",
    3: "ticket",
    4: "another",
    5: "before",
    6: "full",
    7: "in vain",
    8: "newer",
  };
  for (const [status, word] of Object.entries(words)) {
    await using fake = await listen((socket) => {
      socket.on("data", () => socket.end(Buffer.of(Number(status))));
    });
    const world = newWorld();
    const leg = await dial(world, newSession(world, { addresses: [fake.address] }), "client");
    await expect(leg.joined).rejects.toMatchObject({ code: "E_RENDEZVOUS", message: expect.stringContaining(word) });
    await expect(leg.joined).rejects.toMatchObject({ message: expect.stringContaining(fake.address) });
    expect(leg.socket.destroyed).toBe(true);
  }
});

test("a rendezvous that answers nonsense is no rendezvous", async () => {
  await using fake = await listen((socket) => {
    socket.on("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  });
  const world = newWorld();
  const leg = await dial(world, newSession(world, { addresses: [fake.address] }), "client");
  await expect(leg.joined).rejects.toMatchObject({ code: "E_PROTOCOL" });
});

test("an address that refuses is passed over", async () => {
  await using serving = await serve();
  const addresses = [`tcp://127.0.0.1:${await closedPort()}`, `ws://127.0.0.1:${serving.port}`];
  const session = newSession(serving.world, { addresses });
  const client = await dial(serving.world, session, "client");
  const device = await dial(serving.world, session, "device");
  await Promise.all([client.joined, device.joined]);
  client.socket.end("over WebSocket");
  expect((await readAll(device.socket)).toString()).toBe("over WebSocket");
  device.socket.end();
});

test("an address that does not answer gets a head start, no more", async () => {
  await using serving = await serve();
  await using mute = await listen(() => {});
  const addresses = [`ws://127.0.0.1:${mute.port}`, `tcp://127.0.0.1:${serving.port}`];
  const session = newSession(serving.world, { addresses });
  const client = await dial(serving.world, session, "client");
  const device = await dial(serving.world, session, "device");
  await Promise.all([client.joined, device.joined]);
  await expect.poll(() => mute.open()).toBe(0);
  for (const { socket } of [client, device]) socket.destroy();
});

test("one that closes without a word is given up for the next, which gets the early data too", async () => {
  await using serving = await serve();
  await using rude = await listen((socket) => {
    socket.once("data", () => socket.destroy());
  });
  const session = newSession(serving.world, { addresses: [rude.address, `tcp://127.0.0.1:${serving.port}`] });
  const client = await dial(serving.world, session, "client");
  client.socket.write("early");
  const device = await dial(serving.world, session, "device");
  expect(await readBytes(device.socket, 5)).toEqual(Buffer.from("early"));
  await Promise.all([client.joined, device.joined]);
  for (const { socket } of [client, device]) socket.destroy();
});

test("when nothing answers, every address and its reason are told", async () => {
  const world = newWorld();
  const port = await closedPort();
  const session = newSession(world, { addresses: [`tcp://127.0.0.1:${port}`, `ws://127.0.0.1:${port}`] });
  const told = `tcp://127.0.0.1:${port} (connection refused), nor ws://127.0.0.1:${port} (connection refused)`;
  await expect(dial(world, session, "client")).rejects.toMatchObject({
    code: "E_RENDEZVOUS",
    message: expect.stringContaining(told),
    next: expect.any(String),
  });
});

test("a WebSocket address that speaks plain HTTP is told as such", async () => {
  await using serving = await serve();
  await using web = await listen((socket) => {
    socket.on("data", () => socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
  });
  const session = newSession(serving.world, { addresses: [`ws://127.0.0.1:${web.port}`] });
  await expect(dial(serving.world, session, "client")).rejects.toMatchObject({
    message: expect.stringContaining("404"),
  });
});

test("private addresses are not dialled unless that is allowed, whatever name or form they have", async () => {
  await using fake = await listen(() => {});
  const world = newWorld();
  const hosts = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "127.1",
    "0x7f.1",
    "0.0.0.0",
    "0",
  ];
  for (const host of hosts) {
    for (const transport of ["tcp", "ws", "wss"]) {
      const session = newSession(world, { addresses: [`${transport}://${host}:${fake.port}`] });
      const dialled = dial(world, session, "device", { allowPrivate: false });
      await expect(dialled, host).rejects.toMatchObject({
        code: "E_RENDEZVOUS",
        message: expect.stringContaining("private address"),
      });
    }
  }
  expect(fake.connections()).toBe(0);
});

test("which addresses are private", () => {
  const yes =
    "0.0.0.0 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 172.31.255.255 192.168.0.1 " +
    "198.18.0.1 224.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::ffff:10.0.0.1 ::ffff:a00:1 64:ff9b::10.0.0.1 fc00::1 fdff::1 fe80::1 fe80::1%eth0 " +
    "fec0::1 ff02::1 example.org 1.2.3";
  const no =
    "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.0.0 172.15.255.255 " +
    "172.32.0.0 192.167.255.255 198.17.0.0 198.20.0.0 223.255.255.255 2001:db8::1 2606:4700::1111 ::ffff:8.8.8.8 ::ffff:808:808 64:ff9b::8.8.8.8";
  expect(yes.split(" ").filter((address) => !isPrivateAddress(address))).toEqual([]);
  expect(no.split(" ").filter((address) => isPrivateAddress(address))).toEqual([]);
});

test("over wss a certificate that nobody vouches for is no hindrance", async () => {
  await using serving = await serve();
  const proxy = createTlsServer(SELF_SIGNED, (secure) => {
    const plain = connect({ host: "127.0.0.1", port: serving.port });
    for (const socket of [secure, plain]) socket.on("error", () => {});
    secure.pipe(plain).pipe(secure);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const session = newSession(serving.world, { addresses: [`wss://127.0.0.1:${portOf(proxy)}`] });
  const client = await dial(serving.world, session, "client");
  const device = await dial(serving.world, session, "device");
  await Promise.all([client.joined, device.joined]);
  client.socket.end("through TLS");
  expect((await readAll(device.socket)).toString()).toBe("through TLS");
  device.socket.end();
  await readAll(client.socket);
  await once(proxy.close(), "close");
});

test("an aborted dial ends at once and leaves no socket, connecting or waiting", async () => {
  await using mute = await listen(() => {});
  const world = newWorld();
  const stop = new AbortController();
  const session = newSession(world, { addresses: [`ws://127.0.0.1:${mute.port}`] });
  const connecting = dial(world, session, "client", { signal: stop.signal });
  await expect.poll(() => mute.open()).toBe(1);
  stop.abort(new Error("enough"));
  await expect(connecting).rejects.toThrow("enough");
  await expect.poll(() => mute.open()).toBe(0);

  await using serving = await serve();
  const stopWaiting = new AbortController();
  const leg = await dial(serving.world, serving.session(), "client", { signal: stopWaiting.signal });
  stopWaiting.abort(new Error("enough"));
  await expect(leg.joined).rejects.toThrow("enough");
  expect(leg.socket.destroyed).toBe(true);
  await expect(dial(world, session, "client", { signal: stop.signal })).rejects.toThrow("enough");
});

test("once joined, the leg outlives the signal it was dialled with", async () => {
  await using serving = await serve();
  const stop = new AbortController();
  const session = serving.session();
  const client = await dial(serving.world, session, "client", { signal: stop.signal });
  const device = await dial(serving.world, session, "device");
  await client.joined;
  stop.abort();
  client.socket.end("still there");
  expect((await readAll(device.socket)).toString()).toBe("still there");
  device.socket.end();
});

test("a leg that its user destroys while it waits is given up", async () => {
  await using serving = await serve();
  const leg = await dial(serving.world, serving.session(), "client");
  leg.socket.destroy();
  await expect(leg.joined).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
});

test("what is more than 64 KiB waits until the leg is joined, and none of it is lost", async () => {
  await using serving = await serve();
  const session = serving.session();
  const client = await dial(serving.world, session, "client");
  const all = Buffer.alloc(1_000_000, "a quick brown fox ");
  for (let at = 0; at < all.length; at += 30_011) client.socket.write(all.subarray(at, at + 30_011));
  client.socket.end();
  await serving.logged("leg said hello");
  const device = await dial(serving.world, session, "device");
  expect((await readAll(device.socket)).equals(all)).toBe(true);
  device.socket.end();
});

test("the hello is the first thing sent, and holds what was asked for", async () => {
  const world = newWorld();
  const received: Buffer[] = [];
  await using fake = await listen((socket) => socket.once("data", (chunk: Buffer) => received.push(chunk)));
  const session = newSession(world, { addresses: [fake.address] });
  const leg = await dial(world, session, "device", { nextDial: () => 7 });
  await expect.poll(() => received.length).toBe(1);
  const hello = parseLegHello(Buffer.concat(received))?.hello;
  expect(hello).toMatchObject({ role: "device", dial: 7 });
  expect(hello?.ticket).toEqual(session.ticket);
  leg.socket.destroy();
  await expect(leg.joined).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
});

test("a ticket without a rendezvous that the directory vouches for is told as such", async () => {
  const { suite } = newWorld();
  const options = {
    suite,
    ticket: new Uint8Array(0),
    entries: [],
    sid: new Uint8Array(16),
    legKey: newKey(),
    role: "client",
  } as const;
  const dialled = dialLeg({ ...options, nextDial: () => 1, allowPrivate: true, signal: AbortSignal.timeout(1000) });
  await expect(dialled).rejects.toMatchObject({ code: "E_NO_RENDEZVOUS" });
});

interface Listening extends AsyncDisposable {
  readonly port: number;
  /** As a rendezvous address. */
  readonly address: string;
  readonly connections: () => number;
  readonly open: () => number;
}

async function listen(onSocket: (socket: Socket) => void): Promise<Listening> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer((socket) => {
    count += 1;
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", () => {});
    onSocket(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  return {
    port,
    address: `tcp://127.0.0.1:${port}`,
    connections: () => count,
    open: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
}

/** A port that nothing listens on any more. */
async function closedPort(): Promise<number> {
  const listening = await listen(() => {});
  await listening[Symbol.asyncDispose]();
  return listening.port;
}

function portOf(server: Server): number {
  const address = server.address();
  return address === null || typeof address === "string" ? 0 : address.port;
}
