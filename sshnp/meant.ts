import { DeniedError, SetupError } from "../keys/errors.ts";
import { hostName } from "../keys/names.ts";
import { nearest } from "../protocol/policy/nearest.ts";
import { knownDevices } from "./pinned-devices.ts";
import { NotAName } from "./target.ts";

/**
 * An error with what was probably meant, of the devices that this machine knows and of `verbs`, of which `first` is none: the first
 * word of the command line. As it is where nothing is like it. Nothing is asked of the network.
 */
export function withMeant(error: unknown, first: string | undefined, verbs: readonly string[]): unknown {
  if (error instanceof DeniedError && error.code === "E_UNKNOWN_NAME") return withVerb(error, first, verbs);
  if (!(error instanceof NotAName)) return error;
  const { word } = error;
  const devices = knownDevices();
  const verb = word === first ? meantVerb(word, verbs) : undefined;
  const member = devices.some((device) => device.member === word)
    ? word
    : verb === undefined &&
      nearest(
        word,
        devices.map((device) => device.member),
      );
  const [device, ...others] = devices.filter((each) => each.member === member);
  if (device !== undefined) {
    const next =
      others.length === 0
        ? `Put ${device.name} ahead of it, or write ${hostName(device)}.`
        : `Put the name ahead of it, or write one of: ${[device, ...others.slice(0, 4)].map(hostName).join(", ")}`;
    return new SetupError("E_USAGE", `${error.message} Did you mean ${device.member} of ${device.name}?`, {
      next,
      cause: error,
    });
  }
  if (word === "ssh" && word === first) {
    return new SetupError("E_USAGE", "sshnp opens a session itself; there is no sshnp ssh.", {
      next: "Leave ssh out: sshnp @device mygateway",
      cause: error,
    });
  }
  if (verb === undefined) return error;
  return new SetupError("E_USAGE", `${error.message} Did you mean sshnp ${verb}?`, {
    next: "All commands: sshnp --help",
    cause: error,
  });
}

/**
 * Where a setting names the device's name, a verb that is mistyped is the word for a device. Only one that is not there is taken for
 * a verb: devices may be called anything.
 */
function withVerb(error: DeniedError, first: string | undefined, verbs: readonly string[]): DeniedError {
  if (first === undefined || verbs.includes(first) || first.includes("@") || first.includes(".")) return error;
  const verb = meantVerb(first, verbs);
  if (verb === undefined) return error;
  const question = `${error.message.endsWith("?") ? "Or" : "Did you mean"} sshnp ${verb}?`;
  return new DeniedError("E_UNKNOWN_NAME", `${error.message} ${question}`, {
    next: `${error.next ?? ""}   All commands: sshnp --help`,
    cause: error,
  });
}

/** The verb that was probably meant. */
export function meantVerb(word: string, verbs: readonly string[]): string | undefined {
  return OTHER_WORDS.get(word) ?? nearest(word, verbs);
}

/** What other programs call it. */
const OTHER_WORDS: ReadonlyMap<string, string> = new Map([
  ["list", "ls"],
  ["devices", "ls"],
  ["copy", "cp"],
  ["scp", "cp"],
  ["config", "profile"],
  ["check", "doctor"],
  ["tunnel", "forward"],
]);
