/** What activation and enrolment print as the next step, done as it stands there by users who have nothing but a key of ssh's. */
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { type Exit, type ProcessOptions, runCommand, startCommand } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

test.skipIf(!CAN_MAKE_USERS)("leads to a session", { timeout: 120_000 }, async () => {
  await using stack = await Stack.start({ withoutDaemon: true, withoutTap: true });
  await using gateway = await ordinaryUser();
  await using laptop = await ordinaryUser();
  makeKey(laptop);
  const where = ["--directory", stack.address];
  const activate = async (user: OrdinaryUser, name: string, ...words: string[]): Promise<Exit> => {
    const secret = await stack.addName(name);
    return await runCommand("sshnp-keys", ["activate", "-a", name, "-c", secret, ...where, ...words], as(user));
  };
  const device = nextWords((await activate(gateway, "@acme", "-d", "porch")).stderr, "sshnpd", ["@WHO", "@laptop"]);
  const client = nextWords(
    (await activate(laptop, "@laptop")).stderr,
    "sshnp",
    ["@device", "@acme"],
    ["USER", gateway.name],
    ["mygateway", "porch"],
  );
  // This machine may have a server of its own on port 22.
  const daemon = startCommand("sshnpd", [...device, "--ssh-mode", "inetd"], as(gateway));
  await daemon.line(/^online: porch\.acme\.np$/);
  const sshOptions = ["-o", "BatchMode=yes", "id -un"];
  expect(await runCommand("sshnp", [...client, ...sshOptions], as(laptop))).toMatchObject({
    code: 0,
    stdout: `${gateway.name}\n`,
  });
  // A shell, where nobody types: nothing is said of terminals that ssh will not allocate.
  const shell = startCommand("sshnp", [...client.slice(1), "-o", "BatchMode=yes"], as(laptop));
  shell.stdin.end("exit 3\n");
  expect(await shell.exit()).toMatchObject({ code: 3, stderr: "" });
  await daemon.stop();
});

/** The words behind the command that stands behind Next, with nothing below it that would be copied along. */
function nextWords(stderr: string, command: string, ...replacements: [string, string][]): string[] {
  const [, line] = new RegExp(`\\nNext: ${command} (.*)\\n$`).exec(stderr) ?? expect.fail(stderr);
  return replacements.reduce((text, [from, to]) => text.replace(from, to), line ?? "").split(" ");
}

function as(user: OrdinaryUser): ProcessOptions {
  return { env: { HOME: user.home }, cwd: user.home, user };
}

function makeKey({ uid, gid, home }: OrdinaryUser): void {
  const folder = join(home, ".ssh");
  mkdirSync(folder, { mode: 0o700 });
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "id_ed25519")]);
  for (const path of [folder, join(folder, "id_ed25519"), join(folder, "id_ed25519.pub")]) chownSync(path, uid, gid);
}
