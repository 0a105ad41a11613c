import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { Stack } from "../support/stack.ts";

let broker: Mosquitto;
let stack: Stack;
beforeAll(async () => {
  broker = await startMosquitto();
  stack = await Stack.start({ directory: ["--mqtt", broker.url], daemon: ["--mqtt", broker.url, "-v"] });
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await broker[Symbol.asyncDispose]();
});

test("a device at a broker is woken, and an unmodified ssh logs in", async () => {
  await stack.daemon.errorLine(/waiting at the MQTT broker/);
  const exit = await stack.ssh("echo", "hello");
  expect(exit).toMatchObject({ code: 0, stdout: "hello\n" });
});
