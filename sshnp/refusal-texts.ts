/**
 * What a person reads when a session does not come about: the fact in terms of the names that were asked for, and the
 * next step. Every command named here exists.
 */
import {
  DeniedError,
  PeerError,
  SecurityError,
  SetupError,
  type SshnpError,
  UnavailableError,
} from "../keys/errors.ts";
import { type MemberName, type Name, quoted } from "../keys/names.ts";
import { shellWord } from "../keys/shell-word.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";

/** Whom a session was asked for. */
export interface Attempt {
  readonly client: Name;
  readonly device: { readonly name: Name; readonly member: MemberName };
  /** The user on the device; empty when none was named. */
  readonly login: string;
  /** The directory, as people write it: `http://host:port`. */
  readonly directory: string;
}

/**
 * A refusal by the directory. `detail`: ms since 1970 for E_OFFLINE (last seen), ms to wait for E_RATE and E_BUSY.
 * `now` in ms. Undefined where the directory's own words say all there is to say.
 */
export function directoryRefusal(
  attempt: Attempt,
  refusal: { readonly code: RefusalCode; readonly detail: number },
  now: number,
): SshnpError | undefined {
  const { client, directory } = attempt;
  const { name, member } = attempt.device;
  const again = commandFor(attempt);
  switch (refusal.code) {
    case "E_UNKNOWN_NAME":
      return new DeniedError("E_UNKNOWN_NAME", `There is no device ${member} of ${name} that ${client} may see.`, {
        next: `Check the spelling of both. New? Its daemon makes it, with the owner key of ${name} in its keys folder: sshnpd -a ${name} -m ${client} -d ${member} --directory ADDRESS`,
      });
    case "E_NEVER_SEEN":
      return new UnavailableError(
        "E_NEVER_SEEN",
        `${member} of ${name} is activated, but its daemon has never connected.`,
        {
          next: `On the device run: sshnpd -a ${name} -m ${client} -d ${member}`,
        },
      );
    case "E_OFFLINE":
      return new UnavailableError("E_OFFLINE", `${member} of ${name} is offline: ${lastSeen(refusal.detail, now)}.`, {
        next: `Wait for it: ${commandFor(attempt, "--wait")}   On the device, see whether sshnpd runs.`,
      });
    case "E_WAIT_EXPIRED":
      return new UnavailableError("E_WAIT_EXPIRED", `${member} of ${name} did not come back in the time given.`, {
        next: `Give it longer: ${commandFor(attempt, "--wait=2h")}   On the device, see whether sshnpd runs.`,
      });
    case "E_NOT_AUTHORIZED":
      return new DeniedError(
        "E_NOT_AUTHORIZED",
        `The directory refuses ${client}: it does not know these keys under that name.`,
        {
          next: `Is it the right keys folder (--keys), and was ${client} activated at ${directory}? Then: sshnp-keys activate -a ${client} -c ''`,
        },
      );
    case "E_NOT_ACTIVATED":
      return new DeniedError("E_NOT_ACTIVATED", `${name} is not activated at ${directory} yet.`, {
        next: `On the device: sshnp-keys activate -a ${name} -c SECRET -d ${member}`,
      });
    case "E_NO_RENDEZVOUS":
      return new UnavailableError("E_NO_RENDEZVOUS", "The directory has no rendezvous that is up.", {
        next: "On the directory's machine: sshnp-directory rendezvous ls   then start one: sshnp-rendezvous run",
      });
    case "E_RATE":
      return new UnavailableError(
        "E_RATE",
        `The directory gets too many requests from this address, or from ${client}.`,
        {
          next: `Try again ${inWords(refusal.detail)}: ${again}`,
        },
      );
    case "E_BUSY":
      return new UnavailableError("E_BUSY", "The directory is busy.", {
        next: `Try again ${inWords(refusal.detail)}: ${again}`,
      });
    case "E_INTERRUPTED":
      return new UnavailableError(
        "E_INTERRUPTED",
        `The request for ${member} was withdrawn, or replaced by a newer one of ${client}.`,
        {
          next: `One request waits for a device at a time. Again: ${again}`,
        },
      );
    default:
      return undefined;
  }
}

