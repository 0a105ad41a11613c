#!/usr/bin/env node
import { Command } from "commander";
import { runCommandLine } from "../keys/command-line.ts";
import { keepHeapSmall } from "../keys/small-heap.ts";
import { VERSION } from "../keys/version.ts";
import { addAddressCommand } from "./cli/address.ts";
import { addAuditCommands } from "./cli/audit.ts";
import { addBrokerNameCommand } from "./cli/broker-name.ts";
import { addNameCommands } from "./cli/names.ts";
import { addRendezvousCommands } from "./cli/rendezvous.ts";
import { addRunCommand } from "./cli/run.ts";
import { addTransferCommands } from "./cli/transfer.ts";
import { addWitnessCommands } from "./cli/witness.ts";

keepHeapSmall();
// Nothing that this process makes is for others to read.
process.umask(0o077);

const program = new Command("sshnp-directory")
  .description("Knows which keys stand behind names, rings devices, and is believed by nobody without proof.")
  .version(VERSION);
addRunCommand(program);
addNameCommands(program);
addRendezvousCommands(program);
addTransferCommands(program);
addWitnessCommands(program);
addAuditCommands(program);
addAddressCommand(program);
addBrokerNameCommand(program);

process.exitCode = await runCommandLine(program);
