import { DeniedError } from "../keys/errors.ts";
import { onlyLoginReason } from "../protocol/only-login.ts";

/** @throws {DeniedError} E_NO_SSHD when another login was named than the only one that there is. */
export function refuseOtherLogin(login: string, only: string | undefined): void {
  if (only === undefined || login === "" || login === only) return;
  throw new DeniedError("E_NO_SSHD", onlyLoginReason(login, only));
}