/** A refusal that the device itself sealed. `reason` is its own text, of any content. */
export function deviceRefusal(
  attempt: Attempt,
  refusal: { readonly code: RefusalCode; readonly reason: string },
): SshnpError {
  const { member, name } = attempt.device;
  const reason = refusal.reason === "" ? "" : ` It says: ${quoted(refusal.reason)}`;
  switch (refusal.code) {
    case "E_DEVICE_REFUSED":
      return new DeniedError("E_DEVICE_REFUSED", `${member} of ${name} itself refused ${attempt.client}.${reason}`, {
        next: `On the device, permit it: sshnpd -a ${name} -m ${attempt.client} -d ${member} (the directory cannot override this)`,
      });
    case "E_NO_SSHD":
      return noSshServer(attempt, `its SSH server cannot be used.${reason}`);
    case "E_BUSY":
      return new UnavailableError("E_BUSY", `${member} of ${name} has too much to do.${reason}`, {
        next: `Try again in a minute: ${commandFor(attempt)}`,
      });
    default:
      return new DeniedError(
        "E_DEVICE_REFUSED",
        `${member} of ${name} refused the session (${refusal.code}).${reason}`,
        {
          next: "Whoever runs the device finds more in the log of its sshnpd.",
        },
      );
  }
}

/**
 * A refusal by a code alone, where the device could not or would not seal an answer: it is the directory's to pass on, and
 * nothing of the device's own confirms it. `labels`: protocol versions that the device speaks.
 */
export function unsealedRefusal(
  attempt: Attempt,
  { code, labels }: { readonly code: RefusalCode; readonly labels: string },
): SshnpError {
  const { client } = attempt;
  const { member, name } = attempt.device;
  const said = `The directory says that ${member} of ${name}`;
  const deviceLog = "sshnpd's log on the device says more";
  switch (code) {
    case "E_VERSION":
      return new PeerError(code, `${said} speaks other versions of the protocol (${quoted(labels)}).`, {
        next: "Install the same version of sshnp here and on the device; both tell theirs: sshnp --version, sshnpd --version",
      });
    case "E_OWNER_KEY":
      return new SecurityError(code, `${said} does not accept the owner key of ${client}.`, {
        next: `New keys for ${client}? Then on the device, once its owner confirms them: sshnp trust accept ${client} FINGERPRINT   (or give it in -m ${client}=FINGERPRINT, where the old one is given there)`,
      });
    case "E_MEMBER_KEY":
      return new SecurityError(code, `${said} does not take these for the newest keys of ${client}.`, {
        next: `Is it the right keys folder (--keys)? If so, ${deviceLog}.`,
      });
    case "E_STATEMENT":
      return new SecurityError(code, `${said} does not accept a signed statement that the request rests on.`, {
        next: `Try again; if it stays so, compare the clocks here, there and at the directory (timedatectl); ${deviceLog}.`,
      });
    case "E_TICKET":
      return new SecurityError(code, `${said} does not accept the directory's ticket.`, {
        next: `Try again; if it stays so, compare the device's clock with the directory's (timedatectl); ${deviceLog}.`,
      });
    case "E_BUSY":
      return new UnavailableError(code, `${said} has too much to do.`, {
        next: `Try again in a minute: ${commandFor(attempt)}`,
      });
    case "E_STORAGE":
      return new UnavailableError(code, `${said} cannot read or write its own files.`, {
        next: `Look at the device's disk and at the modes of its keys folder; ${deviceLog}.`,
      });
    default:
      return new PeerError("E_DEVICE_UNREADABLE", `${said} could not read the request (${code}).`, {
        next: `Try again; if it stays so, ${deviceLog}.`,
      });
  }
}

