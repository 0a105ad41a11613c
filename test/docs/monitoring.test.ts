import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dashboardQueries, ruleExpressions, selectedIn } from "../support/dashboard.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const ROOT = join(import.meta.dirname, "../..");

function promtool(...words: string[]): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync("promtool", words, { cwd: ROOT, encoding: "utf8" });
  return { status, said: stdout + stderr };
}

/** Metrics of the table in docs/monitoring.md, which test/e2e/monitoring.test.ts holds to what is exported, with their labels. */
function documented(): ReadonlyMap<string, readonly string[]> {
  const text = readFileSync(join(ROOT, "docs/monitoring.md"), "utf8");
  const rows = text.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (.*?) \|/gm);
  return new Map(
    Array.from(rows).flatMap(([, name = "", type, labels = ""]) => {
      const own = Array.from(labels.matchAll(/`([a-z]+)`/g), ([, label = ""]) => label);
      const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      return suffixes.map((suffix) => [name + suffix, own] as const);
    }),
  );
}

test("promtool check config monitoring/prometheus.yml, with the alert rules that it loads", () => {
  expect(promtool("check", "config", "monitoring/prometheus.yml")).toMatchObject({
    status: 0,
    said: expect.stringContaining("SUCCESS: 1 rule files found") as string,
  });
  expect(promtool("check", "rules", "monitoring/alerts.yml").status).toBe(0);
});

test("promtool test rules monitoring/alerts.test.yml, where each alert has a test in which it fires and one in which it does not", () => {
  const { status, said } = promtool("test", "rules", "monitoring/alerts.test.yml");
  expect([status, said]).toEqual([0, expect.stringContaining("SUCCESS")]);
  const alerts = Array.from(
    readFileSync(join(ROOT, "monitoring/alerts.yml"), "utf8").matchAll(/- alert: (\w+)/g),
    ([, name = ""]) => name,
  );
  const tests = readFileSync(join(ROOT, "monitoring/alerts.test.yml"), "utf8");
  expect(readFileSync(join(ROOT, "docs/monitoring.md"), "utf8")).toContain(
    `\`alerts.yml\` has ${alerts.length} alerts`,
  );
  for (const alert of alerts) {
    expect(tests).toMatch(new RegExp(`alertname: ${alert}\\n.*\\n +exp_alerts:\\n +- exp_labels`));
    expect(tests).toContain(`{ alertname: ${alert}, eval_time: 80m, exp_alerts: [] }`);
  }
});

test("every query of dashboard and rules is one that Prometheus reads, and names metrics and labels that there are", async () => {
  const queries = dashboardQueries("5m");
  const expressions = [...queries.map(({ expression }) => expression), ...ruleExpressions()];
  expect(expressions.length).toBeGreaterThan(60);
  const metrics = documented();
  const wrong = expressions.flatMap(selectedIn).filter(({ metric, labels }) => {
    const own = metrics.get(metric);
    const known = own && [...own, "job", "instance", "le"];
    return known === undefined || labels.some((label) => !known.includes(label));
  });
  expect(wrong).toEqual([]);
  for (const expression of expressions) {
    const own = new Set(selectedIn(expression).flatMap(({ metric }) => metrics.get(metric) ?? []));
    const grouped = Array.from(expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g), ([, names = ""]) =>
      names.split(", "),
    ).flat();
    const unknown = grouped.filter((label) => !own.has(label) && !["job", "instance", "le"].includes(label));
    expect([expression, unknown]).toEqual([expression, []]);
  }
  for (const expression of expressions) {
    const isOthers = expression.startsWith("up{") || expression.includes("sshnp:devices_online:sum");
    expect([expression, selectedIn(expression).length > 0 || isOthers]).toEqual([expression, true]);
  }

  await using folder = await temporaryFolder();
  const rules = queries.map(({ expression }, at) => ({ record: `test:query${at}`, expr: expression }));
  const file = join(folder.path, "queries.yml");
  await writeFile(file, JSON.stringify({ groups: [{ name: "queries", rules }] }));
  expect(promtool("check", "rules", file)).toMatchObject({
    status: 0,
    said: expect.stringContaining(`SUCCESS: ${queries.length} rules found`) as string,
  });
});

test("every metric that is not of the process itself is shown or watched somewhere", () => {
  const used = new Set(
    [...dashboardQueries("5m").map(({ expression }) => expression), ...ruleExpressions()]
      .flatMap(selectedIn)
      .map(({ metric }) => metric.replace(/_(?:bucket|sum|count)$/, "")),
  );
  const unused = [...documented().keys()]
    .map((name) => name.replace(/_(?:bucket|sum|count)$/, ""))
    .filter((name) => !used.has(name));
  expect([...new Set(unused)]).toEqual([]);
});
