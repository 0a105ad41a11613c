import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Stack } from "../support/stack.ts";

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
    await stack.client.must("sshnp-keys", "revoke", "@client", clientMember, "--reason", "stolen");
    const revoked = performance.now();
    const exit = await session.exit();
    const took = performance.now() - revoked;
    console.log(`a live session ended ${Math.round(took)} ms after the revocation was acknowledged`);
    console.log(exit.stderr);
    expect(exit.code).toBe(255);
    expect(took).toBeLessThan(PATIENCE_MS);
  });

  test("begins no new one, and is told why", async () => {
    const exit = await stack.ssh("true");
    console.log(exit.stderr);
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
    await stack.device.must("sshnp-keys", "revoke", "@device", "mygateway", "--reason", "decommissioned");
    const revoked = performance.now();
    const exit = await session.exit();
    console.log(`a live session ended ${Math.round(performance.now() - revoked)} ms after the revocation`);
    expect(exit.code).toBe(255);
    const refused = await stack.ssh("true");
    console.log(exit.stderr, refused.stderr);
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
  test("by the client's owner: the device goes on with the new one", async () => {
    await stack.client.must("sshnp-keys", "rotate", "@client");
    const exit = await stack.ssh("echo on");
    console.log(exit.stderr);
    expect(exit).toMatchObject({ code: 0, stdout: "on\n" });
    expect(await stack.ssh("echo on")).toMatchObject({ code: 0, stdout: "on\n" });
  });

  test("by the device's owner: the client goes on with the new one", async () => {
    await stack.device.must("sshnp-keys", "rotate", "@device");
    const exit = await stack.ssh("echo on");
    console.log(exit.stderr);
    expect(exit).toMatchObject({ code: 0, stdout: "on\n" });
    expect(await stack.ssh("echo on")).toMatchObject({ code: 0, stdout: "on\n" });
  });
});
