import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { SERVER_LOOKUPS } from "../../protocol/limits.ts";
import { type Look, ServerLookup } from "../../sshnpd/server-lookup.ts";
import { LOOPBACK_ADDRESSES } from "../support/loopback.ts";

type Answer = Parameters<Look>[1];

test("no more names are looked up at once than may be, and the next one begins when one has its answer", () => {
  const running: [string, Answer][] = [];
  const { lookup } = new ServerLookup((host, answer) => void running.push([host, answer]));
  const found: string[] = [];
  for (let i = 0; i < SERVER_LOOKUPS + 2; i++) {
    lookup(`host${i}`, { all: true }, (error, addresses) => found.push(error?.message ?? JSON.stringify(addresses)));
  }
  expect(running.map(([host]) => host)).toEqual(["host0", "host1"]);
  running[1]?.[1](null, [{ address: "10.0.0.1", family: 4 }]);
  expect(running.map(([host]) => host)).toEqual(["host0", "host1", "host2"]);
  running[0]?.[1](new Error("no such host"), undefined);
  running[2]?.[1](null, []);
  running[3]?.[1](null, [{ address: "::1", family: 6 }]);
  const one: LookupAddress[] = [{ address: "10.0.0.1", family: 4 }];
  expect(found).toEqual([
    JSON.stringify(one),
    "no such host",
    "it has no address",
    JSON.stringify([{ address: "::1", family: 6 }]),
  ]);
});

test.each(LOOPBACK_ADDRESSES)(
  "localhost is found where it listens at %s alone, whatever the system's files say",
  async (host) => {
    const server = createServer((socket) => socket.end()).listen(0, host);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { lookup } = new ServerLookup(() => {
      throw new Error("nobody is asked");
    });
    const socket = connect({ host: "localhost", port, lookup, autoSelectFamily: true });
    await once(socket, "connect");
    expect(socket.remoteAddress).toBe(host);
    socket.destroy();
    server.close();
  },
);

test("the system is asked for all other names, and a name that there is not is an error", async () => {
  const { lookup } = new ServerLookup();
  const error = await new Promise<Error | null>((resolve) => lookup("no-such-host.invalid", { all: true }, resolve));
  expect(error).toMatchObject({ syscall: "getaddrinfo" });
});
