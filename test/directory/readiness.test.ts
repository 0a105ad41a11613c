import { afterEach, expect, test } from "vitest";
import { startMosquitto } from "../support/mosquitto.ts";
import { MetricsPort } from "../support/metrics.ts";
import { Postgres } from "../support/postgres.ts";
import { Stack } from "../support/stack.ts";
import { SYSTEM_CLOCK } from "../../directory/clock.ts";
import { http } from "./raw.ts";
import { World } from "./world.ts";

afterEach(() => {
  delete process.env["SSHNP_TEST_POSTGRES"];
});

test("a directory is not ready while its database is down, hangs, is read-only or older than its log, and says which", async () => {
  await using postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  await using world = await World.start();
  await world.activated("@kept", "m", "client");
  const readyz = (): Promise<unknown> => http(world.address.url, "/readyz").then(({ status }) => status);
  const says = async (): Promise<unknown> => {
    const { status, checks } = await world.directory.readiness.look();
    const wrong = checks.filter((check) => check.status === "failed").map(({ name, reason }) => `${name}: ${reason}`);
    return [status, ...wrong];
  };
  const patience = { timeout: 20_000 };
  // It is asked for a rendezvous by nobody yet, and for a balancer that is no reason not to send one here.
  await expect.poll(says, patience).toEqual(["degraded"]);
  expect(await readyz()).toBe(200);

  await postgres.kill();
  const down = ["not ready", "store: it cannot be written", "log: the store cannot be read"];
  await expect.poll(says, patience).toEqual(down);
  expect(await readyz()).toBe(503);
  expect((await http(world.address.url, "/healthz")).status).toBe(200);
  await postgres.resume();
  await expect.poll(says, patience).toEqual(["degraded"]);

  await postgres.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  await postgres.sql("SELECT pg_reload_conf()");
  await expect.poll(says, patience).toEqual(["not ready", "store: it cannot be written"]);
  await postgres.sql("ALTER SYSTEM RESET default_transaction_read_only");
  await postgres.sql("SELECT pg_reload_conf()");
  await expect.poll(says, patience).toEqual(["degraded"]);

  // A server that hangs takes connections and answers nobody: whoever asks how ready the directory is has his answer all the same.
  const ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sshnp-directory'";
  const postmaster = (await postgres.sql("SELECT pg_read_file('postmaster.pid')")).split("\n", 1);
  const pids = [...postmaster, ...(await postgres.sql(ours)).split("\n")].map(Number);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  try {
    await expect
      .poll(says, patience)
      .toEqual(["not ready", expect.stringMatching(/^store: /), expect.stringMatching(/^log: /)]);
  } finally {
    for (const pid of pids) process.kill(pid, "SIGCONT");
  }
  await expect.poll(says, patience).toEqual(["degraded"]);

  const database = await postgres.sql("SELECT datname FROM pg_database WHERE datname LIKE 'np_%'");
  await world.pause();
  await postgres.sql(`CREATE DATABASE backup TEMPLATE ${database}`);
  await world.resume();
  await world.activated("@lost", "m", "client");
  await postgres.sql(`DROP DATABASE ${database} WITH (FORCE)`);
  await postgres.sql(`CREATE DATABASE ${database} TEMPLATE backup`);
  await expect
    .poll(says, patience)
    .toEqual(["not ready", "log: The store has an older log than this directory has published, or another"]);
  expect(await readyz()).toBe(503);
}, 120_000);

test("a directory whose key list has expired is not ready: nobody would believe it", async () => {
  let passed = 0;
  const clock = { ...SYSTEM_CLOCK, now: () => Date.now() + passed, every: () => () => {} };
  await using world = await World.start({ clock });
  const { keyring, readiness } = world.directory;
  const list = async (): Promise<unknown> => (await readiness.look()).checks.find(({ name }) => name === "key list");
  expect(await list()).toEqual({ name: "key list", status: "ok" });
  passed = keyring.keyListExpires - Date.now();
  await expect
    .poll(list, { timeout: 10_000 })
    .toEqual({ name: "key list", status: "failed", reason: "the key list has expired" });
  expect((await http(world.address.url, "/readyz")).status).toBe(503);
});

test("without its broker a directory is degraded and says so, and ready for all that come by WebSocket", async () => {
  await using broker = await startMosquitto();
  const mqtt = ["--mqtt", broker.url];
  await using stack = await Stack.start({
    directory: [...mqtt, "--metrics", "127.0.0.1:0"],
    daemon: [...mqtt, "--metrics", "0"],
  });
  const [directory, device] = [await MetricsPort.of(stack.directory), await MetricsPort.of(stack.daemon)];
  await expect.poll(() => directory.ready()).toMatchObject({ http: 200, status: "ready", broker: "ok" });
  await expect.poll(() => device.ready()).toMatchObject({ http: 200, status: "ready", broker: "ok" });
  const before = await directory.scrape();
  expect(before.get("sshnp_directory_broker_connected")).toBe(1);
  expect(before.get('sshnp_directory_link_events_total{event="up mqtt"}')).toBe(1);
  expect(before.get("sshnp_directory_mqtt_devices_online")).toBe(1);
  expect(before.get("sshnp_directory_devices_online")).toBe(0);
  expect((await device.scrape()).get('sshnp_device_link_up{way="mqtt"}')).toBe(1);

  await broker.stop();
  const without = "the MQTT broker is not connected; devices come by WebSocket";
  await expect.poll(() => directory.ready()).toMatchObject({ http: 200, status: "degraded", broker: without });
  expect((await directory.scrape()).get('sshnp_check_ok{check="broker"}')).toBe(0);
  await expect
    .poll(() => device.ready(), { timeout: 20_000 })
    .toMatchObject({
      ...{ http: 200, status: "degraded", directory: "ok" },
      broker: "the MQTT broker does not serve; waiting at the directory itself",
    });
  expect((await device.scrape()).get('sshnp_device_link_up{way="websocket"}')).toBe(1);
  expect((await stack.ssh("true")).code).toBe(0);
});
