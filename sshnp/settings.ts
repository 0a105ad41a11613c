import { SetupError } from "../keys/errors.ts";
import { inVariable } from "../keys/in-variable.ts";
import { type Name, parseName, quoted } from "../keys/names.ts";

/** What stands for words that a command line leaves out. */
export interface Defaults {
  readonly client: Name | undefined;
  readonly device: Name | undefined;
  /** The account of a session that names none. */
  readonly user?: string | undefined;
  /** As after `--wait=`; undefined: do not wait. */
  readonly wait?: string | undefined;
  /** Whether a key is made for each session, `yes` or `no`; undefined: no. */
  readonly sessionKey?: string | undefined;
}

export const NO_DEFAULTS: Defaults = { client: undefined, device: undefined };

/**
 * SSHNP_CLIENT and SSHNP_DEVICE, names both, SSHNP_USER, SSHNP_WAIT and SSHNP_SESSION_KEY, which whoever uses them
 * parses; empty ones count as absent. By then the variables that were not set have the values of the profile and the configuration files
 * (config/apply.ts). @throws {SetupError} E_USAGE.
 */
export function readDefaults(env: Readonly<Record<string, string | undefined>>): Defaults {
  return {
    client: nameIn(env, "SSHNP_CLIENT"),
    device: nameIn(env, "SSHNP_DEVICE"),
    user: env["SSHNP_USER"] || undefined,
    wait: env["SSHNP_WAIT"] || undefined,
    sessionKey: env["SSHNP_SESSION_KEY"] || undefined,
  };
}

/** Whether a command line that does not say makes a key for its session. @throws {SetupError} E_USAGE. */
export function makesSessionKey({ sessionKey: text }: Pick<Defaults, "sessionKey">): boolean {
  return text !== undefined && inVariable("SSHNP_SESSION_KEY", text, parseYesOrNo) === "yes";
}

/** @throws {SetupError} E_USAGE on anything else. */
export function parseYesOrNo(text: string): "yes" | "no" {
  if (text === "yes" || text === "no") return text;
  throw new SetupError("E_USAGE", `${quoted(text)} is neither yes nor no.`, { next: "Write yes or no." });
}

function nameIn(env: Readonly<Record<string, string | undefined>>, variable: string): Name | undefined {
  const text = env[variable] || undefined;
  return text === undefined ? undefined : inVariable(variable, text, parseName);
}
