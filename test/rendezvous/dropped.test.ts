import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { SPARE_FILES } from "../../protocol/limits.ts";
import { MetricsPort } from "../support/metrics.ts";
import { startProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const DIST = pathToFileURL(join(import.meta.dirname, "../../dist/")).href;
const MOST = 64;

/** A rendezvous with its metrics, where silent legs of one origin may be as many as all. */
const SCRIPT = `
  const load = (file) => import(new URL(file, ${JSON.stringify(DIST)}));
  const { RendezvousServer } = await load("rendezvous/server.js");
  const { RendezvousWatch } = await load("rendezvous/rendezvous-metrics.js");
  const { USUAL_LIMITS } = await load("rendezvous/lobby-limits.js");
  const { nativeSuite: suite } = await load("protocol/suite/native.js");
  const log = { debug() {}, info() {}, warn: console.error };
  const watch = new RendezvousWatch("127.0.0.1:0");
  const server = await RendezvousServer.start({
    ...{ suite, key: new Uint8Array(32), boot: new Uint8Array(16), listen: { host: "127.0.0.1", port: 0 } },
    now: () => ({ time: Date.now(), monotonic: performance.now() }),
    ...{ askForKeys() {}, log, observer: watch.observer, limits: USUAL_LIMITS },
  });
  const metrics = await watch.serve(server, { log, isDraining: () => false });
  console.log("serves " + server.port + " " + metrics.port + " " + server.most);
`;

test("sockets beyond those that there may be are closed unread and counted, each once", async () => {
  await using home = await temporaryFolder();
  const files = SPARE_FILES + MOST;
  const words = [`--nofile=${files}:${files}`, process.execPath, "--input-type=module", "--eval", SCRIPT];
  await using rendezvous = startProcess("prlimit", words, { cwd: "/", env: { HOME: home.path } });
  const [, port, at, most] = (await rendezvous.line(/^serves (\d+) (\d+) (\d+)$/)).map(Number);
  expect(most).toBe(MOST);
  const metrics = new MetricsPort(at ?? 0);
  const dial = (): Socket => connect(port ?? 0, "127.0.0.1").on("error", () => {});
  const counted = async (name: string): Promise<number | undefined> => (await metrics.scrape()).get(name);

  const taken = Array.from({ length: MOST }, dial);
  await expect.poll(() => counted("sshnp_rendezvous_legs")).toBe(MOST);
  expect(await counted('sshnp_rendezvous_legs_total{result="dropped"}')).toBe(0);
  for (let dropped = 1; dropped <= 3; dropped++) {
    await once(dial(), "close");
    expect(await counted('sshnp_rendezvous_legs_total{result="dropped"}')).toBe(dropped);
  }
  expect(await counted("sshnp_rendezvous_legs")).toBe(MOST);
  for (const socket of taken) socket.destroy();
});
