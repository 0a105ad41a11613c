#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { printError } from "../keys/print-error.ts";
import { VERSION } from "../keys/version.ts";
import { addRunCommand } from "./cli/run.ts";

// Nothing that this process makes is for others to read.
process.umask(0o077);

const program = new Command("sshnp-rendezvous")
  .description("Joins two single-use sockets and copies bytes that it cannot read. It knows no names.")
  .version(VERSION)
  .exitOverride();
addRunCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own errors already; its help and version exit 0, its usage errors 2.
  const isHelp = error instanceof CommanderError && error.exitCode === 0;
  process.exitCode = error instanceof CommanderError ? (isHelp ? 0 : 2) : printError("sshnp-rendezvous", error);
}
