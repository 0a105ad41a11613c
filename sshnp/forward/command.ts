import { spawn } from "node:child_process";
import { once } from "node:events";
import { printable } from "../../keys/print-error.ts";
import { COMMAND_END_MS } from "../../protocol/limits.ts";
import { signalStatus } from "../signal-status.ts";

/** A command that runs while ports are forwarded, on our terminal and files. */
export interface RunningCommand {
  /** Its exit status, 128 + N when a signal ended it; as of env(1) 127 when there is none, 126 when it cannot be started. Never rejects. */
  readonly ended: Promise<number>;
  /** Passes on a signal that this process got. */
  pass(signal: NodeJS.Signals): void;
  /** Has it end, by force if need be, within COMMAND_END_MS. */
  stop(): Promise<void>;
}

/** Starts a command. No shell reads its words. `tell` hears why it could not be started. */
export function startCommand(
  [program, ...words]: readonly [string, ...string[]],
  tell: (text: string) => void,
): RunningCommand {
  const child = spawn(program, words, { stdio: "inherit" });
  const end = async (): Promise<number> => {
    try {
      const [code, signal]: (number | null | NodeJS.Signals)[] = await once(child, "exit");
      return typeof code === "number" ? code : signalStatus(signal as NodeJS.Signals);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      tell(`${printable(program)} cannot be started: ${code === "ENOENT" ? "there is no such command" : code}.`);
      return code === "ENOENT" ? 127 : 126;
    }
  };
  const ended = end();
  return {
    ended,
    pass: (signal) => {
      // The terminal has sent it to the command as well, which would take a second one for impatience.
      if (signal === "SIGINT" && process.stdin.isTTY) return;
      child.kill(signal);
    },
    stop: async () => {
      const force = setTimeout(() => child.kill("SIGKILL"), COMMAND_END_MS);
      child.kill("SIGTERM");
      await ended;
      clearTimeout(force);
    },
  };
}
