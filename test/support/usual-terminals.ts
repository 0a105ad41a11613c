import { type RunInside, type RunningProcess, startProcess } from "./processes.ts";

/**
 * A mount namespace with terminals as systems have them, of the group tty: an sshd that is not root cannot make them so, and refuses
 * others. What a machine of tests has may be otherwise. It is there until the process is stopped; only root can.
 */
export async function usualTerminals(): Promise<[RunInside, RunningProcess]> {
  const mount = "mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts /dev/pts";
  const words = ["--mount", "sh", "-c", `${mount} && echo ready && exec sleep infinity`];
  const process = startProcess("unshare", words, { env: { HOME: "/" } });
  await process.line(/^ready$/);
  return [{ nsenterArguments: ["--target", String(process.pid), "--mount"] }, process];
}
