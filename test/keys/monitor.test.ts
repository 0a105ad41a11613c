import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MONITOR_FAILED_LOOKS } from "../../protocol/limits.ts";
import { runCommand, startCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { Activations } from "./activation.ts";
import { newOwned } from "./owner-commands.ts";

test("the first look acknowledges, a statement made since ends it with status 76, and acknowledging goes on", async () => {
  await using folder = await temporaryFolder();
  const env = { HOME: folder.path };
  const np = join(folder.path, "np");
  const directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const added = await runCommand("sshnp-directory", ["name", "add", "@acme", "--data", np], { env });
  const keys = (...words: string[]) => runCommand("sshnp-keys", words, { env });
  const secret = added.stdout.trim();
  const activated = await keys("activate", "-a", "@acme", "-c", secret, "--directory", address, "-d", "gateway");
  expect(activated.code).toBe(0);

  // The owner's own machine, which is no member, so that revoking one does not end its right to look.
  const all = join(folder.path, ".local/share/sshnp/keys");
  const own = join(folder.path, "own");
  await mkdir(own, { mode: 0o700 });
  await cp(join(all, "@acme.owner.npkeys"), join(own, "@acme.owner.npkeys"));
  const monitor = (...words: string[]) => keys("monitor", "@acme", "--keys", own, "--directory", address, ...words);

  const first = await monitor("--once");
  expect(first).toMatchObject({ code: 0, stdout: "" });
  expect(first.stderr).toContain("statements about @acme are acknowledged");
  expect(await monitor("--once")).toMatchObject({ code: 0, stderr: "" });

  const watching = startCommand(
    "sshnp-keys",
    ["monitor", "@acme", "--keys", own, "--directory", address, "--interval", "1s"],
    { env },
  );
  const revoked = await keys("revoke", "@acme", "gateway");
  expect(revoked).toMatchObject({ code: 0 });
  expect((await watching.exit()).code).toBe(76);
  expect(watching.stderr).toContain("E_STATEMENT");
  const seen = await monitor("--once");
  expect(seen.code).toBe(76);
  expect(seen.stderr).toMatch(/revocation \d+ on @acme\/gateway/);
  expect(await monitor("--once", "--acknowledge")).toMatchObject({ code: 0 });
  expect(await monitor("--once")).toMatchObject({ code: 0, stderr: "" });
  expect((await monitor("--interval", "1")).code).toBe(2);
}, 60_000);

test("who is kept from looking ends with a status of its own, after looks that failed in a row", async () => {
  await using system = await Activations.start();
  const { machine, name } = await newOwned(system, "gateway");
  const watching = startCommand("sshnp-keys", ["monitor", name, "--interval", "1s"], { env: { HOME: machine.home } });
  await watching.errorLine(/are acknowledged\.$/);
  await system.directory.stop();
  const { code, stderr } = await watching.exit();
  expect(code).toBe(69);
  expect(stderr.match(/The next look is in 1 s\./g)).toHaveLength(MONITOR_FAILED_LOOKS - 1);
  expect(stderr).toMatch(/10 looks in a row have failed: .*\n.*\n {12}\S.*\n {12}\[E_DIRECTORY\]\n$/);
}, 120_000);
