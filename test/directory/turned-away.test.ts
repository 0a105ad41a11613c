import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { pino } from "pino";
import { expect, test } from "vitest";
import { DirectoryWatch } from "../../directory/directory-metrics.ts";
import type { DirectoryOptions } from "../../directory/server.ts";
import { RATE_LOOPBACK_BURST } from "../../protocol/limits.ts";
import { MetricsPort } from "../support/metrics.ts";
import { only, send, TestLink } from "./streams.ts";
import { sessionMessage, TestClock, World } from "./world.ts";

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
  expect(await watched.counted()).toEqual({ "address rate": 1 });
  for (let again = 2; again <= 4; again++) {
    expect((await fetch(`http://127.0.0.1:${port}/v1/keys`)).status).toBe(429);
    expect(await watched.counted()).toEqual({ "address rate": again });
  }
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  expect(await watched.counted()).toEqual({ "address rate": 4 });
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
  expect(await watched.counted()).toEqual({ stranger: 1 });

  for (const device of devices) await TestLink.open(world, device);
  const last = await dialled(port);
  const { stranger = 0, ...others } = await watched.counted();
  expect(others).toEqual({});
  for (let dropped = 1; dropped <= 3; dropped++) {
    await once(
      connect(port, "127.0.0.1").on("error", () => {}),
      "close",
    );
    expect(await watched.counted()).toEqual({ stranger, connections: dropped });
  }
  expect(last.destroyed).toBe(false);
});

test("messages of a name that sends too many are counted", async () => {
  await using watched = await Watched.start({ senderRate: { perSecond: 0, burst: 1 } });
  const { world } = watched;
  const client = await world.activated("@client", "laptop", "client");
  const device = await world.activated("@device", "gateway", "device");
  await only(send(world, client, sessionMessage(client, device)));
  expect(await watched.counted()).toEqual({});
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_RATE" });
  expect(await watched.counted()).toEqual({ "name rate": 1 });
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

/** A directory with the metrics that it would have. */
class Watched implements AsyncDisposable {
  readonly world: World;
  readonly #served: AsyncDisposable;
  readonly #metrics: MetricsPort;

  private constructor(world: World, served: AsyncDisposable, metrics: MetricsPort) {
    this.world = world;
    this.#served = served;
    this.#metrics = metrics;
  }

  static async start(options: Partial<DirectoryOptions> = {}): Promise<Watched> {
    const watch = new DirectoryWatch("127.0.0.1:0");
    const world = await World.start({ ...options, observer: watch.observer });
    const served = await watch.serve(world.directory, pino({ level: "fatal" }));
    return new Watched(world, served, new MetricsPort(served.port));
  }

  /** What sshnp_directory_turned_away_total says, but for its zeros. */
  async counted(): Promise<Record<string, number>> {
    const samples = [...(await this.#metrics.scrape())].flatMap(([name, value]) => {
      const [, why] = /^sshnp_directory_turned_away_total\{why="(.*)"\}$/.exec(name) ?? [];
      return why === undefined || value === 0 ? [] : [[why, value] as const];
    });
    return Object.fromEntries(samples);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}
