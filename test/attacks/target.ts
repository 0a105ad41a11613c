import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import type { RunningProcess } from "../support/processes.ts";
import { Machine, Stack } from "../support/stack.ts";
import { Attackers } from "./attackers.ts";
import { Interceptor } from "./interceptor.ts";
import type { Site } from "./site.ts";

/** What attacks are directed at: a whole system of real processes, with an interceptor between everybody and the rendezvous. */
export class Target implements AsyncDisposable {
  readonly stack: Stack;
  /** Every leg of this system passes here. */
  readonly interceptor: Interceptor;
  readonly attackers: Attackers;
  readonly #stranger: Machine;
  readonly #otherDevice: Machine;

  private constructor(stack: Stack, interceptor: Interceptor, attackers: Attackers) {
    this.stack = stack;
    this.interceptor = interceptor;
    this.attackers = attackers;
    this.#stranger = new Machine(join(stack.client.home, "mallory"));
    this.#otherDevice = new Machine(join(stack.client.home, "eve"));
  }

  static async start(): Promise<Target> {
    const stack = await Stack.start({
      withoutTap: true,
      // Attackers who are let in open many connections at once, and it is not the SSH server that is attacked.
      sshd: { configuration: ["MaxStartups 500", "PerSourceMaxStartups none"] },
    });
    const interceptor = await Interceptor.start(() => stack.rendezvousPort);
    const attackers = await Attackers.start(stack.client.home);
    const target = new Target(stack, interceptor, attackers);
    try {
      await target.restartRendezvous();
      await target.#activate(target.#stranger, "@mallory");
      await target.#activate(target.#otherDevice, "@eve", "-d", "hostile");
      return target;
    } catch (error) {
      await target[Symbol.asyncDispose]();
      throw error;
    }
  }

  get directoryPort(): number {
    return Number(parseDirectoryAddress(this.stack.address).url.port);
  }

  /** Past the interceptor. */
  get rendezvousPort(): number {
    return this.stack.rendezvousPort;
  }

  get site(): Site {
    return {
      directoryPort: this.directoryPort,
      rendezvousPort: this.rendezvousPort,
      address: this.stack.address,
      strangerKeys: this.#stranger.keys,
      deviceKeys: this.#otherDevice.keys,
    };
  }

  /** sshnpd of the other device, whose directory is at `address`. */
  startOtherDevice(address: string): RunningProcess {
    const words = ["-a", "@eve", "-m", "@client", "-d", "hostile", "--ssh-port", String(this.stack.sshd.port)];
    return this.#otherDevice.start("sshnpd", ...words, "--directory", address);
  }

  /** Kills the rendezvous and starts it with the same data: another boot. */
  async restartRendezvous(): Promise<void> {
    await this.stack.rendezvous.kill("SIGKILL");
    await this.stack.startRendezvous("--public", `127.0.0.1:${this.interceptor.port}`);
  }

  /** Kills the directory, starts it with the same data, and waits until the device is back. */
  async restartDirectory(): Promise<void> {
    const { stack } = this;
    await stack.directory.kill("SIGKILL");
    const directory = await stack.startDirectory();
    await directory.errorLine(/"msg":"link up"/);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.attackers[Symbol.asyncDispose]();
    await this.stack[Symbol.asyncDispose]();
    await this.interceptor[Symbol.asyncDispose]();
  }

  async #activate(machine: Machine, name: string, ...words: string[]): Promise<void> {
    await mkdir(machine.home, { mode: 0o700 });
    const secret = await this.stack.addName(name);
    await machine.must("sshnp-keys", "activate", "-a", name, "-c", secret, "--directory", this.stack.address, ...words);
  }
}
