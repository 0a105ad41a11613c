import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

export interface Query {
  /** Title of its panel. */
  readonly panel: string;
  readonly expression: string;
}

/** All queries of monitoring/grafana.json, with a time span in the place of Grafana's own variable. */
export function dashboardQueries(span: string): Query[] {
  const dashboard = JSON.parse(readFileSync(join(ROOT, "monitoring/grafana.json"), "utf8")) as {
    readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
  };
  return dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ panel: title, expression: expr.replaceAll("$__rate_interval", span) })),
  );
}

/** The expressions of monitoring/alerts.yml. */
export function ruleExpressions(): string[] {
  const text = readFileSync(join(ROOT, "monitoring/alerts.yml"), "utf8");
  return Array.from(
    text.matchAll(/^ +expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)/gm),
    ([, block, line]) => block ?? line ?? "",
  );
}

/** What a query selects: names of metrics, each with the labels that are asked for and taken apart by. */
export function selectedIn(expression: string): { readonly metric: string; readonly labels: readonly string[] }[] {
  return Array.from(
    expression.matchAll(/\b((?:sshnp|process)_[a-z_]+)(?:\{([^}]*)\})?/g),
    ([, metric = "", inside = ""]) => ({
      metric,
      labels: Array.from(inside.matchAll(/([a-z]+)(?:=~|!~|!=|=)"/g), ([, label = ""]) => label),
    }),
  );
}
