import { type ChildProcessByStdio, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

const ROOT = join(import.meta.dirname, "../..");
const LINE_TIMEOUT_MS = 20_000; // a start of Node with all it loads, while other tests run
const EXIT_TIMEOUT_MS = 30_000; // a whole command that talks to others

export type CommandName = "sshnp" | "sshnpd" | "sshnp-directory" | "sshnp-rendezvous" | "sshnp-keys";

export interface ProcessOptions {
  /** The whole environment beside what is inherited (INHERITED below). HOME must be said, so that no test meets the real one. */
  readonly env: Readonly<Record<string, string>> & { readonly HOME: string };
  readonly cwd?: string;
  readonly user?: RunAs;
  /** Starts it inside, see namespaces.ts; only root can. */
  readonly namespace?: RunInside;
}

/** A network namespace to run in. */
export interface RunInside {
  readonly nsenterArguments: readonly string[];
}

/** Another user to run as, see ordinary-user.ts; only root can. */
export interface RunAs {
  readonly setprivArguments: readonly string[];
  /** The folder with dist/ and the packages in it that this user can read. */
  readonly installation: string;
}

export interface WaitOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const INHERITED = ["PATH", "LANG", "TMPDIR", "SSHNP_CRYPTO", "SSHNP_TEST_RUN"];

const notStopped = new Set<RunningProcess>();

/** Ends all that was started and not stopped: after each test file (stop-processes.ts), and at the end of other programs. */
export async function stopProcesses(): Promise<void> {
  await Promise.all([...notStopped].map((running) => running.stop()));
}

/** The file of one of the five commands, as built in dist/ or installed somewhere else. */
export function commandFile(name: CommandName, installation = ROOT): string {
  const packageJson: { bin: Record<CommandName, string> } = JSON.parse(
    readFileSync(join(ROOT, "package.json"), "utf8"),
  );
  return join(installation, packageJson.bin[name]);
}

/** Starts one of the five commands. */
export function startCommand(name: CommandName, args: readonly string[], options: ProcessOptions): RunningProcess {
  return startProcess(process.execPath, [commandFile(name, options.user?.installation), ...args], options);
}

/** Runs one of the five commands to its end. */
export function runCommand(
  name: CommandName,
  args: readonly string[],
  options: ProcessOptions & WaitOptions,
): Promise<Exit> {
  return startCommand(name, args, options).exit(options);
}

/** Starts any program. */
export function startProcess(file: string, args: readonly string[], options: ProcessOptions): RunningProcess {
  // The kernel ends the process when the one that runs the tests is gone, even by kill -9.
  const setpriv = ["--pdeathsig", "KILL", ...(options.user?.setprivArguments ?? []), "--", file, ...args];
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.includes(name));
  // nsenter becomes setpriv, and that the program itself: all of one process number.
  const [starter, words]: [string, string[]] =
    options.namespace === undefined
      ? ["setpriv", setpriv]
      : ["nsenter", [...options.namespace.nsenterArguments, "--", "setpriv", ...setpriv]];
  const child = spawn(starter, words, {
    cwd: options.cwd ?? options.env.HOME,
    env: { ...Object.fromEntries(inherited), ...options.env },
    detached: true, // a session of its own, by which stop() finds what it has started
    stdio: ["pipe", "pipe", "pipe"],
  });
  return new RunningProcess(child, [file, ...args].join(" "));
}

/** Runs any program to its end. */
export function runProcess(
  file: string,
  args: readonly string[],
  options: ProcessOptions & WaitOptions,
): Promise<Exit> {
  return startProcess(file, args, options).exit(options);
}

/** False for a process that has ended, whether or not its parent has taken notice (a container's init may never do). */
export function isRunning(pid: number): boolean {
  const found = readProcess(pid);
  return found !== undefined && found.state !== "Z";
}

