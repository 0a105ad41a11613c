import type { Command } from "commander";
import { describeProxy, describeSession } from "./session-description.ts";

/** The usage lines of `sshnp --help`, one for each verb. */
const USAGE = `[options] [@client] @device [user@]mygateway [ssh options] [command ...]
       sshnp proxy [--client @client] [user@]mygateway.device.np[:22]
       sshnp cp ... mygateway:PATH                     scp with a device
       sshnp rsync ... mygateway:PATH                  rsync with a device
       sshnp sftp ... mygateway                        sftp with a device
       sshnp forward [@client] @device mygateway [PORT:HOST:]PORT ...   local ports to what a device reaches
       sshnp ls [@client] [@device]                     the devices that you may reach, and which are online
       sshnp ping [@client] @device mygateway           how long each part of the way to a device takes
       sshnp doctor [@client] [@device mygateway]       looks at all that a session needs, and says what to do
       sshnp status [@client]                           who this machine is, and how its directory looks
       sshnp ssh-config [--install | --uninstall | --check]   ssh, scp, rsync, git ... by mygateway.device.np
       sshnp trust ls | show | accept | forget ...     the keys that devices and names are held to
       sshnp trust evidence                            what was kept of a directory whose log lies
       sshnp profile ls | show | use | set | rm | import ...    settings that go together
       sshnp completion bash | zsh | fish              what a shell needs to complete these words
       sshnp help [command]                            the help of sshnp, or of one of these
       sshnp version [--json]`;

const ABOUT_SESSIONS = `
All that stands after the device is ssh's, and the exit status is ssh's too. @client may be left out with one client in the
keys folder, or where a setting names it, and @device where a setting names it: see sshnp profile --help.

@device=SHA256:... compares the owner key of @device with a fingerprint that you were given.

Examples:
  sshnp @client @device pi@mygateway
  sshnp @device mygateway -L 8080:localhost:80 -N
  sshnp --wait @device mygateway uptime

For ssh, scp, sftp, rsync, git and editors, by host names such as mygateway.device.np, once:
  sshnp ssh-config --install
`;

const ABOUT_PROXY = `
Before the first byte is passed on, the device's host keys are written to state/known_hosts.mygateway.device.np in the keys
folder.`;

/** All that `sshnp --help`, its man page and completion are made of. */
export function sessionDescription(): Command {
  return describeSession().usage(USAGE).addHelpText("after", ABOUT_SESSIONS);
}

/** The same of `sshnp proxy`. */
export function proxyDescription(): Command {
  return describeProxy().usage("[options] [user@]mygateway.device.np[:22]").addHelpText("after", ABOUT_PROXY);
}
