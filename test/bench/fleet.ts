import type { Machine } from "../support/stack.ts";
import { ENROL_MS, type FleetAnswer, type FleetCommand } from "./fleet-commands.ts";
import { ToldProcess } from "./told-process.ts";

const NAME = "@fleet";
const DEVICES_PER_PROCESS = 6_000; // with three files each over a slow line, of 20,000
const LINKED_MS = 15 * 60_000; // 15,000 over a slow line, some at a time

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

type Process = ToldProcess<FleetCommand, FleetAnswer>;

/**
 * Thousands of devices with keys of their own and bindings in the directory, which took each of them over the wire. They
 * link and come back as sshnpd does, by its own code (fleet-process.ts), and answer who asks for a session. To be disposed of.
 */
export class Fleet implements AsyncDisposable {
  readonly #processes: readonly Process[];
  /** SHA-256 of the binding of device `dN`, hex, by N. */
  bindings: readonly string[] = [];

  /** Activates @fleet and enrols its devices; none is linked yet. */
  static async enrol(options: FleetOptions): Promise<Fleet> {
    const { machine, address, secret, devices, signal } = options;
    const words = ["-a", NAME, "-c", secret, "--directory", address, "-d", "first"];
    await machine.must("sshnp-keys", "activate", ...words);
    const processes = Array.from(
      { length: options.processes },
      (): Process => new ToldProcess("fleet-process.ts", machine.options, signal),
    );
    const fleet = new Fleet(processes);
    try {
      const share = Math.ceil(devices / processes.length);
      const answers = await fleet.#tell(ENROL_MS, (index) => {
        const first = index * share;
        const count = Math.min(share, devices - first);
        return { do: "enrol", address, keys: machine.keys, name: NAME, first, count };
      });
      fleet.bindings = answers.flatMap(({ bindings = [] }) => bindings);
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(processes: readonly Process[]) {
    this.#processes = processes;
  }

  get pids(): readonly number[] {
    return this.#processes.map(({ pid }) => pid);
  }

  /** Links all devices, some at a time, and resolves when each was linked once: where they enrolled, at another directory, or at a broker. */
  async bringUp(
    where: { readonly address?: string; readonly broker?: string; readonly isMetered?: boolean } = {},
  ): Promise<void> {
    await this.#tell(LINKED_MS, () => ({ do: "bringUp", ...where }));
  }

  /** Puts a slow line between the directory and all links to come. */
  async lengthen(roundTripMs: number): Promise<void> {
    await this.#tell(LINKED_MS, () => ({ do: "lengthen", roundTripMs }));
  }

  /** So many devices of each process, at random, link anew, or get new keys and a binding of them first. */
  async shake(how: "relink" | "rotate", count: number): Promise<void> {
    await this.#tell(LINKED_MS, () => ({ do: how, count }));
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

  /** How each process's devices came back since it was asked last. */
  async returns(): Promise<readonly Required<FleetAnswer>["returns"][]> {
    const answers = await this.#tell(LINKED_MS, () => ({ do: "returns" }));
    return answers.map(({ returns = [] }) => returns);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((each) => each[Symbol.asyncDispose]()));
  }

  async #tell(timeoutMs: number, command: (index: number) => FleetCommand): Promise<FleetAnswer[]> {
    return await Promise.all(this.#processes.map((each, index) => each.tell(command(index), timeoutMs)));
  }
}

function sum(answers: readonly FleetAnswer[]): Required<FleetAnswer> {
  const total = (count: (answer: FleetAnswer) => number): number => answers.reduce((all, one) => all + count(one), 0);
  return {
    devices: total(({ devices }) => devices),
    linked: total(({ linked }) => linked),
    linkedAt: answers.flatMap(({ linkedAt = [] }) => linkedAt),
    bindings: answers.flatMap(({ bindings = [] }) => bindings),
    returns: answers.flatMap(({ returns = [] }) => returns),
    losses: total(({ losses }) => losses),
    cpuSeconds: total(({ cpuSeconds }) => cpuSeconds),
  };
}

/** How many processes are to play so many devices. */
export function processesFor(devices: number): number {
  return Math.ceil(devices / DEVICES_PER_PROCESS);
}