/** The device let the session in, and its SSH server did not answer. */
export function noSshServer(attempt: Attempt, fact: string): UnavailableError {
  return new UnavailableError(
    "E_NO_SSHD",
    `${attempt.device.member} of ${attempt.device.name} is online, but ${fact}`,
    {
      next: "On the device: systemctl start ssh   or, if its SSH server listens on another port: sshnpd --ssh-port PORT",
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

/** ssh ended with 255 although host key and tunnel were good. `pushed`: a key was sent along, to be added. */
export function sshRefused(attempt: Attempt, pushed: boolean): DeniedError {
  const { login } = attempt;
  const { member, name } = attempt.device;
  const user = login === "" ? "the user that you log in as" : `user ${login}`;
  const byHand = `add your public key for ${user} on the device (~/.ssh/authorized_keys)`;
  const next = pushed
    ? `Then sshnpd did not add your key: it must run with -s, as root or as ${user}; its log on the device says why. Or ${byHand}`
    : `Then ${byHand}, or, if its sshnpd runs with -s: ${commandFor(attempt, "-s")}`;
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

/** The command line that asks for the same again, with one more option. */
function commandFor({ client, device: { name, member }, login }: Attempt, option?: string): string {
  return [
    "sshnp",
    ...(option === undefined ? [] : [option]),
    client,
    name,
    login === "" ? member : `${login}@${member}`,
  ]
    .map((word) => shellWord(word))
    .join(" ");
}

/** No client keys in the folder; `client` when one was named, `others`: whose keys are there. */
export function noClientKeys(client: Name | undefined, folder: string, others: readonly Name[] = []): SetupError {
  const [other] = others;
  if (client !== undefined && other !== undefined) {
    return new SetupError("E_NO_KEYS", `The client keys in ${shellWord(folder)} are those of ${others.join(", ")}.`, {
      next: `Were the names swapped? First the client, then the device: sshnp ${other} ${client} mygateway   Elsewhere are those of ${client}? Say where: sshnp --keys DIR`,
    });
  }
  return new SetupError(
    "E_NO_KEYS",
    `No client keys${client === undefined ? "" : ` of ${client}`} on this machine (looked in ${shellWord(folder)}).`,
    {
      next: `First time: sshnp-keys activate -a ${client ?? "@client"} -c SECRET --directory ADDRESS   Elsewhere? Say where: sshnp --keys DIR`,
    },
  );
}

export function severalClients(clients: readonly string[], folder: string): SetupError {
  return new SetupError("E_USAGE", `There are several clients in ${shellWord(folder)}: ${clients.join(", ")}.`, {
    next: `Say which: sshnp ${clients[0] ?? "@client"} @device mygateway`,
  });
}

export function noSshBinary(cause: unknown): SetupError {
  return new SetupError("E_NO_SSH", "There is no ssh on this machine that can be started.", {
    next: "Install it: apt-get install openssh-client",
    cause,
  });
}

/** `last seen 14 min ago (2026-11-22 10:41 UTC)`. Times in ms. */
export function lastSeen(time: number, now: number): string {
  const date = new Date(time);
  if (time <= 0 || Number.isNaN(date.getTime())) return "it is not known when it was last seen";
  const minutes = Math.max(0, Math.floor((now - time) / 60_000));
  const ago =
    minutes < 1
      ? "just now"
      : minutes < 120
        ? `${minutes} min ago`
        : minutes < 48 * 60
          ? `${Math.floor(minutes / 60)} h ago`
          : `${Math.floor(minutes / (24 * 60))} days ago`;
  return `last seen ${ago} (${date.toISOString().slice(0, 16).replace("T", " ")} UTC)`;
}

function inWords(ms: number): string {
  return ms > 0 ? `in ${Math.ceil(ms / 1000)} s` : "in a minute";
}
