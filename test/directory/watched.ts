import { pino } from "pino";
import type { Database } from "../../directory/database.ts";
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

  /** `onDatabase` gets its database, which the metrics stand in front of. */
  static async start(
    options: Partial<DirectoryOptions> = {},
    onDatabase: (database: Database) => void = () => {},
  ): Promise<Watched> {
    const watch = new DirectoryWatch("127.0.0.1:0");
    const world = await World.start({ ...options, observer: watch.observer }, (database) => {
      onDatabase(database);
      return watch.observe(database);
    });
    return await Watched.over(world, watch);
  }

  /** The same of one that is there already, which counts from now on. */
  static async over(world: World, watch: DirectoryWatch = new DirectoryWatch("127.0.0.1:0")): Promise<Watched> {
    const served = await watch.serve(world.directory, pino({ level: "fatal" }));
    return new Watched(world, served, new MetricsPort(served.port));
  }

  /** What `sshnp_directory_${name}` says, a gauge or a counter, with its labels if it has any. */
  async value(name: string): Promise<number | undefined> {
    return (await this.#metrics.scrape()).get(`sshnp_directory_${name}`);
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

  /** Ends the metrics alone. */
  async end(): Promise<void> {
    await this.#served[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await this.world[Symbol.asyncDispose]();
  }
}
