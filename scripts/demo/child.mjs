// One process of the demo: a service that goes on, or a command that ends.
import { spawn } from "node:child_process";

const START_MS = 30_000; // Node and all it loads, on a small machine that does other things as well
const END_MS = 5_000;

export class Child {
  stdout = "";
  stderr = "";
  /** Resolves when it has ended and all its output is here: with its exit status, 1 when a signal ended it. */
  ended;
  #child;
  #name;
  #failure;
  #listeners = new Set();

  /** @param {{ input?: string, env?: NodeJS.ProcessEnv }} options input: what it reads on stdin, nothing if left out */
  constructor(name, file, args, { input = "", env = process.env } = {}) {
    this.#name = name;
    // A group of its own: Ctrl-C reaches the demo alone, which then ends everybody in order.
    this.#child = spawn(file, args, { detached: true, env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin.on("error", () => {}).end(input); // it may end without reading
    for (const stream of ["stdout", "stderr"]) {
      this.#child[stream].setEncoding("utf8").on("data", (text) => {
        this[stream] += text;
        this.#tell();
      });
    }
    this.#child.on("error", (error) => (this.#failure = error.message));
    this.ended = new Promise((resolve) => {
      this.#child.on("close", (code) => {
        resolve(code ?? 1);
        this.#tell();
      });
    });
  }

  get pid() {
    return this.#child.pid;
  }

  get isRunning() {
    return this.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it said, for people who look for what went wrong. */
  get log() {
    return `-- ${this.#name}\n${this.stdout}${this.stderr}${this.#failure ?? ""}\n`;
  }

  /** What `find` returns, once it returns something. @param {string} what it is, for the error if it does not come */
  async until(what, find) {
    return await new Promise((resolve, reject) => {
      const settle = (action, value) => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        action(value);
      };
      const timer = setTimeout(() => settle(reject, new Error(`${this.#name}: ${what} did not come`)), START_MS);
      const look = () => {
        const found = find(this);
        if (found !== undefined) settle(resolve, found);
        else if (!this.isRunning) settle(reject, new Error(`${this.#name} ended before ${what}`));
      };
      this.#listeners.add(look);
      look();
    });
  }

  /** The first line of its stdout. */
  async firstLine() {
    return await this.until("its first line", ({ stdout }) => /^(.+)\n/.exec(stdout)?.[1]);
  }

  /** Ends it and what it has started. */
  async end() {
    if (this.pid === undefined) return;
    this.#signal("SIGTERM");
    const force = setTimeout(() => this.#signal("SIGKILL"), END_MS);
    await this.ended;
    clearTimeout(force);
    this.#signal("SIGKILL"); // what it left of its group
  }

  #signal(signal) {
    const { pid } = this;
    if (pid === undefined) return; // it never started
    try {
      process.kill(-pid, signal);
    } catch {
      // none is left
    }
  }

  #tell() {
    for (const listener of [...this.#listeners]) listener();
  }
}
