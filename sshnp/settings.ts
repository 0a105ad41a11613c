import { SshnpError, SetupError } from "../keys/errors.ts";
import { type Name, parseName } from "../keys/names.ts";

/** What stands for words that a command line leaves out. */
export interface Defaults {
  readonly client: Name | undefined;
  readonly device: Name | undefined;
}

export const NO_DEFAULTS: Defaults = { client: undefined, device: undefined };

/** SSHNP_CLIENT and SSHNP_DEVICE, names both; empty ones count as absent. @throws {SetupError} E_USAGE. */
export function readDefaults(env: Readonly<Record<string, string | undefined>>): Defaults {
  return { client: nameIn(env, "SSHNP_CLIENT"), device: nameIn(env, "SSHNP_DEVICE") };
}

function nameIn(env: Readonly<Record<string, string | undefined>>, variable: string): Name | undefined {
  const text = env[variable];
  if (text === undefined || text === "") return undefined;
  try {
    return parseName(text);
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    throw new SetupError("E_USAGE", `${variable}: ${error.message}`, { next: error.next ?? "" });
  }
}
