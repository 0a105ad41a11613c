import { setMaxListeners } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { DeniedError, SecurityError, type SshnpError, UnavailableError } from "../../keys/errors.ts";
import { FORWARD_BACK_FIRST_MS, FORWARD_BACK_MS, FORWARD_QUEUE, STREAMS } from "../../protocol/limits.ts";
import { LastingSession, type LastingSessionOptions } from "../../sshnp/forward/lasting-session.ts";
import { QueueFull, StreamQueue } from "../../sshnp/forward/streams.ts";
import type { Session } from "../../sshnp/session.ts";
import { type DeviceSession, deviceSession } from "./device-session.ts";

const DENIED = new DeniedError("E_POLICY", "The policy does not let you.");
const OFFLINE = new UnavailableError("E_OFFLINE", "It is offline.");
const NEVER = new AbortController().signal;
setMaxListeners(0, NEVER);

const open: Play[] = [];
afterEach(async () => {
  for (const play of open.splice(0)) {
    await play.lasting.close();
    for (const { device } of play.made) device.close("finished");
  }
});

describe("a session that lasts", () => {
  test("is one for all who want it", async () => {
    const play = begin({ services: ["tcp:a:1"] });
    await play.lasting.begin();
    const [one, two] = await Promise.all(["tcp:a:1", "tcp:b:2"].map((service) => play.lasting.current(service, NEVER)));
    expect(one).toBe(two);
    expect(play.asked).toEqual(["tcp:a:1"]);
  });

  test("is asked for by the first service that is granted, and what is not is told", async () => {
    const play = begin({ services: ["tcp:a:1", "tcp:b:2", "tcp:c:3"], answers: [DENIED] });
    await play.lasting.begin();
    expect(play.asked).toEqual(["tcp:a:1", "tcp:b:2"]);
    expect(play.told).toEqual(["denied tcp:a:1", "up"]);
  });

  test("does not come about when none is granted, for the reason of the first", async () => {
    const play = begin({
      services: ["tcp:a:1", "tcp:b:2"],
      answers: [DENIED, new DeniedError("E_DEVICE_REFUSED", "no")],
    });
    await expect(play.lasting.begin()).rejects.toBe(DENIED);
    expect(play.told).toEqual([]);
  });

  test("without keep-alive is over when it is lost, with the reason", async () => {
    const play = begin({ services: ["tcp:a:1"] });
    await play.lasting.begin();
    play.made[0]?.device.close("going-away");
    const reason = await play.lasting.over;
    expect(reason).toMatchObject({ code: "E_TRUNCATED" });
    await expect(play.lasting.current("tcp:a:1", NEVER)).rejects.toBe(reason);
  });

  test("is made anew when it is lost, with pauses that grow at random and are bounded; who asks meanwhile waits", async () => {
    const failures = Array.from({ length: 20 }, (): SshnpError => OFFLINE);
    const play = begin({ services: ["tcp:a:1"], keepAlive: true, answers: [undefined, ...failures] });
    await play.lasting.begin();
    const before = await play.lasting.current("tcp:a:1", NEVER);
    play.made[0]?.device.close("going-away");
    await before.ended;
    const after = await play.lasting.current("tcp:a:1", NEVER);
    expect(after).not.toBe(before);
    expect(play.told).toEqual(["up", "lost E_TRUNCATED", "up", "back"]);
    const spans = play.waits.map((ms) => 2 * ms); // random is 0.5
    expect(spans.slice(0, 4)).toEqual([1, 2, 4, 8].map((factor) => factor * FORWARD_BACK_FIRST_MS));
    expect(Math.max(...spans)).toBe(FORWARD_BACK_MS);
    expect(play.lost).toEqual([false, ...Array<boolean>(21).fill(true)]);
  });

  test("that lasted is made anew without a pause", async () => {
    const play = begin({ services: ["tcp:a:1"], keepAlive: true });
    await play.lasting.begin();
    play.clock.now += 60_000;
    const before = await play.lasting.current("tcp:a:1", NEVER);
    play.made[0]?.device.close("going-away");
    await before.ended;
    await play.lasting.current("tcp:a:1", NEVER);
    expect(play.waits).toEqual([]);
  });

  test.each([DENIED, new SecurityError("E_OWNER_KEY", "another key"), new Error("a bug")])(
    "is over, keep-alive or not, when no further try helps: %s",
    async (error) => {
      const play = begin({ services: ["tcp:a:1"], keepAlive: true, answers: [undefined, OFFLINE, error] });
      await play.lasting.begin();
      play.made[0]?.device.close("failed");
      expect(await play.lasting.over).toBe(error);
    },
  );

  test("whose own service is taken away goes on with the others", async () => {
    const play = begin({ services: ["tcp:a:1", "tcp:b:2"], answers: [undefined, DENIED] });
    await play.lasting.begin();
    const before = await play.lasting.current("tcp:a:1", NEVER);
    play.made[0]?.device.close("revoked");
    await before.ended;
    await play.lasting.current("tcp:b:2", NEVER);
    expect(play.told).toEqual(["up", "lost E_NOT_AUTHORIZED", "denied tcp:a:1", "up", "back"]);
  });

  test("that nobody has said what for is asked for by each who wants one, until one is granted", async () => {
    const play = begin({ services: [], answers: [DENIED] });
    await play.lasting.begin();
    expect(play.asked).toEqual([]);
    const [one, two] = await Promise.allSettled(
      ["tcp:a:1", "tcp:b:2"].map((service) => play.lasting.current(service, NEVER)),
    );
    expect(one).toMatchObject({ status: "rejected", reason: DENIED });
    expect(two).toMatchObject({ status: "fulfilled" });
    expect(play.asked).toEqual(["tcp:a:1", "tcp:b:2"]);
  });

  test("whose denial is not asked for again at once", async () => {
    const play = begin({ services: [], answers: [DENIED, DENIED] });
    for (let round = 0; round < 3; round++) await expect(play.lasting.current("tcp:a:1", NEVER)).rejects.toBe(DENIED);
    expect(play.asked).toEqual(["tcp:a:1"]);
    play.clock.now += 60_000;
    await expect(play.lasting.current("tcp:a:1", NEVER)).rejects.toBe(DENIED);
    expect(play.asked).toEqual(["tcp:a:1", "tcp:a:1"]);
  });

  test("a wait for it ends by its signal", async () => {
    const play = begin({ services: [], answers: [new Promise<never>(() => {})] });
    const stop = new AbortController();
    const waiting = play.lasting.current("tcp:a:1", stop.signal);
    stop.abort(OFFLINE);
    await expect(waiting).rejects.toBe(OFFLINE);
  });

  test("one that comes after the end is closed", async () => {
    let come: (value: undefined) => void = () => {};
    const play = begin({ services: [], answers: [new Promise<undefined>((resolve) => (come = resolve))] });
    const waiting = play.lasting.current("tcp:a:1", NEVER);
    await play.lasting.close();
    come(undefined);
    await expect(waiting).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    expect(await play.made[0]?.session.ended).toBeUndefined();
  });
});

