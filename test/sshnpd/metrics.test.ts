import { expect, test } from "vitest";
import { MetricsPort, promtoolCheck } from "../support/metrics.ts";
import { Stack } from "../support/stack.ts";

test("sshnpd counts requests, sessions, streams and bytes while they live, and says in readyz what it lacks", async () => {
  await using stack = await Stack.start({ daemon: ["--metrics", "127.0.0.1:0"] });
  const metrics = await MetricsPort.of(stack.daemon);
  const parts = { directory: "ok", room: "ok", "ssh server": "ok" };
  expect(await metrics.ready()).toEqual({ http: 200, status: "ready", ...parts });

  const session = stack.startSsh("head -c 1000000 /dev/zero; echo done >&2; read line");
  await session.errorLine(/^done$/);
  await expect
    .poll(async () => (await metrics.scrape()).get('sshnp_device_bytes_total{direction="sent"}'))
    .toBeGreaterThan(500_000);
  const during = await metrics.scrape();
  expect(during.get("sshnp_device_sessions")).toBe(1);
  expect(during.get("sshnp_device_sessions_unconfirmed")).toBe(0);
  expect(during.get("sshnp_device_streams")).toBe(1);
  expect(during.get("sshnp_device_streams_total")).toBe(1);
  expect(during.get('sshnp_device_requests_total{result="granted"}')).toBe(1);
  expect(during.get("sshnp_device_answer_seconds_count")).toBe(1);
  expect(during.get("sshnp_device_confirm_seconds_count")).toBe(1);
  expect(during.get('sshnp_device_link_up{way="websocket"}')).toBe(1);
  expect(during.get('sshnp_device_links_total{way="websocket"}')).toBe(1);
  expect(promtoolCheck(await metrics.text())).toBe("");
  await session.kill("SIGTERM");
  await expect
    .poll(() =>
      metrics.scrape().then((after) => [after.get("sshnp_device_sessions"), after.get("sshnp_device_streams")]),
    )
    .toEqual([0, 0]);
  const after = await metrics.scrape();
  expect(after.get('sshnp_device_bytes_total{direction="sent"}')).toBeGreaterThan(500_000);
  const ends = ["closed", "broken off", "failed", "given up"];
  const ended = ends.map((how) => after.get(`sshnp_device_sessions_ended_total{how="${how}"}`) ?? NaN);
  expect(ended.reduce((sum, one) => sum + one, 0)).toBe(1);

  // Somebody who is not listed.
  const secret = await stack.addName("@other");
  await stack.client.must("sshnp-keys", "activate", "-a", "@other", "-c", secret, "--directory", stack.address);
  const [, ...rest] = stack.words("true");
  expect((await stack.client.run("sshnp", "@other", ...rest)).code).not.toBe(0);
  expect((await metrics.scrape()).get('sshnp_device_requests_total{result="E_DEVICE_REFUSED"}')).toBe(1);

  await stack.sshd.stop();
  await stack.directory.stop();
  await expect
    .poll(() => metrics.ready(), { timeout: 20_000 })
    .toMatchObject({
      ...{ http: 503, status: "not ready", directory: "there is no link" },
      "ssh server": expect.stringMatching(/^E_[A-Z_]+: the log says more$/),
    });
  expect((await metrics.get("/healthz")).status).toBe(200);
  await stack.startDirectory();
  await expect.poll(() => metrics.ready(), { timeout: 20_000 }).toMatchObject({ http: 503, directory: "ok" });
  expect((await metrics.scrape()).get("sshnp_device_links_lost_total")).toBe(1);
  expect((await metrics.scrape()).get('sshnp_device_links_total{way="websocket"}')).toBe(2);
});

test("sshnpd --metrics: a port alone is on 127.0.0.1; what is no place or is taken is told before anything is done", async () => {
  await using stack = await Stack.start({ withoutDaemon: true });
  const daemon = await stack.startDaemon("--metrics", "0");
  const metrics = await MetricsPort.of(daemon);
  expect((await metrics.get("/healthz")).status).toBe(200);
  // Another address of this machine, which whoever listens on all of them has as well.
  await expect(fetch(`http://127.0.0.2:${metrics.port}/healthz`)).rejects.toMatchObject({
    cause: { code: "ECONNREFUSED" },
  });
  await daemon.stop();
  const own = ["-a", "@device", "-m", "@client", "-d", "mygateway"];
  const wrong = await stack.device.run("sshnpd", ...own, "--metrics", "somewhere");
  expect([wrong.code, wrong.stdout]).toEqual([2, ""]);
  expect(wrong.stderr).toContain('--metrics "somewhere" is not HOST:PORT.');
  const taken = await stack.device.run("sshnpd", ...own, "--metrics", String(stack.sshd.port));
  expect([taken.code, taken.stdout]).toEqual([75, ""]);
  expect(taken.stderr).toContain("Choose another --metrics HOST:PORT.");
});
