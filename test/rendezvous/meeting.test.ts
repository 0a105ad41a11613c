import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, expect, test, vi } from "vitest";
import type { Role } from "../../keys/names.ts";
import type { TicketEntry } from "../../protocol/ticket.ts";
import { SELF_SIGNED } from "../directory/certificate.ts";
import { startSlowProxy } from "../support/slow-proxy.ts";
import { dial, readBytes, serve, type Serving } from "./serving.ts";
import { newBoot, newKey, newSession, newWorld, type World } from "./world.ts";

test.concurrent("ends that reach different rendezvous of the ticket first meet at one of them, early data and all", async () => {
  const world = newWorld();
  await using one = await serve({ world });
  await using other = await serve({ world: elsewhere(world) });
  const ends = ticketFor(world, entryOf(one), entryOf(other));
  await meetAndTalk(await ends.dial("client", [0, 1]), await ends.dial("device", [1, 0]));
});

test.concurrent("ends of which each reaches one rendezvous that the other does not meet at the third", async () => {
  const world = newWorld();
  await using one = await serve({ world });
  await using other = await serve({ world: elsewhere(world) });
  await using both = await serve({ world: elsewhere(world) });
  const ends = ticketFor(world, entryOf(one), entryOf(other), entryOf(both));
  await meetAndTalk(await ends.dial("client", [0, 2]), await ends.dial("device", [1, 2]));
});

