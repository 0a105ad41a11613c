import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { Stack } from "../support/stack.ts";

test("a connect moves the directory's counters, promtool takes what it says, and readyz tells that it is ready", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0"] });
  const [, port = ""] = await stack.directory.errorLine(/"port":(\d+),"msg":"metrics are served"/);
  const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
  const scrape = async (): Promise<string> => await (await get("/metrics")).text();

  expect(await scrape()).toContain('\nsshnp_directory_connects_total{result="answered"} 0\n');
  expect((await stack.ssh("true")).code).toBe(0);
  const text = await scrape();
  expect(text).toContain('\nsshnp_directory_connects_total{result="answered"} 1\n');
  expect(text).toContain("\nsshnp_directory_devices_online 1\n");
  expect(text).not.toMatch(/@device|@client|mygateway|127\.0\.0\.1/);
  const checked = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  expect(checked).toMatchObject({ status: 0, stderr: "" });

  const ready = await get("/readyz");
  expect([ready.status, await ready.text()]).toEqual([200, "rendezvous: ok\ndraining: ok\n"]);
  expect((await get("/healthz")).status).toBe(200);
});
