import { isLogin } from "./service.ts";

/** Why a device refuses a login: its SSH server is its daemon's own, and has no other user than `only`. */
export function onlyLoginReason(login: string, only: string): string {
  return `sshnpd runs there as user ${only}, with no SSH server but its own, so only ${only} can log in, not ${login}`;
}

/** Who can log in, as a reason by {@link onlyLoginReason} says; undefined for every other text. */
export function parseOnlyLogin(reason: string): string | undefined {
  const [, only = "", login = ""] = /, so only (\S+) can log in, not (\S+)$/.exec(reason) ?? [];
  if (only === "" || !isLogin(only) || !isLogin(login)) return undefined;
  return reason === onlyLoginReason(login, only) ? only : undefined;
}
