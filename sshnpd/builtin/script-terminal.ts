import { execFile } from "node:child_process";
import { readFile, readlink } from "node:fs/promises";
import { runPiped } from "./piped.ts";
import type { Running, WindowSize } from "./running.ts";

/**
 * Runs a program behind a terminal that script(1) makes. It knows of no window changes, so stty(1) sets them on its
 * terminal, and the kernel tells the program.
 * @throws {Error} with the `code` of the system when it cannot be started.
 */
export async function runScript(program: readonly string[], env: Readonly<Record<string, string>>): Promise<Running> {
  // script runs the command by $SHELL, and the account's shell is not to run as root.
  const command = `SHELL=${quote(env["SHELL"] ?? "/bin/sh")}; export SHELL; exec ${program.map(quote).join(" ")}`;
  const running = await runPiped(OURS, ["script", "-qfec", command, "/dev/null"], { ...env, SHELL: "/bin/sh" });
  return {
    ...running,
    errors: undefined,
    signal: (name) => void signalChild(running.pid, name),
    resize: (size) => void resize(running.pid, size),
  };
}

/** script itself runs as we do. */
const OURS = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

/** One word for a shell, whatever is in it. */
function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

async function resize(pid: number, { columns, rows }: WindowSize): Promise<void> {
  const terminal = await terminalOf(pid);
  if (terminal === undefined) return;
  execFile("stty", ["-F", terminal, "rows", String(rows), "cols", String(columns)], { timeout: STTY_MS }, () => {});
}

async function signalChild(pid: number, name: NodeJS.Signals): Promise<void> {
  const child = await childOf(pid);
  if (child === undefined) return;
  try {
    process.kill(-child, name);
  } catch {
    // it has ended meanwhile
  }
}

const STTY_MS = 5_000;

async function terminalOf(pid: number): Promise<string | undefined> {
  const child = await childOf(pid);
  const terminal = child === undefined ? undefined : await readlink(`/proc/${child}/fd/0`).catch(() => undefined);
  return terminal !== undefined && /^\/dev\/pts\/[0-9]+$/.test(terminal) ? terminal : undefined;
}

async function childOf(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "latin1").catch(() => "");
  const [child] = /^[0-9]+/.exec(children) ?? [];
  return child === undefined ? undefined : Number(child);
}
