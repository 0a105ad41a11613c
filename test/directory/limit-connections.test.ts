import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { limitConnections } from "../../directory/limit-connections.ts";
import { CONNECTIONS_PER_ADDRESS } from "../../protocol/limits.ts";
import { patience } from "./world.ts";

let server: ReturnType<typeof createServer>;
const clients: Socket[] = [];
/** Where the next connection seems to come from: the tests have this machine's own addresses alone. */
let from: string;
let closed: number;
beforeEach(async () => {
  closed = 0;
  server = createServer();
  server.on("connection", (socket) => Object.defineProperty(socket, "remoteAddress", { value: from }));
  limitConnections(server, () => (closed += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  server.close();
  server.closeAllConnections();
});

/** The server's end of a new connection. */
async function connected(address: string): Promise<Socket> {
  from = address;
  const arrived = once(server, "connection", { signal: patience() }) as Promise<[Socket]>;
  clients.push(connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {}));
  const [socket] = await arrived;
  return socket;
}

test.each([
  ["an IPv4 address", "192.0.2.1", "192.0.2.1", "192.0.2.2"],
  ["an IPv6 /56", "2001:db8:0:100::1", "2001:db8:0:1ff::2", "2001:db8:0:200::1"],
])("what %s opens beyond its share is closed and told, and nothing else", async (_what, one, same, other) => {
  const first = await connected(one);
  for (let open = 1; open < CONNECTIONS_PER_ADDRESS; open += 1) {
    expect((await connected(open % 2 === 0 ? one : same)).destroyed).toBe(false);
  }
  for (const more of [1, 2]) expect([(await connected(same)).destroyed, closed]).toEqual([true, more]);
  expect([(await connected(other)).destroyed, closed]).toEqual([false, 2]);

  // What was closed was not counted, and what goes makes room for one.
  first.destroy();
  await once(first, "close", { signal: patience() });
  expect([(await connected(one)).destroyed, (await connected(one)).destroyed, closed]).toEqual([false, true, 3]);
});

test("this machine's own connections are not counted: a reverse proxy has everybody's", async () => {
  for (let open = 0; open <= CONNECTIONS_PER_ADDRESS; open += 1) {
    expect((await connected("127.0.0.1")).destroyed).toBe(false);
  }
  expect(closed).toBe(0);
});
