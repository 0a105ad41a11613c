#!/usr/bin/env node
import { Command } from "commander";
import { activateCommand } from "./cli/activate.ts";
import { backupCommand } from "./cli/backup.ts";
import { approveCommand, denyCommand } from "./cli/approve.ts";
import { delegateCommand } from "./cli/delegate.ts";
import { deleteCommand } from "./cli/delete.ts";
import { enrollCommand } from "./cli/enroll.ts";
import { listCommand } from "./cli/list.ts";
import { logCommand } from "./cli/log.ts";
import { monitorCommand } from "./cli/monitor.ts";
import { otpCommand } from "./cli/otp.ts";
import { policyCommand } from "./cli/policy.ts";
import { renewCommand } from "./cli/renew.ts";
import { revokeCommand, unrevokeCommand } from "./cli/revoke.ts";
import { showCommand } from "./cli/show.ts";
import { restoreCommand } from "./cli/restore.ts";
import { rotateCommand } from "./cli/rotate.ts";
import { runCommandLine } from "./command-line.ts";
import { VERSION } from "./version.ts";

// Nothing that this process makes is for others to read.
process.umask(0o077);

const program = new Command("sshnp-keys")
  .description("Makes and keeps the keys of names.")
  .version(VERSION)
  .addHelpText(
    "after",
    `
Commands that read or say what stands about a name demand the witnesses of the directory's log that SSHNP_WITNESSES names:
K:KEY,KEY, how many of which must have cosigned it. Without it none is demanded.`,
  )
  .addCommand(activateCommand())
  .addCommand(otpCommand())
  .addCommand(enrollCommand())
  .addCommand(approveCommand())
  .addCommand(denyCommand())
  .addCommand(delegateCommand())
  .addCommand(showCommand())
  .addCommand(listCommand())
  .addCommand(logCommand())
  .addCommand(monitorCommand())
  .addCommand(policyCommand())
  .addCommand(revokeCommand())
  .addCommand(unrevokeCommand())
  .addCommand(renewCommand())
  .addCommand(deleteCommand())
  .addCommand(rotateCommand())
  .addCommand(backupCommand())
  .addCommand(restoreCommand());

process.exit(await runCommandLine(program));
