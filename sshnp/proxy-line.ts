import type { WitnessOptions } from "../directory/client.ts";
import { SetupError } from "../keys/errors.ts";
import { hostName, parseHostName, parseName, quoted } from "../keys/names.ts";
import { type Fingerprint, parseFingerprint } from "../keys/openssh.ts";
import { parseDirectoryAddress } from "../protocol/directory-address.ts";
import { DEFAULT_WAIT, type Destination, parseKeysFolder, parseWait, type Question } from "./command-line.ts";
import { type Defaults, NO_DEFAULTS } from "./settings.ts";
import { argumentOf } from "./ssh-options.ts";
import { parseLogin } from "./target.ts";
import { isWitnessOption, withWitnessOption, witnessWords } from "./witness-options.ts";

/**
 * Reads the words after `sshnp proxy`: what {@link proxyWords} writes, and what people write into ssh_config.
 * @throws {SetupError} E_USAGE on anything else.
 */
export function parseProxyLine(
  words: readonly string[],
  defaults: Pick<Defaults, "client" | "wait"> = NO_DEFAULTS,
): Destination | Question {
  let client = defaults.client;
  let owner: Fingerprint | undefined;
  let directory: string | undefined;
  let keys: string | undefined;
  let witnesses: WitnessOptions | undefined;
  let wait: number | undefined;
  let push = false;
  let sessionKey = false;
  let identityFile: string | undefined;
  let verbose = false;
  let target: string | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const [, name = "", joined] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const value = (): string => joined ?? argumentOf(`-${name}`, words[++index]);
    if (word === "--help" || word === "-h") return "help";
    if (name === "client") client = parseName(value());
    else if (name === "owner") owner = parseFingerprint(value());
    else if (name === "directory") directory = parseDirectoryAddress(value()).text;
    else if (name === "keys") keys = parseKeysFolder(value());
    else if (word === "--no-wait") wait = 0;
    else if (name === "wait") wait = parseWait(joined ?? DEFAULT_WAIT);
    else if (isWitnessOption(name)) witnesses = withWitnessOption(witnesses, name, value());
    else if (word === "--session-key") sessionKey = true;
    else if (word === "-s") push = true;
    else if (word === "-i") identityFile = argumentOf("i", words[++index]);
    else if (word === "-v") verbose = true;
    else if (word.startsWith("-")) throw usage(`${quoted(word)} is no option of sshnp proxy.`);
    else if (target !== undefined) throw usage("More than one host is named.");
    else target = word;
  }
  const [, user, host = "", port = "22"] = /^(?:(.*)@)?([^@:]*)(?::([0-9]+))?$/s.exec(target ?? "") ?? [];
  if (target === undefined || host === "") throw usage("Which device to reach is missing.");
  const device = parseHostName(host);
  if (port !== "22") {
    throw new SetupError("E_USAGE", `Port ${quoted(port)} cannot be asked for.`, {
      next: "Leave the port out of ssh's configuration; on the device, sshnpd --ssh-port says where its SSH server listens.",
    });
  }
  const login = user === undefined ? "" : parseLogin(user);
  const pushKey = push ? { identityFile } : undefined;
  const made = sessionKey ? { sessionKey } : {};
  const waitSeconds = wait ?? (defaults.wait === undefined ? 0 : parseWait(defaults.wait, "SSHNP_WAIT="));
  const never: Pick<Destination, "neverWaits"> = wait === 0 ? { neverWaits: true } : {};
  return { client, device, owner, login, directory, keys, witnesses, waitSeconds, ...never, pushKey, ...made, verbose };
}

/** The words after `sshnp` that make it a proxy to this destination. */
export function proxyWords(destination: Destination): string[] {
  const { login, device } = destination;
  return [...proxyOptions(destination), `${login === "" ? "" : `${login}@`}${hostName(device)}:22`];
}

/** The same ahead of the host. */
export function proxyOptions(destination: Omit<Destination, "device" | "login">): string[] {
  const { client, owner, keys, directory, waitSeconds, pushKey } = destination;
  return [
    "proxy",
    ...(client === undefined ? [] : ["--client", client]),
    ...(owner === undefined ? [] : ["--owner", owner]),
    ...(keys === undefined ? [] : ["--keys", keys]),
    ...(directory === undefined ? [] : ["--directory", directory]),
    ...witnessWords(destination.witnesses),
    ...(destination.neverWaits ? ["--no-wait"] : []),
    ...(waitSeconds === 0 ? [] : [`--wait=${waitSeconds}`]),
    ...(pushKey === undefined ? [] : ["-s"]),
    ...(pushKey?.identityFile === undefined ? [] : ["-i", pushKey.identityFile]),
    ...(destination.sessionKey === true ? ["--session-key"] : []),
    ...(destination.verbose ? ["-v"] : []),
  ];
}

function usage(fact: string): SetupError {
  return new SetupError("E_USAGE", fact, {
    next: "Usage: sshnp proxy [--client @client] [user@]mygateway.device.np[:22]; see sshnp proxy --help",
  });
}
