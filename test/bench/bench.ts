import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { stopProcesses } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { HEADER, type Row, rowLines } from "./table.ts";

/** What a part of the benchmark is given. */
export interface Bench {
  readonly signal: AbortSignal;
  /** For how long one rate is measured. */
  readonly seconds: number;
  /** How many devices a fleet has. */
  readonly devices: number;
  /** How many people ask for sessions with them. */
  readonly people: number;
  /** A folder for its files, removed at the end. */
  readonly folder: string;
  /** Whether a program is on this machine. */
  readonly has: (command: string) => boolean;
  /** The whole system of real processes that all parts share, with an OpenSSH server for an ordinary user where one can be made. */
  stack(): Promise<Stack>;
  /** Whom that server lets in; undefined: whoever runs this. */
  readonly user: OrdinaryUser | undefined;
  /** Takes a result and prints it. */
  readonly row: (row: Row) => void;
  /** Says what goes on, for people. */
  readonly log: (line: string) => void;
  /** Resolves when something listens on a TCP port of this machine. */
  listens(port: number): Promise<void>;
}

/** Runs the parts one after the other and returns their rows; all they have started has ended then. */
export async function runBench(
  parts: readonly { readonly name: string; readonly run: (bench: Bench) => Promise<void> }[],
  options: Pick<Bench, "seconds" | "devices" | "people"> & {
    readonly signal: AbortSignal;
    readonly print: (line: string) => void;
  },
): Promise<readonly Row[]> {
  const { seconds, devices, people, signal, print } = options;
  const rows: Row[] = [];
  await using folder = await temporaryFolder();
  await using user = CAN_MAKE_USERS ? await ordinaryUser() : undefined;
  let stack: Promise<Stack> | undefined;
  print(HEADER);
  const bench: Bench = {
    ...{ signal, seconds, devices, people, user, has },
    folder: folder.path,
    stack() {
      stack ??= Stack.start({ withoutTap: true, sshd: user === undefined ? {} : { user } });
      return stack;
    },
    row(row) {
      rows.push(row);
      for (const line of rowLines(row)) print(line);
    },
    log: (line) => process.stderr.write(`bench: ${line}\n`),
    listens: (port) => untilListening(port, signal),
  };
  try {
    for (const { name, run } of parts) {
      signal.throwIfAborted();
      bench.log(name);
      await run(bench);
    }
    return rows;
  } finally {
    await (await stack?.catch(() => undefined))?.[Symbol.asyncDispose]();
    await stopProcesses();
  }
}

function has(command: string): boolean {
  return [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"].some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Without a connection, which a program under measurement would take for a session. */
async function untilListening(port: number, signal: AbortSignal): Promise<void> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const deadline = performance.now() + 10_000;
  while (
    !readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .some((line) => line.includes(local) && / 0A /.test(line))
  ) {
    if (performance.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await delay(20, undefined, { signal });
  }
}
