import { join } from "node:path";
import { type ProcessOptions, type RunningProcess, startProcess } from "../support/processes.ts";

const ROOT = join(import.meta.dirname, "../..");

/**
 * A process of ours that plays many ends. It is told by lines `NUMBER {command}` on stdin, and answers each by one line `NUMBER {answer}` on
 * stdout (answerCommands). To be disposed of.
 */
export class ToldProcess<Command, Answer> implements AsyncDisposable {
  readonly #running: RunningProcess;
  readonly #signal: AbortSignal;
  #commands = 0;

  /** `file`: its module, in this folder. */
  constructor(file: string, options: ProcessOptions, signal: AbortSignal) {
    const loader = join(ROOT, "scripts/run-typescript.mjs");
    this.#running = startProcess(process.execPath, [loader, join(import.meta.dirname, file)], {
      ...options,
      cwd: ROOT,
    });
    this.#signal = signal;
  }

  get pid(): number {
    return this.#running.pid;
  }

  /** @throws when it fails, no answer comes in time, or the process has ended. */
  async tell(command: Command, timeoutMs: number): Promise<Answer> {
    const number = ++this.#commands;
    this.#running.stdin.write(`${number} ${JSON.stringify(command)}\n`);
    const pattern = new RegExp(`^${number} (.*)$`);
    const [, answer = ""] = await this.#running.line(pattern, { timeoutMs, signal: this.#signal });
    const said: unknown = JSON.parse(answer);
    if (typeof said === "object" && said !== null && "failed" in said) throw new Error(String(said.failed));
    return said as Answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.stop();
  }
}
