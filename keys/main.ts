#!/usr/bin/env node
import { Command } from "commander";
import { activateCommand } from "./cli/activate.ts";
import { listCommand } from "./cli/list.ts";
import { logCommand } from "./cli/log.ts";
import { policyCommand } from "./cli/policy.ts";
import { revokeCommand, unrevokeCommand } from "./cli/revoke.ts";
import { showCommand } from "./cli/show.ts";
import { runCommandLine } from "./command-line.ts";
import { VERSION } from "./version.ts";

// Nothing that this process makes is for others to read.
process.umask(0o077);

const program = new Command("sshnp-keys")
  .description("Makes and keeps the keys of names.")
  .version(VERSION)
  .addCommand(activateCommand())
  .addCommand(showCommand())
  .addCommand(listCommand())
  .addCommand(logCommand())
  .addCommand(policyCommand())
  .addCommand(revokeCommand())
  .addCommand(unrevokeCommand());

process.exit(await runCommandLine(program));
