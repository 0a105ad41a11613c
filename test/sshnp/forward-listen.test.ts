import { once } from "node:events";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Listening, listenAt, listenAtSocket } from "../../sshnp/forward/listen.ts";
import { localConnection, readAll } from "../e2e/forwarding.ts";
import { LOOPBACK_ADDRESSES } from "../support/loopback.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("a port is the same at both loopback addresses, and gone when it is closed", async () => {
  const listening = await listenAt("loopback", 0, (socket) => socket.end("hello"));
  expect(listening.addresses).toEqual(LOOPBACK_ADDRESSES);
  for (const host of listening.addresses) {
    expect(await readAll(await localConnection(listening.port ?? 0, host))).toBe("hello");
  }
  listening.close();
  await expect(localConnection(listening.port ?? 0)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test.each(LOOPBACK_ADDRESSES)("a port that somebody has at %s is not taken by half", async (host) => {
  const other = createServer().listen(0, host);
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  await expect(listenAt("loopback", port, () => {})).rejects.toMatchObject({ code: "E_LISTEN", exitStatus: 73 });
  const free = host === "127.0.0.1" ? "::1" : "127.0.0.1";
  await expect(localConnection(port, free)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  other.close();
});

test("an address that this machine does not have is told as one", async () => {
  await expect(listenAt({ address: "192.0.2.1" }, 0, () => {})).rejects.toMatchObject({
    message: 'Cannot listen at "192.0.2.1:0": this machine has no such address.',
  });
});

test("a Unix socket is for its user alone whatever the umask, and is removed at the end", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "socket");
  const before = process.umask(0);
  let listening: Listening;
  try {
    listening = await listenAtSocket(path, (socket) => socket.end("hello"));
    expect(process.umask()).toBe(0);
  } finally {
    process.umask(before);
  }
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await readAll(await localConnection(path))).toBe("hello");
  listening.close();
  expect(existsSync(path)).toBe(false);
});

test("a folder in a socket's place, or none around it, is told", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "folder");
  mkdirSync(path);
  await expect(listenAtSocket(path, () => {})).rejects.toMatchObject({ message: expect.stringContaining("no socket") });
  const lost = join(folder.path, "nowhere", "socket");
  await expect(listenAtSocket(lost, () => {})).rejects.toMatchObject({ code: "E_LISTEN" });
});
