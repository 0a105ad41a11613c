import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BACKLOG, STRANGERS } from "../../protocol/limits.ts";
import { Strangers } from "../../directory/strangers.ts";

let server: Server;
let strangers: Strangers;
const accepted: Socket[] = [];
const dialled: Socket[] = [];
beforeEach(async () => {
  strangers = new Strangers(20);
  server = createServer((socket) => accepted.push(socket.on("error", () => {})));
  server.listen({ port: 0, host: "127.0.0.1", backlog: BACKLOG });
  await once(server, "listening");
});
afterEach(() => {
  for (const socket of [...accepted.splice(0), ...dialled.splice(0)]) socket.destroy();
  server.close();
});

test("those who have proved nothing take half of the connections, and the one that has had longest makes room", async () => {
  const sockets = await arrive(10);
  for (const socket of sockets) strangers.add(socket);
  expect(strangers.size).toBe(10);
  for (const socket of await arrive(3)) strangers.add(socket);
  await expect.poll(() => strangers.size).toBe(10);
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
  await expect.poll(() => strangers.size).toBe(10);
  expect(known.destroyed).toBe(false);
});

test("nobody is cut before he has had his turns, however many come at once", async () => {
  const sockets = await arrive(30);
  for (const socket of sockets) strangers.add(socket);
  await new Promise(setImmediate);
  expect(sockets.filter((socket) => socket.destroyed)).toEqual([]);
  await expect.poll(() => strangers.size).toBe(10);
});

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

test("there are never more than STRANGERS", async () => {
  const many = new Strangers(1_000_000);
  const sockets = await arrive(STRANGERS + 10);
  for (const socket of sockets) many.add(socket);
  await expect.poll(() => many.size).toBe(STRANGERS);
});

/** So many sockets, accepted. */
async function arrive(count: number): Promise<Socket[]> {
  const before = accepted.length;
  const { port } = server.address() as AddressInfo;
  for (let i = 0; i < count; i++) dialled.push(connect({ port, host: "127.0.0.1" }).on("error", () => {}));
  await expect.poll(() => accepted.length).toBe(before + count);
  return accepted.slice(before);
}
