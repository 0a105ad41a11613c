import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parsePublicKeyBlob } from "../../keys/openssh.ts";
import { HostKeys, parseKeyscan, scanHostKeys } from "../../sshnpd/host-keys.ts";
import { listeningSockets, parseListeningSockets } from "../../sshnpd/listening-sockets.ts";
import { startSshServer } from "../support/sshd.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const ENDLESS = new AbortController().signal;

test("the keys are those that the server presents", async () => {
  await using sshd = await startSshServer();
  const hostKeys = new HostKeys(sshd.port, () => 0, ENDLESS);
  expect(linesOf(await hostKeys.current()).toSorted()).toEqual(sshd.hostKeys.toSorted());
});

test("a server is not asked again while it listens, and is when another one does", async () => {
  const first = await startSshServer();
  const hostKeys = new HostKeys(first.port, () => 0, ENDLESS);
  const before = await hostKeys.current();
  expect(await hostKeys.current()).toBe(before);
  await first.stop();
  await expect(hostKeys.current()).rejects.toMatchObject({ code: "E_NO_SSHD" });
  await using second = await startSshServer({ port: first.port });
  expect(linesOf(await hostKeys.current()).toSorted()).toEqual(second.hostKeys.toSorted());
  expect(await hostKeys.current()).not.toEqual(before);
});

test("a server is asked again after ten minutes", async () => {
  await using sshd = await startSshServer();
  let now = 0;
  const hostKeys = new HostKeys(sshd.port, () => now, ENDLESS);
  const before = await hostKeys.current();
  now = 10 * 60_000 - 1;
  expect(await hostKeys.current()).toBe(before);
  now += 1;
  const after = await hostKeys.current();
  expect(after).not.toBe(before);
  expect(after).toEqual(before);
});

test("requests that come together share one scan", async () => {
  await using sshd = await startSshServer();
  const hostKeys = new HostKeys(sshd.port, () => 0, ENDLESS);
  const [first, ...others] = await Promise.all(Array.from({ length: 10 }, () => hostKeys.current()));
  for (const other of others) expect(other).toBe(first);
});

test("a server that turns connections away is not taken for one with fewer keys", { timeout: 60_000 }, async () => {
  await using sshd = await startSshServer({ configuration: ["MaxStartups 3", "LoginGraceTime 0"] });
  let now = 0;
  const hostKeys = new HostKeys(sshd.port, () => now, ENDLESS);
  const before = await hostKeys.current();
  expect(linesOf(before).toSorted()).toEqual(sshd.hostKeys.toSorted());
  const crowd = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const socket = connect(sshd.port, "127.0.0.1");
      await once(socket, "data"); // the server's banner: it counts as a login that has begun
      return socket;
    }),
  );
  now += 60 * 60_000;
  expect(await hostKeys.current()).toEqual(before);
  for (const socket of crowd) socket.destroy();
});

test("a port on which nothing listens, or nothing that speaks SSH, has no keys", async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const hostKeys = new HostKeys(port, () => 0, ENDLESS);
  expect((await scanHostKeys(port, ENDLESS)).blobs).toEqual([]);
  await expect(hostKeys.current()).rejects.toMatchObject({
    code: "E_NO_SSHD",
    message: `No SSH server on this device: what listens on its 127.0.0.1:${port} closes connections, or is silent.`,
  });
  server.close();
  await once(server, "close");
  expect((await scanHostKeys(port, ENDLESS)).blobs).toEqual([]);
  await expect(hostKeys.current()).rejects.toMatchObject({
    code: "E_NO_SSHD",
    message: `No SSH server on this device: nothing answers on its 127.0.0.1:${port}.`,
  });
});

test("what ssh-keyscan prints is parsed, and nothing else is taken from it", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJuvDmlCPAsb5yRcMIOMBZPw9Y34r9Wdle3/oQ4iFnKB";
  const text = [
    "# 127.0.0.1:2222 SSH-2.0-OpenSSH_9.2",
    `[127.0.0.1]:2222 ${key}`,
    `127.0.0.1 ${key}`,
    `# ${key}`,
    key,
    `127.0.0.1 ${key} with more`,
    "127.0.0.1 ssh-ed25519 AAAA",
    "127.0.0.1 ssh-dss AAAAB3NzaC1kc3M=",
    "\u001b]0;title\u0007 x y",
    "",
  ].join("\n");
  expect(parseKeyscan(text).map(({ line }) => line)).toEqual([key, key]);
});

test("the sockets that listen on a port are told apart from all others", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const inode = await listeningSockets(port);
  expect(inode).toMatch(/^\d+$/);
  expect(readFileSync("/proc/net/tcp", "latin1")).toContain(` ${inode} `);
  server.close();
  await once(server, "close");
  expect(await listeningSockets(port)).toBe("");
});

test("of more servers than one piece of the kernel's table has room for, each is found", async () => {
  const servers = Array.from({ length: 100 }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  const inodes = await Promise.all(ports.map((port) => listeningSockets(port)));
  for (const server of servers) server.close();
  expect(new Set(inodes.filter((inode) => /^\d+$/.test(inode ?? ""))).size).toBe(ports.length);
});

test("a table of proc_net_tcp(5) is read by port and state, whatever else stands in it", () => {
  const table = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 594 1 0000 100 0 0 10 0",
    "   1: 0100007F:0016 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 595 1 0000 20 4 30 10 -1",
    "   2: 0100007F:0116 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 596 1 0000 100 0 0 10 0",
    "  10: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 597 1 0",
    "garbage",
    "",
  ].join("\n");
  expect(parseListeningSockets(table, 22)).toEqual(["594", "597"]);
  expect(parseListeningSockets(table, 23)).toEqual([]);
});

test("wherever a piece of a table ends, all that listen are found", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "tcp");
  const line = (number: number, state: string): string =>
    `${String(number).padStart(4)}: 0100007F:0016 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${number} 1 0000 100 0 0 10 0\n`;
  const listening = Array.from({ length: 40 }, (_, number) => line(number, "0A"));
  const connected = line(40, "01");
  const all = listening.map((_, number) => String(number)).toSorted();
  for (let shift = 0; shift < connected.length; shift++) {
    await writeFile(path, `${" ".repeat(shift)}sl\n${listening.join("")}${connected}`); // pieces of a file are of one size
    expect((await listeningSockets(22, [path]))?.split(" ")).toEqual(all);
  }
});

function linesOf(blobs: readonly Uint8Array[]): string[] {
  return blobs.map((blob) => parsePublicKeyBlob(blob).line);
}
