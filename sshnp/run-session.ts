import type { Command } from "commander";
import { SetupError } from "../keys/errors.ts";
import { parseSessionCommand, type SessionCommand } from "./command-line.ts";
import { keysFolderOf, withLogin, withSurroundingsStated } from "./destination.ts";
import { hasSsh } from "./has-ssh.ts";
import { runFront } from "./front.ts";
import { readDefaults } from "./settings.ts";
import { shellCommand, sshArguments } from "./ssh-command.ts";
import type { CommandEnd } from "./ssh-process.ts";

/** `sshnp @device mygateway ...`. `main`: the path by which ssh can start us again, as its proxy. */
export async function session(words: readonly string[], main: string): Promise<CommandEnd> {
  const parsed = parseSessionCommand(words, readDefaults(process.env));
  if (parsed === "help") return tell((await import("./usage.ts")).sessionDescription());
  if (parsed === "version") return print(`${(await import("../keys/version.ts")).VERSION}\n`);
  if (!parsed.print && (parsed.native === true || !hasSsh(process.env["PATH"] ?? ""))) {
    if (parsed.destination.sessionKey === true) {
      throw new SetupError(
        "E_USAGE",
        "The built-in client cannot log in with a session key: it knows no certificates.",
        {
          next: "Leave --native out, with ssh installed (Debian: apt-get install openssh-client); or log in with a key of your own: --no-session-key, -i FILE",
        },
      );
    }
    const { runNative } = await import("./native/run-native.ts");
    return await runNative(parsed, keysFolderOf(parsed.destination));
  }
  const destination = await withLogin(parsed.destination, parsed.ssh.configuration);
  const command: SessionCommand = { ...parsed, destination };
  const surroundings = { node: process.execPath, main, keys: keysFolderOf(destination) };
  if (destination.sessionKey === true && (command.print || command.needs === "background")) {
    throw new SetupError("E_USAGE", "--session-key does not go with -x or -f: the key lives as long as this command.", {
      next: "Leave one of them out; a setting is undone by --no-session-key.",
    });
  }
  if (command.print) {
    const printed = { ...command, destination: withSurroundingsStated(destination, process.env) };
    return print(`${shellCommand(["ssh", ...sshArguments(printed, surroundings)])}\n`);
  }
  const { mayLeaveTerminalOut } = await import("./leave-terminal-out.ts");
  const typed = { ...surroundings, withoutTerminal: await mayLeaveTerminalOut(command) };
  const { startSsh } = await import("./ssh-process.ts");
  if (command.needs !== "tunnel") return await startSsh(sshArguments(command, typed)).ended;
  return await runFront(destination, surroundings.keys, (front, agent) =>
    startSsh(sshArguments(command, { ...typed, ...(agent !== undefined && { agent }) }), { front }),
  );
}

function tell(description: Command): CommandEnd {
  description.outputHelp();
  return { status: 0, error: undefined };
}

function print(text: string): CommandEnd {
  process.stdout.write(text);
  return { status: 0, error: undefined };
}
