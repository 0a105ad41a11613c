import { MetricsPort } from "./metrics.ts";
import { type Mosquitto, startMosquitto } from "./mosquitto.ts";
import { Postgres } from "./postgres.ts";
import { Stack } from "./stack.ts";

/** A whole system on PostgreSQL and with an MQTT broker, of which every service logs all and serves its metrics. */
export class WatchedStack implements AsyncDisposable {
  readonly stack: Stack;
  readonly postgres: Postgres;
  readonly broker: Mosquitto;
  readonly directory: MetricsPort;
  readonly rendezvous: MetricsPort;
  readonly device: MetricsPort;

  static async start(): Promise<WatchedStack> {
    const [postgres, broker] = await Promise.all([Postgres.start(), startMosquitto()]);
    const more = ["-v", "--metrics", "127.0.0.1:0"];
    const mqtt = ["--mqtt", broker.url];
    const stack = await Stack.start({
      directory: [...more, ...mqtt, "--store", postgres.url],
      rendezvous: more,
      daemon: [...more, ...mqtt],
    });
    const ports = await Promise.all(
      [stack.directory, stack.rendezvous, stack.daemon].map((one) => MetricsPort.of(one)),
    );
    return new WatchedStack(stack, { postgres, broker }, ports as [MetricsPort, MetricsPort, MetricsPort]);
  }

  private constructor(
    stack: Stack,
    { postgres, broker }: { readonly postgres: Postgres; readonly broker: Mosquitto },
    [directory, rendezvous, device]: readonly [MetricsPort, MetricsPort, MetricsPort],
  ) {
    this.stack = stack;
    this.postgres = postgres;
    this.broker = broker;
    this.directory = directory;
    this.rendezvous = rendezvous;
    this.device = device;
  }

  /** The text of all three. */
  async texts(): Promise<readonly string[]> {
    return await Promise.all([this.directory, this.rendezvous, this.device].map((one) => one.text()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
    await this.postgres[Symbol.asyncDispose]();
  }
}
