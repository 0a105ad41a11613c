import { join } from "node:path";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { ENROL_MS, type FleetAnswer, type FleetCommand } from "./fleet-commands.ts";

const ROOT = join(import.meta.dirname, "../..");
const NAME = "@fleet";
const DEVICES_PER_PROCESS = 6_000; // with three files each over a slow line, of 20,000
const LINKED_MS = 120_000; // a herd on a machine that is busy with other things

export interface FleetOptions {
  /** The directory's address. */
  readonly address: string;
  /** The one-time secret of @fleet. */
  readonly secret: string;
  /** The machine of @fleet's owner. */
  readonly machine: Machine;
  readonly devices: number;
  /** Processes that play the devices; each may have 20,000 files open. */
  readonly processes: number;
  readonly signal: AbortSignal;
}

/**
 * Thousands of devices with keys of their own and bindings in the directory, which took each of them over the wire. They
 * link and come back as sshnpd does, by its own code (fleet-process.ts). To be disposed of.
 */
export class Fleet implements AsyncDisposable {
  readonly #processes: readonly RunningProcess[];
  readonly #signal: AbortSignal;
  #commands = 0;

  /** Activates @fleet and enrols its devices; none is linked yet. */
  static async enrol(options: FleetOptions): Promise<Fleet> {
    const { machine, address, secret, devices, signal } = options;
    const words = ["-a", NAME, "-c", secret, "--directory", address, "-d", "first"];
    await machine.must("sshnp-keys", "activate", ...words);
    const loader = join(ROOT, "scripts/run-typescript.mjs");
    const program = join(ROOT, "test/bench/fleet-process.ts");
    const processes = Array.from({ length: options.processes }, () =>
      startProcess(process.execPath, [loader, program], { ...machine.options, cwd: ROOT }),
    );
    const fleet = new Fleet(processes, signal);
    try {
      const share = Math.ceil(devices / processes.length);
      await fleet.#tell(ENROL_MS, (index) => {
        const first = index * share;
        const count = Math.min(share, devices - first);
        return { do: "enrol", address, keys: machine.keys, name: NAME, first, count };
      });
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(processes: readonly RunningProcess[], signal: AbortSignal) {
    this.#processes = processes;
    this.#signal = signal;
  }

  /** Links all devices, some at a time, and resolves when each was linked once. */
  async bringUp(): Promise<void> {
    await this.#tell(LINKED_MS, () => ({ do: "bringUp" }));
  }

  /** Puts a slow line between the directory and all links to come. */
  async lengthen(roundTripMs: number): Promise<void> {
    await this.#tell(LINKED_MS, () => ({ do: "lengthen", roundTripMs }));
  }

  /** Ends all links. */
  async standDown(): Promise<void> {
    await this.#tell(LINKED_MS, () => ({ do: "standDown" }));
  }

  /** Resolves when each device has a link that came up later than `since`, ms since 1970. */
  async whole(since: number): Promise<Required<FleetAnswer>> {
    return sum(await this.#tell(LINKED_MS, () => ({ do: "wait", since })));
  }

  async report(): Promise<Required<FleetAnswer>> {
    return sum(await this.#tell(LINKED_MS, () => ({ do: "report" })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((running) => running.stop()));
  }

  async #tell(timeoutMs: number, command: (index: number) => FleetCommand): Promise<FleetAnswer[]> {
    const number = ++this.#commands;
    return await Promise.all(
      this.#processes.map(async (running, index) => {
        running.stdin.write(`${number} ${JSON.stringify(command(index))}\n`);
        const pattern = new RegExp(`^${number} (.*)$`);
        const [, answer = ""] = await running.line(pattern, { timeoutMs, signal: this.#signal });
        return JSON.parse(answer) as FleetAnswer;
      }),
    );
  }
}

function sum(answers: readonly FleetAnswer[]): Required<FleetAnswer> {
  const total = (count: (answer: FleetAnswer) => number): number => answers.reduce((all, one) => all + count(one), 0);
  return {
    devices: total(({ devices }) => devices),
    linked: total(({ linked }) => linked),
    linkedAt: answers.flatMap(({ linkedAt = [] }) => linkedAt),
    losses: total(({ losses }) => losses),
    cpuSeconds: total(({ cpuSeconds }) => cpuSeconds),
  };
}

/** How many processes are to play so many devices. */
export function processesFor(devices: number): number {
  return Math.ceil(devices / DEVICES_PER_PROCESS);
}
