import { putStatements } from "../../directory/client.ts";
import { OwnerWork } from "../../keys/cli/owner-work.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { parseMember } from "../../keys/names.ts";
import { signText } from "../../keys/owner-signer.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { firstBinding } from "../../protocol/statements.ts";
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
  // Nobody sits at a terminal here who could be asked.
  const agreed = words[0] === "rotate" ? [...words, "--yes"] : words;
  return runCommand("sshnp-keys", agreed, { cwd: machine.home, env: { HOME: machine.home, ...env } });
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
    readonly members: readonly { readonly member: string; readonly condition: string }[];
  };
  return Object.fromEntries(members.map(({ member, condition }) => [member, condition]));
}

/** What a name's owner does in this process, with the keys on a machine. */
export function ownerHere(system: Activations, { machine, name }: Pick<Owned, "machine" | "name">): Promise<OwnerWork> {
  return OwnerWork.open(name, { keys: machine.keys, directory: system.address });
}

/** Makes devices of a name, `gw1` and so on, each bound by the owner key on the machine. */
export async function addDevices(system: Activations, owned: Owned, count: number): Promise<void> {
  const work = await ownerHere(system, owned);
  const signer = await work.signer();
  await work.account(); // and with it the directory's time
  for (let i = 1; i <= count; i += 1) {
    const x25519 = X25519PrivateKey.generate(work.suite, work.random);
    const ed25519 = Ed25519PrivateKey.generate(work.suite, work.random).publicKey;
    const of = { name: work.name, member: parseMember(`gw${i}`), role: "device" as const };
    const publicKeys = { x25519: x25519.publicKey, ed25519 };
    const text = firstBinding(work.random, {
      ...of,
      ...publicKeys,
      issued: work.directory.directoryTime,
      expires: null,
    });
    await putStatements(work.directory, x25519, [await signText(signer, text)], { signal: work.signal });
  }
}
