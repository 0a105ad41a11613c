import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { expect, test } from "vitest";
import { SYSTEM_CLOCK } from "../../directory/clock.ts";
import { Freshness } from "../../directory/freshness.ts";
import { PostServer, type RequestHandler } from "../../directory/post.ts";
import { Strangers } from "../../directory/strangers.ts";
import { Workload } from "../../directory/workload.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { UNREAD_ANSWERS } from "../../protocol/limits.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { sealed } from "./raw.ts";
import { patience, random, suite, World } from "./world.ts";

/** More than the sockets of both ends hold for a reader who has stopped. */
const FRAMES = 400;
const FRAME = {
  type: "statements",
  statements: [{ text: "x".repeat(50_000), signature: new Uint8Array(83) }],
  proof: new Uint8Array(0),
} as const;

test("of too many answers that wait for their readers, whoever these are, the one that has waited for longest makes room", async () => {
  await using world = await World.start();
  const { store, directory } = world;
  const workload = new Workload();
  const services = {
    ...{ suite, random, clock: SYSTEM_CLOCK, store, workload, keyring: directory.keyring },
    newestKeys: { look: () => Promise.resolve() },
    freshness: await Freshness.load({ store, random, onError: () => {} }),
    log: pino({ level: "silent" }),
  };
  const longAnswer: RequestHandler = async (_message, stream) => {
    for (let sent = 0; sent < FRAMES && stream.isOpen; sent += 1) {
      stream.send(FRAME);
      await stream.drained();
    }
    stream.end({ type: "done" });
  };
  const posts = new PostServer(services, longAnswer);
  const strangers = new Strangers(8 * UNREAD_ANSWERS);
  const server = createServer((asked, response) => void posts.post(asked, response, "127.0.0.1", strangers));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/messages`;
  // What changes nothing may be sent again.
  const question = { type: REQUEST.readStatements, body: new Uint8Array(0) };
  const { bytes } = await sealed(world.client(), X25519PrivateKey.generate(suite, random), question);

  const readers: IncomingMessage[] = [];
  const cut = new Set<number>();
  const ask = async (): Promise<void> => {
    const [reader] = (await once(request(url, { method: "POST", agent: false }).end(bytes), "response", {
      signal: patience(),
    })) as [IncomingMessage];
    const number = readers.push(reader);
    reader.on("error", () => cut.add(number));
    while (workload.messages > 0) await turn();
  };
  for (let i = 0; i < UNREAD_ANSWERS; i += 1) await ask();
  expect([posts.open, posts.unread, posts.working]).toEqual([UNREAD_ANSWERS, UNREAD_ANSWERS, 0]);
  await ask();
  await ask();
  expect([posts.open, posts.unread]).toEqual([UNREAD_ANSWERS, UNREAD_ANSWERS]);
  for (const reader of readers.slice(0, 2)) reader.resume();
  await expect.poll(() => [...cut]).toHaveLength(2);

  // Who reads at all has the answer to its end, and is counted no more.
  readers[2]?.resume();
  await once(readers[2] ?? expect.fail(), "end", { signal: patience() });
  expect(readers[2]?.complete).toBe(true);
  expect([posts.unread, cut]).toEqual([UNREAD_ANSWERS - 1, new Set([1, 2])]);
  posts.close();
  expect([posts.open, posts.unread]).toEqual([0, 0]);
  for (const reader of readers) reader.destroy();
  server.closeAllConnections();
  server.close();
});
