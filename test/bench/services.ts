import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { addName, addRendezvous } from "../support/one-time-secrets.ts";
import type { RunningProcess } from "../support/processes.ts";
import { Machine } from "../support/stack.ts";
import { dataOf, startDirectory, type StartOptions } from "./directory.ts";
import { Callers } from "./callers.ts";
import { Fleet, processesFor } from "./fleet.ts";

export interface ServicesOptions {
  /** A folder for them, to be made. */
  readonly folder: string;
  /** How many devices there are. */
  readonly devices: number;
  /** Words for `sshnp-directory run`. */
  readonly words?: readonly string[];
  readonly env?: StartOptions["env"];
  /** One more directory on the same store, to which the devices link; the callers ask at the first. */
  readonly isDoubled?: boolean;
  /** Names that call, if not enough for any load. */
  readonly people?: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** A directory, or two, a rendezvous, a fleet and those who call its devices: all real processes. To be disposed of. */
export class Services implements AsyncDisposable {
  directory: RunningProcess;
  readonly second: RunningProcess | undefined;
  readonly rendezvous: RunningProcess;
  readonly fleet: Fleet;
  readonly callers: Callers;
  /** Where the devices are to link to. */
  readonly linkAddress: string;
  readonly #server: Machine;
  readonly #address: string;
  readonly #options: ServicesOptions;

  /** Everything is up, but no device is linked yet. What has started when something fails, ends with the bench (stopProcesses). */
  static async start(options: ServicesOptions): Promise<Services> {
    const { folder, devices, isDoubled = false, signal, log, env = {} } = options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const [server, other, owner] = ["server", "other", "owner"].map((name) => new Machine(join(folder, name))) as [
      Machine,
      Machine,
      Machine,
    ];
    for (const { home } of [server, other, owner]) await mkdir(home, { mode: 0o700 });
    const words = options.words ?? [];
    const { process: directory, address } = await startDirectory(server, { words, env });
    const second = isDoubled
      ? await startDirectory(other, { words: [...words, "--keys", dataOf(server)], env })
      : undefined;
    const rendezvous = await startRendezvous(server, address);
    log(`enrolling ${devices} devices`);
    const fleet = await Fleet.enrol({
      ...{ address, secret: await addName(dataOf(server), "@fleet"), devices, signal },
      ...{ machine: owner, processes: processesFor(devices) },
    });
    const callers = await Callers.activate(
      fleet,
      { address, data: dataOf(server), ...(options.people !== undefined && { people: options.people }) },
      owner.options,
      signal,
    );
    return new Services(
      { directory, second: second?.process, rendezvous, fleet, callers, linkAddress: second?.address ?? address },
      { server, address, options },
    );
  }

  private constructor(
    parts: Pick<Services, "directory" | "second" | "rendezvous" | "fleet" | "callers" | "linkAddress">,
    at: { readonly server: Machine; readonly address: string; readonly options: ServicesOptions },
  ) {
    this.directory = parts.directory;
    this.second = parts.second;
    this.rendezvous = parts.rendezvous;
    this.fleet = parts.fleet;
    this.callers = parts.callers;
    this.linkAddress = parts.linkAddress;
    this.#server = at.server;
    this.#address = at.address;
    this.#options = at.options;
  }

  get address(): string {
    return this.#address;
  }

  /** Links all devices. */
  async bringUp(how: { readonly isMetered?: boolean } = {}): Promise<void> {
    this.#options.log("linking them");
    await this.fleet.bringUp({ address: this.linkAddress, ...how });
  }

  /** Starts the directory once more where it was. */
  async startAgain(): Promise<void> {
    const { words = [], env = {} } = this.#options;
    const { process } = await startDirectory(this.#server, { address: this.#address, words, env });
    this.directory = process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.callers, this.fleet].map((each) => each[Symbol.asyncDispose]()));
    for (const each of [this.rendezvous, this.second, this.directory]) await each?.stop();
  }
}

async function startRendezvous(server: Machine, address: string): Promise<RunningProcess> {
  const secret = await addRendezvous(dataOf(server), "rz1");
  const words = ["--data", join(server.home, "rendezvous"), "--directory", address, "--listen", "127.0.0.1:0"];
  const running = server.start("sshnp-rendezvous", "run", ...words, "-c", secret);
  await running.line(/:\d+$/);
  return running;
}
