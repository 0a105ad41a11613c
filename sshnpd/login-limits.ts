import { SshnpError } from "../keys/errors.ts";
import { SSH_LOGIN_GRACE_MS } from "../protocol/limits.ts";
import { findProgram } from "./programs.ts";
import { readSshdConfiguration } from "./sshd-configuration.ts";
import { DEFAULT_MAX_STARTUPS, type MaxStartups, parseMaxStartups } from "./startup-gate.ts";

/** What an sshd takes of those that have not logged in. */
export interface LoginLimits {
  readonly maxStartups: MaxStartups;
  /** For how long one may take over it. */
  readonly graceMs: number;
}

/** What OpenSSH takes when nothing is said. */
export const DEFAULT_LOGIN_LIMITS: LoginLimits = { maxStartups: DEFAULT_MAX_STARTUPS, graceMs: SSH_LOGIN_GRACE_MS };

/** Those of the system's sshd, if it is the one on this port and its configuration can be read; else those by default. */
export async function loginLimitsOf(port: number, signal: AbortSignal): Promise<LoginLimits> {
  try {
    const program = await findProgram("sshd");
    if (program === undefined) return DEFAULT_LOGIN_LIMITS;
    const configuration = await readSshdConfiguration(program, [], signal);
    if (configuration === "no host keys" || configuration.get("port")?.includes(String(port)) !== true)
      return DEFAULT_LOGIN_LIMITS;
    const value = (option: string): string => configuration.get(option)?.[0] ?? "";
    return {
      maxStartups: parseMaxStartups(value("maxstartups")) ?? DEFAULT_MAX_STARTUPS,
      graceMs: parseLoginGraceTime(value("logingracetime")) ?? SSH_LOGIN_GRACE_MS,
    };
  } catch (error) {
    if (error instanceof SshnpError || signal.aborted) return DEFAULT_LOGIN_LIMITS;
    throw error;
  }
}

/** LoginGraceTime in ms, as `sshd -T` prints it, in seconds; 0, which is no limit, is an hour. Undefined for anything else. */
export function parseLoginGraceTime(text: string): number | undefined {
  if (!/^[0-9]{1,9}$/.test(text)) return undefined;
  const seconds = Number(text);
  return (seconds === 0 ? LONGEST_S : Math.min(LONGEST_S, seconds + JITTER_S)) * 1000;
}

const LONGEST_S = 3600;
/** Since 9.8 OpenSSH waits for up to 4 s longer than it says. */
const JITTER_S = 5;
