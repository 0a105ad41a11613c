import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { STTY_MS, TERMINAL_LOOK_MS, TERMINAL_LOOKS } from "../../protocol/limits.ts";
import { runPiped } from "./piped.ts";
import { type Running, signalGroup, type WindowSize } from "./running.ts";

/**
 * Runs a program behind a terminal that script(1) makes. It knows of no window changes, so stty(1) sets them on its
 * terminal, and the kernel tells the program. That a signal ended it comes as the status 128 and its number.
 * @throws {Error} with the `code` of the system when it cannot be started.
 */
export async function runScript(program: readonly string[], env: Readonly<Record<string, string>>): Promise<Running> {
  // script runs the command by $SHELL, and the account's shell is not to run as root.
  const command = `SHELL=${quote(env["SHELL"] ?? "/bin/sh")}; export SHELL; exec ${program.map(quote).join(" ")}`;
  const running = await runPiped(OURS, ["script", "-qfec", command, "/dev/null"], { ...env, SHELL: "/bin/sh" });
  const window = new ScriptWindow(running);
  return {
    ...running,
    errors: undefined,
    signal: (name) => void signalChild(running.pid, name),
    resize: (size) => window.resize(size),
  };
}

/** script itself runs as we do. */
const OURS = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

/** One word for a shell, whatever is in it. */
function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Gives a terminal its sizes one after the other, so that the last one stays; of those that come meanwhile the last alone. */
class ScriptWindow {
  readonly #pid: number;
  #hasExited = false;
  #wanted: WindowSize | undefined;
  #isAtWork = false;
  #terminal: string | undefined;

  constructor({ pid, exited }: Pick<Running, "pid" | "exited">) {
    this.#pid = pid;
    void exited.then(() => (this.#hasExited = true));
  }

  resize(size: WindowSize): void {
    this.#wanted = size;
    if (!this.#isAtWork) void this.#work();
  }

  async #work(): Promise<void> {
    this.#isAtWork = true;
    const terminal = await this.#find();
    for (;;) {
      const size = this.#wanted;
      if (size === undefined || terminal === undefined) break;
      this.#wanted = undefined;
      const words = ["-F", terminal, "rows", String(size.rows), "cols", String(size.columns)];
      await promisify(execFile)("stty", words, { timeout: STTY_MS }).catch(() => {}); // the terminal is gone
    }
    this.#isAtWork = false;
  }

  /** Undefined when there is none, and when the program has ended. At first script has not made it yet. */
  async #find(): Promise<string | undefined> {
    for (let looks = 0; looks < TERMINAL_LOOKS && this.#terminal === undefined && !this.#hasExited; looks++) {
      if (looks > 0) await pause(TERMINAL_LOOK_MS);
      this.#terminal = terminalOf(await childOf(this.#pid));
    }
    return this.#hasExited ? undefined : this.#terminal;
  }
}

async function signalChild(pid: number, name: NodeJS.Signals): Promise<void> {
  const child = await childOf(pid);
  if (child !== undefined) signalGroup(child.pid, name);
}

/** Its controlling terminal, whatever its input comes from. */
function terminalOf(process: { readonly terminal: number } | undefined): string | undefined {
  if (process === undefined) return undefined;
  const [major, minor] = [
    (process.terminal >> 8) & 0xfff,
    (process.terminal & 0xff) | ((process.terminal >> 12) & 0xfff00),
  ];
  return major === PTS_MAJOR ? `/dev/pts/${minor}` : undefined;
}

/** Of the terminals below /dev/pts (devices.txt of Linux). */
const PTS_MAJOR = 136;

/** The process that script has made: there is one. */
async function childOf(pid: number): Promise<{ readonly pid: number; readonly terminal: number } | undefined> {
  for (const name of await readdir("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "latin1").catch(() => ""); // it may have ended meanwhile
    const [, parent, , , terminal] = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // as proc(5) has it
    if (Number(parent) === pid) return { pid: Number(name), terminal: Number(terminal) };
  }
  return undefined;
}
