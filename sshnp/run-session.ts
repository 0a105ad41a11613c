import { parseSessionCommand, type SessionCommand } from "./command-line.ts";
import { hasSsh } from "./has-ssh.ts";
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
  if (!parsed.print && (parsed.native === true || !hasSsh(process.env["PATH"] ?? ""))) {
    const { runNative } = await import("./native/run-native.ts");
    return await runNative(parsed, keysFolderOf(parsed.destination));
  }
  const destination = await withLogin(parsed.destination, parsed.ssh.configuration);
  const command: SessionCommand = { ...parsed, destination };
  const surroundings = { node: process.execPath, main, keys: keysFolderOf(destination) };
  if (command.print) return print(`${shellCommand(["ssh", ...sshArguments(command, surroundings)])}\n`);
  if (command.needs === "tunnel") return await runFront(command, surroundings);
  return await startSsh(sshArguments(command, surroundings)).ended;
}

function print(text: string): CommandEnd {
  process.stdout.write(text);
  return { status: 0, error: undefined };
}
