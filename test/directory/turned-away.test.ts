import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { RATE_LOOPBACK_BURST } from "../../protocol/limits.ts";
import { only, send, TestLink } from "./streams.ts";
import { Watched } from "./watched.ts";
import { sessionMessage, TestClock } from "./world.ts";

/* What waits too long or is too much at work is in overload.test.ts, and what a broker asks in broker-access.test.ts. */

test("requests beyond an address's rate are counted, each once, and what is below it is not", async () => {
  await using watched = await Watched.start({ clock: new StandingClock() });
  const { port } = watched.world.directory;
  const asked = `GET /v1/keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
  const socket = await dialled(port);
  let said = "";
  socket.setEncoding("latin1").on("data", (text: string) => (said = (said + text).slice(-1000)));
  // What comes through after the refusal that closes the connection would be refused as well: so it ends with the first.
  const all = RATE_LOOPBACK_BURST;
  for (let sent = 0; sent < all; sent += 1000) socket.write(asked.repeat(1000));
  socket.write(asked);
  await once(socket, "close");
  expect(said).toContain("HTTP/1.1 429 ");
  expect(await watched.counted("turned_away", "why")).toEqual({ "address rate": 1 });
  for (let again = 2; again <= 4; again++) {
    expect((await fetch(`http://127.0.0.1:${port}/v1/keys`)).status).toBe(429);
    expect(await watched.counted("turned_away", "why")).toEqual({ "address rate": again });
  }
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  expect(await watched.counted("turned_away", "why")).toEqual({ "address rate": 4 });
}, 60_000);

test("connections that have proved nothing and make room are counted, and those for which there is none", async () => {
  await using watched = await Watched.start();
  const { world } = watched;
  const devices = [
    await world.activated("@one", "gateway", "device"),
    await world.activated("@two", "gateway", "device"),
  ];
  await world.pause();
  await world.resume(0, { maxConnections: 2 * devices.length - 1 }); // of these, one may have proved nothing
  const { port } = world.directory;
  const first = await dialled(port);
  await dialled(port);
  await once(first, "close");
  expect(await watched.counted("turned_away", "why")).toEqual({ stranger: 1 });

  for (const device of devices) await TestLink.open(world, device);
  const last = await dialled(port);
  const { stranger = 0, ...others } = await watched.counted("turned_away", "why");
  expect(others).toEqual({});
  for (let dropped = 1; dropped <= 3; dropped++) {
    await once(
      connect(port, "127.0.0.1").on("error", () => {}),
      "close",
    );
    expect(await watched.counted("turned_away", "why")).toEqual({ stranger, connections: dropped });
  }
  expect(last.destroyed).toBe(false);
});

test("messages of a name that sends too many are counted", async () => {
  await using watched = await Watched.start({ senderRate: { perSecond: 0, burst: 1 } });
  const { world } = watched;
  const client = await world.activated("@client", "laptop", "client");
  const device = await world.activated("@device", "gateway", "device");
  await only(send(world, client, sessionMessage(client, device)));
  expect(await watched.counted("turned_away", "why")).toEqual({});
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_RATE" });
  expect(await watched.counted("turned_away", "why")).toEqual({ "name rate": 1 });
});

/** A clock in whose time no rate recovers. */
class StandingClock extends TestClock {
  override monotonic(): number {
    return 0;
  }
}

async function dialled(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  return socket;
}
