import { mkdir, symlink } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { OrdinaryUser } from "../support/ordinary-user.ts";
import type { RunInside } from "../support/processes.ts";
import type { Terminal, Terminals } from "../support/terminals.ts";

/** A terminal of a machine, which is a user of this one with a home folder of its own and the commands on its PATH. */
export async function openTerminal(
  terminals: Terminals,
  name: string,
  user: OrdinaryUser,
  namespace?: RunInside,
): Promise<Terminal> {
  const env = { HOME: user.home, PATH: `${join(user.home, "bin")}:${process.env["PATH"]}` };
  return await terminals.open(name, { user, env, ...(namespace && { namespace }) });
}

/** A folder with the five commands, as npm install -g makes it. */
export async function installCommands(user: OrdinaryUser): Promise<void> {
  const folder = join(user.home, "bin");
  await mkdir(folder);
  const { bin }: { bin: Record<string, string> } = JSON.parse(
    readFileSync(join(user.installation, "package.json"), "utf8"),
  );
  for (const [name, file] of Object.entries(bin)) await symlink(join(user.installation, file), join(folder, name));
}

/** A session that a person has: a shell that answers, and that is left with exit. */
export async function haveShell(window: Terminal, line: string, { name }: OrdinaryUser): Promise<void> {
  const answer = `on the device as ${name}: ${Math.random()}`;
  await window.type(line);
  await window.shows(/^\$ $/m); // the other shell's prompt
  await window.type(`echo "on the device as $(id -un): ${answer.slice(answer.lastIndexOf(" ") + 1)}"; tty`);
  await window.shows(new RegExp(`^${answer}\n/dev/pts/`, "m"));
  await window.type("exit");
  await window.prompt();
  expect(await window.run("echo $?")).toBe("0");
}
