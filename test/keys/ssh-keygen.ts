import { spawnSync } from "node:child_process";

/** Runs the real ssh-keygen in `cwd`; `input` goes to its stdin. */
export function sshKeygen(
  cwd: string,
  args: readonly string[],
  input: string | Uint8Array = "",
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr, error } = spawnSync("ssh-keygen", args, { cwd, input, encoding: "utf8" });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** Runs it and throws unless it succeeds; returns its stdout. */
export function sshKeygenOk(cwd: string, args: readonly string[], input: string | Uint8Array = ""): string {
  const { status, stdout, stderr } = sshKeygen(cwd, args, input);
  if (status !== 0) throw new Error(`ssh-keygen ${args.join(" ")}: ${stderr}`);
  return stdout;
}
