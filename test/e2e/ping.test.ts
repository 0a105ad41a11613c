import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Stack } from "../support/stack.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ sshd: {}, daemon: ["-v"] });
});
afterAll(() => stack[Symbol.asyncDispose]());

test("sshnp ping measures each part of the way to a device, whose SSH server sees nothing of it", async () => {
  const { code, stdout } = await ping("-c", "2", "mygateway.device.np");
  expect(code).toBe(0);
  const ms = String.raw`\d+\.\d ms`;
  expect(stdout).toMatch(
    new RegExp(
      [
        "^mygateway of @device answers\\.",
        `directory   http://127\\.0\\.0\\.1:\\d+: ticket after ${ms}, the device's answer after ${ms}`,
        `rendezvous  tcp://127\\.0\\.0\\.1:${stack.tap.port}: dialled in ${ms}, joined with the device after ${ms}`,
        `   1  end to end  ${ms}`,
        `   2  end to end  ${ms}`,
        `2 round trips: least ${ms}, mean ${ms}, most ${ms}\n$`,
      ].join("\n"),
    ),
  );
  // The owner is pinned as by any connect; no host keys came, so there is nothing that ssh would believe.
  const knownHosts = join(stack.client.keys, "state/known_hosts.mygateway.device.np");
  expect(await readFile(knownHosts, "utf8")).toBe("");
  expect(stack.daemon.stderr).toMatch(/"service":"ping".*request granted/);
  expect(stack.daemon.stderr).not.toMatch(/"service":"ssh"/);
  expect(await stack.ssh("echo in")).toMatchObject({ code: 0, stdout: "in\n" });
  const pinned = await readFile(knownHosts, "utf8");
  expect(await ping("-c", "1", "mygateway.device.np")).toMatchObject({ code: 0 });
  expect([pinned.length > 0, await readFile(knownHosts, "utf8")]).toEqual([true, pinned]);
});

test("--json has it all in one document, each time in ms", async () => {
  const { code, stdout, stderr } = await ping("-c", "1", "--json", "@client", "@device", "mygateway");
  expect([code, stderr]).toEqual([0, ""]);
  const number = expect.any(Number) as number;
  expect(JSON.parse(stdout)).toEqual({
    ...{ v: 1, name: "@device", device: "mygateway", host: "mygateway.device.np" },
    directory: { url: expect.stringMatching(/^http:/) as string, ticketMs: number, answerMs: number },
    rendezvous: { address: `tcp://127.0.0.1:${stack.tap.port}`, dialledMs: number, joinedMs: number },
    ...{ roundTripsMs: [number], leastMs: number, meanMs: number, mostMs: number },
  });
});

test.each([
  [["-c", "0", "@device", "mygateway"], 2],
  [["@device", "mygateway", "uptime"], 2],
  [["@device", "pi@mygateway"], 2],
  [["@device", "mygatway"], 68],
  [["@nobody", "mygateway"], 68],
])("sshnp ping %j ends with %d", async (words, status) => {
  const { code, stdout, stderr } = await ping(...words);
  expect([code, stdout]).toEqual([status, ""]);
  if (words.includes("mygatway")) expect(stderr).toContain("Did you mean mygateway?");
});

test("a policy by which somebody may use anything lets it ping, one whose hours are over does not, and one that has no grant hides the device", async () => {
  await apply("{from: ['@client'], to: [mygateway], services: ['tcp:10.0.0.1:80']}");
  expect(await ping("-c", "1", "@device", "mygateway")).toMatchObject({ code: 0 });
  await apply("{from: ['@client'], to: [mygateway], services: [ssh], expires: 2020-01-01}");
  const over = await ping("--json", "@device", "mygateway");
  expect(JSON.parse(over.stderr)).toMatchObject({ error: { code: "E_POLICY", status: 65 } });
  expect(over.stderr).toContain("lets you use nothing of mygateway now");
  await apply("{from: ['@client'], to: [other], services: [ssh]}");
  expect(await ping("@device", "mygateway")).toMatchObject({ code: 68 });
  expect(await stack.client.run("sshnp", "ls", "@device")).toMatchObject({ code: 68, stdout: "" });
  await apply("{from: ['@client'], to: [mygateway], services: [ssh]}");
});

test("a device that is offline is told with 69 and since when; --wait waits for it; Ctrl-C ends the wait with 130", async () => {
  await stack.daemon.kill("SIGTERM");
  const offline = await ping("@device", "mygateway");
  expect(offline).toMatchObject({ code: 69, stdout: "" });
  expect(offline.stderr).toMatch(/mygateway of @device is offline: last seen just now/);
  expect(offline.stderr).toContain("Wait for it: sshnp ping --wait @client @device mygateway\n");
  await using given = stack.client.start("sshnp", "ping", "--wait", "@device", "mygateway");
  await given.errorLine(/waiting for mygateway of @device/);
  expect(await given.kill("SIGINT")).toMatchObject({ code: 130, stdout: "" });
  await using waiting = stack.client.start("sshnp", "ping", "--wait=10m", "-c", "1", "@device", "mygateway");
  await waiting.errorLine(/waiting for mygateway of @device/);
  await stack.startDaemon();
  expect(await waiting.exit()).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("\n1 round trip: least") as string,
  });
});

function ping(...words: string[]) {
  return stack.client.run("sshnp", "ping", ...words);
}

async function apply(grant: string): Promise<void> {
  const file = join(stack.device.home, "policy.yaml");
  await writeFile(file, `version: 1\ngrants:\n  - ${grant}\n`);
  await stack.device.must("sshnp-keys", "policy", "apply", "@device", file, "--yes");
}