/** A real process. It ends with the one that started it, however that ends; stopping or disposing of it ends it earlier. */
export class RunningProcess implements AsyncDisposable {
  readonly stdin: Writable;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #commandLine: string;
  readonly #changes = new EventEmitter();
  #stdout = "";
  #stderr = "";
  #hasEnded = false;

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, commandLine: string) {
    this.#child = child;
    this.#commandLine = commandLine;
    this.stdin = child.stdin;
    notStopped.add(this);
    this.#changes.setMaxListeners(0);
    child.stdin.on("error", () => {}); // it may end without reading its input
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#change(() => (this.#stdout += text)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#change(() => (this.#stderr += text)));
    child.on("error", (error) => this.#change(() => (this.#stderr += error.message)));
    child.on("close", () => this.#change(() => (this.#hasEnded = true)));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#commandLine}: did not start`);
    return this.#child.pid;
  }

  /** What it has written so far. */
  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The first whole line of stdout that matches, written already or still to come; rejects when it ends without one. */
  line(pattern: RegExp, options?: WaitOptions): Promise<RegExpMatchArray> {
    return this.#until(() => firstMatch(this.#stdout, pattern), `a line ${String(pattern)} on stdout`, options);
  }

  /** The same for stderr. */
  errorLine(pattern: RegExp, options?: WaitOptions): Promise<RegExpMatchArray> {
    return this.#until(() => firstMatch(this.#stderr, pattern), `a line ${String(pattern)} on stderr`, options);
  }

  /** Waits until it has ended and all its output is here. */
  exit(options?: WaitOptions): Promise<Exit> {
    const ended = (): Exit | undefined => {
      const { exitCode: code, signalCode: signal } = this.#child;
      return this.#hasEnded ? { code, signal, stdout: this.#stdout, stderr: this.#stderr } : undefined;
    };
    return this.#until(ended, "its end", { timeoutMs: EXIT_TIMEOUT_MS, ...options });
  }

  /** Sends a signal to the process alone and waits for its end. */
  kill(signal: NodeJS.Signals, options?: WaitOptions): Promise<Exit> {
    this.#child.kill(signal);
    return this.exit(options);
  }

  /** Ends it and everything that it has started, at once. */
  stop(): Promise<Exit> {
    notStopped.delete(this);
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined) endProcessTree(pid, { isGone: exitCode !== null || signalCode !== null });
    return this.exit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #change(apply: () => void): void {
    apply();
    this.#changes.emit("change");
  }

  async #until<T>(look: () => T | undefined, what: string, options: WaitOptions = {}): Promise<T> {
    const deadline = AbortSignal.timeout(options.timeoutMs ?? LINE_TIMEOUT_MS);
    const signal = AbortSignal.any([deadline, ...(options.signal === undefined ? [] : [options.signal])]);
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#hasEnded) throw this.#failure(`ended without ${what}`);
      try {
        await once(this.#changes, "change", { signal });
      } catch (error) {
        if (deadline.aborted) throw this.#failure(`${what} did not come in time`);
        throw error;
      }
    }
  }

  #failure(fact: string): Error {
    const { exitCode, signalCode } = this.#child;
    const status = `exit status ${exitCode ?? signalCode ?? "none yet"}`;
    return new Error(
      `${this.#commandLine}: ${fact}; ${status}\n--- stdout\n${this.#stdout}\n--- stderr\n${this.#stderr}`,
    );
  }
}

function firstMatch(text: string, pattern: RegExp): RegExpMatchArray | undefined {
  const wholeLines = text.split("\n").slice(0, -1);
  for (const line of wholeLines) {
    const match = line.match(pattern);
    if (match !== null) return match;
  }
  return undefined;
}

/**
 * Kills the process, its descendants and all that is left of its session. `isGone`: it has ended itself, so that a process
 * of that number is somebody else's; the kernel gives the number to nobody while there is something left of the session.
 */
function endProcessTree(root: number, { isGone }: { readonly isGone: boolean }): void {
  const doomed = new Set([root]);
  const processes = readdirSync("/proc").flatMap((name) => readProcess(Number(name)) ?? []);
  if (isGone && processes.some(({ pid }) => pid === root)) return;
  let before: number;
  do {
    before = doomed.size;
    for (const { pid, parent, session } of processes) if (doomed.has(parent) || session === root) doomed.add(pid);
  } while (doomed.size > before);
  for (const pid of processes.map((entry) => entry.pid).filter((id) => doomed.has(id))) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it has ended meanwhile
    }
  }
}

function readProcess(pid: number): { pid: number; state: string; parent: number; session: number } | undefined {
  if (!Number.isInteger(pid)) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state = "", parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // as proc(5) has it
    return { pid, state, parent: Number(parent), session: Number(session) };
  } catch {
    return undefined; // it has ended meanwhile
  }
}
