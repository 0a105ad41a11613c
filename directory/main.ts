#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { printError } from "../keys/print-error.ts";
import { VERSION } from "../keys/version.ts";
import { addAddressCommand } from "./cli/address.ts";
import { addNameCommands } from "./cli/names.ts";
import { addRendezvousCommands } from "./cli/rendezvous.ts";
import { addRunCommand } from "./cli/run.ts";

// Nothing that this process makes is for others to read.
process.umask(0o077);

const program = new Command("sshnp-directory")
  .description("Knows which keys stand behind names, rings devices, and is believed by nobody without proof.")
  .version(VERSION)
  .exitOverride();
addRunCommand(program);
addNameCommands(program);
addRendezvousCommands(program);
addAddressCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own errors already; its help and version exit 0, its usage errors 2.
  const isHelp = error instanceof CommanderError && error.exitCode === 0;
  process.exitCode = error instanceof CommanderError ? (isHelp ? 0 : 2) : printError("sshnp-directory", error);
}
