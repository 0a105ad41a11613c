import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
}, 60_000);
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

async function startWitness(name: string): Promise<{ running: RunningProcess; key: string }> {
  const place = ["--data", join(stack.server.home, name), "--listen", "127.0.0.1:0"];
  const running = stack.server.start("sshnp-rendezvous", "witness", ...place, "--directory", stack.address, "-v");
  const [, url = ""] = await running.line(/^(http:.*)$/m);
  const [, key = ""] = await running.line(/^(sshnp-witness-.*)$/m);
  await running.errorLine(/"msg":"follows"/);
  const data = join(stack.server.home, "directory");
  await stack.server.must("sshnp-directory", "witness", "add", name, url, key, "--data", data);
  await running.errorLine(/"msg":"cosigned"/);
  return { running, key };
}

test("with witnesses, as many as are demanded must have cosigned, lately, for the client and for the device", async () => {
  const [one, two] = [await startWitness("w1"), await startWitness("w2")];
  const never = await stack.server.must("sshnp-rendezvous", "witness-key", "--data", join(stack.server.home, "w3"));
  const all = ["--witness", one.key, "--witness", two.key, "--witness", never];

  expect(await stack.client.run("sshnp", ...all, ...stack.words("echo", "seen"))).toMatchObject({
    code: 0,
    stdout: "seen\n",
  });
  const three = await stack.client.run("sshnp", ...all, "--witnesses", "3", ...stack.words("true"));
  expect(three.code).not.toBe(0);
  expect(three.stderr).toMatch(/2 of 3 witnesses have cosigned the log's newest checkpoint; 3 must have/);
  expect(three.stderr).toContain("sshnp-directory witness ls");
  expect(three.stderr).toContain("E_WITNESS");

  // The device demands them as well.
  const daemon = stack.daemon;
  await daemon.stop();
  await stack.startDaemon(...all);
  expect(await stack.client.run("sshnp", ...all, ...stack.words("echo", "seen"))).toMatchObject({
    code: 0,
    stdout: "seen\n",
  });

  // The witnesses are away, and the directory has nothing newer of them: it may be a frozen one.
  await one.running.kill("SIGKILL");
  await two.running.kill("SIGKILL");
  const still = await stack.client.run("sshnp", ...all, ...stack.words("echo", "seen"));
  expect(still).toMatchObject({ code: 0 });
  await new Promise((resolve) => setTimeout(resolve, 1100)); // time itself is what is tested
  const frozen = await stack.client.run("sshnp", ...all, "--max-checkpoint-age", "1s", ...stack.words("true"));
  expect(frozen.code).not.toBe(0);
  expect(frozen.stderr).toContain("E_WITNESS");
  expect(frozen.stderr).toContain("since 2 of 3 witnesses cosigned the log");

  const zero = await stack.client.run("sshnp", "--witness", one.key, "--witnesses", "0", ...stack.words("true"));
  expect(zero.stderr).toContain("E_USAGE");
}, 120_000);
