import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MetricsPort, promtoolCheck } from "../support/metrics.ts";
import { Stack } from "../support/stack.ts";

test("a directory counts connects by result, times their stages and its store, and promtool takes what it says", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0"] });
  const metrics = await MetricsPort.of(stack.directory);
  const before = await metrics.scrape();
  expect(before.get('sshnp_directory_connects_total{result="answered"}')).toBe(0);

  expect((await stack.ssh("true")).code).toBe(0);
  expect((await stack.client.run("sshnp", "@client", "@device", "nobody", ...stack.sshOptions, "true")).code).not.toBe(
    0,
  );
  const after = await metrics.scrape();
  const grown = (name: string): number => (after.get(name) ?? NaN) - (before.get(name) ?? NaN);
  expect(grown('sshnp_directory_connects_total{result="answered"}')).toBe(1);
  expect(grown('sshnp_directory_connects_total{result="E_UNKNOWN_NAME"}')).toBeGreaterThanOrEqual(1);
  for (const stage of ["ticket", "asked", "answered"]) {
    expect([stage, grown(`sshnp_directory_connect_seconds_count{stage="${stage}"}`)]).toEqual([stage, 1]);
    expect(grown(`sshnp_directory_connect_seconds_sum{stage="${stage}"}`)).toBeGreaterThan(0);
  }
  expect(grown('sshnp_directory_connect_seconds_count{stage="opened"}')).toBeGreaterThanOrEqual(2);
  for (const work of ["read", "claim", "kept"]) {
    expect([work, grown(`sshnp_directory_store_seconds_count{work="${work}"}`)]).toEqual([work, expect.any(Number)]);
    expect(grown(`sshnp_directory_store_seconds_count{work="${work}"}`)).toBeGreaterThan(0);
  }
  expect(after.get("sshnp_directory_devices_online")).toBe(1);
  expect(after.get('sshnp_directory_link_events_total{event="up websocket"}')).toBe(1);
  expect(after.get("sshnp_directory_rendezvous_up")).toBe(1);
  expect(after.get("sshnp_directory_log_entries")).toBeGreaterThan(4);
  expect(after.get('sshnp_directory_sessions{phase="answered"}')).toBe(1);
  expect(after.get("sshnp_event_loop_lag_seconds_count")).toBeGreaterThan(0);
  expect(promtoolCheck(await metrics.text())).toBe("");

  const witnesses = async (): Promise<unknown> => {
    const now = await metrics.scrape();
    return ["cosigns", "fails"].map((state) => now.get(`sshnp_directory_witnesses{state="${state}"}`));
  };
  expect(await witnesses()).toEqual([0, 0]);
  const data = join(stack.server.home, "directory");
  const place = ["--data", join(stack.server.home, "witness"), "--listen", "127.0.0.1:0", "--directory", stack.address];
  const witness = stack.server.start("sshnp-rendezvous", "witness", ...place);
  const [url = ""] = await witness.line(/^http:.*$/);
  const [key = ""] = await witness.line(/^sshnp-witness-.*$/);
  await stack.server.must("sshnp-directory", "witness", "add", "w1", url, key, "--data", data);
  await expect.poll(witnesses, { timeout: 10_000 }).toEqual([1, 0]);
  await witness.stop();
  const secret = await stack.addName("@other");
  await stack.client.must("sshnp-keys", "activate", "-a", "@other", "-c", secret, "--directory", stack.address);
  await expect.poll(witnesses, { timeout: 20_000 }).toEqual([0, 1]);
});

test("readyz tells of each part in JSON where the metrics are, in one word on the main port, and healthz says ok", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0", "--drain-seconds", "600"] });
  const metrics = await MetricsPort.of(stack.directory);
  const parts = { store: "ok", log: "ok", audit: "ok", "key list": "ok", rendezvous: "ok", draining: "ok" };
  expect(await metrics.ready()).toEqual({ http: 200, status: "ready", ...parts });
  expect((await metrics.get("/readyz")).headers.get("content-type")).toBe("application/json");
  const url = stack.address.replace(/#.*/, "");
  const main = async (path: string): Promise<unknown[]> => {
    const response = await fetch(`${url}${path}`);
    return [response.status, await response.text()];
  };
  expect(await main("/readyz")).toEqual([200, "ready\n"]);
  expect(await main("/healthz")).toEqual([200, "ok\n"]);
  expect(await main("/metrics")).toEqual([404, ""]);

  // Told to end, it goes on for those who come, and says to balancers that they should not.
  const exit = stack.directory.exit();
  process.kill(stack.directory.pid, "SIGTERM");
  await expect
    .poll(() => metrics.ready(), { timeout: 10_000 })
    .toMatchObject({
      ...{ http: 503, status: "not ready", draining: "the directory ends", store: "ok" },
    });
  expect(await main("/readyz")).toEqual([503, "not ready\n"]);
  expect(await main("/healthz")).toEqual([200, "ok\n"]);
  expect((await stack.ssh("true")).code).toBe(0);
  process.kill(stack.directory.pid, "SIGTERM");
  expect((await exit).code).toBe(0);
});

test("what asks for metrics slowly, or from many connections, keeps nobody else waiting", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0"], withoutDaemon: true });
  const metrics = await MetricsPort.of(stack.directory);
  const slow = Array.from({ length: 100 }, () => connect(metrics.port, "127.0.0.1").on("error", () => {}));
  await Promise.all(slow.map((socket) => once(socket, "connect")));
  for (const socket of slow) socket.write("GET /metrics HTTP/1.1\r\nX: ");
  expect((await fetch(`${stack.address.replace(/#.*/, "")}/readyz`)).status).toBe(200);
  for (const socket of slow) socket.destroy();
  await expect.poll(async () => (await metrics.get("/healthz").catch(() => undefined))?.status).toBe(200);
});
