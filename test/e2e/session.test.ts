import { afterAll, beforeAll, expect, test } from "vitest";
import { Stack } from "../support/stack.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
}, 60_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

test("a command runs on the device, and its exit status is ssh's", async () => {
  const exit = await stack.ssh("echo out; echo err >&2; exit 7");
  console.log(exit);
  expect(exit).toMatchObject({ code: 7, stdout: "out\n", stderr: expect.stringContaining("err\n") });
});
