import { pino } from "pino";
import { DirectoryWatch } from "../../directory/directory-metrics.ts";
import type { DirectoryOptions } from "../../directory/server.ts";
import { MetricsPort } from "../support/metrics.ts";
import { World } from "./world.ts";

/** A directory with the metrics that it would have. */
export class Watched implements AsyncDisposable {
  readonly world: World;
  readonly #served: AsyncDisposable;
  readonly #metrics: MetricsPort;

  private constructor(world: World, served: AsyncDisposable, metrics: MetricsPort) {
    this.world = world;
    this.#served = served;
    this.#metrics = metrics;
  }

  static async start(options: Partial<DirectoryOptions> = {}): Promise<Watched> {
    const watch = new DirectoryWatch("127.0.0.1:0");
    const world = await World.start({ ...options, observer: watch.observer });
    const served = await watch.serve(world.directory, pino({ level: "fatal" }));
    return new Watched(world, served, new MetricsPort(served.port));
  }

  /** What `sshnp_directory_${counter}_total` says for each value of its label, but for its zeros. */
  async counted(counter: string, label: string): Promise<Record<string, number>> {
    const sample = new RegExp(`^sshnp_directory_${counter}_total\\{${label}="(.*)"\\}$`);
    const samples = [...(await this.#metrics.scrape())].flatMap(([name, value]) => {
      const [, of] = sample.exec(name) ?? [];
      return of === undefined || value === 0 ? [] : [[of, value] as const];
    });
    return Object.fromEntries(samples);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}
