import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Exit, RunningProcess } from "../support/processes.ts";
import { type Machine, Stack } from "../support/stack.ts";

/** Far more than the promised 5 s, for a machine that is busy with other tests; how long it took is told. */
const PATIENCE_MS = 30_000;

let stack: Stack;
let clientMember: string;
beforeAll(async () => {
  stack = await Stack.start();
  const { members } = JSON.parse(await stack.client.must("sshnp-keys", "list", "@client", "--json")) as {
    readonly members: readonly { readonly member: string }[];
  };
  clientMember = members[0]?.member ?? "";
});
afterAll(() => stack[Symbol.asyncDispose]());

describe("a client that is revoked", () => {
  test("loses its live session within seconds", async () => {
    await using session = stack.startSsh("echo up; exec cat");
    await session.line(/^up$/);
    const { exit, ms } = await endedBy(session, () =>
      stack.client.must("sshnp-keys", "revoke", "@client", clientMember, "--reason", "stolen"),
    );
    expect(exit).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_NOT_AUTHORIZED]") });
    expect(ms).toBeLessThan(PATIENCE_MS);
  });

  test("begins no new one, and is told why", async () => {
    const exit = await stack.ssh("true");
    expect(exit.stderr).toContain('The owner says: "stolen".');
    expect(exit).toMatchObject({ code: 255, stdout: "", stderr: expect.stringContaining("[E_REVOKED]") });
  });

  test("begins none after a restart of the directory and of the daemon either", async () => {
    await stack.directory.kill("SIGKILL");
    await stack.startDirectory();
    await stack.daemon.kill("SIGTERM");
    await stack.startDaemon();
    const exit = await stack.ssh("true");
    expect(exit).toMatchObject({ code: 255, stdout: "", stderr: expect.stringContaining("[E_REVOKED]") });
  });

  test("comes back when its owner takes that back", async () => {
    await stack.client.must("sshnp-keys", "unrevoke", "@client", clientMember);
    await expect.poll(async () => (await stack.ssh("echo back")).stdout, { timeout: PATIENCE_MS }).toBe("back\n");
  });
});

describe("a device that is revoked", () => {
  test("loses its live sessions, and its clients are told", async () => {
    await using session = stack.startSsh("echo up; exec cat");
    await session.line(/^up$/);
    const { exit, ms } = await endedBy(session, () =>
      stack.device.must("sshnp-keys", "revoke", "@device", "mygateway", "--reason", "out of use"),
    );
    expect(exit.code).toBe(255);
    expect(ms).toBeLessThan(PATIENCE_MS);
    const refused = await stack.ssh("true");
    expect(refused.stderr).toContain('The owner says: "out of use".');
    expect(refused).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_REVOKED]") });
  });

  test("whose daemon goes on trying, is there again when its owner takes that back", async () => {
    await stack.device.must("sshnp-keys", "unrevoke", "@device", "mygateway");
    await expect.poll(async () => (await stack.ssh("echo back")).stdout, { timeout: PATIENCE_MS }).toBe("back\n");
  });

  test("and whose daemon is restarted meanwhile, waits for that", async () => {
    await stack.device.must("sshnp-keys", "revoke", "@device", "mygateway");
    await stack.daemon.kill("SIGTERM");
    const starting = stack.startDaemon();
    starting.catch(() => {});
    await expect.poll(() => stack.daemon.stderr, { timeout: PATIENCE_MS }).toContain("E_REVOKED");
    await stack.device.must("sshnp-keys", "unrevoke", "@device", "mygateway");
    await starting;
    expect(await stack.ssh("echo back")).toMatchObject({ code: 0, stdout: "back\n" });
  });
});

