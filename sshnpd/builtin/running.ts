import type { Readable, Writable } from "node:stream";

/** How a process ended: by itself, or by a signal, named without its SIG as RFC 4254 section 6.10 has it. */
export type ProcessEnd = { readonly status: number } | { readonly signal: string };

/** What runs in a session, be it behind pipes or behind a terminal. */
export interface Running {
  readonly pid: number;
  readonly input: Writable;
  readonly output: Readable;
  /** Undefined with a terminal, where all output is one. */
  readonly errors: Readable | undefined;
  readonly exited: Promise<ProcessEnd>;
  /** Sends a signal, named with its SIG, to all that the session runs in the foreground. */
  signal(name: NodeJS.Signals): void;
  /** Tells it that nobody is there any more, and closes its input and output. */
  hangUp(): void;
  /** Without a terminal it means nothing. */
  resize(size: WindowSize): void;
}

export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/** Sends a signal to a process group; that it is gone is no error. */
export function signalGroup(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
  }
}
