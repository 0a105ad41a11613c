import { SshnpError } from "../keys/errors.ts";
import { findProgram } from "./programs.ts";
import { readSshdConfiguration } from "./sshd-configuration.ts";
import { type MaxStartups, parseMaxStartups } from "./startup-gate.ts";

/** What the sshd of the system takes, if it is the one on this port and its configuration can be read; undefined else. */
export async function maxStartupsOf(port: number, signal: AbortSignal): Promise<MaxStartups | undefined> {
  try {
    const program = await findProgram("sshd");
    if (program === undefined) return undefined;
    const configuration = await readSshdConfiguration(program, [], signal);
    if (configuration === "no host keys" || configuration.get("port")?.includes(String(port)) !== true)
      return undefined;
    return parseMaxStartups(configuration.get("maxstartups")?.[0] ?? "");
  } catch (error) {
    if (error instanceof SshnpError || signal.aborted) return undefined;
    throw error;
  }
}
