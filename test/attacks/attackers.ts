import { join } from "node:path";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import type { Attack } from "./attack.ts";
import type { AttackerCommand, AttackerOutcome } from "./attacker-process.ts";
import type { Site } from "./site.ts";

const ROOT = join(import.meta.dirname, "../..");
/** To compile the attacks, on a busy machine. */
const START_MS = 60_000;
/** As long as an attack may be asked to take, and to let go of thousands of sockets. */
const LONGEST_MS = 3_600_000 + 30_000;

/** The process from which everybody attacks who needs no place between the others. */
export class Attackers implements AsyncDisposable {
  readonly #process: RunningProcess;
  #attacks = 0;

  static async start(home: string): Promise<Attackers> {
    const words = [join(ROOT, "scripts/run-typescript.mjs"), join(ROOT, "test/attacks/attacker-process.ts")];
    const attackers = new Attackers(startProcess(process.execPath, words, { env: { HOME: home }, cwd: ROOT }));
    try {
      await attackers.#process.line(/^ready$/, { timeoutMs: START_MS });
      return attackers;
    } catch (error) {
      await attackers[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(attackers: RunningProcess) {
    this.#process = attackers;
  }

  /** What `attack.run` promises, from there. */
  async run(attack: Attack, site: Site, signal: AbortSignal): Promise<string> {
    const number = ++this.#attacks;
    const tell = (command: AttackerCommand): void => void this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    const end = (): void => tell({ do: "end" });
    signal.addEventListener("abort", end, { once: true });
    tell({ do: "attack", name: attack.name, site });
    const pattern = new RegExp(`^${number} (.*)$`);
    try {
      const [, text = ""] = await this.#process.line(pattern, { timeoutMs: LONGEST_MS });
      const outcome = JSON.parse(text) as AttackerOutcome;
      if ("failure" in outcome) throw new Error(outcome.failure);
      return outcome.done;
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
  }
}
