/** What a person reads of a device that let the session in, when there is no SSH in it, or no more. */
import { DeniedError, UnavailableError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { REASON_BYTES } from "../protocol/limits.ts";
import { parseOnlyLogin } from "../protocol/only-login.ts";
import { type Attempt, commandFor } from "./attempt.ts";

/** The device let the session in, and its SSH server did not answer. */
export function noSshServer(attempt: Attempt, fact: string): UnavailableError {
  return new UnavailableError(
    "E_NO_SSHD",
    `${attempt.device.member} of ${attempt.device.name} is online, but ${fact}`,
    {
      next: "On the device: systemctl start ssh   It listens on another port? sshnpd --ssh-port PORT ...   There is none, or none is to listen? sshnpd --ssh-mode inetd ...",
    },
  );
}

/** The SSH server there is one user's own. `reason` by parseOnlyLogin(). */
export function otherLogin(attempt: Attempt, reason: string): DeniedError {
  const { member, name } = attempt.device;
  const only = parseOnlyLogin(reason) ?? "";
  return new DeniedError(
    "E_NO_SSHD",
    `${member} of ${name} lets in ${only} alone. It says: ${quoted(reason, REASON_BYTES)}`,
    {
      next:
        `Log in as ${only}: ${commandFor({ ...attempt, login: only })}   For other users, on the device: run sshnpd as root; or, where ` +
        "an SSH server listens, sshnpd --ssh-mode tcp, which has other host keys: every client refuses once and has to accept them",
    },
  );
}

/** The device said ahead of the session that it does not write the pushed key anywhere. */
export function keyNotTaken({ client, device: { name, member } }: Attempt): string {
  return (
    `${member} of ${name} did not take your key: its daemon runs without -s, or does not take keys of that kind. ` +
    `On the device: sshnpd -a ${name} -m ${client} -d ${member} -s`
  );
}

/** The device lets the session in, and made no certificate for its key. */
export function keyNotCertified(attempt: Attempt): DeniedError {
  const { client, login } = attempt;
  const { member, name } = attempt.device;
  return new DeniedError(
    "E_SSH_AUTH",
    `${member} of ${name} certifies no session key of ${client} for user ${login}.`,
    {
      next:
        `On the device: sshnpd --session-keys ${login} ...   If ${name} has a policy, a grant in it must name the login as well. ` +
        `With a key of your own: ${commandFor(attempt)}`,
    },
  );
}

/** ssh ended with 255 although host key and tunnel were good. `pushed`: a key was sent along, to be added. */
export function sshRefused(attempt: Attempt, pushed: boolean, certified = false): DeniedError {
  const { login } = attempt;
  const { member, name } = attempt.device;
  const user = login === "" ? "the user that you log in as" : `user ${login}`;
  const byHand = `add your public key for ${user} on the device (~/.ssh/authorized_keys)`;
  const byCertificate =
    "Then its SSH server has no such user, or a locked one, or does not take the certificates of sshnpd yet. On the device: sshnpd ssh-ca   tells how";
  const next = certified
    ? byCertificate
    : pushed
      ? `Then sshnpd did not add your key: it must run with -s, as root or as ${user}; its log on the device says why. Or ${byHand}`
      : `Then ${byHand}, or, if its sshnpd runs with -s: ${commandFor({ ...attempt, asked: undefined }, "-s")}   with --session-keys: ${commandFor(attempt, "--session-key")}`;
  return new DeniedError("E_SSH_AUTH", `The tunnel to ${member} of ${name} was up; ssh itself ended with status 255.`, {
    next: `Did it say "Permission denied"? ${next}`,
  });
}

/** The path broke while the session lasted. */
export function truncated(attempt: Attempt, cause: unknown): UnavailableError {
  const { member, name } = attempt.device;
  return new UnavailableError(
    "E_TRUNCATED",
    `The session with ${member} of ${name} broke off: the path ended without a farewell.`,
    {
      next: `What was shown may be incomplete. Connect again: ${commandFor(attempt)}`,
      cause,
    },
  );
}

/** Whoever should have come to the rendezvous or should have answered did not, in `seconds`. */
export function timedOut(attempt: Attempt, what: string, seconds: number): UnavailableError {
  const { member, name } = attempt.device;
  return new UnavailableError("E_TIMEOUT", `${what} within ${seconds} s (${member} of ${name}).`, {
    next: "Try again; if it stays so, whoever runs the device finds the reason in the log of its sshnpd.",
  });
}

/** The device closed the session as revoked. Why, it does not say: the next request is told. */
export function accessWithdrawn(attempt: Attempt): DeniedError {
  const { client, device } = attempt;
  return new DeniedError(
    "E_NOT_AUTHORIZED",
    `${device.member} of ${device.name} has withdrawn the access of ${client}.`,
    {
      next: `One of the two may be revoked, or the policy of ${device.name} grants it no more. Connect again to be told more: ${commandFor(attempt)}`,
    },
  );
}
