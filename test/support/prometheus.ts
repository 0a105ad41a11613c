import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { type RunningProcess, startProcess } from "./processes.ts";
import { type TemporaryFolder, temporaryFolder } from "./temp-folder.ts";

const OURS = join(import.meta.dirname, "../../monitoring");

/** A real Prometheus with monitoring/prometheus.yml, which scrapes every second. */
export class Prometheus implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #process: RunningProcess;
  readonly #port: number;

  private constructor(folder: TemporaryFolder, process: RunningProcess, port: number) {
    this.#folder = folder;
    this.#process = process;
    this.#port = port;
  }

  /** `ports`: of the places in that file, where they are here. */
  static async start(ports: Readonly<Record<string, number>>): Promise<Prometheus> {
    const folder = await temporaryFolder();
    let text = await readFile(join(OURS, "prometheus.yml"), "utf8");
    for (const [place, port] of Object.entries(ports)) text = text.replace(place, `127.0.0.1:${port}`);
    await writeFile(join(folder.path, "prometheus.yml"), text.replaceAll(/interval: 15s/g, "interval: 1s"));
    await copyFile(join(OURS, "alerts.yml"), join(folder.path, "alerts.yml"));
    const port = await freePort();
    const words = [
      "--config.file=prometheus.yml",
      `--storage.tsdb.path=${folder.path}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const process = startProcess("prometheus", words, { env: { HOME: folder.path }, cwd: folder.path });
    await process.errorLine(/Server is ready to receive web requests/);
    return new Prometheus(folder, process, port);
  }

  /** The values that an instant query gives. @throws {Error} with what Prometheus says against it. */
  async query(expression: string): Promise<string[]> {
    const { result } = (await this.#get(`query?query=${encodeURIComponent(expression)}`)) as {
      readonly result: readonly { readonly value: readonly [number, string] }[];
    };
    return result.map(({ value }) => value[1]);
  }

  /** Each rule with its health: `ok` once it was evaluated. */
  async rules(): Promise<[string, string][]> {
    const { groups } = (await this.#get("rules")) as {
      readonly groups: readonly { readonly rules: readonly { readonly name: string; readonly health: string }[] }[];
    };
    return groups.flatMap(({ rules }) => rules.map(({ name, health }): [string, string] => [name, health]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
    await this.#folder.remove();
  }

  async #get(path: string): Promise<unknown> {
    const answer = await (await fetch(`http://127.0.0.1:${this.#port}/api/v1/${path}`)).json();
    const { status, data, error } = answer as { status: string; data: unknown; error?: string };
    if (status !== "success") throw new Error(`${path}: ${error}`);
    return data;
  }
}
