import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { PassThrough } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { STTY_MS, TERMINAL_LOOK_MS, TERMINAL_LOOKS, TERMINAL_SIGNALS } from "../../protocol/limits.ts";
import { bareEnvironment } from "../programs.ts";
import { becomeWords } from "./account-words.ts";
import type { LoginAccount } from "./login-account.ts";
import { runPiped } from "./piped.ts";
import { runSilently } from "./run-silently.ts";
import { type Running, signalGroup, type WindowSize } from "./running.ts";

/**
 * Runs a program behind a terminal that script(1) makes, as the account. It knows of no window changes, so stty(1) sets
 * them on its terminal, and the kernel tells the program. That a signal ended it comes as the status 128 and its number.
 * @throws {Error} with the `code` of the system when it cannot be started.
 */
export async function runScript(
  account: LoginAccount,
  script: string,
  program: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Running> {
  // script runs the command by $SHELL, and the account's own may be no shell that understands this.
  const command = `SHELL=${quote(env["SHELL"] ?? "/bin/sh")}; export SHELL; exec ${program.map(quote).join(" ")}`;
  // Why there is no terminal, script says on its errors; who asked for one reads it.
  const words = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", script, "-qfec", command, "/dev/null"];
  // It holds SIGHUP back, and reads on when it has lost its output; so it is ended outright, with this process as well, and
  // the kernel hangs up, as the terminal is gone then.
  const options = ["--pdeathsig", "KILL", ...becomeWords(account)];
  const running = await runPiped(account, ["setpriv", ...options, "--", ...words], { ...env, SHELL: "/bin/sh" });
  const child = new ScriptChild(running, account);
  return {
    ...running,
    input: withoutEnd(running.input),
    errors: undefined,
    signal: (name) => void child.signal(name),
    resize: (size) => child.resize(size),
    hangUp: () => {
      running.signal("SIGKILL");
      running.hangUp();
    },
  };
}

/** Whether a program, script(1) or setpriv(1), is that of util-linux. */
export async function isUtilLinux(path: string): Promise<boolean> {
  const options = { timeout: STTY_MS, env: bareEnvironment() };
  return await promisify(execFile)(path, ["--version"], options).then(
    ({ stdout }) => stdout.includes("util-linux"),
    () => false,
  );
}

/**
 * What is typed, without its end: script would wait for the program to read all of it and meanwhile copy no output, for
 * which the program may wait. A terminal has no end; whoever means one types it.
 */
function withoutEnd(input: Running["input"]): Running["input"] {
  const typed = new PassThrough();
  typed.pipe(input, { end: false });
  input.once("close", () => typed.destroy());
  return typed;
}

/** One word for a shell, whatever is in it. */
function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * The process behind the terminal. It gets its sizes one after the other, so that the last one stays; of those that come
 * meanwhile the last alone.
 */
class ScriptChild {
  readonly #pid: number;
  readonly #stty: readonly string[];
  #hasExited = false;
  #wanted: WindowSize | undefined;
  #isAtWork = false;
  #terminal: string | undefined;
  #signals: readonly NodeJS.Signals[] = [];

  constructor({ pid, exited }: Pick<Running, "pid" | "exited">, account: LoginAccount) {
    this.#pid = pid;
    // As the account, which has no other's terminal, should this one be another's by then.
    const become = becomeWords(account);
    this.#stty = [...(become.length === 0 ? [] : ["setpriv", ...become, "--"]), "stty"];
    void exited.then(() => (this.#hasExited = true));
  }

  /**
   * To its process group. After the exit of script the numbers may be others', so it is looked at before and after. Nobody waits
   * for an answer, so the client may send any number of them: those beyond a few that wait are dropped.
   */
  async signal(name: NodeJS.Signals): Promise<void> {
    if (this.#hasExited || this.#signals.length >= TERMINAL_SIGNALS) return;
    this.#signals = [...this.#signals, name];
    if (this.#signals.length > 1) return;
    for (let next: NodeJS.Signals | undefined = name; next !== undefined; next = this.#signals[0]) {
      const child = await childOf(this.#pid);
      if (child !== undefined && !this.#hasExited) signalGroup(child.pid, next);
      this.#signals = this.#signals.slice(1);
    }
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
      if (size === undefined || terminal === undefined || this.#hasExited) break;
      this.#wanted = undefined;
      const [file = "", ...words] = this.#stty;
      const change = [...words, "-F", terminal, "rows", String(size.rows), "cols", String(size.columns)];
      await runSilently(file, change, STTY_MS).catch(() => {}); // the terminal is gone
    }
    this.#isAtWork = false;
  }

  /** Undefined when there is none, and when the program has ended. At first script has not made it yet. */
  async #find(): Promise<string | undefined> {
    for (let looks = 0; looks < TERMINAL_LOOKS && this.#terminal === undefined && !this.#hasExited; looks++) {
      if (looks > 0) await pause(TERMINAL_LOOK_MS);
      const child = await childOf(this.#pid);
      if (!this.#hasExited) this.#terminal = terminalOf(child);
    }
    return this.#hasExited ? undefined : this.#terminal;
  }
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

/** A process, and the number of its controlling terminal. */
interface ChildProcess {
  readonly pid: number;
  readonly terminal: number;
}

/** The process that script has made: there is one. */
async function childOf(pid: number): Promise<ChildProcess | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "latin1").catch(() => undefined);
  // Not every kernel has that file (CONFIG_PROC_CHILDREN); all that run are looked at then.
  const candidates = children?.split(" ") ?? (await readdir("/proc").catch(() => []));
  for (const name of candidates) {
    if (!/^[0-9]+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "latin1").catch(() => ""); // it may have ended meanwhile
    const [, parent, , , terminal] = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // as proc(5) has it
    if (Number(parent) === pid) return { pid: Number(name), terminal: Number(terminal) };
  }
  return undefined;
}
