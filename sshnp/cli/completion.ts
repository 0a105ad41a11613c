import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command, Option } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { hostName } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { pinnedDevices } from "../pinned-devices.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { runVerb } from "./run-verb.ts";

/** Shell -> the file beside the programs that `npm run build` makes for it (scripts/completions.mjs). */
const FILES = { bash: "sshnp.bash", zsh: "_sshnp", fish: "sshnp.fish" } as const;

interface CompletionOptions {
  readonly devices?: string | true;
  readonly profiles?: boolean;
}

/** `sshnp completion bash|zsh|fish`, and what its scripts ask while somebody types. */
export async function completion(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp completion")
    .description(
      "Print what a shell needs to complete the words of sshnp, sshnpd, sshnp-keys, sshnp-directory and sshnp-rendezvous.",
    )
    .addArgument(new Argument("[shell]", "bash, zsh or fish").choices(Object.keys(FILES)))
    .addOption(new Option("--devices [name]").hideHelp())
    .addOption(new Option("--profiles").hideHelp())
    .addHelpText(
      "after",
      `
Devices are completed from what this machine has pinned; nothing is asked of the network.

Examples:
  sshnp completion bash > ~/.local/share/bash-completion/completions/sshnp
  sshnp completion zsh > ~/.zfunc/_sshnp
  sshnp completion fish > ~/.config/fish/completions/sshnp.fish`,
    )
    .action(complete);
  return await runVerb(command, words);
}

async function complete(
  shell: keyof typeof FILES | undefined,
  { devices, profiles }: CompletionOptions,
): Promise<void> {
  if (devices !== undefined || profiles === true) return await printData((await typed(devices)).map(line).join(""));
  if (shell === undefined) {
    throw new SetupError("E_USAGE", "Which shell to complete for is missing.", {
      next: "sshnp completion bash, or zsh, or fish",
    });
  }
  await printData(script(FILES[shell]));
}

/** Whatever keeps it from being known completes nothing, and says nothing: somebody is typing. */
async function typed(devices: string | true | undefined): Promise<readonly string[]> {
  try {
    if (devices === undefined) return await (await import("./profile/stored.ts")).listProfiles();
    const { hasConfiguration } = await import("../config/paths.ts");
    if (hasConfiguration(process.env)) {
      await (await import("../config/apply.ts")).applyConfiguration(process.env);
    }
    return namesAndHosts(devices === true ? undefined : devices);
  } catch {
    return [];
  }
}

/** What devices of this name are called; where there are none, as of a client's name, or none is given, names and hosts. */
function namesAndHosts(name: string | undefined): readonly string[] {
  const devices = pinnedDevices(process.env);
  const membersOf = (of: string | undefined): readonly string[] =>
    devices.filter((device) => device.name === of).map((device) => device.member);
  const members = membersOf(name);
  if (members.length > 0) return members;
  const names = new Set(devices.map((device) => device.name));
  return [...names, ...devices.map(hostName), ...membersOf(process.env["SSHNP_DEVICE"])];
}

function script(file: string): string {
  // Beside the folder of what is built of this file, or of the bundle that it is in.
  for (const folder of ["../completion", "../../completion"]) {
    try {
      return readFileSync(join(import.meta.dirname, folder, file), "utf8");
    } catch {
      // The other one, then.
    }
  }
  throw new SetupError("E_STORAGE", `${file} is missing from this installation.`, { next: "Install sshnp again." });
}

function line(text: string): string {
  return `${text}\n`;
}
