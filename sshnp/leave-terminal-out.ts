import { execFile } from "node:child_process";
import { isatty } from "node:tty";
import { promisify } from "node:util";
import { hostName } from "../keys/names.ts";
import type { SessionCommand } from "./command-line.ts";

/**
 * Whether ssh would ask for a terminal there, by itself and in vain, and say so ahead of whatever we say: a shell where nobody types,
 * and neither the words nor the user's configuration have anything about it. Only there ssh is asked what it reads.
 */
export async function mayLeaveTerminalOut({ destination, ssh }: SessionCommand): Promise<boolean> {
  if (isatty(0) || !ssh.leavesTerminal) return false;
  const words = ["-G", ...ssh.configuration, hostName(destination.device)];
  const asked = await execute("ssh", words, { timeout: CONFIGURATION_MS }).catch(() => undefined); // it will say so itself
  return asked !== undefined && /^requesttty auto$/m.test(asked.stdout);
}

const execute = promisify(execFile);

/** A `Match exec` in the configuration runs whatever its author wanted. */
const CONFIGURATION_MS = 15_000;
