import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { MetricsPort } from "../support/metrics.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { MovableAddress } from "../support/movable-address.ts";
import { Postgres } from "../support/postgres.ts";
import { Stack } from "../support/stack.ts";

/** Which of the two takes what a device says at the broker is chance; so somebody waits at each. */
test("a device that comes to the broker wakes what waits for it at either of two directories", async () => {
  await using broker = await startMosquitto();
  await using postgres = await Postgres.start();
  const [first, second] = [await freePort(), await freePort()];
  await using balancer = await MovableAddress.of(first);
  const wordsOf = (port: number): string[] => [
    ...["--store", postgres.url, "--mqtt", broker.url],
    ...["--listen", `127.0.0.1:${port}`, "--public", `http://127.0.0.1:${balancer.port}`],
  ];
  await using stack = await Stack.start({ directory: wordsOf(first), withoutDaemon: true });
  const { server } = stack;
  const folders = ["--data", join(server.home, "second"), "--keys", join(server.home, "directory")];
  await using other = server.start("sshnp-directory", "run", ...folders, ...wordsOf(second));
  await other.line(/^http/);

  // It learns who its client is, and goes.
  await stack.startDaemon();
  await stack.client.must("sshnp", "ping", "--wait=60s", "--count=1", "@client", "@device", "mygateway");
  await stack.daemon.kill("SIGTERM");

  const waiting = [];
  for (const port of [first, second]) {
    balancer.target = port;
    const ping = stack.client.start("sshnp", "ping", "--wait=60s", "--count=1", "@client", "@device", "mygateway");
    await ping.errorLine(/waiting for mygateway/);
    waiting.push(ping);
  }
  await stack.startDaemon("--mqtt", broker.url);
  for (const ping of waiting) expect(await ping.exit()).toMatchObject({ code: 0 });
});

test("a directory that has lost the broker has the other one wake the device, and tells its client when that one dies", async () => {
  await using broker = await startMosquitto();
  await using way = await MovableAddress.of(broker.port);
  await using postgres = await Postgres.start();
  const words = ["--store", postgres.url];
  await using stack = await Stack.start({
    directory: [...words, "--mqtt", `mqtt://127.0.0.1:${way.port}`, "--metrics", "127.0.0.1:0"],
    daemon: ["--mqtt", broker.url],
  });
  const { server, directory, client } = stack;
  const folders = ["--data", join(server.home, "second"), "--keys", join(server.home, "directory")];
  const at = ["--listen", "127.0.0.1:0", "--mqtt", broker.url];
  await using other = server.start("sshnp-directory", "run", ...folders, ...words, ...at);
  await other.errorLine(/connected to the MQTT broker/);
  const ping = ["ping", "--json", "--count=1", "@client", "@device", "mygateway"];
  await client.must("sshnp", ...ping);

  way.target = await freePort();
  way.cut();
  await directory.errorLine(/the MQTT broker is lost/);
  await client.must("sshnp", ...ping);
  await directory.errorLine(/the MQTT broker cannot be used; another directory that has it asks the devices there/);
  const metrics = await MetricsPort.of(directory);
  const meanwhile = "the MQTT broker is not connected; another directory that has it asks the devices there";
  await expect.poll(() => metrics.ready()).toMatchObject({ http: 200, status: "degraded", broker: meanwhile });
  await other.kill("SIGKILL");
  const { code, stderr } = await client.run("sshnp", ...ping);
  expect({ code, stderr }).toMatchObject({ code: 69, stderr: expect.stringContaining("E_OFFLINE") as string });
});
