import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { NobodyThereError } from "../../directory/client/nobody-there.ts";
import { connectPersistently } from "../../directory/client/persistent-connect.ts";
import { CAN_MAKE_NAMESPACES, NetworkNamespace } from "../support/namespaces.ts";
import { startProcess } from "../support/processes.ts";
import { SlowLink } from "../support/slow-link.ts";

const NEVER = new AbortController().signal;
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

test("it connects, and tells whom it has not found", async () => {
  const server = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  // `localhost` may have an IPv6 address as well, where nothing listens.
  for (const host of ["127.0.0.1", "localhost"]) {
    const socket = await connectPersistently({ host, port }, NEVER);
    expect(socket.remoteAddress).toBe("127.0.0.1");
    socket.destroy();
  }
  server.close();
  await once(server, "close");
  await expect(connectPersistently({ host: "127.0.0.1", port }, NEVER)).rejects.toMatchObject({
    name: "NobodyThereError",
    code: "ECONNREFUSED",
  });
  await expect(connectPersistently({ host: "name.invalid", port }, NEVER)).rejects.toBeInstanceOf(NobodyThereError);
});

test("a signal ends it, before and meanwhile", async () => {
  const reason = new Error("enough");
  const place = { host: "127.0.0.1", port: 9 };
  await expect(connectPersistently(place, AbortSignal.abort(reason))).rejects.toBe(reason);
  const stop = new AbortController();
  const attempt = connectPersistently(place, stop.signal);
  const named = connectPersistently({ host: "name.invalid", port: 9 }, stop.signal); // the resolver cannot be told to stop
  stop.abort(reason);
  await expect(attempt).rejects.toBe(reason);
  await expect(named).rejects.toBe(reason);
});

// Connects as the daemon does, to the module as it was built, with all the time that a busy machine may need.
const CONNECT = `
  import { connectPersistently } from "${new URL("../../dist/directory/client/persistent-connect.js", import.meta.url).href}";
  const socket = await connectPersistently({ host: "10.9.0.2", port: 7 }, new AbortController().signal, 60_000);
  console.log("connected from", socket.localPort);
  socket.destroy();`;
const LISTEN = `require("node:net").createServer().listen(7, () => console.log("ready"))`;

test.skipIf(!CAN_MAKE_NAMESPACES)(
  "a network that returns is not noticed by the first socket alone, for which the kernel asks ever more rarely",
  async () => {
    const [near, far] = [await NetworkNamespace.make(), await NetworkNamespace.make()];
    const ends = [
      { namespace: near, name: "np0", address: "10.9.0.1/24" },
      { namespace: far, name: "np0", address: "10.9.0.2/24" },
    ] as const;
    await using link = await SlowLink.join(ends);
    const options = { env: { HOME: "/nonexistent" }, cwd: "/" };
    await startProcess(process.execPath, ["-e", LISTEN], { ...options, namespace: far }).line(/^ready$/);
    await link.cut();
    const words = ["--input-type=module", "-e", CONNECT];
    const connecting = startProcess(process.execPath, words, { ...options, namespace: near });
    const asking = async (): Promise<string[]> => {
      const lines = await near.must("ss", "-Htn", "state", "syn-sent");
      return [...lines.matchAll(/ 10\.9\.0\.1:(\d+) /g)].map(([, port = ""]) => port);
    };
    await expect.poll(asking).not.toEqual([]);
    const early = await asking();
    // Whatever these ask from now on, no answer finds the way back to them: time decides nothing.
    for (const port of early) await far.ip("rule", "add", "ipproto", "tcp", "dport", port, "blackhole");
    await link.mend();
    const [, port] = await connecting.line(/^connected from (\d+)$/);
    expect(early).not.toContain(port);
  },
);
