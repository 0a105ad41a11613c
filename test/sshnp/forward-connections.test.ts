import { once } from "node:events";
import type { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { ChannelStream } from "../../protocol/channel/stream-adapter.ts";
import { Connections } from "../../sshnp/forward/connections.ts";
import { LastingSession } from "../../sshnp/forward/lasting-session.ts";
import { type Listening, listenAt } from "../../sshnp/forward/listen.ts";
import { Report } from "../../sshnp/forward/report.ts";
import { StreamQueue } from "../../sshnp/forward/streams.ts";
import { Progress } from "../../sshnp/progress.ts";
import { localConnection, readAll } from "../e2e/forwarding.ts";
import { ATTEMPT, deviceSession } from "./device-session.ts";

const MIB = 1024 * 1024;

test("thousands of connections, one after another, leave nothing behind", async () => {
  await using play = await begin((stream) => {
    stream.accept();
    stream.end("hello");
    stream.resume();
  });
  const connectAll = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 20) await Promise.all(Array.from({ length: 20 }, () => play.ask("")));
  };
  await connectAll(200);
  const before = usedHeap();
  await connectAll(1_200);
  const grown = usedHeap() - before;
  process.stderr.write(`grown by ${grown}\n`);
  expect(grown).toBeLessThan(MIB); // 1 KB of each would be more
  await expect.poll(() => play.count()).toBe(0);
});

test("what a reader does not take is not read from the other side, either way", async () => {
  let taken: ChannelStream | undefined;
  await using play = await begin((stream) => {
    taken = stream;
    stream.accept();
  });
  const local = await localConnection(play.port);
  await expect.poll(() => taken).toBeDefined();
  const stopsTaking = async (side: Socket | ChannelStream): Promise<number> => {
    let sent = 0;
    while (sent < 64 * MIB && side.write(Buffer.alloc(MIB))) sent += MIB;
    return sent;
  };
  expect(await stopsTaking(local)).toBeLessThan(64 * MIB);
  if (taken !== undefined) expect(await stopsTaking(taken)).toBeLessThan(64 * MIB);
  local.destroy();
});

test("a local program that is reset resets the stream, and one that the device breaks off is reset", async () => {
  const streams: ChannelStream[] = [];
  await using play = await begin((stream) => {
    streams.push(stream);
    stream.accept();
    stream.resume();
  });
  const first = await localConnection(play.port);
  first.write("a");
  await expect.poll(() => streams.length).toBe(1);
  const broken = new Promise((resolve) => streams[0]?.once("error", resolve));
  first.resetAndDestroy();
  expect(await broken).toMatchObject({ code: "E_TRUNCATED" });

  const second = await localConnection(play.port);
  await expect.poll(() => streams.length).toBe(2);
  const reading = expect(readAll(second)).rejects.toMatchObject({ code: "ECONNRESET" });
  streams[1]?.destroy(new Error("the server is gone"));
  await reading;
});

function usedHeap(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

interface Play extends AsyncDisposable {
  readonly port: number;
  /** How many connections there are. */
  count(): number;
  /** What a local program hears that says this. */
  ask(text: string): Promise<string>;
}

/** A local port to a session whose device does this with its streams. */
async function begin(onOpen: (stream: ChannelStream) => void): Promise<Play> {
  const made = await deviceSession(onOpen);
  const lasting = new LastingSession({
    ...{ services: ["tcp:a:1"], keepAlive: false, connect: async () => await Promise.resolve(made.session) },
    ...{ now: () => 0, random: () => 0, wait: async () => await Promise.resolve() },
    ...{ onUp: () => {}, onBack: () => {}, onLost: () => {}, onDenied: () => {} },
    endedByDevice: () => {
      throw new Error("nobody has ended it");
    },
  });
  await lasting.begin();
  let count = 0;
  const report = new Report(new Progress(false), false);
  const connections = new Connections(new StreamQueue(lasting), ATTEMPT.device, report, (now) => (count = now));
  const listening: Listening = await listenAt("loopback", 0, (local) => connections.take(local, "tcp:a:1"));
  const port = listening.port ?? 0;
  return {
    port,
    count: () => count,
    ask: async (text) => {
      const local = await localConnection(port);
      local.end(text);
      const closed = once(local, "close");
      const heard = await readAll(local);
      await closed;
      return heard;
    },
    [Symbol.asyncDispose]: async () => {
      listening.close();
      connections.close();
      await lasting.close();
      made.device.close("finished");
    },
  };
}
