import { runProcess, type RunningProcess, startProcess } from "../support/processes.ts";

/**
 * The real `age`, which asks for passphrases on a terminal: `script` makes one and types `typed` into it.
 * @returns the exit status of age.
 */
export async function ageOnTerminal(folder: string, args: readonly string[], typed: string): Promise<number | null> {
  const command = ["age", ...args].join(" ");
  await using script: RunningProcess = startProcess("script", ["-qefc", command, "/dev/null"], {
    env: { HOME: folder },
  });
  script.stdin.write(typed);
  return (await script.exit()).code;
}

/** The real `age` without a terminal. */
export async function age(folder: string, args: readonly string[]): Promise<{ code: number | null; stdout: string }> {
  return await runProcess("age", args, { env: { HOME: folder } });
}
