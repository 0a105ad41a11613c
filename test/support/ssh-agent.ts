import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Exit, type RunningProcess, runProcess, startProcess } from "./processes.ts";

/** The real ssh-agent with a socket of its own in `folder`, which is its home, too. To be disposed of. */
export class RealAgent implements AsyncDisposable {
  readonly socket: string;
  readonly process: RunningProcess;
  readonly #folder: string;

  private constructor(folder: string, socket: string, running: RunningProcess) {
    this.#folder = folder;
    this.socket = socket;
    this.process = running;
  }

  /** With `askpass`, the text of a shell script, it asks whenever a key wants that: its exit status is the answer. */
  static async start(folder: string, { askpass }: { readonly askpass?: string } = {}): Promise<RealAgent> {
    const socket = join(folder, "agent");
    const env = askpass === undefined ? {} : askpassEnvironment(folder, "askpass", askpass);
    const running = startProcess("ssh-agent", ["-D", "-a", socket], { env: { HOME: folder, ...env } });
    await running.line(/^SSH_AUTH_SOCK=/);
    return new RealAgent(folder, socket, running);
  }

  /** Runs the real ssh-add against it; throws unless it succeeds; returns its stdout. */
  async add(...words: string[]): Promise<string> {
    return must(await sshAdd(this.#folder, this.socket, words));
  }

  /** Locks it with a passphrase, until {@link unlock}. */
  async lock(): Promise<void> {
    must(await sshAdd(this.#folder, this.socket, ["-x"], PASSPHRASE));
  }

  async unlock(): Promise<void> {
    must(await sshAdd(this.#folder, this.socket, ["-X"], PASSPHRASE));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stop();
  }
}

/** Runs the real ssh-add against any socket; what it asks for is answered by `askpass`, a shell script. */
export function sshAdd(folder: string, socket: string, words: readonly string[], askpass = "exit 1"): Promise<Exit> {
  const env = { HOME: folder, SSH_AUTH_SOCK: socket, ...askpassEnvironment(folder, "askpass-add", askpass) };
  return runProcess("ssh-add", words, { env, cwd: folder });
}

const PASSPHRASE = "echo tulip";

function askpassEnvironment(folder: string, name: string, script: string): Record<string, string> {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o700);
  return { SSH_ASKPASS: file, SSH_ASKPASS_REQUIRE: "force" };
}

function must({ code, stdout, stderr }: Exit): string {
  if (code !== 0) throw new Error(`ssh-add: ${stdout}${stderr}`);
  return stdout;
}
