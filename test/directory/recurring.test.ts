import { expect, test } from "vitest";
import { endAll } from "../../directory/end-all.ts";
import { Recurring } from "../../directory/recurring.ts";

test("what recurs waits for all of it, also after one has failed, and every failure is told", async () => {
  const told: unknown[] = [];
  let begun = 0;
  let letEnd = (): void => {};
  const failing = (): Promise<void> => Promise.reject(new Error("the first"));
  const slow = async (): Promise<void> => {
    begun += 1;
    await new Promise<void>((resolve) => (letEnd = resolve));
    throw new Error("the second");
  };
  const recurring = new Recurring([failing, slow], (error) => told.push(error));
  recurring.run();
  await expect.poll(() => told).toEqual([new Error("the first")]);
  recurring.run();
  expect(begun).toBe(1);
  letEnd();
  await recurring.settled();
  expect(told).toEqual([new Error("the first"), new Error("the second")]);
  recurring.run();
  expect(begun).toBe(2);
  letEnd();
  await recurring.settled();
});

test("all that was begun is ended, one after the other, though one cannot be", async () => {
  const done: string[] = [];
  const ends = [
    () => new Promise(setImmediate).then(() => done.push("first")),
    () => {
      throw new Error("stuck");
    },
    () => Promise.reject(new Error("stuck too")),
    () => done.push("last"),
  ];
  await endAll(ends, (error) => done.push(String(error)));
  expect(done).toEqual(["first", "Error: stuck", "Error: stuck too", "last"]);
});
