import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { startSlowProxy } from "./slow-proxy.ts";

test("connect and an echo take two round trips, whoever speaks first", async () => {
  const echo = createServer((socket) => {
    socket.write("hello");
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  await using proxy = await startSlowProxy(() => (echo.address() as AddressInfo).port, 50);
  const begin = performance.now();
  const socket = connect({ port: proxy.port, host: "127.0.0.1" });
  socket.write("a");
  const text: string[] = [];
  const times: number[] = [];
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text.push(chunk);
    times.push(performance.now() - begin);
  });
  await expect.poll(() => text.join("")).toBe("helloa");
  // Less would mean that something goes round the line; how much more, a busy machine decides.
  expect(times[0]).toBeGreaterThanOrEqual(50 + 25);
  expect(times.at(-1)).toBeGreaterThanOrEqual(100);
  socket.destroy();
  echo.close();
});
