import { Command } from "commander";
import { withWhere } from "./session-description.ts";
import type { TransferProgram } from "./transfer-line.ts";

interface About {
  readonly verb: string;
  readonly usage: string;
  readonly description: string;
  readonly examples: string;
}

const PLACES =
  "[user@]mygateway:PATH is on mygateway of @device, and so is [user@]mygateway.device.np:PATH without @device.";

const ABOUT: Readonly<Record<TransferProgram, About>> = {
  scp: {
    verb: "cp",
    usage: "[options] [@client] [@device] [scp options] SOURCE... TARGET",
    description: `Copies files with a device, by the system's scp. ${PLACES} The exit status is scp's.`,
    examples: `
  sshnp cp @device firmware.bin pi@mygateway:/tmp
  sshnp cp -r pi@mygateway.device.np:/var/log ./logs`,
  },
  rsync: {
    verb: "rsync",
    usage: "[options] [@client] [@device] [rsync options] SOURCE... TARGET",
    description: `Synchronises files with a device, by rsync here and there. ${PLACES} The exit status is rsync's. Options for ssh go with -e 'ssh -i FILE'.`,
    examples: `
  sshnp rsync @device -av --delete site/ pi@mygateway:/srv/site/`,
  },
  sftp: {
    verb: "sftp",
    usage: "[options] [@client] [@device] [sftp options] [user@]mygateway[:PATH]",
    description: "Opens an interactive file session with a device, by the system's sftp. The exit status is sftp's.",
    examples: `
  sshnp sftp @device pi@mygateway
  sshnp sftp -b batch pi@mygateway.device.np:/tmp`,
  },
};

/** What help, man page and completion say of a verb that runs a program of the system. */
export function describeTransfer(program: TransferProgram): Command {
  const { verb, usage, description, examples } = ABOUT[program];
  const command = new Command(`sshnp ${verb}`)
    .option(
      "--session-key",
      "log in with a key made for this session, which the device certifies (its sshnpd runs with --session-keys; else SSHNP_SESSION_KEY)",
    )
    .option("--no-session-key", "do not, whatever the settings say");
  return withWhere(command)
    .usage(usage)
    .description(description)
    .helpOption("--help", "print this")
    .addHelpText("after", `\nExamples:${examples}`);
}
