import { once } from "node:events";
import { Server } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, expect, test, vi } from "vitest";
import { tellAcceptErrors } from "../../keys/accept-errors.ts";
import { Metrics } from "../../keys/metrics/metrics.ts";
import { Readiness } from "../../keys/metrics/readiness.ts";
import { serveMetrics } from "../../keys/metrics/serve.ts";
import { serveWitness } from "../../rendezvous/witness/service.ts";
import { patience, random, suite, World } from "../directory/world.ts";
import { pair, serve } from "../rendezvous/serving.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/*
 * Node emits an error of accept(2) on the server. Too few open files, as prlimit makes them, do not show that: libuv then takes
 * what it cannot keep with a descriptor that it has in reserve, and closes it. What is left are errors for which the whole
 * machine would have to be in want, so they are emitted here as Node does.
 */

const SAID = "connections cannot be accepted";
const listen = vi.spyOn(Server.prototype, "listen");
afterEach(() => {
  listen.mockClear();
});

test("what cannot be accepted ends no metrics, however often, and is said once", async () => {
  const { log, lines } = keptLog();
  await using served = await serveMetrics("127.0.0.1:0", new Metrics(), new Readiness(), log);
  failToAccept(served.port, 100);
  expect((await fetch(`http://127.0.0.1:${served.port}/healthz`)).status).toBe(200);
  expect(lines()).toEqual([{ code: "EMFILE", errors: 1 }]);
});

test("what cannot be accepted ends no rendezvous, however often, and is said once", async () => {
  const { log, lines } = keptLog();
  await using serving = await serve({ log });
  failToAccept(serving.port, 100);
  await pair(serving, serving.session());
  expect(lines()).toEqual([{ code: "EMFILE", errors: 1 }]);
});

test("what cannot be accepted ends no directory, however often, and is said once", async () => {
  const { log, lines } = keptLog();
  await using world = await World.start({ log });
  failToAccept(Number(world.address.url.port), 100);
  await world.client().keyList({ signal: patience() });
  expect(lines()).toEqual([{ code: "EMFILE", errors: 1 }]);
});

test("what cannot be accepted ends no witness, however often, and is said once", async () => {
  const { log, lines } = keptLog();
  await using folder = await temporaryFolder();
  const stop = new AbortController();
  let serving: Promise<void> | undefined;
  const url = await new Promise<string>((resolve, reject) => {
    const data = join(folder.path, "witness");
    const options = { suite, random, data, listen: { host: "127.0.0.1", port: 0 }, directories: [], log };
    serving = serveWitness({ ...options, onServing: resolve }, stop);
    serving.catch(reject);
  });
  failToAccept(Number(new URL(url).port), 100);
  stop.abort();
  await serving;
  expect(lines()).toEqual([{ code: "EMFILE", errors: 1 }]);
});

test("as long as it lasts it is said again every ten seconds, with how often that was", async () => {
  const { log, lines } = keptLog();
  const server = new Server().listen(0, "127.0.0.1");
  await once(server, "listening");
  let now = 5;
  tellAcceptErrors(server, log, () => now);
  for (; now < 25_000; now += 100) server.emit("error", acceptError());
  expect(lines()).toEqual([
    { code: "EMFILE", errors: 1 },
    { code: "EMFILE", errors: 100 },
    { code: "EMFILE", errors: 100 },
  ]);
  server.close();
});

/** Throws, as the process would end, when nobody listens to errors. */
function failToAccept(port: number, times: number): void {
  const servers = (listen.mock.contexts as Server[]).filter((each) => {
    const address = each.address();
    return typeof address === "object" && address?.port === port;
  });
  expect(servers).toHaveLength(1);
  for (let i = 0; i < times; i++) servers[0]?.emit("error", acceptError());
}

function acceptError(): Error {
  return Object.assign(new Error("accept EMFILE"), { code: "EMFILE", syscall: "accept" });
}

/** A log, and what it was told of connections that cannot be accepted. */
function keptLog() {
  const kept: { msg: string; code: unknown; errors: unknown }[] = [];
  const log = pino({ level: "debug" }, { write: (line) => void kept.push(JSON.parse(line)) });
  const lines = (): unknown[] => kept.filter(({ msg }) => msg === SAID).map(({ code, errors }) => ({ code, errors }));
  return { log, lines };
}
