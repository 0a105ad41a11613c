import type { ProcessOptions } from "../support/processes.ts";
import type { CallersAnswer, CallersCommand, Load } from "./callers-commands.ts";
import type { Fleet } from "./fleet.ts";
import { ToldProcess } from "./told-process.ts";

const PEOPLE = 60; // names: each may ask 20 times a second, CLIENT_REQUESTS_PER_SECOND
const PATIENCE_MS = 120_000; // beyond the time that something lasts
const ACTIVATION_MS = 120_000;

/** People with names of their own who ask for sessions with devices of a fleet, in a process of their own. To be disposed of. */
export class Callers implements AsyncDisposable {
  readonly #process: ToldProcess<CallersCommand, CallersAnswer>;

  /** `data`: the data folder of the directory at `address`. */
  static async activate(
    fleet: Pick<Fleet, "bindings">,
    at: { readonly address: string; readonly data: string; readonly prefix?: string; readonly people?: number },
    options: ProcessOptions,
    signal: AbortSignal,
  ): Promise<Callers> {
    const callers = new Callers(new ToldProcess("callers-process.ts", options, signal));
    try {
      const { address, data, prefix = "caller", people = PEOPLE } = at;
      await callers.#process.tell({ do: "activate", address, data, prefix, count: people }, ACTIVATION_MS);
      await callers.#process.tell({ do: "devices", name: "@fleet", bindings: fleet.bindings }, ACTIVATION_MS);
      return callers;
    } catch (error) {
      await callers[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(process: ToldProcess<CallersCommand, CallersAnswer>) {
    this.#process = process;
  }

  async connect(load: Load & { readonly seconds: number }): Promise<CallersAnswer> {
    return await this.#process.tell({ do: "connect", ...load }, load.seconds * 1000 + PATIENCE_MS);
  }

  /** Connects until {@link end}. */
  async begin(load: Load): Promise<void> {
    await this.#process.tell({ do: "begin", ...load }, PATIENCE_MS);
  }

  async end(): Promise<CallersAnswer> {
    return await this.#process.tell({ do: "end" }, PATIENCE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
