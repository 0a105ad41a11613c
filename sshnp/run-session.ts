import { parseSessionCommand, type SessionCommand } from "./command-line.ts";
import { keysFolderOf, withLogin } from "./destination.ts";
import { runFront } from "./front.ts";
import { readDefaults } from "./settings.ts";
import { shellCommand, sshArguments } from "./ssh-command.ts";
import { type CommandEnd, startSsh } from "./ssh-process.ts";

/** `sshnp @device mygateway ...`. `main`: the path by which ssh can start us again, as its proxy. */
export async function session(words: readonly string[], main: string): Promise<CommandEnd> {
  const parsed = parseSessionCommand(words, readDefaults(process.env));
  if (parsed === "help") return print((await import("./usage.ts")).SESSION_HELP);
  if (parsed === "version") return print(`${(await import("../keys/version.ts")).VERSION}\n`);
  const destination = await withLogin(parsed.destination, parsed.ssh.configuration);
  const command: SessionCommand = { ...parsed, destination };
  const surroundings = { node: process.execPath, main, keys: keysFolderOf(destination) };
  if (command.print) return print(`${shellCommand(["ssh", ...sshArguments(command, surroundings)])}\n`);
  const arguments_ = sshArguments(command, surroundings);
  if (command.needs !== "tunnel") return await startSsh(arguments_).ended;
  return await runFront(destination, surroundings.keys, (front) => startSsh(arguments_, { front }));
}

function print(text: string): CommandEnd {
  process.stdout.write(text);
  return { status: 0, error: undefined };
}
