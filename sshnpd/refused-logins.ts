import { loginAccount, NO_SUCH_ACCOUNT } from "./builtin/login-account.ts";
import type { CertifiedLogins } from "./session-keys.ts";
import type { SshServer } from "./ssh-server.ts";

/**
 * Of the logins that are named, those that nobody can log in as, and why. The built-in server has reasons of its own; another
 * may let in who is locked, but nobody who is not there.
 */
export async function refusedLogins(
  logins: CertifiedLogins,
  mode: SshServer["mode"],
): Promise<ReadonlyMap<string, string>> {
  const refusals = new Map<string, string>();
  for (const login of logins === "any" ? [] : logins) {
    const account = await loginAccount(login, Date.now());
    if ("refusal" in account && (mode === "builtin" || account.refusal === NO_SUCH_ACCOUNT)) {
      refusals.set(login, account.refusal);
    }
  }
  return refusals;
}