test.concurrent.each<[string, (socket: Socket) => void]>([
  ["takes connections and is silent", () => {}],
  ["answers rubbish", (socket) => socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"))],
  ["answers what only a rendezvous that is full does", (socket) => socket.once("data", () => socket.end(Buffer.of(6)))],
  ["closes without a word", (socket) => socket.once("data", () => socket.destroy())],
])("a rendezvous that %s is left for the next of the ticket by both ends", async (_how, answer) => {
  const world = newWorld();
  await using fake = await listen(answer);
  await using real = await serve({ world });
  const useless = { key: newKey().publicKey, boot: newBoot(), addresses: [`tcp://127.0.0.1:${fake.port}`] };
  const ends = ticketFor(world, useless, entryOf(real));
  await meetAndTalk(await ends.dial("client", [0, 1]), await ends.dial("device", [0, 1]));
  await fake.emptied();
});

test.concurrent("ends that hear of two joins in another order take the same one", async () => {
  const world = newWorld();
  await using mute = await listen(() => {});
  await using one = await serve({ world });
  await using other = await serve({ world: elsewhere(world) });
  // Both come to the mute one first, then to both others at once: each over a long line to one of these.
  await using slowToOne = await startSlowProxy(() => one.port, 400);
  await using slowToOther = await startSlowProxy(() => other.port, 400);
  const useless = { key: newKey().publicKey, boot: newBoot(), addresses: [`tcp://127.0.0.1:${mute.port}`] };
  const by = (serving: Serving, port: number): TicketEntry => ({
    ...entryOf(serving),
    addresses: [`tcp://127.0.0.1:${port}`],
  });
  const session = newSession(world, { entries: [useless, entryOf(one), entryOf(other)] });
  const client = await dial(
    world,
    { ...session, entries: [useless, entryOf(one), by(other, slowToOther.port)] },
    "client",
  );
  const device = await dial(
    world,
    { ...session, entries: [useless, by(one, slowToOne.port), entryOf(other)] },
    "device",
  );
  await meetAndTalk(client, device);
  expect(client.rendezvous.equals(device.rendezvous)).toBe(true);
});

test.concurrent("a firewall that swallows all but TLS is passed over WebSocket with TLS", async () => {
  const world = newWorld();
  await using mute = await listen(() => {});
  await using serving = await serve({ world });
  await using https = await startSlowProxy(() => serving.port, 0, { tls: SELF_SIGNED });
  const addresses = [`tcp://127.0.0.1:${mute.port}`, `wss://127.0.0.1:${https.port}`];
  const ends = ticketFor(world, { ...entryOf(serving), addresses });
  await meetAndTalk(await ends.dial("client", [0]), await ends.dial("device", [0]));
});

test.concurrent("when no rendezvous is any good, each is told", async () => {
  const world = newWorld();
  await using rubbish = await listen((socket) => socket.once("data", () => socket.write("no")));
  await using full = await listen((socket) => socket.once("data", () => socket.end(Buffer.of(6))));
  const entries = [rubbish, full].map(({ port }) => ({
    ...{ key: newKey().publicKey, boot: newBoot() },
    addresses: [`tcp://127.0.0.1:${port}`],
  }));
  const leg = await ticketFor(world, ...entries).dial("client", [0, 1]);
  await expect(leg.joined).rejects.toMatchObject({
    code: "E_RENDEZVOUS",
    message: `Something answers that is no rendezvous. The rendezvous tcp://127.0.0.1:${full.port} is full.`,
  });
  expect(leg.socket.destroyed).toBe(true);
  await Promise.all([rubbish.emptied(), full.emptied()]);
});

/** What a rendezvous that is silent may cost both ends. */
const PROMISED_MS = 3_000;

afterEach(() => void vi.useRealTimers());

test("a first rendezvous that takes both legs and is silent has cost less than 3 s when the second one is used, by the ends' own clocks", async () => {
  const world = newWorld();
  const hellos = new EventEmitter();
  const [first, second] = [once(hellos, "1"), once(hellos, "2")];
  let count = 0;
  await using mute = await listen((socket) => socket.once("data", () => hellos.emit(`${++count}`)));
  await using real = await serve({ world });
  const silent = { key: newKey().publicKey, boot: newBoot(), addresses: [`tcp://127.0.0.1:${mute.port}`] };
  const ends = ticketFor(world, silent, entryOf(real));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const [client, device] = await Promise.all([ends.dial("client", [0, 1]), ends.dial("device", [0, 1])]);
  await Promise.all([first, second]);
  await vi.advanceTimersByTimeAsync(PROMISED_MS - 1);
  await meetAndTalk(client, device);
  for (const { rendezvous } of [client, device]) expect(rendezvous.equals(real.world.rendezvous.publicKey)).toBe(true);
});

/** Another rendezvous of the same directory. */
function elsewhere(world: World): World {
  return { ...world, rendezvous: newKey(), boot: newBoot() };
}

function entryOf({ world, port }: Serving): TicketEntry {
  const { rendezvous, boot } = world;
  return { key: rendezvous.publicKey, boot, addresses: [`tcp://127.0.0.1:${port}`] };
}

interface Ends {
  /** Dials as an end that reaches these entries of the ticket, in this order. */
  dial(role: Role, reached: readonly number[]): ReturnType<typeof dial>;
}

function ticketFor(world: World, ...entries: TicketEntry[]): Ends {
  const session = newSession(world, { entries });
  return {
    dial: (role, reached) => {
      const its = reached.map((index) => entries[index] as TicketEntry);
      return dial(world, { ...session, entries: its }, role);
    },
  };
}

/** As the ends of a session do: the client speaks ahead, the device when it is joined, and each once more. */
async function meetAndTalk(
  client: { readonly socket: Duplex; readonly joined: Promise<void> },
  device: { readonly socket: Duplex; readonly joined: Promise<void> },
): Promise<void> {
  client.socket.write("confirm");
  await device.joined;
  expect((await readBytes(device.socket, 7)).toString()).toBe("confirm");
  device.socket.write("confirmed");
  await client.joined;
  expect((await readBytes(client.socket, 9)).toString()).toBe("confirmed");
  client.socket.write("more");
  expect((await readBytes(device.socket, 4)).toString()).toBe("more");
  client.socket.destroy();
  device.socket.destroy();
}

async function listen(
  onSocket: (socket: Socket) => unknown,
): Promise<AsyncDisposable & { readonly port: number; readonly emptied: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", () => {});
    onSocket(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    emptied: async () => {
      for (const socket of sockets) await once(socket, "close");
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
}
