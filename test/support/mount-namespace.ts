import { type RunInside, type RunningProcess, startProcess } from "./processes.ts";

/**
 * A mount namespace of the test's own, in which a script of the shell has mounted what it wants; as root alone. It lasts as long
 * as a process is in it, and the first is ended with the test. Programs run in it by the option `namespace` of processes.ts.
 */
export class MountNamespace implements RunInside, AsyncDisposable {
  readonly #holder: RunningProcess;

  static async make(script: string): Promise<MountNamespace> {
    const words = ["--mount", "--propagation", "private", "sh", "-c", `${script} && echo made && exec sleep infinity`];
    const holder = startProcess("unshare", words, { env: { HOME: "/nonexistent" }, cwd: "/" });
    await holder.line(/^made$/);
    return new MountNamespace(holder);
  }

  private constructor(holder: RunningProcess) {
    this.#holder = holder;
  }

  get nsenterArguments(): readonly string[] {
    return [`--mount=/proc/${this.#holder.pid}/ns/mnt`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stop();
  }
}
