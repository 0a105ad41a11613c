import { spawnSync } from "node:child_process";
import type { RunningProcess } from "./processes.ts";

/** What a process of ours serves with --metrics. */
export class MetricsPort {
  readonly port: number;

  constructor(port: number) {
    this.port = port;
  }

  /** Of a process that was started with `--metrics 127.0.0.1:0`, once it has said where. */
  static async of(process: RunningProcess): Promise<MetricsPort> {
    const [, port = ""] = await process.errorLine(/"port":(\d+),"msg":"metrics are served"/);
    return new MetricsPort(Number(port));
  }

  async get(path: string): Promise<Response> {
    return await fetch(`http://127.0.0.1:${this.port}${path}`);
  }

  /** All samples by their names with labels. */
  async scrape(): Promise<ReadonlyMap<string, number>> {
    return samplesOf(await this.text());
  }

  async text(): Promise<string> {
    return await (await this.get("/metrics")).text();
  }

  /** What /readyz says: its status, of the whole and of each part. */
  async ready(): Promise<{ readonly http: number; readonly status: string } & Readonly<Record<string, unknown>>> {
    const response = await this.get("/readyz");
    const said: unknown = await response.json();
    const { status, checks } = said as { status: string; checks: { name: string; status: string; reason?: string }[] };
    const parts = checks.map((check) => [check.name, check.reason ?? check.status]);
    return { http: response.status, status, ...Object.fromEntries(parts) };
  }
}

export function samplesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

/** What the real promtool says against a text; empty: nothing. */
export function promtoolCheck(text: string): string {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  return status === 0 ? stderr : `${stdout}${stderr}status ${status}`;
}
