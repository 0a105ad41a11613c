import { constants } from "node:os";

/** The exit status by which a shell tells of a signal. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
