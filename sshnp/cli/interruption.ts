import { SetupError } from "../../keys/errors.ts";
import { signalStatus } from "../signal-status.ts";

/**
 * Runs what lasts until somebody ends it. At Ctrl-C, SIGTERM and SIGHUP its signal is aborted, and when it has ended for that the
 * command's status is the one by which shells tell of signals: 130 for Ctrl-C. What it throws otherwise is thrown.
 */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const attempt = new AbortController();
  let by: NodeJS.Signals | undefined;
  const interrupt = (signal: NodeJS.Signals): void => {
    by ??= signal;
    attempt.abort(new SetupError("E_INTERRUPTED", "Interrupted."));
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  try {
    await work(attempt.signal);
  } catch (error) {
    if (by === undefined) throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
  if (by !== undefined) process.exitCode = signalStatus(by);
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
