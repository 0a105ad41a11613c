import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { Postgres } from "../support/postgres.ts";
import { startProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("a real HAProxy as docs/monitoring.md has it leaves a directory that drains before it ends, and no connect is lost", async () => {
  await using folder = await temporaryFolder();
  await using postgres = await Postgres.start();
  const ports = { balancer: await freePort(), one: await freePort(), two: await freePort() };
  const document = await readFile(join(import.meta.dirname, "../../docs/monitoring.md"), "utf8");
  const [, documented = ""] = /^```haproxy\n(.*?)^```$/ms.exec(document) ?? [];
  const configuration = documented
    .replace("bind :80", `bind 127.0.0.1:${ports.balancer}`)
    .replace("10.0.0.1:7800", `127.0.0.1:${ports.one}`)
    .replace("10.0.0.2:7800", `127.0.0.1:${ports.two}`)
    .replace("inter 2s", "inter 100ms");
  expect(configuration).not.toContain("10.0.0.");
  const file = join(folder.path, "haproxy.cfg");
  await writeFile(file, configuration);
  const env = { HOME: folder.path, PATH: `${process.env["PATH"]}:/usr/sbin` };
  const haproxy = startProcess("haproxy", ["-W", "-db", "-f", file], { env });
  await haproxy.errorLine(/Loading success/);

  const store = ["--store", postgres.url, "--public", `http://127.0.0.1:${ports.balancer}`, "--drain-seconds", "600"];
  await using stack = await Stack.start({ directory: [...store, "--listen", `127.0.0.1:${ports.one}`] });
  const data = join(stack.server.home, "two");
  const keys = join(stack.server.home, "directory");
  const two = ["--data", data, "--keys", keys, ...store, "--listen", `127.0.0.1:${ports.two}`];
  const second = stack.server.start("sshnp-directory", "run", ...two);
  await second.line(/^http/);
  await haproxy.errorLine(/Server directories\/two is UP/);

  const over = new AbortController();
  let connects = 0;
  const connecting = (async () => {
    while (!over.signal.aborted) {
      const exit = await stack.client.run("sshnp", "--wait=30s", ...stack.words("true"));
      expect(exit.code, exit.stderr).toBe(0);
      connects += 1;
    }
  })();
  const made = (count: number): Promise<void> =>
    expect.poll(() => connects, { timeout: 30_000 }).toBeGreaterThan(count);
  await made(0);
  const [first] = [stack.directory];
  process.kill(first.pid, "SIGTERM");
  await haproxy.errorLine(/Server directories\/one is DOWN, reason: Layer7 wrong status, code: 503/);
  await made(connects + 1);
  process.kill(first.pid, "SIGTERM");
  expect((await first.exit()).code).toBe(0);
  await made(connects + 1);
  over.abort();
  await connecting;
  await second.stop();
  await haproxy.stop();
}, 120_000);
