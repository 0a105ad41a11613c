import { expect, test } from "vitest";
import { MetricsPort, promtoolCheck } from "../support/metrics.ts";
import { Stack } from "../support/stack.ts";

test("a rendezvous counts legs, sessions and bytes while they live, and says in readyz that it drains or has no directory", async () => {
  await using stack = await Stack.start({ rendezvous: ["--metrics", "127.0.0.1:0"] });
  const metrics = await MetricsPort.of(stack.rendezvous);
  const parts = { "key list": "ok", room: "ok", directory: "ok", draining: "ok" };
  expect(await metrics.ready()).toEqual({ http: 200, status: "ready", ...parts });
  const before = await metrics.scrape();
  expect(before.get("sshnp_rendezvous_sessions")).toBe(0);

  const session = stack.startSsh("head -c 1000000 /dev/zero; echo done >&2; read line");
  await session.errorLine(/^done$/);
  const during = await metrics.scrape();
  expect(during.get("sshnp_rendezvous_sessions")).toBe(1);
  expect(during.get("sshnp_rendezvous_legs")).toBe(2);
  expect(during.get("sshnp_rendezvous_legs_waiting")).toBe(0);
  expect(during.get('sshnp_rendezvous_legs_total{result="joined"}')).toBe(2);
  expect(during.get("sshnp_rendezvous_join_seconds_count")).toBe(1);
  // Some of it may still be on its way to a client whose stdout nobody reads.
  await expect
    .poll(async () => (await metrics.scrape()).get('sshnp_rendezvous_carried_bytes_total{from="device"}'))
    .toBeGreaterThan(500_000);
  expect(during.get('sshnp_rendezvous_carried_bytes_total{from="client"}')).toBeGreaterThan(1000);
  expect(promtoolCheck(await metrics.text())).toBe("");

  // Asked to end, it carries what it has, and says that it takes nobody new.
  process.kill(stack.rendezvous.pid, "SIGTERM");
  await expect
    .poll(() => metrics.ready(), { timeout: 10_000 })
    .toMatchObject({
      ...{ http: 503, status: "not ready", draining: "the rendezvous ends" },
    });
  expect((await fetch(`http://127.0.0.1:${stack.rendezvousPort}/readyz`)).status).toBe(503);
  expect((await fetch(`http://127.0.0.1:${stack.rendezvousPort}/healthz`)).status).toBe(200);
  expect((await metrics.scrape()).get("sshnp_rendezvous_draining")).toBe(1);
  await session.kill("SIGTERM");
  expect((await stack.rendezvous.exit()).code).toBe(0);
});

test("without its directory a rendezvous is degraded and says so, and goes on", async () => {
  await using stack = await Stack.start({ withoutDaemon: true });
  await stack.directory.stop();
  await stack.rendezvous.stop();
  await stack.startRendezvous("--metrics", "127.0.0.1:0");
  const metrics = await MetricsPort.of(stack.rendezvous);
  expect(await metrics.ready()).toMatchObject({
    ...{ http: 200, status: "degraded", directory: "it does not take the reports", "key list": "ok" },
  });
  expect((await metrics.scrape()).get('sshnp_check_ok{check="directory"}')).toBe(0);
  expect((await metrics.scrape()).get("sshnp_ready")).toBe(1);
});