describe("streams", () => {
  test("beyond those that there may be wait in their order, and each gets the place of one that ends", async () => {
    const play = begin({ services: ["tcp:a:1"] });
    await play.lasting.begin();
    const queue = new StreamQueue(play.lasting);
    const order: number[] = [];
    const all = Array.from({ length: STREAMS + 10 }, async (_, number) => {
      const { stream } = await queue.open(`tcp:a:${number + 1}`, NEVER);
      order.push(number);
      return stream;
    });
    const first = await Promise.all(all.slice(0, STREAMS));
    await first.at(-1)?.opened;
    expect(order).toHaveLength(STREAMS);
    for (const stream of first.slice(0, 10)) stream.destroy();
    await Promise.all(all);
    expect(order).toEqual(Array.from({ length: STREAMS + 10 }, (_, number) => number));
  });

  test("that wait no more make no others wait, and too many are refused", async () => {
    const play = begin({ services: ["tcp:a:1"] });
    await play.lasting.begin();
    const queue = new StreamQueue(play.lasting);
    const taken = await Promise.all(Array.from({ length: STREAMS }, () => queue.open("tcp:a:1", NEVER)));
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const given = Array.from({ length: FORWARD_QUEUE - 1 }, () => queue.open("tcp:a:1", stop.signal));
    const last = queue.open("tcp:b:2", NEVER);
    await expect(queue.open("tcp:c:3", NEVER)).rejects.toBeInstanceOf(QueueFull);
    stop.abort(OFFLINE);
    for (const result of await Promise.allSettled(given)) expect(result).toMatchObject({ reason: OFFLINE });
    taken[0]?.stream.destroy();
    expect((await last).stream.service).toBe("tcp:b:2");
  });

  test("that are asked for in a session that has just ended are opened in the next one", async () => {
    const play = begin({ services: ["tcp:a:1"], keepAlive: true });
    await play.lasting.begin();
    const queue = new StreamQueue(play.lasting);
    const before = await queue.open("tcp:a:1", NEVER);
    play.made[0]?.device.close("going-away");
    await new Promise((resolve) => before.stream.once("close", resolve));
    const after = await queue.open("tcp:a:1", NEVER);
    await after.stream.opened;
    expect(after.session).not.toBe(before.session);
  });
});

interface Play {
  readonly lasting: LastingSession;
  readonly clock: { now: number };
  readonly asked: string[];
  readonly lost: boolean[];
  readonly told: string[];
  readonly waits: number[];
  readonly made: DeviceSession[];
}

/** `answers`: what comes of each request for a session, in their order: an error, else a session; then sessions. */
function begin(
  options: Pick<LastingSessionOptions, "services"> & {
    readonly keepAlive?: boolean;
    readonly answers?: readonly (Error | undefined | Promise<undefined>)[];
  },
): Play {
  const { services, keepAlive = false, answers = [] } = options;
  const [asked, told, waits, made, lost, clock]: [
    string[],
    string[],
    number[],
    DeviceSession[],
    boolean[],
    { now: number },
  ] = [[], [], [], [], [], { now: 0 }];
  const connect = async (service: string, { isLost }: { readonly isLost: boolean }): Promise<Session> => {
    const answer = answers[asked.length];
    asked.push(service);
    lost.push(isLost);
    const error = await answer;
    if (error !== undefined) throw error;
    const one = await deviceSession();
    made.push(one);
    return one.session;
  };
  const lasting = new LastingSession({
    ...{ services, keepAlive, connect, now: () => clock.now, random: () => 0.5 },
    wait: async (ms) => void (await Promise.resolve(waits.push(ms))),
    onUp: () => told.push("up"),
    onBack: () => told.push("back"),
    onLost: ({ code }) => told.push(`lost ${code}`),
    onDenied: (service) => told.push(`denied ${service}`),
    endedByDevice: () => new UnavailableError("E_TRUNCATED", "It has ended."),
  });
  const play = { lasting, clock, asked, told, waits, made, lost };
  open.push(play);
  return play;
}
