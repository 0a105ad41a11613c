import { hostName, type MemberName, type Name } from "../keys/names.ts";
import { shellWord } from "../keys/shell-word.ts";

/** Whom a session was asked for. */
export interface Attempt {
  readonly client: Name;
  readonly device: { readonly name: Name; readonly member: MemberName };
  /** The user on the device; empty when none was named. */
  readonly login: string;
  /** The directory, as people write it: `http://host:port`. */
  readonly directory: string;
  /** What was asked for; undefined: ssh. */
  readonly service?: string | undefined;
  /** The verb that asked; undefined: a session of ssh. */
  readonly asked?: Asked | undefined;
}

/** What a command line was, for what people are told to type next. */
export interface Asked {
  readonly verb: string;
  /** What stood behind the device. */
  readonly after: readonly string[];
  /** All words behind the verb's own options, with this device in them, where they are not names and device. */
  readonly words?: (device: Attempt["device"]) => readonly string[];
}

/** The command line that looks at all that the daemon of the device needs, for whoever is there. */
export function deviceCheck({ client, device: { name, member } }: Attempt): string {
  return `sshnpd check -a ${name} -m ${client} -d ${member}`;
}

/** The command line that tells when the device is back, and does nothing else. */
export function pingUntilBack({ client, device: { name, member } }: Attempt): string {
  return `sshnp ping --wait ${client} ${name} ${member}`;
}

/** What waits for the device, as `option` says, and asks for the same again. */
export function waitingFor(attempt: Attempt, option = "--wait"): string {
  if (attempt.asked !== PROXY) return commandFor(attempt, option);
  return `sshnp ping ${option} ${attempt.client} ${hostName(attempt.device)}   Then the same again.`;
}

/** An ssh asked that has us as its proxy: what was typed is not known, and may have been git. */
export const PROXY: Asked = { verb: "proxy", after: [] };

/** The command line that asks for the same again, with one more option. */
export function commandFor({ client, device, login, asked }: Attempt, option?: string): string {
  const { name, member } = device;
  return [
    "sshnp",
    ...(asked === undefined || asked === PROXY ? [] : [asked.verb]),
    ...(option === undefined ? [] : [option]),
    ...(asked?.words?.(device) ?? [
      client,
      name,
      login === "" ? member : `${login}@${member}`,
      ...(asked?.after ?? []),
    ]),
  ]
    .map((word) => shellWord(word))
    .join(" ");
}
