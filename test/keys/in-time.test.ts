import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { inTime } from "../../keys/in-time.ts";

const never = new Promise<string>(() => {});
const LONG_MS = 3_600_000;

test("work that ends has its own outcome, and what never ends that of whoever is late", async () => {
  const unused = (): never => {
    throw new Error("not late");
  };
  expect(await inTime(Promise.resolve("done"), LONG_MS, unused)).toBe("done");
  await expect(inTime(Promise.reject(new Error("broken")), LONG_MS, unused)).rejects.toThrow("broken");
  expect(await inTime(never, 1, () => "late")).toBe("late");
  await expect(inTime(never, 1, unused)).rejects.toThrow("not late");
});

test("what fails too late is lost, and ends no process", async () => {
  let fail = (_error: Error): void => {};
  const work = new Promise<string>((_, reject) => (fail = reject));
  expect(await inTime(work, 1, () => "late")).toBe("late");
  fail(new Error("too late")); // an unhandled rejection fails this file
  await new Promise((resolve) => setImmediate(resolve));
});

test("a process stays for what holds nothing, until it is late, and no longer than the work", () => {
  const file = pathToFileURL(join(import.meta.dirname, "../../dist/keys/in-time.js")).href;
  const program = `
    import { inTime } from ${JSON.stringify(file)};
    console.log(await inTime(Promise.resolve("done"), ${LONG_MS}, () => "late"));
    console.log(await inTime(new Promise(() => {}), 1, () => "late"));`;
  const words = ["--input-type=module", "--eval", program];
  expect(execFileSync(process.execPath, words, { encoding: "utf8", timeout: 60_000 })).toBe("done\nlate\n");
});
