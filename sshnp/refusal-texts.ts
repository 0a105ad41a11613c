/**
 * What a person reads when a session does not come about: the fact in terms of the names that were asked for, and the
 * next step. Every command named here exists.
 */
import { DeniedError, PeerError, SecurityError, type SshnpError, UnavailableError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { REASON_BYTES } from "../protocol/limits.ts";
import { parseOnlyLogin } from "../protocol/only-login.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import { type Attempt, commandFor, deviceCheck, pingUntilBack, PROXY, waitingFor } from "./attempt.ts";
import { noSshServer, otherLogin } from "./session-texts.ts";

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
        next: `Check the spelling of both. If it is there, its policy may grant you nothing: ask the owner of ${name}. If it is new, its owner lets it in: sshnp-keys otp ${name}`,
      });
    case "E_NEVER_SEEN":
      return new UnavailableError(
        "E_NEVER_SEEN",
        `${member} of ${name} is activated, but its daemon has never connected.`,
        {
          next: `On the device, see what it lacks: ${deviceCheck(attempt)}   Then start it: sshnpd -a ${name} -m ${client} -d ${member} -s`,
        },
      );
    case "E_OFFLINE":
      return new UnavailableError("E_OFFLINE", `${member} of ${name} is offline: ${lastSeen(refusal.detail, now)}.`, {
        next: `${waiting(attempt)}   On the device, see whether sshnpd runs, and what it lacks: ${deviceCheck(attempt)}`,
      });
    case "E_WAIT_EXPIRED":
      return new UnavailableError("E_WAIT_EXPIRED", `${member} of ${name} did not come back in the time given.`, {
        next: `Give it longer: ${waitingFor(attempt, "--wait=2h")}   On the device, see whether sshnpd runs, and what it lacks: ${deviceCheck(attempt)}`,
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
    case "E_REVOKED":
      return new DeniedError(
        "E_REVOKED",
        `The directory says that these keys of ${client}, or ${member} of ${name}, are revoked by their owner.`,
        {
          next: `The owner sees which, and can take it back: sshnp-keys list ${client}   sshnp-keys list ${name}`,
        },
      );
    case "E_POLICY":
      return new DeniedError(
        "E_POLICY",
        `The directory says that the policy of ${name} does not let ${client} ${useOf(attempt)}.`,
        {
          next: `Ask the owner of ${name} for this grant in it: ${grantFor(attempt)}${withLogin(attempt)}`,
        },
      );
    case "E_PENDING":
      return new UnavailableError("E_PENDING", `These keys of ${client} wait for the approval of its owner.`, {
        next: `The owner of ${client} sees them: sshnp-keys list ${client}`,
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

/** What was asked for, after "does not let @client". */
function useOf({ service = "ssh", login, device: { member } }: Attempt): string {
  if (service !== "ssh") return `reach ${placeOf(service)} by way of ${member}`;
  return `reach ${member} by ssh ${login === "" ? "with no login named" : `as ${login}`}`;
}

/** How to have the session, and how to hear that it could be had. */
function waiting(attempt: Attempt): string {
  if (attempt.asked?.verb === "ping") return `Wait for it: ${pingUntilBack(attempt)}`;
  if (attempt.asked === PROXY) return `Wait for it: ${waitingFor(attempt)}`;
  return `Wait for it: ${waitingFor(attempt)}   Only to hear that it is back: ${pingUntilBack(attempt)}`;
}

/** A grant as a policy has it (docs/policy.md), no wider than what was asked for. */
function grantFor({ service = "ssh", client, login, device: { member } }: Attempt): string {
  const what = service.startsWith("tcp:") ? `["${service}"]` : `[ssh], logins: [${login === "" ? "LOGIN" : login}]`;
  return `{from: ["${client}"], to: ["${member}"], services: ${what}}`;
}

function placeOf(service: string): string {
  return service.replace(/^tcp:/, "");
}

/** A policy may grant certain logins alone. */
function withLogin({ service = "ssh", login, client, device: { name, member } }: Attempt): string {
  return login === "" && service === "ssh"
    ? ` It may grant certain logins: sshnp ${client} ${name} LOGIN@${member}`
    : "";
}

/** A refusal that the device itself sealed. `reason` is its own text, of any content. */
export function deviceRefusal(
  attempt: Attempt,
  refusal: { readonly code: RefusalCode; readonly reason: string },
): SshnpError {
  const { member, name } = attempt.device;
  const { service = "ssh" } = attempt;
  const permitted = service === "ssh" ? "" : ` --permit-open ${placeOf(service)}`;
  const reason = refusal.reason === "" ? "" : ` It says: ${quoted(refusal.reason, REASON_BYTES)}`;
  switch (refusal.code) {
    case "E_DEVICE_REFUSED":
      return new DeniedError("E_DEVICE_REFUSED", `${member} of ${name} itself refused ${attempt.client}.${reason}`, {
        next: `On the device, start its sshnpd with more words: -m ${attempt.client}${permitted} (the directory cannot override this)`,
      });
    case "E_POLICY":
      return new DeniedError(
        "E_POLICY",
        `The policy of ${name} does not let ${attempt.client} ${service === "ssh" ? "do that" : useOf(attempt)}.${reason}`,
        {
          next: `Ask the owner of ${name} for this grant in it: ${grantFor(attempt)} (neither the device nor the directory can override the policy)`,
        },
      );
    case "E_LOG":
      return new SecurityError(
        "E_LOG",
        `${member} of ${name} was shown another log by the directory than you were.${reason}`,
        {
          next: `Do not go on: the directory at ${attempt.directory} hides something from one of you. The device has kept the evidence, two signed checkpoints; tell the owner of ${name}.`,
        },
      );
    case "E_NO_SSHD":
      if (parseOnlyLogin(refusal.reason) !== undefined) return otherLogin(attempt, refusal.reason);
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
    case "E_REVOKED":
      return new DeniedError(code, `${said} takes these keys of ${client} for revoked.`, {
        next: `The owner of ${client} knows, and can take it back: sshnp-keys list ${client}`,
      });
    case "E_LOG":
      return new SecurityError(code, `${said} does not believe the directory's log.`, {
        next: `Trust nothing new from this directory until it is clear why; ${deviceLog}.`,
      });
    case "E_WITNESS":
      return new SecurityError(code, `${said} misses witnesses of the directory's log.`, {
        next: `Set the device's clock if it is ahead (timedatectl); else whoever runs the directory should see why its witnesses do not cosign; ${deviceLog}.`,
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
