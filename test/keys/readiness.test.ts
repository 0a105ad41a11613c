import { afterEach, expect, test, vi } from "vitest";
import { Readiness } from "../../keys/metrics/readiness.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("a part that never answers, or throws, is told as such in bounded time, and the others are told all the same", async () => {
  vi.useFakeTimers();
  const readiness = new Readiness();
  readiness.add(
    { name: "mute", look: () => new Promise(() => {}) },
    { name: "odd", look: () => Promise.reject(new Error("of somebody's choice")) },
    { name: "worse", look: () => ({ degraded: "half of it" }) },
    { name: "well", look: () => undefined },
  );
  const looked = readiness.look();
  await vi.advanceTimersByTimeAsync(2000);
  expect(await looked).toEqual({
    status: "not ready",
    checks: [
      { name: "mute", status: "failed", reason: "does not answer in time" },
      { name: "odd", status: "failed", reason: "cannot be looked at" },
      { name: "worse", status: "degraded", reason: "half of it" },
      { name: "well", status: "ok" },
    ],
  });
});

test("a part that hangs is not looked at again before it has answered, and counts at once when it has", async () => {
  vi.useFakeTimers();
  const answers: ((found: undefined) => void)[] = [];
  const readiness = new Readiness();
  readiness.add({ name: "slow", look: () => new Promise<undefined>((resolve) => answers.push(resolve)) });
  for (let second = 0; second < 10; second++) {
    void readiness.look();
    await vi.advanceTimersByTimeAsync(1000);
  }
  expect(answers).toHaveLength(1);
  answers[0]?.(undefined);
  await vi.advanceTimersByTimeAsync(1000);
  const looked = readiness.look();
  await vi.advanceTimersByTimeAsync(0);
  answers[1]?.(undefined);
  expect(await looked).toMatchObject({ status: "ready" });
});

test("a part that could not be looked at once is looked at again", async () => {
  vi.useFakeTimers();
  let looks = 0;
  const readiness = new Readiness();
  const look = (): undefined => {
    looks += 1;
    if (looks === 1) throw new Error("once");
  };
  readiness.add({ name: "odd", look });
  expect(await readiness.look()).toMatchObject({ status: "not ready" });
  await vi.advanceTimersByTimeAsync(1000);
  expect(await readiness.look()).toMatchObject({ status: "ready" });
});

test("however often it is asked, parts are looked at once a second; what is degraded alone is ready", async () => {
  vi.useFakeTimers();
  let looks = 0;
  const readiness = new Readiness();
  readiness.add({ name: "part", look: () => ({ degraded: `look ${++looks}` }) });
  const all = await Promise.all(Array.from({ length: 100 }, () => readiness.look()));
  expect(new Set(all.map(({ status }) => status))).toEqual(new Set(["degraded"]));
  expect(looks).toBe(1);
  await vi.advanceTimersByTimeAsync(1000);
  await readiness.look();
  expect(looks).toBe(2);
});
