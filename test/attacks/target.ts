import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { Machine, Stack } from "../support/stack.ts";
import { Interceptor } from "./interceptor.ts";

/** What attacks are directed at: a whole system of real processes, with an interceptor between everybody and the rendezvous. */
export class Target implements AsyncDisposable {
  readonly stack: Stack;
  /** Every leg of this system passes here. */
  readonly interceptor: Interceptor;
  #stranger: Machine | undefined;

  private constructor(stack: Stack, interceptor: Interceptor) {
    this.stack = stack;
    this.interceptor = interceptor;
  }

  static async start(): Promise<Target> {
    const stack = await Stack.start({
      withoutTap: true,
      // Attackers who are let in open many connections at once, and it is not the SSH server that is attacked.
      sshd: { configuration: ["MaxStartups 500", "PerSourceMaxStartups none"] },
    });
    const interceptor = await Interceptor.start(() => stack.rendezvousPort);
    const target = new Target(stack, interceptor);
    try {
      await target.restartRendezvous();
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

  /** The machine of @mallory, an activated name that no device admits. */
  async stranger(): Promise<Machine> {
    if (this.#stranger !== undefined) return this.#stranger;
    const machine = new Machine(join(this.stack.client.home, "mallory"));
    await mkdir(machine.home, { mode: 0o700 });
    const secret = await this.stack.addName("@mallory");
    const words = ["activate", "-a", "@mallory", "-c", secret, "--directory", this.stack.address];
    await machine.must("sshnp-keys", ...words);
    this.#stranger = machine;
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
    await this.interceptor[Symbol.asyncDispose]();
  }
}
