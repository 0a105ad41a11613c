#!/usr/bin/env node
import { Command } from "commander";
import { runCommandLine } from "../keys/command-line.ts";
import { keepHeapSmall } from "../keys/small-heap.ts";
import { VERSION } from "../keys/version.ts";
import { addRunCommand } from "./cli/run.ts";
import { addWitnessCommands } from "./cli/witness.ts";

keepHeapSmall();
// Nothing that this process makes is for others to read.
process.umask(0o077);

const program = new Command("sshnp-rendezvous")
  .description("Joins two single-use sockets and copies bytes that it cannot read. It knows no names.")
  .version(VERSION);
addRunCommand(program);
addWitnessCommands(program);

process.exitCode = await runCommandLine(program);
