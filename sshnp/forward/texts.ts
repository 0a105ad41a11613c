/** What a person reads when a service of a device cannot be forwarded. */
import { DeniedError, SetupError, type SshnpError, UnavailableError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { type Attempt, commandFor } from "../attempt.ts";

/** A stream did not come about, or broke off; undefined: the session tells, or nobody needs to be told. */
export function streamRefusal(attempt: Attempt, service: string, error: unknown): SshnpError | undefined {
  const { client, device } = attempt;
  const member = `${device.member} of ${device.name}`;
  const place = service.slice("tcp:".length);
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "E_DEVICE_REFUSED":
      return new DeniedError("E_DEVICE_REFUSED", `${member} does not let ${client} reach ${place}.`, {
        next: `Where ${device.name} has a policy, it must grant ${service}; else on the device: sshnpd --permit-open ${place} ...`,
      });
    case "E_CLOSED":
      return new UnavailableError("E_CLOSED", `Nothing listens at ${place}, as ${member} reaches it.`, {
        next: `Is the port right, and does the server run? ${listeners(place)}`,
      });
    case "E_UNREACHABLE":
      return new UnavailableError(
        "E_UNREACHABLE",
        `${member} does not reach ${place}: no such host, no way, or no answer.`,
        {
          next: "On the device, see whether it resolves and reaches it, and what stands in between.",
        },
      );
    default:
      return undefined;
  }
}

function listeners(place: string): string {
  return /^(?:localhost|127\.|\[::1\])/.test(place) ? "On the device: ss -ltn" : "On that host: ss -ltn";
}

/** A connection waited in vain for a session, or for one of its streams. */
export function waitedInVain(attempt: Pick<Attempt, "device">, service: string, why: string): UnavailableError {
  const { member, name } = attempt.device;
  return new UnavailableError(
    "E_BUSY",
    `A connection to ${service.slice(4)} of ${member} of ${name} was given up: ${why}.`,
    {
      next: "Close some of the others, or forward with a second command: each has a session of its own.",
    },
  );
}

/** A port or socket cannot be listened at. */
export function cannotListen(place: string, error: unknown): SetupError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const [fact, next] = LISTEN_TROUBLE[code] ?? [code === "" ? String(error) : code, "Choose another one."];
  return new SetupError("E_LISTEN", `Cannot listen at ${quoted(place)}: ${fact}.`, { next, cause: error });
}

const LISTEN_TROUBLE: Readonly<Record<string, readonly [fact: string, next: string]>> = {
  EADDRINUSE: [
    "something listens there already",
    "Choose another port, or 0 for one that is free. Who has it: ss -ltnp",
  ],
  EACCES: [
    "it is not permitted",
    "Ports below 1024 are for root: choose a higher one; a socket, in a folder of your own.",
  ],
  EADDRNOTAVAIL: ["this machine has no such address", "Its addresses: ip address"],
  EAFNOSUPPORT: ["this machine has no such address", "Its addresses: ip address"],
  ENOENT: ["there is no such folder", "Make it first."],
  ENOTSOCK: ["there is a file of that name which is no socket", "Choose another path, or remove the file."],
};

/** A program of this machine stands where others can reach it. */
export function openToOthers(place: string, client: string): string {
  return `WARNING: ${place} is open to every machine that reaches this one; whoever connects there acts as ${client}.`;
}

/** A session is over; what comes next. */
export function lost(attempt: Pick<Attempt, "device">, error: SshnpError): string {
  const { member, name } = attempt.device;
  return `Lost ${member} of ${name}: ${error.message} New connections wait while a new session is made. [${error.code}]`;
}

/** The device ended the session in good order, which it does when it has no more use for it. */
export function endedByDevice(attempt: Attempt): UnavailableError {
  const { member, name } = attempt.device;
  return new UnavailableError("E_TRUNCATED", `${member} of ${name} has ended the session.`, {
    next: `Again: ${commandFor(attempt)}`,
  });
}
