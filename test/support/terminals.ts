import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { type RunAs, type RunInside, type RunningProcess, startProcess } from "./processes.ts";
import { type TemporaryFolder, temporaryFolder } from "./temp-folder.ts";

const execute = promisify(execFile);
const WAIT_MS = 30_000; // a whole command that talks to others, on a busy machine
const SIZE = { columns: 160, rows: 50 };

export interface TerminalOptions {
  /** The whole environment of the shell. HOME must be said; PATH and TERM are there in any case. */
  readonly env: Readonly<Record<string, string>> & { readonly HOME: string };
  readonly user?: Pick<RunAs, "setprivArguments">;
  readonly namespace?: RunInside;
}

/** A tmux of the test's own, with a window for each machine or person that plays a part. */
export class Terminals implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #server: RunningProcess;
  readonly #bell = new EventEmitter();

  private constructor(folder: TemporaryFolder, server: RunningProcess) {
    this.#folder = folder;
    this.#server = server;
    this.#bell.setMaxListeners(0);
  }

  /** With windows of this many characters and lines. */
  static async start(size: { readonly columns: number; readonly rows: number } = SIZE): Promise<Terminals> {
    const folder = await temporaryFolder();
    // In the foreground, so that it ends with the tests.
    const server = startProcess("tmux", ["-S", join(folder.path, "tmux"), "-f", "/dev/null", "-D"], {
      env: { HOME: folder.path },
    });
    const terminals = new Terminals(folder, server);
    await terminals.#listen(size);
    return terminals;
  }

  /** A window with an interactive shell, whose prompt is `NAME$ `. */
  async open(name: string, { env, user, namespace }: TerminalOptions): Promise<Terminal> {
    const variables = { PATH: process.env["PATH"] ?? "", TERM: "screen", LANG: "C.UTF-8", ...env, PS1: `${name}$ ` };
    const assignments = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
    const shell = [
      ...(namespace === undefined ? [] : ["nsenter", ...namespace.nsenterArguments, `--wd=${env.HOME}`, "--"]),
      "setpriv",
      ...(user?.setprivArguments ?? ["--no-new-privs"]),
      "--",
      "env",
      "-i",
      ...assignments,
      "sh",
    ];
    // By its number, because a name may be that of another window too: tmux names its own after what runs in them.
    const opened = await this.#tmux("new-window", "-d", "-P", "-F", "#{pane_id}", "-n", name, "-c", env.HOME, ...shell);
    const terminal = new Terminal(name, opened.trim(), (...words) => this.#tmux(...words), this.#bell);
    await terminal.prompt();
    return terminal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    await this.#folder.remove();
  }

  /** A client in control mode, which hears of everything that any window prints. */
  async #listen({ columns, rows }: typeof SIZE): Promise<void> {
    const size = ["-x", String(columns), "-y", String(rows)];
    const words = ["-N", "-S", join(this.#folder.path, "tmux"), "-C", "new-session", ...size, "-s", "test", "cat"];
    const start = performance.now();
    while (performance.now() - start < WAIT_MS) {
      const client: ChildProcessByStdio<Writable, Readable, null> = spawn("tmux", words, {
        stdio: ["pipe", "pipe", "ignore"],
      });
      const ended = once(client, "close");
      client.stdout.on("data", () => this.#bell.emit("ring"));
      client.once("close", () => this.#bell.emit("ring"));
      await Promise.race([once(client.stdout, "data"), ended]);
      if (client.exitCode !== null) continue; // the server is not there yet, and -N starts no other
      await this.#tmux("set-option", "-g", "history-limit", "5000");
      return;
    }
    throw new Error(`tmux did not start: ${this.#server.stderr}`);
  }

  async #tmux(...words: string[]): Promise<string> {
    const { stdout } = await execute("tmux", ["-S", join(this.#folder.path, "tmux"), ...words]);
    return stdout;
  }
}

/** One window: what somebody types, and what stands on the screen. */
export class Terminal {
  readonly #name: string;
  readonly #pane: string;
  readonly #tmux: (...words: string[]) => Promise<string>;
  readonly #bell: EventEmitter;
  #prompts = 0;

  constructor(name: string, pane: string, tmux: (...words: string[]) => Promise<string>, bell: EventEmitter) {
    this.#name = name;
    this.#pane = pane;
    this.#tmux = tmux;
    this.#bell = bell;
  }

  /** Types a line and Enter. */
  async type(line: string): Promise<void> {
    await this.write(line);
    await this.press("Enter");
  }

  /** Types what may be the beginning of a line. */
  async write(text: string): Promise<void> {
    await this.#tmux("send-keys", "-t", this.#pane, "-l", "--", text);
  }

  /** Presses a key by tmux's name of it, such as `C-c`. */
  async press(key: string): Promise<void> {
    await this.#tmux("send-keys", "-t", this.#pane, key);
  }

  /** Gives the window another size, in characters and lines. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux("resize-window", "-t", this.#pane, "-x", String(columns), "-y", String(rows));
  }

  /** Closes the window, as somebody does who does not wait for an end. */
  async close(): Promise<void> {
    await this.#tmux("kill-window", "-t", this.#pane);
  }

  /** Types a command line, waits until the shell asks for the next one, and returns the lines in between. */
  async run(line: string): Promise<string> {
    await this.type(line);
    return await this.prompt();
  }

  /** All that the window has shown so far, wrapped lines joined. */
  async text(): Promise<string> {
    return await this.#tmux("capture-pane", "-p", "-J", "-S", "-", "-t", this.#pane);
  }

  /** The lines that stand on the screen now, with the colours that they set, each as far as something is in it. */
  async screen(): Promise<string[]> {
    return (await this.#tmux("capture-pane", "-p", "-e", "-t", this.#pane)).split("\n").slice(0, -1);
  }

  /** Waits until the window shows it anywhere. @throws {Error} with the whole text when it does not come in time */
  async shows(pattern: RegExp, { timeoutMs }: { readonly timeoutMs?: number } = {}): Promise<RegExpMatchArray> {
    return await this.#until(String(pattern), (text) => text.match(pattern) ?? undefined, timeoutMs);
  }

  /** Waits for one prompt more than there were, and returns the lines between the last two. */
  async prompt(): Promise<string> {
    const wanted = this.#prompts + 1;
    const parts = await this.#until(`prompt ${wanted} of ${this.#name}`, (text) => {
      const found = `\n${text}`.split(new RegExp(`\n(?:\\^C)?${this.#name}\\$ `));
      return found.length > wanted ? found : undefined;
    });
    this.#prompts = wanted;
    return parts[wanted - 1]?.replace(/^.*\n?/, "") ?? "";
  }

  async #until<T>(what: string, look: (text: string) => T | undefined, timeoutMs = WAIT_MS): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const ring = once(this.#bell, "ring", { signal });
      ring.catch(() => {}); // it may be of no interest any more
      const text = await this.text();
      const found = look(text);
      if (found !== undefined) return found;
      try {
        await ring;
      } catch {
        throw new Error(`${this.#name}: ${what} did not come in time\n${text}`);
      }
    }
  }
}
