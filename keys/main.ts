#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { activateCommand } from "./cli/activate.ts";
import { printError } from "./print-error.ts";
import { VERSION } from "./version.ts";

const program = new Command("sshnp-keys")
  .description("Makes and keeps the keys of an sshnp name.")
  .version(VERSION)
  .addCommand(activateCommand())
  .exitOverride();
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own errors already; its help and version exit 0, its usage errors 2.
  process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : printError("sshnp-keys", error);
}
