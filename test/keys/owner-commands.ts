import { type Exit, runCommand } from "../support/processes.ts";
import { activateHere, type Activations, type Machine } from "./activation.ts";

/** A name that was activated on a machine of its own, as a client unless a device is named. */
export interface Owned {
  readonly machine: Machine;
  readonly name: string;
  /** The member that was made. */
  readonly member: string;
}

export async function newOwned(system: Activations, device?: string): Promise<Owned> {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const result = await activateHere(system, machine, { name, secret, ...(device === undefined ? {} : { device }) });
  if (result.kind !== "activated") throw new Error("it was there already");
  return { machine, name, member: result.member.member };
}

/** Runs `sshnp-keys WORDS` on a machine. */
export function keys(machine: Machine, words: readonly string[], env: Record<string, string> = {}): Promise<Exit> {
  return runCommand("sshnp-keys", words, { cwd: machine.home, env: { HOME: machine.home, ...env } });
}

/** The same, which must succeed; gives its stdout. */
export async function keysOk(
  machine: Machine,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const exit = await keys(machine, words, env);
  if (exit.code !== 0) throw new Error(`sshnp-keys ${words.join(" ")}: ${exit.code}\n${exit.stderr}`);
  return exit.stdout;
}

/** What `sshnp-keys log --json` gives. */
export interface LogJson {
  readonly owner: string;
  readonly statements: readonly {
    readonly subject: string;
    readonly seq: number;
    readonly kind: string;
    readonly signedBy: string;
    readonly text: string;
    readonly signature: string;
  }[];
}

export async function logOf(machine: Machine, name: string, ...words: string[]): Promise<LogJson> {
  return JSON.parse(await keysOk(machine, ["log", name, "--json", ...words])) as LogJson;
}

/** What `sshnp-keys list --json` gives of the members: their state, by their name. */
export async function statesOf(machine: Machine, name: string, ...words: string[]): Promise<Record<string, string>> {
  const { members } = JSON.parse(await keysOk(machine, ["list", name, "--json", ...words])) as {
    readonly members: readonly { readonly member: string; readonly state: string }[];
  };
  return Object.fromEntries(members.map(({ member, state }) => [member, state]));
}
