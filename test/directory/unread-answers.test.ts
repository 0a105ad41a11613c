import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
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

const FRAMES = 400;
const FRAME = {
  type: "statements",
  statements: [{ text: "x".repeat(50_000), signature: new Uint8Array(83) }],
  proof: new Uint8Array(0),
} as const;

/** As large as what is held for a moment, however fast its reader is, and no larger than what the network takes. */
const SMALL_FRAME = { ...FRAME, statements: [{ text: "x".repeat(20_000), signature: new Uint8Array(83) }] };
const DONE = { type: "done" } as const;

/** More than the sockets of both ends hold, so that it goes on as its reader reads. */
const longAnswer: RequestHandler = async (_message, stream) => {
  for (let sent = 0; sent < FRAMES && stream.isOpen; sent += 1) {
    stream.send(FRAME);
    await stream.drained();
  }
  stream.end(DONE);
};

test("of too many answers that wait for their readers, whoever these are, the one that has waited for longest makes room", async () => {
  await using asked = await Asked.start(longAnswer);
  const { posts, readers, cut, turnedAway } = asked;
  for (let i = 0; i < UNREAD_ANSWERS; i += 1) await asked.unread();
  expect([posts.open, posts.unread, posts.working]).toEqual([UNREAD_ANSWERS, UNREAD_ANSWERS, 0]);
  expect(turnedAway).toEqual([]);
  await asked.unread();
  await asked.unread();
  expect(turnedAway).toEqual(["unread answer", "unread answer"]);
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
});

test("the address that has most of the answers that wait loses one, and none is lost to those that are read at once", async () => {
  const begun: (() => void)[] = [];
  let isLong = true;
  /** As one whose next page the store takes its time for. */
  const inParts: RequestHandler = async (_message, stream) => {
    stream.send(SMALL_FRAME);
    await stream.drained();
    await new Promise<void>((resolve) => begun.push(resolve));
    stream.send(SMALL_FRAME);
    stream.end(DONE);
  };
  await using asked = await Asked.start((...of) => (isLong ? longAnswer(...of) : inParts(...of)));
  const { posts, readers, cut } = asked;
  await asked.unread("192.0.2.1");
  for (let i = 1; i < UNREAD_ANSWERS; i += 1) await asked.unread("192.0.2.2");
  isLong = false;
  const eager: Promise<unknown>[] = [];
  for (let i = 1; i <= UNREAD_ANSWERS + 2; i += 1) {
    const reader = await asked.reader("192.0.2.3");
    eager.push(once(reader.resume(), "end", { signal: patience() }));
    while (begun.length < i) await turn();
  }
  expect([posts.open, posts.unread]).toEqual([2 * UNREAD_ANSWERS + 2, UNREAD_ANSWERS]);
  for (const goOn of begun) goOn();
  await Promise.all(eager);
  expect(cut).toEqual(new Set());

  isLong = true;
  await asked.unread("192.0.2.4");
  expect([posts.open, posts.unread]).toEqual([UNREAD_ANSWERS, UNREAD_ANSWERS]);
  for (const reader of readers.slice(0, UNREAD_ANSWERS)) reader.resume();
  await expect.poll(() => [...cut]).toEqual([2]);
});

/** A server of posted messages, and those who have asked it for an answer. */
class Asked implements AsyncDisposable {
  readonly #world: World;
  readonly #workload: Workload;
  readonly #server: Server;
  readonly message: Uint8Array;
  readonly posts: PostServer;
  readonly readers: IncomingMessage[] = [];
  /** Which of the readers have lost their answers, from 1. */
  readonly cut = new Set<number>();
  readonly turnedAway: readonly string[];

  private constructor(world: World, workload: Workload, posts: PostServer, of: Pick<Asked, "message" | "turnedAway">) {
    this.#world = world;
    this.#workload = workload;
    this.posts = posts;
    this.message = of.message;
    this.turnedAway = of.turnedAway;
    const strangers = new Strangers(8 * UNREAD_ANSWERS);
    this.#server = createServer((sent, response) => {
      void posts.post(sent, response, String(sent.headers["x-address"]), strangers);
    });
  }

  static async start(handler: RequestHandler): Promise<Asked> {
    const world = await World.start();
    const { store, directory } = world;
    const workload = new Workload();
    const turnedAway: string[] = [];
    const services = {
      ...{ suite, random, clock: SYSTEM_CLOCK, store, workload, keyring: directory.keyring },
      newestKeys: { look: () => Promise.resolve() },
      freshness: await Freshness.load({ store, random, onError: () => {} }),
      log: pino({ level: "silent" }),
      observer: {
        ...{ took: () => {}, ended: () => {}, linkRefused: () => {} },
        turnedAway: (why: string) => void turnedAway.push(why),
      },
    };
    // What changes nothing may be sent again.
    const question = { type: REQUEST.readStatements, body: new Uint8Array(0) };
    const { bytes: message } = await sealed(world.client(), X25519PrivateKey.generate(suite, random), question);
    const asked = new Asked(world, workload, new PostServer(services, handler), { message, turnedAway });
    asked.#server.listen(0, "127.0.0.1");
    await once(asked.#server, "listening");
    return asked;
  }

  /** Asks, as if from there. */
  async reader(address = "192.0.2.1"): Promise<IncomingMessage> {
    const { port } = this.#server.address() as AddressInfo;
    const options = { method: "POST", agent: false, headers: { "x-address": address } };
    const sent = request(`http://127.0.0.1:${port}/v1/messages`, options).end(this.message);
    const [reader] = (await once(sent, "response", { signal: patience() })) as [IncomingMessage];
    const number = this.readers.push(reader);
    reader.on("error", () => this.cut.add(number));
    return reader;
  }

  /** Asks and reads nothing, up to where the answer waits for that. */
  async unread(address?: string): Promise<void> {
    await this.reader(address);
    while (this.#workload.messages > 0) await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.posts.close();
    for (const reader of this.readers) reader.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await this.#world[Symbol.asyncDispose]();
  }
}
