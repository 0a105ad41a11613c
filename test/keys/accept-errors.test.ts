import { Server } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { Metrics } from "../../keys/metrics/metrics.ts";
import { Readiness } from "../../keys/metrics/readiness.ts";
import { serveMetrics } from "../../keys/metrics/serve.ts";
import { pair, serve } from "../rendezvous/serving.ts";

/* A process that may open no more files has an error of accept(2) for each that comes; Node emits it on the server. */

const listen = vi.spyOn(Server.prototype, "listen");
afterEach(() => {
  listen.mockClear();
});

test("what cannot be accepted ends no metrics, however often", async () => {
  await using served = await serveMetrics("127.0.0.1:0", new Metrics(), new Readiness());
  failToAccept(3);
  expect((await fetch(`http://127.0.0.1:${served.port}/healthz`)).status).toBe(200);
});

test("what cannot be accepted ends no rendezvous, however often", async () => {
  await using serving = await serve();
  failToAccept(3);
  await pair(serving, serving.session());
});

/** Throws, as the process would end, when nobody listens to errors. */
function failToAccept(times: number): void {
  const [server] = listen.mock.contexts as Server[];
  expect(server).toBeInstanceOf(Server);
  for (let i = 0; i < times; i++) {
    server?.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE", syscall: "accept" }));
  }
}
