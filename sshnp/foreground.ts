import { readFileSync } from "node:fs";

/**
 * Whether this process is of the group to which its terminal sends Ctrl-C, as are the processes that it has started. Where the
 * system does not tell: whether somebody types at a terminal.
 */
export function isInForeground(): boolean {
  try {
    // proc_pid_stat(5): the command's name in parentheses, which may hold any, then state, ppid, pgrp, session, tty_nr, tpgid.
    const stat = readFileSync("/proc/self/stat", "latin1");
    const [, , group, , , ofTerminal] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return group !== undefined && group === ofTerminal;
  } catch {
    return process.stdin.isTTY;
  }
}
