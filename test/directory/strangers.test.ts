import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  BACKLOG,
  CONNECTIONS_PER_ADDRESS,
  STRANGER_LOOKS,
  STRANGERS,
  STRANGERS_PER_ADDRESS,
} from "../../protocol/limits.ts";
import { Strangers } from "../../directory/strangers.ts";

/** An address of this machine's that is not loopback. */
const OWN_ADDRESS = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

let server: Server;
let strangers: Strangers;
const accepted: Socket[] = [];
const dialled: Socket[] = [];
beforeEach(async () => {
  strangers = new Strangers(20);
  server = createServer((socket) => accepted.push(socket.on("error", () => {})));
  server.listen({ port: 0, host: "0.0.0.0", backlog: BACKLOG });
  await once(server, "listening");
});
afterEach(() => {
  for (const socket of [...accepted.splice(0), ...dialled.splice(0)]) socket.destroy();
  server.close();
});

test("the connections that have proved nothing take half of all, and the one that came first makes room at once", async () => {
  const sockets = await arrive(13);
  for (const socket of sockets) strangers.add(socket);
  expect(strangers.size).toBe(10);
  expect(sockets.map((socket) => socket.destroyed)).toEqual(sockets.map((_, i) => i < 3));
});

test("who has proved himself is cut for nobody, and who is gone is forgotten", async () => {
  const [known, gone] = await arrive(2);
  if (known === undefined || gone === undefined) throw new Error("nobody came");
  strangers.add(known);
  strangers.add(gone);
  strangers.remove(known);
  gone.destroy();
  await once(gone, "close");
  expect(strangers.size).toBe(0);
  for (const socket of await arrive(15)) strangers.add(socket);
  expect(strangers.size).toBe(10);
  expect(known.destroyed).toBe(false);
});

test("more than a few may be silent for as long as it takes to speak; then those that came first go", async () => {
  const many = new Strangers(1_000_000);
  const [early, late] = [await arrive(STRANGERS), await arrive(10)];
  for (const socket of early) many.add(socket);
  look(many, 1);
  for (const socket of late) many.add(socket);
  look(many, STRANGER_LOOKS - 2);
  expect(many.size).toBe(STRANGERS + 10);
  look(many, 1);
  expect(many.size).toBe(STRANGERS);
  expect(early.filter((socket) => socket.destroyed)).toEqual(early.slice(0, 10));
  look(many, 100);
  expect(many.size).toBe(STRANGERS);
});

test("nobody is given up while the directory does not look, however many come", async () => {
  const many = new Strangers(1_000_000);
  for (let i = 0; i < 3; i++) {
    for (const socket of await arrive(STRANGERS)) many.add(socket);
    look(many, 2);
  }
  expect(many.size).toBe(3 * STRANGERS);
});

test.skipIf(OWN_ADDRESS === undefined)(
  "one address has a share, in which its own make room for each other in the same way",
  async () => {
    const many = new Strangers(1_000_000);
    const [other] = await arrive(1);
    if (other === undefined) throw new Error("nobody came");
    many.add(other);
    const sockets = await arrive(CONNECTIONS_PER_ADDRESS / 2, OWN_ADDRESS);
    for (const socket of sockets) many.add(socket);
    look(many, STRANGER_LOOKS - 1);
    expect(sockets.some((socket) => socket.destroyed)).toBe(false);
    const [next] = await arrive(1, OWN_ADDRESS);
    if (next === undefined) throw new Error("nobody came");
    many.add(next);
    expect(sockets.filter((socket) => socket.destroyed)).toEqual(sockets.slice(0, 1));
    look(many, 1);
    expect(many.size).toBe(1 + STRANGERS_PER_ADDRESS);
    expect([other, next].some((socket) => socket.destroyed)).toBe(false);
  },
);

test("a connection that is a stranger again and again gathers nothing", async () => {
  const [socket] = await arrive(1);
  if (socket === undefined) throw new Error("nobody came");
  const before = socket.listenerCount("close");
  for (let i = 0; i < 20; i++) {
    strangers.add(socket);
    strangers.remove(socket);
  }
  expect(socket.listenerCount("close")).toBe(before);
});

/** So many sockets, accepted. */
async function arrive(count: number, host = "127.0.0.1"): Promise<Socket[]> {
  const before = accepted.length;
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < count; i++) dialled.push(connect({ port, host }).on("error", () => {}));
  await expect.poll(() => accepted.length).toBe(before + count);
  return accepted.slice(before);
}

function look(at: Strangers, times: number): void {
  for (let i = 0; i < times; i++) at.look();
}