describe("an owner key that is handed on", () => {
  test("by the client's owner: its session goes on, and the device pins the new one by the rotation", async () => {
    const before = pinOf(stack.device, "@client");
    await using session = stack.startSsh("cat");
    session.stdin.write("before\n");
    await session.line(/^before$/);
    await stack.client.must("sshnp-keys", "rotate", "@client", "--yes");
    expect(await stack.ssh("echo on")).toMatchObject({ code: 0, stdout: "on\n" });
    await expect
      .poll(() => pinOf(stack.device, "@client"), { timeout: PATIENCE_MS })
      .toMatchObject({
        origin: "rotation",
        owner: expect.not.stringContaining(before.owner),
      });
    session.stdin.end("after\n");
    expect(await session.exit()).toMatchObject({ code: 0, stdout: "before\nafter\n" });
  });

  test("by the device's owner: its session goes on, and the client pins the new one by the rotation", async () => {
    const before = pinOf(stack.client, "@device");
    await using session = stack.startSsh("cat");
    session.stdin.write("before\n");
    await session.line(/^before$/);
    await stack.device.must("sshnp-keys", "rotate", "@device", "--yes");
    expect(await stack.ssh("echo on")).toMatchObject({ code: 0, stdout: "on\n" });
    await expect
      .poll(() => pinOf(stack.client, "@device"), { timeout: PATIENCE_MS })
      .toMatchObject({
        origin: "rotation",
        owner: expect.not.stringContaining(before.owner),
      });
    session.stdin.end("after\n");
    expect(await session.exit()).toMatchObject({ code: 0, stdout: "before\nafter\n" });
  });

  test("is reached by its new fingerprint and, by the rotation, from its old one, and by no other", async () => {
    const file = JSON.parse(readFileSync(join(stack.device.keys, "@device.owner.1.npkeys"), "utf8")) as {
      readonly statement: { readonly text: string };
    };
    const former = fingerprintOf(file.statement.text);
    const words = (key: string) => [
      "@client",
      `@device=${key}`,
      `${stack.login}@mygateway`,
      ...stack.sshOptions,
      "true",
    ];
    const refused = await stack.client.run("sshnp", ...words(`SHA256:${"A".repeat(43)}`));
    expect(refused).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_OWNER_KEY]") });
    expect(await stack.client.run("sshnp", ...words(former))).toMatchObject({ code: 0 });
    const { owner } = JSON.parse(await stack.device.must("sshnp-keys", "list", "@device", "--json")) as {
      owner: string;
    };
    expect(await stack.client.run("sshnp", ...words(owner))).toMatchObject({ code: 0 });
  });

  test("still revokes, after a restart of everybody", async () => {
    await stack.directory.kill("SIGKILL");
    await stack.startDirectory();
    await stack.daemon.kill("SIGTERM");
    await stack.startDaemon();
    expect(await stack.ssh("echo on")).toMatchObject({ code: 0, stdout: "on\n" });
    await stack.client.must("sshnp-keys", "revoke", "@client", clientMember);
    expect(await stack.ssh("true")).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_REVOKED]") });
  });
});

/** How a session ended, and how long after the command was started that ends it: more than the revocation itself took. */
async function endedBy(session: RunningProcess, revoke: () => Promise<string>): Promise<{ exit: Exit; ms: number }> {
  const since = performance.now();
  const ended = session.exit().then((exit) => ({ exit, ms: performance.now() - since }));
  await revoke();
  const { exit, ms } = await ended;
  process.stdout.write(`a live session ended ${Math.round(ms)} ms after sshnp-keys revoke was started\n`);
  return { exit, ms };
}

/** The pin of a name's owner key on a machine. */
function pinOf(machine: Machine, name: string): { readonly owner: string; readonly origin: string } {
  return JSON.parse(readFileSync(join(machine.keys, "state", `peer.${name}.json`), "utf8")) as {
    readonly owner: string;
    readonly origin: string;
  };
}

/** As ssh-keygen -l prints it, of the key that a name statement names. */
function fingerprintOf(text: string): string {
  const { owner } = JSON.parse(text) as { readonly owner: string };
  const blob = Buffer.from(owner.split(" ")[1] ?? "", "base64");
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace("=", "")}`;
}
