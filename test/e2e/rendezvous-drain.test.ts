import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { addRendezvous } from "../support/one-time-secrets.ts";
import type { RunningProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

test("a rendezvous that is told to end lets its session go on to the last byte, gets no new one, and ends with status 0", {
  timeout: 90_000,
}, async () => {
  await using stack = await Stack.start({ withoutTap: true, rendezvous: ["--region", "eu-west"] });
  const sent = randomBytes(3 * 1024 * 1024);
  const session = stack.startSsh("sha256sum");
  session.stdin.write(sent.subarray(0, 1024 * 1024));
  const first = stack.rendezvous;
  await stack.daemon.errorLine(/"session confirmed"/);

  const directory = join(stack.server.home, "directory");
  const secret = await addRendezvous(directory, "rz2");
  const words = ["run", "--data", join(stack.server.home, "rz2"), "--directory", stack.address];
  const second = stack.server.start("sshnp-rendezvous", ...words, "-c", secret, "--listen", "127.0.0.1:0");
  await second.line(/:\d+$/);
  process.kill(first.pid, "SIGTERM");
  await first.errorLine(/"rendezvous drains"/);
  const list = async (): Promise<string> =>
    await stack.server.must("sshnp-directory", "rendezvous", "ls", "--data", directory);
  await expect.poll(list, { timeout: 30_000 }).toMatch(/rz1 +draining +2\/\d+ +eu-west/);

  expect(await stack.ssh("echo", "elsewhere")).toMatchObject({ code: 0, stdout: "elsewhere\n" });
  await second.errorLine(/"session ended"/);
  expect(first.stderr).not.toContain('"session ended"');

  await stack.directory.kill("SIGKILL");
  session.stdin.end(sent.subarray(1024 * 1024));
  const ended = await session.exit();
  expect(ended).toMatchObject({ code: 0, stdout: `${createHash("sha256").update(sent).digest("hex")}  -\n` });
  expect(await first.exit()).toMatchObject({ code: 0, signal: null });
  expect(first.stderr).not.toContain("sessions are cut");
  await second.stop();
});

test("the time to drain has an end, and a second signal ends it at once; either way the session with it, which says so, and with status 0", {
  timeout: 60_000,
}, async () => {
  await using stack = await Stack.start({ withoutTap: true, rendezvous: ["--drain-seconds", "1"] });
  const begin = async (): Promise<RunningProcess> => {
    const session = stack.startSsh("echo begun; exec cat");
    await session.line(/^begun$/);
    return session;
  };
  const bounded = await begin();
  process.kill(stack.rendezvous.pid, "SIGTERM");
  expect(await stack.rendezvous.exit()).toMatchObject({ code: 0, signal: null });
  expect(stack.rendezvous.stderr).toContain("sessions are cut: they have not ended in time");
  expect(await bounded.exit()).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_TRUNCATED]") });

  await stack.startRendezvous("--drain-seconds", "600");
  const hurried = await begin();
  process.kill(stack.rendezvous.pid, "SIGINT");
  await stack.rendezvous.errorLine(/"rendezvous drains"/);
  process.kill(stack.rendezvous.pid, "SIGINT");
  expect(await stack.rendezvous.exit()).toMatchObject({ code: 0, signal: null });
  expect((await hurried.exit()).code).toBe(255);
});

test("a region that is no name, and a drain that is no number, are refused", { timeout: 60_000 }, async () => {
  await using stack = await Stack.start({ withoutTap: true, withoutDaemon: true });
  const words = ["run", "--data", join(stack.server.home, "rz9"), "--directory", stack.address];
  for (const wrong of [
    ["--region", "EU west"],
    ["--drain-seconds", "soon"],
    ["--drain-seconds", "86401"],
  ]) {
    const exit = await stack.server.run("sshnp-rendezvous", ...words, ...wrong);
    expect(exit).toMatchObject({ code: 2, stdout: "" });
    expect(exit.stderr).toContain("[E_USAGE]");
  }
});
