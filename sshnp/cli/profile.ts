import { Command } from "commander";
import type { CommandEnd } from "../ssh-process.ts";
import { importCommand } from "./profile/import.ts";
import { lsCommand } from "./profile/ls.ts";
import { rmCommand } from "./profile/rm.ts";
import { setCommand } from "./profile/set.ts";
import { showCommand } from "./profile/show.ts";
import { useCommand } from "./profile/use.ts";
import { runVerb } from "./run-verb.ts";

/** `sshnp profile ...`: sets of settings, of which one is in use. */
export async function profile(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp profile")
    .description("Sets of settings: which client, whose devices, which directory and keys. One of them is in use.")
    .addCommand(lsCommand())
    .addCommand(showCommand())
    .addCommand(useCommand())
    .addCommand(setCommand())
    .addCommand(rmCommand())
    .addCommand(importCommand())
    .addHelpText(
      "after",
      `
Settings are client, device, user, directory, keys, wait, session-key and witnesses. What counts is, in this order: an option,
a variable (SSHNP_CLIENT, SSHNP_DEVICE, SSHNP_USER, SSHNP_DIRECTORY, SSHNP_KEYS, SSHNP_WAIT, SSHNP_SESSION_KEY,
SSHNP_WITNESSES), the profile in use, ~/.config/sshnp/config.toml, /etc/sshnp/config.toml. A profile is in use by
sshnp --profile NAME ..., else by SSHNP_PROFILE, else by sshnp profile use NAME. Each is a file:
~/.config/sshnp/profiles/NAME.toml

Examples:
  sshnp profile set work client=@alice device=@acme wait=10m
  sshnp profile use work
  sshnp --profile work mygateway`,
    );
  return await runVerb(command, words);
}
