import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dashboardQueries } from "../support/dashboard.ts";
import { promtoolCheck } from "../support/metrics.ts";
import { Prometheus } from "../support/prometheus.ts";
import { WatchedStack } from "../support/watched-stack.ts";

let watched: WatchedStack;

beforeAll(async () => {
  watched = await WatchedStack.start();
}, 120_000);

afterAll(async () => {
  await watched?.[Symbol.asyncDispose]();
});

test("one session id finds what each of the four parties logged of a session, and the rendezvous' lines name nobody", async () => {
  const { stack } = watched;
  const connect = await stack.client.run("sshnp", "-v", ...stack.words("true"));
  expect(connect.code).toBe(0);
  const [, sid = ""] = /ms {2}session ([0-9a-f]{32})$/m.exec(connect.stderr) ?? [];
  expect(sid).not.toBe("");
  await stack.rendezvous.errorLine(new RegExp(`"sid":"${sid}".*"session ended"`));
  await stack.daemon.errorLine(new RegExp(`"sid":"${sid}".*"session ended"`));
  const said = (log: string): string[] =>
    log
      .split("\n")
      .filter((line) => line.includes(sid))
      .map((line) => {
        const { time, msg } = JSON.parse(line) as { time: string; msg: string };
        expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        return msg;
      });
  const lines = [stack.directory, stack.rendezvous, stack.daemon].map(({ stderr }) => said(stderr));
  expect(lines).toEqual([
    expect.arrayContaining(["session"]),
    expect.arrayContaining(["leg said hello", "leg said hello", "session joined", "session ended"]),
    expect.arrayContaining(["request granted", "session confirmed", "session ended"]),
  ]);
  const audit = await readFile(join(stack.server.home, "directory/audit.ndjson"), "utf8");
  expect(audit.split("\n").filter((line) => line.includes(sid) && line.includes('"answered"'))).toHaveLength(1);
  const atRendezvous = stack.rendezvous.stderr.split("\n").filter((line) => line.includes(sid));
  expect(atRendezvous.join("\n")).not.toMatch(/@device|@client|mygateway|SHA256/);
});

test("metrics of a whole system name nobody, no key, no address and no session, however odd those who come are", async () => {
  const { stack } = watched;
  await stack.client.run("sshnp", "@client", "@device", "nobody-here", ...stack.sshOptions, "true");
  await stack.client.run("sshnp", "@client", "@stranger", "gateway", ...stack.sshOptions, "true");
  const { stderr } = await stack.client.run("sshnp", "-v", ...stack.words("true"));
  const [, sid = "no session"] = /ms {2}session ([0-9a-f]{32})$/m.exec(stderr) ?? [];
  for (const text of await watched.texts()) {
    expect(promtoolCheck(text)).toBe("");
    expect(text).not.toContain(sid);
    expect(text).not.toMatch(/@|mygateway|gateway|nobody|client-|SHA256|127\.0\.0\.1|sshnp\/[dru]\//);
    // Nothing in a label but words of ours, versions and bounds of buckets.
    const labels = [...text.matchAll(/="([^"]*)"/g)].map(([, value = ""]) => value);
    expect(labels.filter((value) => !/^(?:[a-z][a-z ]*|E_[A-Z_]+|[0-9.e+-]+|\+Inf)$/i.test(value))).toEqual([]);
    expect(labels.filter((value) => value.length > 24)).toEqual([]);
  }
});

test("docs/monitoring.md has every metric there is with its type, labels and help, and no other", async () => {
  const exported = (await watched.texts()).flatMap(families);
  const document = await readFile(join(import.meta.dirname, "../../docs/monitoring.md"), "utf8");
  const rows = document.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (\S+) \| (.*) \|$/gm);
  const written = Array.from(rows, ([, ...columns]) => columns.join(" | "));
  expect(written).toHaveLength(new Set(written).size);
  expect(written.toSorted()).toEqual([...new Set(exported)].toSorted());
});

test("a real Prometheus scrapes all three with our configuration, takes every rule, and every query of the dashboard has an answer", async () => {
  await watched.stack.ssh("true");
  await using prometheus = await Prometheus.start({
    "127.0.0.1:9464": watched.directory.port,
    "127.0.0.1:9465": watched.rendezvous.port,
    "127.0.0.1:9466": watched.device.port,
  });
  const patience = { timeout: 30_000, interval: 250 };
  await expect.poll(() => prometheus.query("count(up == 1)"), patience).toEqual(["3"]);
  // A rate takes two scrapes of each; where there is nothing to be seen but what fails, zero is an answer.
  await expect.poll(() => prometheus.query("count(rate(process_cpu_seconds_total[30s]))"), patience).toEqual(["3"]);
  for (const { panel, expression } of dashboardQueries("30s")) {
    const answer = await prometheus.query(expression.replace(/ > 0$/, ""));
    expect([panel, expression, answer.length > 0]).toEqual([panel, expression, true]);
  }
  await expect.poll(() => prometheus.rules(), patience).toEqual(expect.arrayContaining([["SshnpGone", "ok"]]));
  await expect
    .poll(async () => (await prometheus.rules()).filter(([, health]) => health !== "ok"), patience)
    .toEqual([]);
}, 60_000);

test("readyz of each says all its parts", async () => {
  const { directory, rendezvous, device } = watched;
  await expect
    .poll(() => directory.ready())
    .toEqual({
      ...{
        http: 200,
        status: "ready",
        store: "ok",
        log: "ok",
        audit: "ok",
        "key list": "ok",
        rendezvous: "ok",
        clock: "ok",
        broker: "ok",
        draining: "ok",
      },
    });
  expect(await rendezvous.ready()).toMatchObject({ http: 200, status: "ready" });
  expect(await device.ready()).toMatchObject({ http: 200, status: "ready", broker: "ok" });
});

/** Each family of a text as its row reads. */
function families(text: string): string[] {
  return text
    .split(/^# HELP /m)
    .slice(1)
    .map((family) => {
      const [, name = "", help = "", type = ""] = /^(\S+) (.*)\n# TYPE \S+ (\S+)$/m.exec(family) ?? [];
      const labels = new Set(Array.from(family.matchAll(/[{,]([a-z]+)="/g), ([, label]) => label));
      labels.delete("le");
      return [name, type, [...labels].map((label) => `\`${label}\``).join(", ") || "-", help].join(" | ");
    });
}
