/** A family of one name as Prometheus reads it: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** What it says now. */
  readonly samples: () => Iterable<Sample> | Promise<Iterable<Sample>>;
}

export interface Sample {
  /** Behind the name of the family, such as `_sum`. */
  readonly suffix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The text of families, in their order, each with its HELP and TYPE. */
export async function expose(families: Iterable<Family>): Promise<string> {
  const lines: string[] = [];
  for (const { name, help, type, samples } of families) {
    const read = [...(await samples())];
    if (read.length === 0) continue;
    lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${name} ${type}`);
    for (const { suffix = "", labels = {}, value } of read) {
      lines.push(`${name}${suffix}${labelsOf(labels)} ${numberOf(value)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function labelsOf(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  return `{${entries.map(([key, value]) => `${key}="${escaped(value)}"`).join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function numberOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value); // NaN is written so, too
}
