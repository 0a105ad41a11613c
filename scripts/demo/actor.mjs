// One process of the demo.
import { spawn } from "node:child_process";

const START_TIMEOUT_MS = 30_000;

export class Actor {
  stdout = "";
  stderr = "";
  #child;
  #name;
  #listeners = new Set();

  constructor(name, file, args, options = {}) {
    this.#name = name;
    this.#child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of ["stdout", "stderr"]) {
      this.#child[stream].setEncoding("utf8").on("data", (text) => {
        this[stream] += text;
        for (const listener of this.#listeners) listener();
      });
    }
    this.#child.on("close", () => {
      for (const listener of this.#listeners) listener();
    });
    this.#child.on("error", (error) => (this.stderr += `${error.message}\n`));
  }

  get pid() {
    return this.#child.pid;
  }

  get log() {
    return `\n-- ${this.#name} --\n${this.stdout}${this.stderr}`;
  }

  /** What `find` returns, once it returns something. */
  async until(what, find) {
    const listener = {};
    try {
      return await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${this.#name}: ${what} did not come`)), START_TIMEOUT_MS);
        listener.check = () => {
          const found = find(this);
          if (found !== undefined) resolve(found);
          else if (this.#child.exitCode !== null) reject(new Error(`${this.#name} ended early`));
          else return;
          clearTimeout(timer);
        };
        this.#listeners.add(listener.check);
        listener.check();
      });
    } finally {
      this.#listeners.delete(listener.check);
    }
  }

  /** The first line of stdout. */
  async firstLine() {
    return await this.until("its first line", ({ stdout }) => /^(.+)\n/.exec(stdout)?.[1]);
  }

  stop() {
    if (this.#child.exitCode === null) this.#child.kill("SIGTERM");
  }
}
