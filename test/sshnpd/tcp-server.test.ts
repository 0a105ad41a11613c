import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { HostKeys } from "../../sshnpd/host-keys.ts";
import { TcpServer } from "../../sshnpd/tcp-server.ts";
import { type Exit, runProcess } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { serveStreams } from "./served-streams.ts";

const ENDLESS = new AbortController().signal;

test("of 20 logins at once a server with the default MaxStartups loses none", { timeout: 120_000 }, async () => {
  await using sshd = await startSshServer({ maxStartups: "10:30:100" });
  await using streams = await serveStreams(() => serverAt(sshd.port), { together: 20 });
  const exits = await Promise.all(Array.from({ length: 20 }, (_, i) => login(sshd, streams.port, `echo ${i}; exit 3`)));
  expect(exits.map(({ code, stdout }) => [code, stdout])).toEqual(exits.map((_, i) => [3, `${i}\n`]));
  expect(sshd.process.stderr).not.toMatch(/drop connection|MaxStartups/);
  await Promise.all(streams.served.map(({ closed }) => closed));
  expect(streams.served.every(({ received, sent }) => received > 1000 && sent > 1000)).toBe(true);
});

test("one client's streams that say nothing keep nobody out of the real sshd, and it drops none", async () => {
  await using sshd = await startSshServer({ maxStartups: "10:100:10" });
  const server = serverAt(sshd.port);
  await using eves = await serveStreams(() => server, { client: "@eve", together: 64 });
  const mute = Array.from({ length: 64 }, () => connect(eves.port, "127.0.0.1"));
  const banners = mute.filter((socket) => socket.on("error", () => {}).once("data", () => socket.resume()));
  await expect.poll(() => banners.filter(({ bytesRead }) => bytesRead > 0).length).toBe(4); // half of 7 and no more
  await using bobs = await serveStreams(() => server, { client: "@bob" });
  for (let i = 0; i < 3; i++) expect(await login(sshd, bobs.port, "exit 3")).toMatchObject({ code: 3 });
  const kept = [1, 2, 3].map(() => login(sshd, bobs.port, "echo in; exec sleep 600")); // silent, and logged in
  await expect.poll(() => sshd.process.stderr.match(/^Accepted publickey/gm)?.length).toBe(6);
  expect(await login(sshd, bobs.port, "exit 4")).toMatchObject({ code: 4 });
  expect(sshd.process.stderr).not.toMatch(/drop connection|MaxStartups/);
  for (const socket of mute) socket.destroy();
  void Promise.allSettled(kept); // they end with their streams
});

test("the port in our line is the one in sshd's own, so that it is known whose login that is", async () => {
  await using sshd = await startSshServer();
  await using streams = await serveStreams(() => serverAt(sshd.port));
  expect(await login(sshd, streams.port, "true")).toMatchObject({ code: 0 });
  const [, port] = /^Accepted publickey for \S+ from 127\.0\.0\.1 port (\d+) /m.exec(sshd.process.stderr) ?? [];
  expect(streams.lines.filter(({ msg }) => msg === "stream at the SSH server")).toMatchObject([{ port: Number(port) }]);
});

test.each(["", "Exceeded MaxStartups\r\n", "Not allowed at this time\r\n"])(
  "one that is dropped ahead of its banner (%j) is tried once more, with all that the client has said",
  async (excuse) => {
    await using server = await listen((socket, count) => {
      if (count === 1) return void socket.end(excuse);
      socket.write("SSH-2.0-second\r\n");
      socket.pipe(socket);
    });
    await using streams = await serveStreams(() => serverAt(server.port));
    const client = connect({ port: streams.port, host: "127.0.0.1", allowHalfOpen: true });
    client.end("SSH-2.0-client\r\nand the end");
    expect(await text(client)).toBe("SSH-2.0-second\r\nSSH-2.0-client\r\nand the end");
    expect(server.connections).toHaveLength(2);
  },
);

test("and once only", async () => {
  await using server = await listen((socket) => void socket.destroy());
  await using streams = await serveStreams(() => serverAt(server.port));
  const client = connect(streams.port, "127.0.0.1");
  expect(await text(client)).toBe("");
  expect(server.connections).toHaveLength(2);
});

test("a server that has said its banner is not connected again, whatever becomes of it", async () => {
  await using server = await listen((socket) => void socket.write("SSH-2.0-x\r\n", () => socket.resetAndDestroy()));
  await using streams = await serveStreams(() => serverAt(server.port));
  const client = connect(streams.port, "127.0.0.1").resume();
  await once(client, "close");
  expect(server.connections).toHaveLength(1);
});

function serverAt(port: number): TcpServer {
  return new TcpServer({ port, hostKeys: new HostKeys(port, () => 0, ENDLESS) });
}

function login({ sshOptions }: SshServer, port: number, command: string): Promise<Exit> {
  const proxied = ["-o", `ProxyCommand=socat - TCP:127.0.0.1:${port}`];
  return runProcess("ssh", [...proxied, ...sshOptions, "127.0.0.1", command], {
    env: { HOME: "/nonexistent" },
    cwd: "/",
    timeoutMs: 90_000,
  });
}

async function listen(onConnection: (socket: Socket, count: number) => void) {
  const connections: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    onConnection(socket, connections.push(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    [Symbol.asyncDispose]: async () => {
      for (const socket of connections) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
