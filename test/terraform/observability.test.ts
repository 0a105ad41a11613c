/** Alarms on what the services say, and the agent that reads it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { TERRAFORM } from "./configuration.ts";
import { rendered } from "./template.ts";

const MODULE = "modules/observability";

interface Alarm {
  readonly job: string;
  readonly metric: string;
  readonly of?: string;
  readonly statistic: string;
  readonly comparison: string;
  readonly threshold: number;
  readonly minutes: number;
  readonly missing: string;
  readonly says: string;
}

const alarms = Object.entries(
  JSON.parse(readFileSync(join(TERRAFORM, MODULE, "alarms.json"), "utf8")) as Record<string, Alarm>,
);

/** Names that docs/monitoring.md has of the services; its own test holds it to what they really say. */
const said = new Set(
  [...readFileSync(join(TERRAFORM, "../docs/monitoring.md"), "utf8").matchAll(/^\| `(\w+)` \| (gauge|counter)/gm)].map(
    ([, name]) => name,
  ),
);

test.each(alarms)("the alarm %s is on a metric of that service, and says what to do", (_name, alarm) => {
  const service = alarm.job.replace("sshnp-", "");
  for (const metric of [alarm.metric, ...(alarm.of === undefined ? [] : [alarm.of])]) {
    expect(said).toContain(metric);
    expect(metric.startsWith(`sshnp_${service}_`) || /^sshnp_(ready|event_loop)/.test(metric)).toBe(true);
  }
  expect(["Minimum", "Maximum", "Sum", "Average"]).toContain(alarm.statistic);
  expect(["LessThanThreshold", "GreaterThanThreshold"]).toContain(alarm.comparison);
  expect(["breaching", "notBreaching"]).toContain(alarm.missing);
  expect(alarm.minutes).toBeGreaterThan(0);
  expect(alarm.says.split(". ").length).toBeGreaterThan(1);
  // A counter is summed, a gauge is not.
  expect(alarm.statistic === "Sum").toBe(alarm.metric.endsWith("_total"));
});

test("the scraper's configuration is one of Prometheus, and asks where the services say their metrics", async () => {
  await using folder = await temporaryFolder();
  for (const [job, port] of [
    ["sshnp-directory", 9464],
    ["sshnp-rendezvous", 9465],
  ] as const) {
    const file = join(folder.path, "scraper.yaml");
    writeFileSync(file, rendered(`${MODULE}/scraper.yaml.tftpl`, { job, port }));
    const { code, stdout, stderr } = await runProcess("promtool", ["check", "config", file], {
      env: { HOME: folder.path },
    });
    expect({ code, said: stdout + stderr }).toMatchObject({ code: 0 });
  }
  const containers = readFileSync(join(TERRAFORM, "modules/directory/containers.json.tftpl"), "utf8");
  expect(containers).toContain('"127.0.0.1:9464"');
  const machine = readFileSync(join(TERRAFORM, "modules/rendezvous/user-data.yaml.tftpl"), "utf8");
  expect(machine).toContain("METRICS=0.0.0.0:9465");
});

test("the agent takes what alarms are on, and nothing else", () => {
  const selectors = alarms.flatMap(([, { metric }]) => [`^${metric}$`]);
  const agent: unknown = JSON.parse(
    rendered(`${MODULE}/agent.json.tftpl`, {
      log_group: '"/np/metrics"',
      scraper_path: '"env:PROMETHEUS_CONFIG_CONTENT"',
      namespace: '"np"',
      matcher: '"^sshnp-directory$"',
      selectors: JSON.stringify(selectors),
    }),
  );
  expect(agent).toMatchObject({
    logs: {
      metrics_collected: {
        prometheus: { emf_processor: { metric_declaration: [{ dimensions: [["job"]], metric_selectors: selectors }] } },
      },
    },
  });
});
