import { inVariable } from "../keys/in-variable.ts";
import { type Name, parseName } from "../keys/names.ts";

/** What stands for words that a command line leaves out. */
export interface Defaults {
  readonly client: Name | undefined;
  readonly device: Name | undefined;
  /** The account of a session that names none. */
  readonly user?: string | undefined;
  /** As after `--wait=`; undefined: do not wait. */
  readonly wait?: string | undefined;
}

export const NO_DEFAULTS: Defaults = { client: undefined, device: undefined };

/**
 * SSHNP_CLIENT and SSHNP_DEVICE, names both, SSHNP_USER and SSHNP_WAIT, which whoever uses them parses; empty ones count as
 * absent. By then the variables that were not set have the values of the profile and the configuration files
 * (config/apply.ts). @throws {SetupError} E_USAGE.
 */
export function readDefaults(env: Readonly<Record<string, string | undefined>>): Defaults {
  return {
    client: nameIn(env, "SSHNP_CLIENT"),
    device: nameIn(env, "SSHNP_DEVICE"),
    user: env["SSHNP_USER"] || undefined,
    wait: env["SSHNP_WAIT"] || undefined,
  };
}

function nameIn(env: Readonly<Record<string, string | undefined>>, variable: string): Name | undefined {
  const text = env[variable] || undefined;
  return text === undefined ? undefined : inVariable(variable, text, parseName);
}
