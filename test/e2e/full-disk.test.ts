import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const root = join(import.meta.dirname, "../..");

test("a directory whose output goes to a full disk goes on serving, and one that should print a secret says no", async () => {
  await using folder = await temporaryFolder();
  const full = openSync("/dev/full", "w");
  const args = [
    join(root, "dist/directory/main.js"),
    "run",
    "--data",
    join(folder.path, "np"),
    "--listen",
    "127.0.0.1:0",
  ];
  const directory = spawn(process.execPath, args, { stdio: ["ignore", full, full], env: { HOME: folder.path } });
  const exited = once(directory, "exit");
  try {
    const options = { env: { HOME: folder.path } };
    const add = ["name", "add", "@device", "--data", join(folder.path, "np")];
    let answer = await runCommand("sshnp-directory", ["address", "--data", join(folder.path, "np")], options);
    while (answer.code !== 0 && directory.exitCode === null) {
      answer = await runCommand("sshnp-directory", ["address", "--data", join(folder.path, "np")], options);
    }
    const url = answer.stdout.trim().split("#")[0] ?? "";
    expect(await (await fetch(`${url}/healthz`)).text()).toContain("ok");

    const lost = spawn(process.execPath, [args[0] ?? "", ...add], {
      stdio: ["ignore", full, "ignore"],
      env: options.env,
    });
    expect((await once(lost, "exit"))[0]).toBe(74);
    expect((await runCommand("sshnp-directory", add, options)).code).toBe(0);
    expect(directory.exitCode).toBeNull();
  } finally {
    directory.kill("SIGTERM");
    await exited;
    closeSync(full);
  }
});
